"""The bench of a real device: rings, paths in their modes, checks, captures, in torch's words."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from rope_prof.errors import UsageError
from rope_prof.kernels.operation import Operation
from rope_prof.kernels.paths import path_of
from rope_prof.model.kind import Kind
from rope_prof.model.run import CEILINGS, Accuracy, Case, Ceiling, CeilingName, Key, LayoutError
from rope_prof.record.bench.accuracy import ErrorLimits, dtype_of, judged, limits, run_once
from rope_prof.record.bench.ceilings import LEAST_CALLS, SAMPLE_NS, CeilingBench, traced_busy
from rope_prof.record.bench.claims import require_bytes
from rope_prof.record.bench.copies import copied
from rope_prof.record.bench.layouts import layout_errors
from rope_prof.record.bench.operations import Operations
from rope_prof.record.bench.subjects import (
    Call,
    Ring,
    eager_subject,
    graph_subject,
    in_mode,
    prepare_compiler,
    trust_no_flags,
)
from rope_prof.record.bench.values import number_errors, require_kept, value_errors
from rope_prof.record.capture.capture import capture
from rope_prof.record.device import devices
from rope_prof.record.device.devices import RecordDevice
from rope_prof.record.device.throttle import Conditions
from rope_prof.record.loop.plan import GRAPH_CALLS
from rope_prof.record.loop.protocols import Checked, Checks
from rope_prof.record.loop.timing import HOST_SAMPLE_NS, Clock, Subject, settle
from rope_prof.record.loop.timing import SAMPLE_NS as LOOP_NS

#: Up to so many bytes of inputs a CPU's check keeps to one thread: where cores are busy with other work the second one
#: is waited for, by a loop that takes the first, for longer than it would compute.
ALONE_BYTES = 32 << 20


@contextmanager
def one_thread(alone: bool) -> Iterator[None]:
    """Let torch compute in this thread alone, if `alone`, and then by as many as before."""
    before = torch.get_num_threads()
    if not alone or before == 1:
        yield
        return
    torch.set_num_threads(1)
    try:
        yield
    finally:
        if torch.get_num_threads() == 1:  # else the path has its own mind
            torch.set_num_threads(before)


class TorchBench:
    """`protocols.Bench` on `device`. One case is open at a time; the callables of all keys are kept.

    `interpreter` begins the checks, by a seed, of keys that cannot run here.
    """

    def __init__(
        self,
        device: RecordDevice,
        *,
        seed: int,
        calls: int,
        operation: Operation | None = None,
        profiler: str = "kineto",
        interpreter: Callable[[tuple[Key, ...], int], Checks] | None = None,
    ) -> None:
        self.device = device
        self.kind: Kind = device.kind
        self.clock: Clock = devices.clock
        self.seed = seed
        self.calls = calls
        self.profiler = profiler
        self.operations = Operations(operation)
        self._calls: dict[str, tuple[Call, bool]] = {}
        self._limits: dict[Case, ErrorLimits] = {}
        self._layouts: dict[tuple[Case, str], tuple[int, tuple[LayoutError, ...]]] = {}
        self._moved: dict[tuple[Case, str], int | None] = {}
        self._ring: Ring | None = None
        self._interpreter = interpreter
        self._checks: Checks | None = None
        self._ceilings = CeilingBench(device)

    def open_case(self, case: Case) -> None:
        """Make the ring of `case`; the one before is freed first. Raises torch's out-of-memory errors."""
        self._free()
        self._ring = Ring(self.operations.of(case.operation), case, self.device, self.seed, least=GRAPH_CALLS)

    def _free(self) -> None:
        self._ring = None
        if self.kind == "cuda":
            torch.cuda.empty_cache()

    @property
    def _open(self) -> Ring:
        if self._ring is None:
            raise RuntimeError("no case is open")
        return self._ring

    def check_ahead(self, keys: Sequence[Key]) -> None:
        """Nothing: one process checks one key after the other."""

    def check(self, key: Key) -> tuple[Accuracy, int]:
        """Run `key` once on a copy of the ring's first call, time that first call, compare with the reference.

        A path's first mode that is checked tries every other layout of its arguments too: its modes run the same code.
        """
        ring, case = self._open, dict(key.case.values)
        operation, given = ring.operation, ring.calls[0]
        call, _ = self._callable(key)
        alone = given.fresh_bytes <= ALONE_BYTES and self.kind == "cpu"
        if key.case not in self._limits:
            with one_thread(alone):
                self._limits[key.case] = limits(operation, case, given)
        known, mine = self._limits[key.case], copied(given)
        self.device.synchronize()
        start = self.clock()
        try:
            out = run_once(call, mine, operation)
        except Exception:
            if not (key.mode == "compile" and trust_no_flags(self.device)):
                raise
            mine = copied(given)
            out = run_once(call, mine, operation)
        self.device.synchronize()
        first_ns = self.clock() - start
        with one_thread(alone):
            accuracy = judged(out, operation, case, given, known, dtype_of(key.case, out))
            at = key.case, key.path
            if at not in self._moved:
                self._moved[at] = require_bytes(operation, case, key.path, mine, out)
            if at not in self._layouts:
                plain, baseline = (path_of(operation, name).call for name in (key.path, operation.paths[0]))
                require_kept(plain, given, operation, baseline, key.path)
                tried, wrong = layout_errors(plain, given, out, operation, known.errors)
                wrong += value_errors(plain, given, out, operation, case, baseline)
                self._layouts[at] = tried, wrong + number_errors(plain, given, operation, baseline)
            tried, wrong = self._layouts[at]
        return replace(accuracy, layouts=tried, layout_errors=wrong), first_ns

    def _callable(self, key: Key) -> tuple[Call, bool]:
        if key.name not in self._calls:
            if key.mode == "compile":
                prepare_compiler(self.device)
            self._calls[key.name] = in_mode(self.operations.of(key.case.operation), key)
        return self._calls[key.name]

    def ready(self, key: Key) -> Subject:
        """`key` on the ring of the open case."""
        ring = self._open
        call, _ = self._callable(key)
        if key.mode == "graph":
            return graph_subject(key, call, ring, self.device)
        return eager_subject(key, call, ring)

    def settle(self, subject: Subject) -> None:
        """Warm it up and size its samples: a CPU's by their time alone, so that others interrupt few of them."""
        least, sample_ns = (1, HOST_SAMPLE_NS) if self.kind == "cpu" else (self.calls, LOOP_NS)
        settle(subject, least, self.clock, self.device, sample_ns=sample_ns)

    def facts(self, key: Key) -> dict[str, Any]:
        """in_place, bytes_moved, and what the ring is, for a key that runs here."""
        operation = self.operations.of(key.case.operation)
        found = path_of(operation, key.path)
        facts: dict[str, Any] = {
            "in_place": found.in_place,
            "bytes_moved": operation.moved_bytes(dict(key.case.values), key.path),
        }
        if self._ring is not None and not (self.kind == "cpu" and found.triton):
            buffers = 1 if key.l2 == "hot" else len(self._ring)
            facts |= {"ring_buffers": buffers, "ring_bytes": buffers * self._ring.buffer_bytes}
        return facts

    def refill(self, number: int) -> None:
        """New values in the ring, from the seed and the round: what they allow is not what others did."""
        ring = self._open
        ring.refill(self.seed + number)
        self._limits.clear()
        self.device.synchronize()

    def throttled(self) -> bool | None:
        """Whether the device's clock is held down; None where it does not say."""
        return self.device.throttled()

    def conditions(self) -> Conditions:
        """Clocks, temperature and power of the device right now."""
        return self.device.conditions()

    def held_share(self) -> float:
        """The part of the GPU's memory that this process keeps from all others; a CPU's comes back by itself."""
        if self.kind == "cpu":
            return 0.0
        here = self.device.torch_device
        return torch.cuda.memory_reserved(here) / torch.cuda.get_device_properties(here).total_memory

    def start_checks(self, keys: tuple[Key, ...]) -> None:
        """Start the interpreter's child on `keys`."""
        if self._interpreter is None:
            raise RuntimeError(f"nothing to check {len(keys)} keys with that cannot run here")
        self._checks = self._interpreter(keys, self.seed)

    def finish_checks(self) -> dict[str, Checked]:
        """Wait for the interpreter's child."""
        return self._checks.results() if self._checks else {}

    def ceilings(
        self, case: Case, rank: int, names: Sequence[CeilingName] = CEILINGS
    ) -> Iterable[tuple[Ceiling, Subject | None]]:
        """What the device itself can do, on the ring of the open case."""
        ring = self._open
        return self._ceilings.of(case, ring, rank, names)

    def settle_ceiling(self, subject: Subject) -> None:
        """Warm it up and size its short samples."""
        settle(subject, LEAST_CALLS, self.clock, self.device, sample_ns=SAMPLE_NS)

    def node_busy(self, subject: Subject) -> float | None:
        """ns that a node of the graph of `subject` is busy, by the profiler."""
        return traced_busy(subject, self.device)

    def capture(self, subject: Subject, key: Key, folder: Path) -> tuple[str, int]:
        """A trace of `calls` calls of `subject`."""
        return capture(subject, key, self.calls, self.device, folder, by=self.profiler)

    def capture_light(self, subject: Subject, key: Key, folder: Path) -> str | None:
        """A trace without the host's operators; None on a CPU, whose operators are the kernels, and of a graph."""
        if self.kind == "cpu" or key.mode == "graph":
            return None
        return capture(subject, key, self.calls, self.device, folder, light=True, by=self.profiler)[0]

    def renew(self) -> None:
        """All of it is in this very process."""
        raise UsageError("--repeats needs a process per path; leave out --no-isolate")

    def close(self) -> None:
        """Free the ring and the buffers, and end the child."""
        self._free()
        self._ceilings.close()
        if self._checks is not None:
            self._checks.close()
