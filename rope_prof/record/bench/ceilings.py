"""The ceilings of a case as subjects: what the card itself can do, timed in the very rounds of the paths.

Each ceiling has several methods, since the best known way differs from card to card (a captured copy was seen a third
slower than an eager one); the analysis takes the fastest. A method that fails says why and leaves the others alone.
"""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from rope_prof.analysis.run.capture import figures
from rope_prof.io.trace.read import read_trace
from rope_prof.model.run import CEILINGS, L2, Case, Ceiling, CeilingName
from rope_prof.record.bench.subjects import Ring, cold_graph, over, replays
from rope_prof.record.capture.capture import LEAST_REPLAYS, profiled
from rope_prof.record.device.devices import CudaDevice, RecordDevice
from rope_prof.record.device.quiet import quiet_profiler
from rope_prof.record.loop.describe import reason
from rope_prof.record.loop.plan import GRAPH_CALLS
from rope_prof.record.loop.timing import Subject, repeated

#: Bytes of the buffer that is copied: on a GPU far beyond any L2, and at most this share of the free memory.
COPY_BYTES = {"cuda": 1 << 30, "cpu": 1 << 26}
COPY_SHARE = 8
#: Copies in a graph: few, since one takes half a millisecond.
COPIES = 4
#: Nodes of the graph of empty kernels: enough that the replay's own cost is lost in them.
NODES = 280
#: Bytes that a writing node writes at most: what it costs beyond its own time does not grow with more.
WRITE_BYTES = 1 << 20
#: The methods of a writing node, by the L2 state of the replays that it stands for: where the L2 is overwritten ahead
#: of a replay, the graph itself has left it, and a node costs twice as much beyond its own time.
WRITING: tuple[tuple[str, L2], ...] = (("write.cold", "cold"), ("write.hot", "hot"))
#: Samples of a ceiling last this long; a few calls are enough for one that takes half a millisecond.
SAMPLE_NS = 1_500_000
LEAST_CALLS = 2

Made = tuple[Ceiling, Subject | None]
#: The name of a ceiling in the samples -> its subject.
_Maker = Callable[[str], Subject]
#: A method: its name, how to get ready for it (which may fail), giving its full name and its maker.
_Way = tuple[str, Callable[[], tuple[str, _Maker]]]


@dataclass(slots=True)
class CeilingBench:
    """The ceilings of one device; the buffers of the copy are kept from case to case."""

    device: RecordDevice
    _copied: tuple[torch.Tensor, torch.Tensor] | None = None

    def of(self, case: Case, ring: Ring, rank: int, names: Sequence[CeilingName] = CEILINGS) -> Iterator[Made]:
        """Each method of the ceilings called `names` with its subject, or with the reason why there is none."""
        for name in names:
            for label, prepare in self._ways(name, ring):
                ceiling = Ceiling(name=name, case=case, rank=rank, method=label)
                try:
                    method, make = prepare()
                    ceiling = replace(ceiling, method=method, bytes_moved=self._moved(name, ring))
                    subject = make(ceiling.key_name)
                except Exception as error:
                    yield replace(ceiling, status="failed", reason=reason(error, case)), None
                else:
                    yield ceiling, subject

    def _ways(self, name: CeilingName, ring: Ring) -> list[_Way]:
        """A CPU has neither launches nor graphs: its ceilings are the copy and the pass, where a call has one."""
        if name == "in_place" and ring.calls[0].one_pass is None:
            return []
        if not isinstance(self.device, CudaDevice):
            return {
                "copy": [_way("eager", lambda key: _looped(key, self._copy))],
                "in_place": [_way("mul_", lambda key: Subject(key, over(_mul, ring.take_passes)))],
            }.get(name, [])
        from rope_prof.kernels.ceilings import empty_launch, short_empty_launch

        device = self.device
        match name:
            case "copy":
                return [
                    _way("eager", lambda key: _looped(key, self._copy)),
                    _way("graph", lambda key: _chain(key, self._copy, COPIES)),
                ]
            case "in_place":
                return [
                    _way("mul_.graph", lambda key: _pass(key, _mul, ring, device)),
                    ("scale.graph", lambda: _tuned_pass(ring, device)),
                ]
            case "empty_launch":
                index = device.torch_device.index or 0
                return [
                    _way("triton", lambda key: _looped(key, empty_launch)),
                    _way("driver", lambda key: _looped(key, short_empty_launch(index))),
                ]
        ways = [_way("serial", lambda key: _chain(key, empty_launch, NODES))]
        ways += [_way(method, partial(self._writing, ring, l2)) for method, l2 in WRITING]
        if overlapping(device):
            ways.append(_way("overlap", lambda key: _chain(key, lambda: empty_launch(overlap=True), NODES)))
        return ways

    def _writing(self, ring: Ring, l2: L2, name: str) -> Subject:
        """Nodes that read and write as much as a kernel of the chain, at most `WRITE_BYTES`; replayed as a path is."""
        count = min(WRITE_BYTES, ring.buffer_bytes) // 2
        source = torch.ones(count, dtype=torch.bfloat16, device=self.device.torch_device)
        chain = _chain(name, _product, NODES, (source, torch.empty_like(source)))
        return replace(chain, before=self.device.flush, one_step=True) if l2 == "cold" else chain

    def _moved(self, name: CeilingName, ring: Ring) -> int | None:
        if name == "copy":
            return 2 * self.copy_buffers()[0].nbytes
        view = ring.calls[0].one_pass
        return 2 * view.nbytes if name == "in_place" and view is not None else None

    def _copy(self) -> None:
        source, target = self.copy_buffers()
        target.copy_(source)

    def copy_buffers(self) -> tuple[torch.Tensor, torch.Tensor]:
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


