"""The ceilings of a case as subjects: what the card itself can do, timed in the very rounds of the paths.

Each ceiling has several methods, since the best known way differs from card to card (a captured copy was seen a third
slower than an eager one); the analysis takes the fastest. A method that fails says why and leaves the others alone.
"""

from __future__ import annotations

import gc
import statistics
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from rope_prof.kernels.shape import MropeShape
from rope_prof.model.run import Case, Ceiling, CeilingName
from rope_prof.record.describe import reason
from rope_prof.record.devices import CudaDevice, RecordDevice
from rope_prof.record.subjects import Ring, replays
from rope_prof.record.timing import Subject, Work
from rope_prof.record.workload import GRAPH_CALLS

#: Bytes of the buffer that is copied: on a GPU far beyond any L2, and at most this share of the free memory.
COPY_BYTES = {"cuda": 1 << 30, "cpu": 1 << 26}
COPY_SHARE = 8
#: Nodes of the graph of empty kernels: enough that the replay's own cost is lost in them.
NODES = 280
#: Samples of a ceiling last this long; a few calls are enough for one that takes half a millisecond.
SAMPLE_NS = 1_500_000
LEAST_CALLS = 2
NO_LAUNCH = "a CPU launches no kernels"

Made = tuple[Ceiling, Subject | None]


@dataclass(slots=True)
class Ceilings:
    """The ceilings of one device; the buffers of the copy are kept from case to case."""

    device: RecordDevice
    _copied: tuple[torch.Tensor, torch.Tensor] | None = None

    def of(self, case: Case, shape: MropeShape, ring: Ring) -> Iterator[Made]:
        """Each ceiling of `case` with its subject, or with the reason why there is none."""
        for name, method, moved, make in self._plan(shape, ring):
            ceiling = Ceiling(name=name, case=case, method=method, bytes_moved=moved)
            try:
                subject = make(ceiling.key_name)
            except Exception as error:
                yield replace(ceiling, status="failed", reason=reason(error, case.tokens)), None
            else:
                yield ceiling, subject

    def _plan(
        self, shape: MropeShape, ring: Ring
    ) -> Iterator[tuple[CeilingName, str, int | None, Callable[[str], Subject]]]:
        # a CPU has neither launches nor graphs: its ceilings are the copy and the pass
        source, target = self._copy_buffers()
        twice = 2 * source.nbytes
        yield "copy", "eager", twice, lambda name: _looped(name, lambda: target.copy_(source))
        moved = 2 * ring.buffer_bytes
        if not isinstance(self.device, CudaDevice):
            yield "in_place", "mul_", moved, lambda name: _over_ring(name, _mul(shape), ring)
            return
        from rope_prof.kernels.ceilings import empty_launch, short_empty_launch

        device = self.device
        yield "copy", "graph", twice, lambda name: _chain(name, lambda: target.copy_(source), 4)
        yield "in_place", "mul_.graph", moved, lambda name: _pass(name, _mul(shape), ring, device)
        tile = best_tile(shape, ring, device)
        label = "x".join(map(str, tile))
        over = overlapping(device)
        yield (
            "in_place",
            f"scale_{label}.graph",
            moved,
            lambda name: _pass(name, _scale(shape, tile, over), ring, device),
        )
        yield "empty_launch", "triton", None, lambda name: _looped(name, empty_launch)
        short = short_empty_launch(device.torch_device.index or 0)
        yield "empty_launch", "driver", None, lambda name: _looped(name, short)
        yield "graph_node", "serial", None, lambda name: _chain(name, empty_launch, NODES)
        if over:
            yield (
                "graph_node",
                "overlap",
                None,
                lambda name: _chain(name, lambda: empty_launch(overlap=True), NODES),
            )

    def _copy_buffers(self) -> tuple[torch.Tensor, torch.Tensor]:
        if self._copied is None:
            size = COPY_BYTES[self.device.kind]
            if self.device.kind == "cuda":
                size = min(size, torch.cuda.mem_get_info(self.device.torch_device)[0] // COPY_SHARE // 512 * 512)
            source = torch.zeros(size, dtype=torch.uint8, device=self.device.torch_device)
            self._copied = source, torch.empty_like(source)
        return self._copied

    def close(self) -> None:
        """Free the buffers."""
        self._copied = None


def overlapping(device: CudaDevice) -> bool:
    """Whether launches can overlap their predecessor's end (programmatic dependent launch)."""
    return torch.cuda.get_device_capability(device.torch_device) >= (9, 0)


def rotated(q: torch.Tensor, shape: MropeShape) -> torch.Tensor:
    """q and the k behind it as the one view `[N, heads * D]` that they are."""
    return q.as_strided((q.shape[0], shape.heads * shape.head_dim), (q.stride(0), 1))


def _mul(shape: MropeShape) -> Callable[..., Any]:
    return lambda q, *_: rotated(q, shape).mul_(0.9999)


def _scale(shape: MropeShape, tile: tuple[int, int, int], overlap: bool) -> Callable[..., Any]:
    from rope_prof.kernels.ceilings import scale

    return lambda q, *_: scale(rotated(q, shape), tile, overlap=overlap)


def best_tile(shape: MropeShape, ring: Ring, device: CudaDevice) -> tuple[int, int, int]:
    """The tile of the in-place pass that is fastest on these views, by the median of five replays each."""
    from rope_prof.kernels.ceilings import SCALE_TILES

    found: dict[tuple[int, int, int], float] = {}
    for tile in SCALE_TILES:
        subject = _pass("tile", _scale(shape, tile, overlapping(device)), ring, device)
        work = subject.work(GRAPH_CALLS)
        taken = []
        for _ in range(6):
            device.flush()
            taken.append(device.held(work, 300_000)[0])
        found[tile] = statistics.median(taken[1:])
    return min(found, key=found.__getitem__)


def _looped(name: str, call: Callable[[], Any]) -> Subject:
    def work(calls: int) -> Work:
        def run() -> None:
            for _ in range(calls):
                call()

        return run

    return Subject(name, work)


def _over_ring(name: str, call: Callable[..., Any], ring: Ring) -> Subject:
    def work(calls: int) -> Work:
        batch = ring.take(calls)

        def run() -> None:
            for arguments in batch:
                call(*arguments)

        return run

    return Subject(name, work)


def _pass(name: str, call: Callable[..., Any], ring: Ring, device: CudaDevice) -> Subject:
    """As a path in mode graph: 28 buffers in one graph, the L2 overwritten ahead of each replay."""
    work = replays(call, ring.take(GRAPH_CALLS))
    return Subject(name, work, step=GRAPH_CALLS, before=device.flush, one_step=True)


def _chain(name: str, call: Callable[[], Any], nodes: int) -> Subject:
    return Subject(name, replays(call, [()] * nodes), step=nodes)


def traced_busy(subject: Subject, device: RecordDevice) -> float | None:
    """ns that a node of `subject`'s graph is busy by a profiler's word; None where its trace holds no kernel."""
    from rope_prof.analysis.summary import figures
    from rope_prof.io.traces import read_trace
    from rope_prof.record.capture import LEAST_REPLAYS, profiled, quiet_profiler

    with tempfile.TemporaryDirectory(prefix="rope_prof-") as scratch:
        out = Path(scratch) / "trace.json"
        with quiet_profiler():
            profiled(subject, subject.name, LEAST_REPLAYS, device, out, light=True)
        found = figures(read_trace(out), subject.name)
    gc.collect()
    return None if found.kernel_ns is None else found.kernel_ns / subject.step
