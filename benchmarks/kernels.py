"""Every path of the rotary embedding beside the card's own limits, in one process: `python benchmarks/kernels.py`.

Device time: a CUDA graph of one call per buffer of a ring of at least three times the L2, replayed; paths interleaved,
order shuffled per round. Wall time: an unsynchronised eager loop, one synchronisation at its end, interleaved with
`torch.add_` on one element. Random data, three different position rows, bf16. Medians with the 10th and 90th
percentile over rounds. Writes a table and JSON; needs an NVIDIA GPU.
"""

from __future__ import annotations

import argparse
import json
import platform
import random
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
import triton

sys.path.insert(0, str(Path(__file__).resolve().parent))
import kernels_kv
import peers
from rope_prof.kernels.mrope import fused as fused_module
from rope_prof.kernels.mrope import paths as kernel_paths
from rope_prof.kernels.mrope.inputs import PROMPTS, Inputs, make_ring, touched_bytes
from rope_prof.kernels.mrope.reference import error, reference
from rope_prof.kernels.mrope.shape import PRESETS, MropeShape
from rope_prof.kernels.mrope.traffic import least_bytes

from rope_prof.kernels import ceilings

NODE_LIMIT = 60_000
Call = Callable[[Inputs], object]


@dataclass(frozen=True)
class Spread:
    """Microseconds a call over rounds."""

    median: float
    p10: float
    p90: float
    n: int


def spread(values: Sequence[float]) -> Spread:
    """Median, 10th and 90th percentile."""
    tenths = statistics.quantiles(values, n=10, method="inclusive")
    return Spread(statistics.median(values), tenths[0], tenths[8], len(values))


def caller(path: kernel_paths.Path, shape: MropeShape) -> Call:
    """A path as a function of one buffer."""
    return lambda x: path.call(x.q, x.k, x.positions, x.cos_sin_cache, shape)


def graph_of(call: Call, ring: Sequence[Inputs]) -> torch.cuda.CUDAGraph:
    """One call per buffer in one graph."""
    call(ring[0])
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        for inputs in ring:
            call(inputs)
    return graph


def replayed(graphs: dict[str, tuple[torch.cuda.CUDAGraph, int]], rounds: int, seed: int) -> dict[str, list[float]]:
    """Microseconds a call of each graph (graph, calls in it), `rounds` replays each, shuffled within a round."""
    order, shuffler = list(graphs), random.Random(seed)
    samples: dict[str, list[float]] = {name: [] for name in graphs}
    for name in order:
        graphs[name][0].replay()
    for _ in range(rounds):
        shuffler.shuffle(order)
        for name in order:
            graph, calls = graphs[name]
            start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            torch.cuda._sleep(20_000)
            start.record()
            graph.replay()
            end.record()
            end.synchronize()
            samples[name].append(start.elapsed_time(end) * 1e3 / calls)
    return samples


def rotated_view(x: Inputs, shape: MropeShape) -> torch.Tensor:
    """q and k of the packed qkv as one view, which they are."""
    return x.qkv[:, : shape.heads * shape.head_dim]