def _mul(view: torch.Tensor) -> None:
    view.mul_(0.9999)


def _scale(tile: tuple[int, int, int], overlap: bool) -> Callable[[torch.Tensor], None]:
    from rope_prof.kernels.ceilings import scale

    return lambda view: scale(view, tile, overlap=overlap)


def _way(method: str, make: _Maker) -> _Way:
    return method, lambda: (method, make)


def _tuned_pass(ring: Ring, device: CudaDevice) -> tuple[str, _Maker]:
    tile = best_tile(ring, device)
    call = _scale(tile, overlapping(device))
    return f"scale_{'x'.join(map(str, tile))}.graph", lambda key: _pass(key, call, ring, device)


def best_tile(ring: Ring, device: CudaDevice) -> tuple[int, int, int]:
    """The tile of the in-place pass that is fastest on these views, by the median of five replays each."""
    from rope_prof.kernels.ceilings import SCALE_TILES

    found: dict[tuple[int, int, int], float] = {}
    for tile in SCALE_TILES:
        subject = _pass("tile", _scale(tile, overlapping(device)), ring, device)
        work = subject.work(GRAPH_CALLS)
        taken = []
        for _ in range(6):
            device.flush()
            taken.append(device.held(work, 300_000)[0])
        found[tile] = statistics.median(taken[1:])
    return min(found, key=found.__getitem__)


def _looped(name: str, call: Callable[[], Any]) -> Subject:
    return Subject(name, repeated(call))


def _pass(name: str, call: Callable[..., Any], ring: Ring, device: CudaDevice) -> Subject:
    """As a path in mode graph: 28 buffers in one graph, the L2 overwritten ahead of each sample."""
    return cold_graph(name, call, ring.take_passes, len(ring), device)


def _chain(name: str, call: Callable[..., Any], nodes: int, arguments: tuple[Any, ...] = ()) -> Subject:
    """One graph of `nodes` calls; the subject keeps `arguments` alive, whose addresses the graph holds."""
    return Subject(name, replays(call, [arguments] * nodes), step=nodes)


def _product(source: torch.Tensor, target: torch.Tensor) -> None:
    """PyTorch's own elementwise kernel, as the chain has many of."""
    torch.mul(source, 1.0, out=target)


def traced_busy(subject: Subject, device: RecordDevice) -> float | None:
    """ns that a node of `subject`'s graph is busy by a profiler's word; None where its trace holds no kernel."""
    with tempfile.TemporaryDirectory(prefix="rope_prof-") as scratch:
        out = Path(scratch) / "trace.json"
        with quiet_profiler():
            profiled(subject, subject.name, LEAST_REPLAYS, device, out, light=True)
        found = figures(read_trace(out), subject.name)
    return None if found.kernel_ns is None else found.kernel_ns / subject.step
