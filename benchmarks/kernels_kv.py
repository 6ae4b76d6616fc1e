"""The cache write beside what it fuses and the card's own limit: `python benchmarks/kernels.py --operation mrope_kv`.

Measured as `kernels.py` measures: CUDA-graph replays over a ring of at least three times the L2, each call with caches
of its own, paths interleaved. `same-bytes pass`: the best of all tiles, chosen anew at each point; `settled`:
positions, slots and table are read before the kernel ahead has ended, as is so stated (they are never written here).
"""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

import peers
import peers_kv
import torch
from rope_prof.kernels.mrope.fused import fused as rope
from rope_prof.kernels.mrope.fused import launch as rope_launch
from rope_prof.kernels.mrope.reference import error
from rope_prof.kernels.mrope.shape import PRESETS, MropeShape
from rope_prof.kernels.mrope_kv.bound import Bound
from rope_prof.kernels.mrope_kv.cache import read_slots
from rope_prof.kernels.mrope_kv.checks import Given
from rope_prof.kernels.mrope_kv.fused import fused
from rope_prof.kernels.mrope_kv.inputs import KvInputs, make_kv_ring, touched_bytes
from rope_prof.kernels.mrope_kv.paths import NAMES, path
from rope_prof.kernels.mrope_kv.program import launch
from rope_prof.kernels.mrope_kv.reference import reference
from rope_prof.kernels.mrope_kv.traffic import least_bytes, path_bytes
from rope_prof.kernels.mrope_kv.write import PASS_TILES, same_bytes

#: Kernels of a call, at most: a graph has so many nodes that chains are cut to fewer buffers.
_KERNELS = {"unfused": 40, "served": 5, "rope-then-index": 5, "rope-then-write": 2, "vllm": 40, "vllm, text": 2}
Call = Callable[[KvInputs], object]
Writers = dict[str, peers_kv.Writer]