def device_point(
    shape: MropeShape,
    tokens: int,
    paths: dict[str, kernel_paths.Path],
    options: argparse.Namespace,
    l2_bytes: int,
) -> dict[str, object]:
    """One case: every path and every limit over the same ring."""
    touched = touched_bytes(shape, tokens, torch.bfloat16)
    buffers = max(2, -(-3 * l2_bytes // touched))
    ring = make_ring(shape, tokens, buffers, torch.bfloat16, "cuda", prompt=options.prompt, seed=options.seed)
    calls = list(ring) * max(1, -(-options.least_calls // buffers))
    calls = calls[: max(buffers, options.least_calls)] if tokens <= 8192 else ring * 2
    graphs: dict[str, tuple[torch.cuda.CUDAGraph, int]] = {}
    cut: list[str] = []
    for name, path in paths.items():
        kernels = 25 if name == "unfused" else 1
        own = calls[: max(1, NODE_LIMIT // kernels)]
        if len(own) < buffers:
            cut.append(name)
        graphs[name] = (graph_of(caller(path, shape), own), len(own))
    if "fused" in paths:
        plain_call: Call = lambda x: fused_module.launch(  # noqa: E731
            x.q, x.k, x.positions, x.cos_sin_cache, shape, overlap=False
        )
        graphs["fused, no overlap"] = (graph_of(plain_call, calls), len(calls))
    graphs["mul_"] = (graph_of(lambda x: rotated_view(x, shape).mul_(0.9999), calls), len(calls))
    for tile in ceilings.SCALE_TILES:
        for overlap in (False, True):
            name = f"scale {'x'.join(map(str, tile))}{' overlap' if overlap else ''}"
            graphs[name] = (
                graph_of(lambda x, t=tile, o=overlap: ceilings.scale(rotated_view(x, shape), t, overlap=o), calls),
                len(calls),
            )
    for overlap in (False, True):
        name = f"empty launch{' overlap' if overlap else ''}"
        graphs[name] = (
            graph_of(lambda _, o=overlap: ceilings.empty_launch(overlap=o), calls[:256]),
            min(256, len(calls)),
        )
    samples = replayed(graphs, options.rounds, options.seed)
    spreads = {name: spread(values) for name, values in samples.items()}
    plain = [n for n in spreads if n == "mul_" or (n.startswith("scale") and "overlap" not in n)]
    lapped = [n for n in spreads if n.startswith("scale") and "overlap" in n]
    limit = min(plain, key=lambda n: spreads[n].median)
    limit_overlap = min(lapped, key=lambda n: spreads[n].median)
    return {
        "model": shape.model,
        "tokens": tokens,
        "prompt": options.prompt,
        "ring_buffers": buffers,
        "ring_bytes": buffers * touched,
        "ring_cut_for": cut,
        "least_bytes": least_bytes(shape, tokens, 2),
        "limit": limit,
        "limit_overlap": limit_overlap,
        "us": {name: asdict(value) for name, value in spreads.items()},
    }


def wall_point(
    shape: MropeShape, tokens: int, paths: dict[str, kernel_paths.Path], options: argparse.Namespace
) -> dict[str, object]:
    """Host time of an eager call, every check included, beside `add_` on one element in the same rounds; hot L2."""
    inputs = make_ring(shape, tokens, 1, torch.bfloat16, "cuda", prompt=options.prompt, seed=options.seed)[0]
    one = torch.zeros(1, device="cuda")
    calls: dict[str, Callable[[], object]] = {"add_": lambda: one.add_(1)}
    q, k, where, table = inputs.q, inputs.k, inputs.positions, inputs.cos_sin_cache
    for name, path in paths.items():
        calls[name] = lambda function=path.call: function(q, k, where, table, shape)
    samples: dict[str, list[float]] = {name: [] for name in calls}
    order, shuffler = list(calls), random.Random(options.seed)
    for _ in range(options.wall_rounds + 2):
        shuffler.shuffle(order)
        for name in order:
            call, n = calls[name], 30 if name == "unfused" else 200
            torch.cuda.synchronize()
            started = time.perf_counter_ns()
            for _ in range(n):
                call()
            torch.cuda.synchronize()
            samples[name].append((time.perf_counter_ns() - started) / n / 1e3)
    return {
        "model": shape.model,
        "tokens": tokens,
        "us": {n: asdict(spread(v[2:])) for n, v in samples.items()},
    }


def accuracy(shape: MropeShape, paths: dict[str, kernel_paths.Path], seed: int) -> dict[str, dict[str, float]]:
    """Each path against the float64 oracle, 4,096 tokens with three random rows up to the table's end."""
    found = {}
    for name, path in paths.items():
        x = make_ring(shape, 4096, 1, torch.bfloat16, "cuda", prompt="random", seed=seed)[0]
        x.positions[:, :3] = shape.max_position - 1
        exact = tuple(reference(part, x.positions, shape) for part in (x.q, x.k))
        try:
            found[name] = asdict(
                error(kernel_paths.outputs(path, x.q, x.k, x.positions, x.cos_sin_cache, shape), exact)
            )
        except Exception as failure:
            raise SystemExit(f"path {name!r} failed: {type(failure).__name__}: {failure}") from failure
    return found


def new_lengths(shape: MropeShape, lengths: Sequence[int]) -> dict[str, object]:
    """Compilations that new prompt lengths, strides and slices of a larger position buffer cost after one warm-up."""
    fused = kernel_paths.path("fused")
    ring = make_ring(shape, max(lengths), 1, torch.bfloat16, "cuda", prompt="random")[0]
    fused_module.compilations.count = fused_module.compilations.ns = 0
    fused_module.compilations.variants.clear()
    caches = fused_module.KERNEL.device_caches
    fused.call(ring.q[:64], ring.k[:64], ring.positions[:, :64], ring.cos_sin_cache, shape)
    torch.cuda.synchronize()
    first_ns, kernels = fused_module.compilations.ns, _compiled_kernels(caches)
    for n in lengths:
        fused.call(ring.q[:n], ring.k[:n], ring.positions[:, :n], ring.cos_sin_cache, shape)
        fused.call(ring.q[:n], ring.k[:n], ring.positions[:, :n].contiguous(), ring.cos_sin_cache, shape)
        separate = ring.q[:n].contiguous(), ring.k[:n].contiguous()
        fused.call(*separate, ring.positions[:, :n], ring.cos_sin_cache, shape)
    torch.cuda.synchronize()
    return {
        "lengths": list(lengths),
        "first_call_ms": first_ns / 1e6,
        "kernels_compiled_after": _compiled_kernels(caches) - kernels,
    }


def _compiled_kernels(caches: dict[object, tuple[object, ...]]) -> int:
    return sum(len(cache[0]) for cache in caches.values())  # type: ignore[arg-type]


def cold_compile_ms(shape: MropeShape) -> float:
    """A compilation with Triton's cache empty, in milliseconds."""
    import os
    import subprocess
    import tempfile

    code = (
        "from rope_prof.kernels.mrope.inputs import make_inputs\n"
        "from rope_prof.kernels.mrope.fused import fused, compilations\n"
        "from rope_prof.kernels.mrope.shape import PRESETS\n"
        f"s = PRESETS['{shape.model}']; x = make_inputs(s, 64, device='cuda')\n"
        "fused(x.q, x.k, x.positions, x.cos_sin_cache, s); print(compilations.ns / 1e6)"
    )
    with tempfile.TemporaryDirectory() as empty:
        environment = os.environ | {
            "TRITON_CACHE_DIR": empty,
            "PYTHONPATH": str(Path(__file__).resolve().parents[1]),
        }
        done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    return float(done.stdout.split()[-1])


def geometric_mean(values: Sequence[float]) -> float:
    """The geometric mean."""
    return statistics.geometric_mean(values)


def machine() -> dict[str, object]:
    """What the figures were measured on."""
    properties = torch.cuda.get_device_properties(0)
    return {
        "gpu": properties.name,
        "l2_bytes": properties.L2_cache_size,
        "multiprocessors": properties.multi_processor_count,
        "torch": torch.__version__,
        "triton": triton.__version__,
        "cuda": torch.version.cuda,
        "python": platform.python_version(),
    }


def summary(result: dict[str, object]) -> list[str]:
    """The lines that the targets are read from."""
    lines = []
    points = result["device"]
    fast = {(p["model"], p["tokens"]): p["us"] for p in points}
    if all("per-token" in us and "fused" in us for us in fast.values()):
        ratios = {key: us["per-token"]["median"] / us["fused"]["median"] for key, us in fast.items()}
        lines.append(
            f"fused over per-token, device: geometric mean {geometric_mean(list(ratios.values())):.2f}x, "
            f"least {min(ratios.values()):.2f}x at {min(ratios, key=ratios.get)}"
        )
    for mine, label, field in (
        ("fused", "the in-place pass", "limit"),
        ("fused", "the in-place pass with overlapped launches", "limit_overlap"),
        ("fused, no overlap", "the in-place pass", "limit"),
    ):
        large = [p for p in points if p["tokens"] >= 973 and mine in p["us"]]
        if large:
            over = {(p["model"], p["tokens"]): p["us"][mine]["median"] / p["us"][p[field]]["median"] for p in large}
            lines.append(
                f"{mine} over {label}, N >= 973: geometric mean {geometric_mean(list(over.values())):.4f}, "
                f"worst {max(over.values()):.4f} at {max(over, key=over.get)}"
            )
    for point in result["wall"]:
        us = point["us"]
        if "fused" in us and "unfused" in us:
            lines.append(
                f"eager wall {point['model']} N={point['tokens']}: fused {us['fused']['median']:.2f} µs = "
                f"{us['fused']['median'] / us['add_']['median']:.3f} of add_ ({us['add_']['median']:.2f} µs), "
                f"unfused {us['unfused']['median'] / us['fused']['median']:.1f}x slower"
            )
    return lines


def print_table(result: dict[str, object], names: Sequence[str]) -> None:
    """One row a case."""
    bandwidth = result["copy_bytes_per_s"]
    names = [*names, *(["fused, no overlap"] if "fused" in names else [])]
    columns = [*names, "in-place pass", "overlapped", "empty", "copy floor"]
    print(f"{'device µs a call [p10, p90]':22s}" + "".join(f"{c:>27s}" for c in columns) + f"{'of copy':>9s}")
    for point in result["device"]:
        us = point["us"]
        cells = [us[n] for n in (*names, point["limit"], point["limit_overlap"], "empty launch")]
        floor = point["least_bytes"] / bandwidth * 1e6
        shown = [f"{c['median']:.3f} [{c['p10']:.3f}, {c['p90']:.3f}]" for c in cells] + [f"{floor:.3f}"]
        share = f"{floor / us['fused']['median']:.1%}" if "fused" in us else ""
        print(f"{point['model']:>6s} N={point['tokens']:<13d}" + "".join(f"{s:>27s}" for s in shown) + f"{share:>9s}")


def main() -> None:
    """Arguments, the measurement, a table, a JSON file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--path", action="append", help="a path by name or 'module:function'; repeatable")
    parser.add_argument("--tokens", default="1,64,973,8192,65536")
    parser.add_argument("--models", default="28b,424b")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--wall-rounds", type=int, default=25)
    parser.add_argument("--least-calls", type=int, default=32, help="calls in a graph, at least")
    parser.add_argument(
        "--prompt",
        choices=PROMPTS,
        default="image",
        help="image: a prompt with images; random: the worst for the table",
    )
    parser.add_argument("--seed", type=int, default=20260212)
    parser.add_argument(
        "--operation", choices=("mrope", "mrope_kv"), default="mrope", help="mrope_kv: with the cache write"
    )
    parser.add_argument("-o", "--output", type=Path, default=Path("kernels.json"))
    options = parser.parse_args()
    if not torch.cuda.is_available():
        raise SystemExit("no GPU is available to torch; this benchmark needs an NVIDIA GPU")
    if options.operation == "mrope_kv":
        facts = {"schema_version": 1, "machine": machine(), "command": " ".join(sys.argv)}
        facts |= kernels_kv.measure(options, sys.modules[__name__], facts["machine"]["l2_bytes"])
        options.output.write_text(json.dumps(facts, indent=1))
        print(json.dumps(facts["machine"]), *kernels_kv.summary(facts), sep="\n")
        return
    names = options.path or list(kernel_paths.NAMES)
    paths = {name: kernel_paths.path(name) for name in names}
    found, failed = peers.installed()
    paths |= {name: kernel_paths.Path(name, call, in_place=True) for name, call in found.items()}
    print(*peers.missing(failed), sep="\n", file=sys.stderr)
    tokens = [int(n) for n in options.tokens.split(",")]
    result: dict[str, object] = {
        "schema_version": 1,
        "machine": machine(),
        "command": " ".join(sys.argv),
        "peers_failed": failed,
    }
    result["copy_bytes_per_s"] = ceilings.copy_bandwidth()
    result["accuracy"] = {m: accuracy(PRESETS[m], paths, options.seed) for m in options.models.split(",")}
    result["new_lengths"] = (
        new_lengths(PRESETS["28b"], [1, 2, 63, 64, 65, 973, 974, 1000, 4096]) if "fused" in paths else None
    )
    result["cold_compile_ms"] = cold_compile_ms(PRESETS["28b"]) if "fused" in paths else None
    result["wall"], result["device"] = [], []
    for n in [n for n in (*tokens, 2048) if n <= 2048]:
        print(f"wall 28b N={n}", file=sys.stderr)
        result["wall"].append(wall_point(PRESETS["28b"], n, paths, options))
    for model in options.models.split(","):
        for n in tokens:
            print(f"device {model} N={n}", file=sys.stderr)
            result["device"].append(device_point(PRESETS[model], n, paths, options, result["machine"]["l2_bytes"]))
            torch.cuda.empty_cache()
    options.output.write_text(json.dumps(result, indent=1))
    print(json.dumps(result["machine"]), f"copy {result['copy_bytes_per_s'] / 1e9:.0f} GB/s", sep="\n")
    print_table(result, list(paths))
    for model, rows in result["accuracy"].items():
        for name, row in rows.items():
            print(
                f"accuracy {model} {name}: max error {row['max_error']:.5f}, "
                f"correctly rounded {row['rounded_share']:.4%}, NaN {row['nans']}"
            )
    print("new lengths", result["new_lengths"], "cold compile ms", result["cold_compile_ms"])
    print(*summary(result), sep="\n")


if __name__ == "__main__":
    main()
