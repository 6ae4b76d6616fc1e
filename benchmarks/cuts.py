"""Every cut of both rotary kernels, every time at which positions are read, beside passes and chains: `python cuts.py`.

One process, CUDA-graph replays over a ring of at least three times the L2, everything of a point interleaved and
shuffled round by round, as `kernels.py` measures: what a change of a kernel is decided by. Writes a table and JSON;
needs an NVIDIA GPU of compute capability 9 or higher.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).resolve().parent))
from rope_prof.kernels.launch import PACK_POINTERS, Launch, packer
from rope_prof.kernels.mrope import fused as rope
from rope_prof.kernels.mrope.shape import PRESETS, MropeShape
from rope_prof.kernels.mrope.turning import AFTER_ROWS, BEFORE_ROWS, GUESSED, TABLE_BEFORE_WAIT
from rope_prof.kernels.mrope_kv.checks import Given
from rope_prof.kernels.mrope_kv.cut import Programs, cut
from rope_prof.kernels.mrope_kv.fused import addresses
from rope_prof.kernels.mrope_kv.inputs import KvInputs, make_kv_ring, touched_bytes
from rope_prof.kernels.mrope_kv.program import launch
from rope_prof.kernels.mrope_kv.write import PASS_TILES, same_bytes, write

import kernels as tools
from rope_prof.kernels import ceilings

TIMES = {AFTER_ROWS: "after", BEFORE_ROWS: "before", GUESSED: "guessed", TABLE_BEFORE_WAIT: "settled"}
Work = Callable[[KvInputs], object]
PACK = packer(11)


def short(again: Launch | None, at: Sequence[int]) -> None:
    """The launch at these addresses on the current stream, with nothing in the way."""
    assert again is not None
    again.set_stream(torch.cuda.current_stream().cuda_stream)
    (PACK_POINTERS if len(at) == 4 else PACK)(again.pointers, 0, *at)
    code = again.launch(again.config, again.function, again.arguments, None)
    assert code == 0, code


def rope_work(x: KvInputs, shape: MropeShape, how: rope.Blocks, *, settled: bool = False) -> Work:
    """Our rotary kernel in that cut."""
    again = rope.launch(x.q, x.k, x.positions, x.cos_sin_cache, shape, how=how, settled=settled)
    return lambda y: short(again, [t.data_ptr() for t in (y.q, y.k, y.positions, y.cos_sin_cache)])


def kv_work(x: KvInputs, shape: MropeShape, how: Programs, *, settled: bool = False) -> Work:
    """The rotary kernel with the cache write in that cut."""
    again = launch(Given(*x.arguments(shape)[:10]), shape, x.layout, how=how, settled=settled)
    return lambda y: short(again, addresses(Given(*y.arguments(shape)[:10])))


def cuts(block: int, tokens: int) -> Iterator[tuple[str, rope.Blocks | Programs, bool]]:
    """(name, cut, settled) of each that is tried, in programs of `block` tokens; of both kernels as they were, too."""
    yield "rope as it was", rope.Blocks(block, 6, early=AFTER_ROWS), False
    yield (
        "kv as it was",
        Programs(block, *((2, 1) if tokens <= 256 else (4, 4)), tokens <= 256, early=BEFORE_ROWS),
        False,
    )
    small = tokens <= 512
    for first in (True, False) if small else (False,):
        for heads in (2, 4) if small else (4, 6, 8):
            for early in (BEFORE_ROWS, GUESSED):
                yield f"rope {heads} {TIMES[early]}{' tf' * first}", rope.Blocks(block, heads, 1, early, first), False
        for q, kv in ((2, 1), (4, 2), (4, 4)) if small else ((4, 2), (4, 4), (5, 2)):
            for early in (BEFORE_ROWS, GUESSED):
                yield f"kv {q},{kv} {TIMES[early]}{' tf' * first}", Programs(block, q, kv, first, 1, early), False
            yield f"kv {q},{kv} settled{' tf' * first}", Programs(block, q, kv, first), True
    warps = 4 if small else 2
    yield f"kv 4,2 guessed w{warps}", Programs(warps * block, 4, 2, small, warps, GUESSED), False
    yield f"rope 4 before w{warps}", rope.Blocks(warps * block, 4, warps, BEFORE_ROWS, small), False


def point(shape: MropeShape, tokens: int, rounds: int, l2_bytes: int) -> dict[str, dict[str, float]]:
    """Every cut, pass and chain at one length, µs a call."""
    one = make_kv_ring(shape, tokens, 1, device="cuda")
    buffers = max(2, -(-3 * l2_bytes // touched_bytes(one)))
    ring = make_kv_ring(shape, tokens, buffers, device="cuda", seed=7)
    x, calls = ring[0], (list(ring) * 32)[: max(buffers, 32)]
    work: dict[str, Work] = {}
    for name, how, settled in cuts(cut(shape, 2, "long").tokens, tokens):
        made = rope_work if isinstance(how, rope.Blocks) else kv_work
        work[name] = made(x, shape, how, settled=settled)  # type: ignore[operator]
    for tile in PASS_TILES if tokens > 1 else PASS_TILES[:2]:
        if tile[3]:
            kept = {id(y): torch.empty(y.k.numel() * 2, dtype=y.k.dtype, device="cuda") for y in ring}
            work[f"pass {tile}"] = lambda y, t=tile, k=kept: same_bytes(y.qkv, shape.q_heads * 128, k[id(y)], t)
    for tile in ceilings.SCALE_TILES[: None if tokens > 1 else 2]:
        work[f"scale {tile}"] = lambda y, t=tile: ceilings.scale(tools.rotated_view(y, shape), t, overlap=True)
    for first in (False, True) if tokens <= 512 else (False,):
        work[f"write{' tf' * first}"] = lambda y, f=first: write(
            y.k, y.v, y.k_cache, y.v_cache, y.slots, None, None, shape.kv_heads, y.layout, trigger_first=f
        )
    for name in ("rope as it was", "rope 2 guessed tf" if tokens <= 512 else "rope 4 guessed"):
        for other in [name for name in work if name.startswith("write")]:
            work[f"{name} + {other}"] = lambda y, a=work[name], b=work[other]: (a(y), b(y))
    graphs = {name: (tools.graph_of(call, calls), len(calls)) for name, call in work.items()}
    return {name: asdict(tools.spread(v)) for name, v in tools.replayed(graphs, rounds, 11).items()}


def main() -> None:
    """Arguments, the measurement, a line a figure, a JSON file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tokens", default="64,973,256,1")
    parser.add_argument("--model", choices=tuple(PRESETS), default="28b")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("-o", "--output", type=Path, default=Path("cuts.json"))
    options = parser.parse_args()
    facts: dict[str, Any] = {
        "schema_version": 1,
        "machine": tools.machine(),
        "command": " ".join(sys.argv),
        "device": [],
    }

    shape = PRESETS[options.model]
    for tokens in map(int, options.tokens.split(",")):
        us = point(shape, tokens, options.rounds, int(facts["machine"]["l2_bytes"]))
        facts["device"].append({"model": options.model, "tokens": tokens, "us": us})
        options.output.write_text(json.dumps(facts, indent=1))
        for name, value in sorted(us.items(), key=lambda pair: pair[1]["median"]):
            spread = f"[{value['p10']:.3f}, {value['p90']:.3f}]"
            print(f"{options.model} {tokens}: {value['median']:8.3f} {spread} {name}")
        torch.cuda.empty_cache()


if __name__ == "__main__":
    main()