def point(
    shape: MropeShape, tokens: int, kind: Any, options: Any, l2_bytes: int, tools: Any, others: Writers
) -> dict[str, Any]:
    """One case: every path and limit over the same ring, µs a call."""
    one = make_kv_ring(shape, tokens, 1, device="cuda", kind=kind)
    touched = touched_bytes(one)
    buffers = max(2, -(-3 * l2_bytes // touched))
    ring = make_kv_ring(shape, tokens, buffers, device="cuda", kind=kind, prompt=options.prompt, seed=options.seed)
    calls = (list(ring) * -(-options.least_calls // buffers))[: max(buffers, options.least_calls)]
    graphs = {}
    for name, call in _calls(shape, kind, others).items():
        own = calls[: max(1, tools.NODE_LIMIT // _KERNELS.get(name, 1))]
        graphs[name] = (tools.graph_of(call, own), len(own))
    columns = shape.q_heads * shape.head_dim
    kept = [torch.empty(each.k.numel() * 2, dtype=each.k_cache.dtype, device="cuda") for each in ring]
    flat = {id(each): room for each, room in zip(ring, kept, strict=True)}
    for tile in (tile for tile in PASS_TILES if tile[0] <= tokens):
        call = lambda x, tile=tile: same_bytes(x.qkv, columns, flat[id(x)], tile)  # noqa: E731
        graphs[f"pass {'x'.join(map(str, tile))}"] = (tools.graph_of(call, calls), len(calls))
    spreads = {name: tools.spread(v) for name, v in tools.replayed(graphs, options.rounds, options.seed).items()}
    passes = [name for name in spreads if name.startswith("pass ")]
    cached = ring[0].k_cache.element_size()
    return {
        "model": shape.model,
        "tokens": tokens,
        "cache": kind,
        "ring_buffers": buffers,
        "least_bytes": least_bytes(shape, tokens, 2, cached),
        "bytes": {name: path_bytes(name, shape, tokens, 2, cached) for name in NAMES},
        "limit": min(passes, key=lambda name: spreads[name].median),
        "us": {name: asdict(value) for name, value in spreads.items()},
    }


def _calls(shape: MropeShape, kind: str, others: Writers) -> dict[str, Call]:
    """Every path that knows the order, the fused one without overlapped launches, and peers that write such a cache."""

    def of(name: str, call: peers_kv.Writer | None = None) -> Call:
        call = call or path(name).call
        return lambda x: call(*x.arguments(shape))

    left_out = set() if shape.order == "ernie" else {"served"}
    found = {name: of(name) for name in NAMES if name not in left_out}
    found |= {name: of(name, call) for name, call in others.items() if kind in call.kinds}  # type: ignore[attr-defined]
    found["fused, no overlap"] = lambda x: launch(Given(*x.arguments(shape)[:10]), shape, x.layout, overlap=False)
    if kind == "same":
        found["rope alone"] = lambda x: rope_launch(x.q, x.k, x.positions, x.cos_sin_cache, shape)
        found["rope alone, settled"] = lambda x: rope_launch(
            x.q, x.k, x.positions, x.cos_sin_cache, shape, settled=True
        )
    return found


def wall(shape: MropeShape, tokens: int, rounds: int, tools: Any) -> dict[str, Any]:
    """Microseconds of host time a call, hot, beside `add_` on one element in the same rounds: eager and compiled."""
    torch._dynamo.reset()  # no other length's code is looked through first
    x, one = make_kv_ring(shape, tokens, 1, device="cuda")[0], torch.zeros(1, device="cuda")
    q, k, v, positions, table, k_cache, v_cache, slots = tensors = x.arguments(shape)[:8]
    layer = Bound(shape, table, k_cache, v_cache, layout=x.layout, unseen=True)
    cache = lambda *t: fused(*t, None, None, shape, x.layout)  # noqa: E731
    turn = lambda *t: rope(*t, shape)  # noqa: E731
    point, turned, cached, bound, packed = (
        torch.compile(f, fullgraph=True)
        for f in (lambda a: a.add_(1), turn, cache, lambda *t: layer(*t), lambda *t: layer.packed(*t))
    )
    calls: dict[str, Callable[[], object]] = {
        "add_": lambda: one.add_(1),
        "rope": lambda: turn(q, k, positions, table),
        "fused": lambda: cache(*tensors),
        "bound": lambda: layer(q, k, v, positions, slots),
        "bound, packed": lambda: layer.packed(x.qkv, positions, slots),
        "compiled add_": lambda: point(one),
        "compiled rope": lambda: turned(q, k, positions, table),
        "compiled fused": lambda: cached(*tensors),
        "compiled bound": lambda: bound(q, k, v, positions, slots),
        "compiled bound, packed": lambda: packed(x.qkv, positions, slots),
    }
    samples: dict[str, list[float]] = {name: [] for name in calls}
    order, shuffler = list(calls), random.Random(5)
    for _ in range(rounds + 3):
        shuffler.shuffle(order)
        for name in order:
            call = calls[name]
            torch.cuda.synchronize()
            began = time.perf_counter_ns()
            for _ in range(200):
                call()
            torch.cuda.synchronize()
            samples[name].append((time.perf_counter_ns() - began) / 200e3)
    us = {name: asdict(tools.spread(v[3:])) for name, v in samples.items()}
    return {"model": shape.model, "tokens": tokens, "us": us}


def accuracy(shape: MropeShape, kind: Any, seed: int) -> dict[str, Any]:
    """The fused path against the float64 oracle, output by output: 4,096 tokens, three random rows."""
    x = make_kv_ring(shape, 4096, 1, device="cuda", kind=kind, prompt="random", seed=seed)[0]
    want = reference(*x.arguments(shape))
    fused(*x.arguments(shape))
    written, exact = (
        [read_slots(each, x.layout, x.slots) for each in both] for both in ((x.k_cache, x.v_cache), want[1:])
    )
    return {
        name: asdict(error((got,), (right,)))
        for name, got, right in zip(("q", "k", "v"), (x.q, *written), (want[0], *exact), strict=True)
    }


def measure(options: Any, tools: Any, l2_bytes: int) -> dict[str, Any]:
    """Every point: bf16 caches of each model, fp8 ones of the first."""
    models, tokens = options.models.split(","), [int(n) for n in options.tokens.split(",")]
    others, failed = peers.installed(peers_kv.WRITERS)
    result: dict[str, Any] = {"peers_failed": failed, "device": [], "accuracy": {}, "wall": []}
    for n in (n for n in tokens if n <= 973):
        result["wall"].append(wall(PRESETS[models[0]], n, options.wall_rounds, tools))
    for kind in ("same", "fp8"):
        for model in models if kind == "same" else models[:1]:
            result["accuracy"][f"{model} {kind}"] = accuracy(PRESETS[model], kind, options.seed)
            for n in tokens:
                result["device"].append(point(PRESETS[model], n, kind, options, l2_bytes, tools, others))
                torch.cuda.empty_cache()
    return result


def summary(result: dict[str, Any]) -> list[str]:
    """One line a point, then the means that the targets are read from."""
    lines, passes, served = peers.missing(result["peers_failed"]), [], []
    for each in result["device"]:
        us = {name: value["median"] for name, value in each["us"].items()}
        limit, mine = us[each["limit"]], us["fused"]
        beside = ("served", "rope-then-index", "rope-then-write", *peers_kv.WRITERS)
        over = {name: us[name] / mine for name in beside if name in us}
        lines.append(
            f"{each['model']} N={each['tokens']} cache {each['cache']}: fused {mine:.3f} µs, settled "
            f"{us['fused-settled']:.3f}, {mine / limit:.3f} of the same-bytes pass ({limit:.3f}); "
            + ", ".join(f"{name} {ratio:.2f}x" for name, ratio in over.items())
        )
        if each["cache"] == "same":
            passes += [mine / limit] if each["tokens"] >= 973 else []
            served += [over["served"]] if "served" in over else []
    for what, values in (("of the same-bytes pass, N >= 973", passes), ("the served chain over fused", served)):
        if values:
            lines.append(f"{what}: geometric mean {statistics.geometric_mean(values):.3f}, {_range(values)}")
    for each in result["wall"]:
        us = {name: value["median"] for name, value in each["us"].items()}
        over = [f"{name} {us[name] / us['add_']:.3f}" for name in ("rope", "fused", "bound", "bound, packed")]
        compiled = ("rope", "fused", "bound", "bound, packed")
        over += [f"compiled {name} {us[f'compiled {name}'] / us['compiled add_']:.3f}" for name in compiled]
        said = f"wall {each['model']} N={each['tokens']}: add_ {us['add_']:.2f} µs, compiled {us['compiled add_']:.2f}"
        lines.append(f"{said}; of it: {', '.join(over)}")
    for name, outputs in result["accuracy"].items():
        shares = ", ".join(f"{output} {100 * each['rounded_share']:.3f} %" for output, each in outputs.items())
        lines.append(f"correctly rounded, {name}: {shares}")
    return lines


def _range(values: Sequence[float]) -> str:
    return f"{min(values):.3f} to {max(values):.3f}"
