"""Kineto traces of a served model that never ran: any number of events, seeded, with their exact totals.

What a profiler would have written: prefill steps (operators nested in ranges, launches nested in operators,
kernels on three streams, waits between streams, copies, a second host thread) and decode steps (one graph
launch, all its kernels on one correlation). Spans of one thread nest properly and kernels of one stream never
overlap. Memory does not grow with the number of events: host records are written as they come, GPU records go
through a spool file behind them, which is the order that Kineto has.

    python benchmarks/generate.py trace.json --events 1000000 --seed 0
"""

from __future__ import annotations

import argparse
import gzip
import random
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO

HOST_PID, MAIN_THREAD, SIDE_THREAD = 4242, 4242, 4297
COMPUTE, COMM, COPY = 7, 20, 24
#: ProfilerStep ranges of a file, as a schedule with `active=8` writes them, however many steps the model takes.
PROFILED = 8
_ELEMENTWISE = (
    "void at::native::vectorized_elementwise_kernel<4, at::native::{0}<c10::BFloat16>, "
    "std::array<char*, 3ul> >(int, at::native::{0}<c10::BFloat16>, std::array<char*, 3ul>)"
)
_FLASH = "void flash::flash_fwd_splitkv_kernel<Flash_fwd_kernel_traits<128> >(Flash_fwd_params)"
_ALLREDUCE = "ncclDevKernel_AllReduce_Sum_bf16_RING_LL(ncclDevKernelArgsStorage<4096ul>)"
_GEMM = "nvjet_tst_{0}_64x8_1x2_h_bz_TNT"


@dataclass(frozen=True, slots=True)
class Kernel:
    """One operator that launches one kernel: `ns` is its typical time, `api` the call that launches it."""

    op: str
    inner: str
    name: str
    ns: int
    api: str = "cudaLaunchKernel"
    stream: int = COMPUTE
    grid: str = "[96, 1, 1]"
    block: str = "[128, 1, 1]"


def _small(op: str, functor: str, ns: int = 1900) -> Kernel:
    return Kernel(op, op, _ELEMENTWISE.format(functor), ns)


#: The unfused rotary embedding of one layer as small kernels: what a chain finder must find.
ROPE: tuple[Kernel, ...] = (
    Kernel("aten::index", "aten::index", "void at::native::index_elementwise_kernel<128, 4, gather>(long)", 3100),
    *(
        Kernel("aten::stack", "aten::cat", f"void at::native::CatArrayBatchedCopy<float, {n}>(float*)", 2400)
        for n in (2, 3)
    ),
    *(_small("aten::_to_copy", "copy_kernel") for _ in range(2)),
    *(
        kernel
        for _ in ("q", "k")
        for kernel in (
            *(_small("aten::mul", "CUDAFunctor_mul") for _ in range(4)),
            _small("aten::sub", "CUDAFunctor_sub"),
            _small("aten::add", "CUDAFunctor_add"),
            Kernel(
                "aten::stack",
                "aten::cat",
                "void at::native::CatArrayBatchedCopy_aligned16<c10::BFloat16, 2>(char*)",
                2300,
            ),
            _small("aten::clone", "direct_copy_kernel"),
        )
    ),
)

LAYER: tuple[Kernel | tuple[str, tuple[Kernel, ...]], ...] = (
    Kernel("aten::rms_norm", "rms_norm_fwd", "_rms_norm_fwd_kernel", 5200, "cuLaunchKernelEx"),
    Kernel("aten::linear", "aten::mm", _GEMM.format("qkv"), 14000, "cudaLaunchKernelExC"),
    ("rope", ROPE),
    Kernel("flash::fwd", "flash::_fwd", _FLASH, 21000),
    Kernel("aten::linear", "aten::mm", _GEMM.format("out"), 9000, "cudaLaunchKernelExC"),
    Kernel("c10d::allreduce_", "nccl:all_reduce", _ALLREDUCE, 17000,
           "cudaLaunchKernelExC", COMM),
    Kernel("aten::add", "aten::add", _ELEMENTWISE.format("CUDAFunctor_add"), 3800),
    Kernel("aten::rms_norm", "rms_norm_fwd", "_rms_norm_fwd_kernel", 5200, "cuLaunchKernelEx"),
    Kernel("aten::linear", "aten::mm", _GEMM.format("gate_up"), 33000, "cudaLaunchKernelExC"),
    Kernel("silu_and_mul", "silu_and_mul", "_silu_and_mul_kernel", 9000, "cuLaunchKernelEx"),
    Kernel("aten::linear", "aten::mm", _GEMM.format("down"), 19000, "cudaLaunchKernelExC"),
)  # fmt: skip


