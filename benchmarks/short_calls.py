"""Short calls beside what they are held against, over fresh processes: `python benchmarks/short_calls.py -o FILE`.

What a process is given by chance, a channel of the card and the places of its buffers, makes such a call differ by
several percent, which rounds of one process do not see (`docs/processes.md`). Each process here gives one number for
each pair and length: the median over rounds of the ratio of the two, whose replays take turns as in `kernels.py`. The
interval is Student's t over their logarithms. Writes a table and JSON; needs an NVIDIA GPU.

- `fp8 / bf16`: the cache write into fp8 with a scale a tensor, over the one into bf16.
- `rope / pass`: the rotary embedding over the best overlapped pass over its bytes, chosen anew in each process.
- `rope-then-write / fused`: the rotary embedding, then the tuned write, over the one launch.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Callable
from functools import partial
from math import log
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).resolve().parent))
from rope_prof.kernels.mrope.inputs import make_ring
from rope_prof.kernels.mrope.inputs import touched_bytes as rope_bytes
from rope_prof.kernels.mrope.paths import path as rope_path
from rope_prof.kernels.mrope.shape import PRESETS, MropeShape
from rope_prof.kernels.mrope_kv.inputs import Kind, make_kv_ring, touched_bytes
from rope_prof.kernels.mrope_kv.paths import path

import kernels
from rope_prof.analysis.run.processes import over_logs
from rope_prof.kernels import ceilings

Graphs = dict[str, tuple[torch.cuda.CUDAGraph, int]]
#: A graph does not keep the buffers that it works on.
Kept = tuple[Graphs, list[Any]]
#: What is held against what, and at which lengths.
PAIRS = {
    "fp8 / bf16": (64, 256),
    "rope / pass": (64, 973),
    "rope-then-write / fused": (64,),
}


def _buffers(touched: int) -> int:
    """So many of them are three times the L2."""
    return max(2, -(-3 * torch.cuda.get_device_properties(0).L2_cache_size // touched))


def _written(shape: MropeShape, tokens: int, kind: Kind, seed: int, *names: str) -> Kept:
    """Graphs of those paths of the cache write over a ring, and the ring."""
    one = touched_bytes(make_kv_ring(shape, tokens, 1, device="cuda", kind=kind))
    ring = make_kv_ring(shape, tokens, _buffers(one), device="cuda", kind=kind, seed=seed)

    def graph(name: str) -> torch.cuda.CUDAGraph:
        call = path(name).call
        return kernels.graph_of(lambda x: call(*x.arguments(shape)), ring)

    return {name: (graph(name), len(ring)) for name in names}, [ring]


def _turned(shape: MropeShape, tokens: int, seed: int) -> Kept:
    """Graphs of the rotary embedding and of the overlapped passes over a ring, and the ring."""
    buffers = _buffers(rope_bytes(shape, tokens, torch.bfloat16))
    ring = make_ring(shape, tokens, buffers, torch.bfloat16, "cuda", seed=seed)
    calls: dict[str, Callable[[Any], object]] = {"rope": kernels.caller(rope_path("fused"), shape)}
    for tile in ceilings.SCALE_TILES:
        calls[f"pass {tile}"] = partial(_pass, shape=shape, tile=tile)
    return {name: (kernels.graph_of(call, ring), len(ring)) for name, call in calls.items()}, [ring]


def _pass(x: Any, *, shape: MropeShape, tile: Any) -> None:
    ceilings.scale(kernels.rotated_view(x, shape), tile, overlap=True)


def graphs_of(pair: str, shape: MropeShape, tokens: int, seed: int) -> Kept:
    """What is replayed for `pair`, and the buffers that it works on."""
    if pair == "rope / pass":
        return _turned(shape, tokens, seed)
    if pair == "fp8 / bf16":
        kinds: dict[str, Kind] = {"fp8": "fp8", "bf16": "same"}
        both = {name: _written(shape, tokens, kind, seed, "fused") for name, kind in kinds.items()}
        return {name: graphs["fused"] for name, (graphs, _) in both.items()}, [rings for _, rings in both.values()]
    return _written(shape, tokens, "same", seed, "rope-then-write", "fused")


def measured(seed: int, model: str, rounds: int) -> dict[tuple[str, int], tuple[float, float, float]]:
    """(pair, tokens) -> (ratio, µs a call of its first, of its second), of this process."""
    found = {}
    for pair, lengths in PAIRS.items():
        for tokens in lengths:
            graphs, kept = graphs_of(pair, PRESETS[model], tokens, seed)
            taken = kernels.replayed(graphs, rounds, seed)
            del graphs, kept
            first, second = (
                min((name for name in taken if name.startswith(side)), key=lambda name: statistics.median(taken[name]))
                for side in pair.split(" / ")
            )
            ratio = statistics.median(a / b for a, b in zip(taken[first], taken[second], strict=True))
            found[pair, tokens] = ratio, statistics.median(taken[first]), statistics.median(taken[second])
            torch.cuda.empty_cache()
    return found


def main() -> None:
    """A line for each pair and length, JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", choices=tuple(PRESETS), default="28b")
    parser.add_argument("--processes", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    work = partial(measured, model=options.model, rounds=options.rounds)
    with get_context("fork").Pool(1, maxtasksperchild=1) as pool:
        each = list(pool.imap(work, range(options.processes)))
    rows = []
    for pair, tokens in each[0]:
        ratios, first, second = zip(*(one[pair, tokens] for one in each), strict=True)
        figure = over_logs([log(ratio) for ratio in ratios], 0.95, "processes")
        assert figure is not None
        interval = "" if figure.lo is None else f" [{figure.lo:.4f}, {figure.hi:.4f}]"
        times = " and ".join(f"{statistics.median(us):.3f}" for us in (first, second))
        print(f"{pair:24} N = {tokens:4d}: {figure.median:.4f}{interval}, {times} µs", flush=True)
        ratio = {"median": figure.median, "lo": figure.lo, "hi": figure.hi, "processes": figure.n}
        rows.append({"pair": pair, "tokens": tokens, "ratio": ratio, "first_us": first, "second_us": second})
    if options.output:
        device = torch.cuda.get_device_name()
        document = {"command": sys.argv, "device": device, "torch": torch.__version__, "rows": rows}
        options.output.write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