@dataclass(slots=True)
class Totals:
    """Exact sums of what was written, by the definitions of `rope_prof analyze`."""

    events: int = 0
    kernels: int = 0
    memcpys: int = 0
    graph_launches: int = 0
    rope_calls: int = 0
    kernel_ns: int = 0
    busy_ns: int = 0
    span_ns: int = 0
    idle_ns: int = 0
    bytes: int = 0


@dataclass(slots=True)
class _Trace:
    """The state of the simulated machine and the records not yet written."""

    rng: random.Random
    clock: int = 1_419_247_332_972_313
    correlation: int = 8000
    external: int = 0
    free: dict[int, int] = field(default_factory=lambda: {COMPUTE: 0, COMM: 0, COPY: 0})
    host: list[str] = field(default_factory=list)
    gpu: list[str] = field(default_factory=list)
    spans: list[tuple[int, int]] = field(default_factory=list)
    totals: Totals = field(default_factory=Totals)

    def spend(self, ns: int) -> int:
        """The host works for about `ns`: the time after it."""
        self.clock += ns + self.rng.randrange(ns // 2 + 1)
        return self.clock


def _us(ns: int) -> str:
    return f"{ns // 1000}.{ns % 1000:03d}"


def _host(trace: _Trace, category: str, name: str, thread: int, start: int, end: int, args: str) -> None:
    trace.host.append(
        f'{{"ph": "X", "cat": "{category}", "name": "{name}", "pid": {HOST_PID}, "tid": {thread}, '
        f'"ts": {_us(start)}, "dur": {_us(end - start)}, "args": {{{args}}}}}'
    )


def _flow(out: list[str], phase: str, pid: int, tid: int, at: int, correlation: int) -> None:
    end = ', "bp": "e"' if phase == "f" else ""
    out.append(
        f'{{"ph": "{phase}", "id": {correlation}, "pid": {pid}, "tid": {tid}, "ts": {_us(at)}, '
        f'"cat": "ac2g", "name": "ac2g"{end}}}'
    )


def _run_on_gpu(
    trace: _Trace, category: str, name: str, stream: int, ready: int, ns: int, external: int, more: str
) -> None:
    """Queue one GPU event on `stream`, no sooner than `ready`, and account for it."""
    start = max(ready, trace.free[stream] + 1 + trace.rng.randrange(900))
    trace.free[stream] = start + ns
    trace.spans.append((start, start + ns))
    trace.gpu.append(
        f'{{"ph": "X", "cat": "{category}", "name": "{name}", "pid": 0, "tid": {stream}, "ts": {_us(start)}, '
        f'"dur": {_us(ns)}, "args": {{"External id": {external}, "device": 0, "context": 1, '
        f'"stream": {stream}, "correlation": {trace.correlation}, {more}}}}}'
    )
    _flow(trace.gpu, "f", 0, stream, start, trace.correlation)
    if category == "kernel":
        trace.totals.kernels += 1
        trace.totals.kernel_ns += ns


def _launch(trace: _Trace, api: str, thread: int, external: int, ns: int) -> int:
    """One runtime or driver call: a new correlation, its flow; returns its end."""
    trace.correlation += 1
    start = trace.spend(300)
    end = trace.spend(ns)
    category, cbid = (
        ("cuda_driver", 307) if api.startswith("cu") and not api.startswith("cuda") else ("cuda_runtime", 211)
    )
    args = f'"External id": {external}, "cbid": {cbid}, "correlation": {trace.correlation}'
    _host(trace, category, api, thread, start, end, args)
    _flow(trace.host, "s", HOST_PID, thread, start, trace.correlation)
    return end


_KERNEL_ARGS = (
    '"registers per thread": 24, "shared memory": 0, "blocks per SM": 1.068182, '
    '"warps per SM": 4.272727, "grid": {0}, "block": {1}, "est. achieved occupancy %": 7'
)
_OP_ARGS = (
    '"External id": {0}, "Record function id": 0, "Input type": ["c10::BFloat16", '
    '"c10::BFloat16", "Scalar"], '
    '"Input Dims": [[973, 20, 128], [973, 20, 128], []], "Ev Idx": {0}'
)


def _operator(trace: _Trace, kernel: Kernel, thread: int) -> None:
    """An operator, the one inside it, its launch inside that, and its kernel."""
    trace.external += 2
    outer, external = trace.external - 1, trace.external
    start, inner = trace.spend(700), trace.spend(900)
    if kernel.stream == COMM:
        _launch(trace, "cudaStreamWaitEvent", thread, external, 600)
        trace.free[COMM] = max(trace.free[COMM], trace.free[COMPUTE])
    launched = _launch(trace, kernel.api, thread, external, 3600)
    ns = kernel.ns + trace.rng.randrange(kernel.ns // 6 + 1)
    more = _KERNEL_ARGS.format(kernel.grid, kernel.block)
    _run_on_gpu(trace, "kernel", kernel.name, kernel.stream, launched + 1200, ns, external, more)
    if kernel.stream == COMM:
        trace.free[COMPUTE] = max(trace.free[COMPUTE], trace.free[COMM])
    inner_end, end = trace.spend(400), trace.spend(500)
    _host(trace, "cpu_op", kernel.op, thread, start, end, _OP_ARGS.format(outer))
    if kernel.inner != kernel.op:
        _host(trace, "cpu_op", kernel.inner, thread, inner, inner_end, _OP_ARGS.format(external))


def _range(trace: _Trace, name: str, thread: int, start: int) -> None:
    trace.external += 1
    _host(trace, "user_annotation", name, thread, start, trace.spend(500), f'"External id": {trace.external}')


def _layer(trace: _Trace, index: int, thread: int) -> None:
    start = trace.spend(800)
    for part in LAYER:
        if isinstance(part, Kernel):
            _operator(trace, part, thread)
            continue
        name, kernels = part
        inside = trace.spend(400)
        for kernel in kernels:
            _operator(trace, kernel, thread)
        _range(trace, name, thread, inside)
        trace.totals.rope_calls += 1
    _range(trace, f"layer.{index}", thread, start)


def _copy(trace: _Trace, name: str, bytes_: int) -> None:
    trace.external += 1
    launched = _launch(trace, "cudaMemcpyAsync", MAIN_THREAD, trace.external, 2500)
    more = f'"bytes": {bytes_}, "memory bandwidth (GB/s)": 11.41'
    ns = 1400 + trace.rng.randrange(900)
    _run_on_gpu(trace, "gpu_memcpy", name, COPY, launched + 900, ns, trace.external, more)
    trace.totals.memcpys += 1


def _decode(trace: _Trace, layers: int) -> None:
    """One graph launch; its kernels follow each other on the compute stream."""
    trace.external += 1
    launched = _launch(trace, "cudaGraphLaunch", MAIN_THREAD, trace.external, 21000)
    trace.totals.graph_launches += 1
    node = 0
    for _ in range(layers):
        for part in LAYER:
            for kernel in (part,) if isinstance(part, Kernel) else part[1]:
                node += 1
                more = _KERNEL_ARGS.format(kernel.grid, kernel.block) + f', "graph id": 3, "graph node id": {node}'
                ns = kernel.ns // 4 + trace.rng.randrange(kernel.ns // 16 + 1)
                _run_on_gpu(trace, "kernel", kernel.name, COMPUTE, launched + 2500, ns, trace.external, more)


def _step(trace: _Trace, index: int, layers: int) -> None:
    """Copies in, a prefill or a graph decode, copy out, and one wait for all of it."""
    start = trace.spend(2000)
    _copy(trace, "Memcpy HtoD (Pinned -> Device)", 7784)
    trace.free[COMPUTE] = max(trace.free[COMPUTE], trace.free[COPY])
    if index % 4 == 3:
        _decode(trace, layers)
    else:
        for layer in range(layers):
            _layer(trace, layer, SIDE_THREAD if layer == layers - 1 else MAIN_THREAD)
    trace.free[COPY] = max(trace.free.values())
    _copy(trace, "Memcpy DtoH (Device -> Pinned)", 4)
    trace.correlation += 1
    called, done = trace.spend(300), max(trace.free.values())
    trace.clock = max(trace.clock + 400, done + 1500)
    args = f'"External id": 0, "cbid": 165, "correlation": {trace.correlation}'
    _host(trace, "cuda_runtime", "cudaDeviceSynchronize", MAIN_THREAD, called, trace.clock, args)
    _range(trace, "decode" if index % 4 == 3 else "prefill", MAIN_THREAD, start)


def _account(trace: _Trace, covered: tuple[int, int] | None) -> tuple[int, int]:
    """Add the step's busy time: steps end with a wait, so their spans never reach into the next."""
    trace.spans.sort()
    first, edge = trace.spans[0]
    busy = edge - first
    for start, end in trace.spans[1:]:
        busy += max(0, end - max(start, edge))
        edge = max(edge, end)
    trace.spans.clear()
    trace.totals.busy_ns += busy
    return (first if covered is None else covered[0], edge)


def _steps(trace: _Trace, events: int, layers: int) -> Iterator[tuple[str, str]]:
    """The records of step after step until `events` are written: host text, GPU text."""
    covered: tuple[int, int] | None = None
    index = profiled = 0
    begun = trace.spend(2000)
    while trace.totals.events < events:
        _step(trace, index, layers)
        if trace.totals.events + len(trace.host) + len(trace.gpu) >= min(events, (profiled + 1) * events // PROFILED):
            _range(trace, f"ProfilerStep#{profiled}", MAIN_THREAD, begun)
            begun, profiled = trace.spend(2000), profiled + 1
        covered = _account(trace, covered)
        trace.totals.events += len(trace.host) + len(trace.gpu)
        yield ",\n".join(trace.host), ",\n".join(trace.gpu)
        trace.host.clear()
        trace.gpu.clear()
        index += 1
    if covered is not None:
        trace.totals.span_ns = covered[1] - covered[0]
        trace.totals.idle_ns = trace.totals.span_ns - trace.totals.busy_ns


_HEAD = (
    '{{\n"schemaVersion": 1,\n"deviceProperties": [{{"id": 0, "name": "NVIDIA H200", "numSms": 132}}],\n'
    '"cuda_runtime_version": 12080,\n"displayTimeUnit": "ms",\n"baseTimeNanoseconds": 1751410836000000000,\n'
    '"traceEvents": [\n{{"name": "process_name", "ph": "M", "ts": {0}, "pid": 4242, "tid": 0, '
    '"args": {{"name": "python3"}}}}'
)
#: Metadata as torch writes it: names, labels, sort indices.
_MARK = ',\n{{"name": "{1}", "ph": "M", "ts": {0}, "pid": 0, "tid": 0, "args": {{"{2}": {3}}}}}'
_MARKS = (
    ("process_name", "name", '"python3"'),
    ("process_labels", "labels", '"GPU 0"'),
    ("process_sort_index", "sort_index", "5000000"),
    ("thread_name", "name", '"stream 7 "'),
    ("thread_sort_index", "sort_index", "7"),
)
_TAIL = (
    ',\n{{"name": "Record Window End", "ph": "i", "s": "g", "pid": "", "tid": "", "ts": {0}}}\n],\n'
    '"traceName": "generated.json"\n}}\n'
)


def _opened(path: Path) -> IO[str]:
    return gzip.open(path, "wt", compresslevel=1) if path.suffix == ".gz" else path.open("w")


def write_trace(path: Path, events: int, *, seed: int = 0, layers: int = 8) -> Totals:
    """Write at least `events` events (whole steps) to `path`; the exact totals. `.gz` is gzipped."""
    if events < 1 or layers < 1:
        raise ValueError(f"events = {events}, layers = {layers}; expected at least 1 of each")
    trace = _Trace(random.Random(seed))
    with _opened(path) as out, tempfile.TemporaryFile("w+", dir=path.parent) as spool:
        out.write(_HEAD.format(_us(trace.clock)))
        for host, gpu in _steps(trace, events, layers):
            out.write(",\n" + host)
            spool.write(",\n" + gpu)
        spool.seek(0)
        shutil.copyfileobj(spool, out, 1 << 20)
        for mark in _MARKS:
            out.write(_MARK.format(_us(trace.clock), *mark))
        out.write(_TAIL.format(_us(trace.clock)))
    trace.totals.events += 2 + len(_MARKS)
    trace.totals.bytes = path.stat().st_size
    return trace.totals


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--layers", type=int, default=8)
    args = parser.parse_args()
    totals = write_trace(args.out, args.events, seed=args.seed, layers=args.layers)
    for name, value in asdict(totals).items():
        print(f"{name:>15} {value:>16,}")


if __name__ == "__main__":
    main()
