"""The bench of a real device: rings, paths in their modes, checks, captures, in torch's words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import torch

from rope_prof.errors import UsageError
from rope_prof.kernels.mrope.inputs import DTYPES
from rope_prof.kernels.mrope.paths import path
from rope_prof.kernels.mrope.shape import MropeShape
from rope_prof.kernels.mrope.traffic import path_bytes
from rope_prof.model.kind import Kind
from rope_prof.model.run import CEILINGS, Accuracy, Case, Ceiling, CeilingName, Key
from rope_prof.record.bench.accuracy import deviation, fresh, limit, run_once
from rope_prof.record.bench.ceilings import LEAST_CALLS, SAMPLE_NS, CeilingBench, traced_busy
from rope_prof.record.bench.interpret import Interpreter
from rope_prof.record.bench.subjects import (
    Call,
    Ring,
    eager_subject,
    graph_subject,
    in_mode,
    prepare_compiler,
    shape_of,
    trust_no_flags,
)
from rope_prof.record.device import devices
from rope_prof.record.device.devices import RecordDevice
from rope_prof.record.device.throttle import Conditions
from rope_prof.record.loop.plan import GRAPH_CALLS, interpreted
from rope_prof.record.loop.protocols import Checked
from rope_prof.record.loop.timing import Clock, Subject, settle


class TorchBench:
    """`protocols.Bench` on `device`. One case is open at a time; the callables of all keys are kept."""

    def __init__(self, device: RecordDevice, *, seed: int, calls: int) -> None:
        self.device = device
        self.kind: Kind = device.kind
        self.clock: Clock = devices.clock
        self.seed = seed
        self.calls = calls
        self._calls: dict[str, tuple[Call, bool]] = {}
        self._limits: dict[Case, float] = {}
        self._ring: Ring | None = None
        self._shape: MropeShape | None = None
        self._interpreter = Interpreter((), seed)
        self._ceilings = CeilingBench(device)

    def open_case(self, case: Case) -> None:
        """Make the ring of `case`; the one before is freed first. Raises torch's out-of-memory errors."""
        self._free()
        self._shape = shape_of(case)
        self._ring = Ring(case, self._shape, self.device, self.seed, least=GRAPH_CALLS)

    def _free(self) -> None:
        self._ring = None
        if self.kind == "cuda":
            torch.cuda.empty_cache()

    @property
    def _open(self) -> tuple[Ring, MropeShape]:
        if self._ring is None or self._shape is None:
            raise RuntimeError("no case is open")
        return self._ring, self._shape

    def check(self, key: Key) -> tuple[Accuracy, int]:
        """Run `key` once on a copy of the ring's first buffer, time that first call, compare with the oracle."""
        ring, shape = self._open
        inputs = ring.inputs[0]
        call, _ = self._callable(key)
        if key.case not in self._limits:
            self._limits[key.case] = limit(inputs, shape)
        own = fresh(inputs, shape)
        self.device.synchronize()
        start = self.clock()
        try:
            out = run_once(call, own, shape)
        except Exception:
            if not (key.mode == "compile" and trust_no_flags(self.device)):
                raise
            own = fresh(inputs, shape)
            out = run_once(call, own, shape)
        self.device.synchronize()
        first_ns = self.clock() - start
        found = deviation(out, inputs, shape)
        accuracy = Accuracy(
            max_error=found.max_error,
            limit=self._limits[key.case],
            rounded_share=found.rounded_share,
            nans=found.nans,
            dtype=key.case.dtype,
        )
        return accuracy, first_ns

    def _callable(self, key: Key) -> tuple[Call, bool]:
        if key.name not in self._calls:
            if key.mode == "compile":
                prepare_compiler(self.device)
            self._calls[key.name] = in_mode(key)
        return self._calls[key.name]

    def ready(self, key: Key) -> Subject:
        """`key` on the ring of the open case."""
        ring, _ = self._open
        call, _ = self._callable(key)
        if key.mode == "graph":
            return graph_subject(key, call, ring, self.device)
        return eager_subject(key, call, ring)

    def settle(self, subject: Subject) -> None:
        """Warm it up and size its samples."""
        settle(subject, self.calls, self.clock, self.device)

    def facts(self, key: Key) -> dict[str, Any]:
        """in_place, bytes_moved, and what the ring is, for a key that runs here."""
        itemsize = DTYPES[key.case.dtype].itemsize
        in_place = path(key.path).in_place
        facts: dict[str, Any] = {
            "in_place": in_place,
            "bytes_moved": path_bytes(key.path, shape_of(key.case), key.case.tokens, itemsize),
        }
        if self._ring is not None and not interpreted(key, self.kind):
            buffers = 1 if key.l2 == "hot" else len(self._ring)
            facts |= {"ring_buffers": buffers, "ring_bytes": buffers * self._ring.buffer_bytes}
        return facts

    def refill(self, number: int) -> None:
        """New values in the ring, from the seed and the round."""
        ring, _ = self._open
        ring.refill(self.seed + number)
        self.device.synchronize()

    def throttled(self) -> bool | None:
        """Whether the device's clock is held down; None where it does not say."""
        return self.device.throttled()

    def conditions(self) -> Conditions:
        """Clocks, temperature and power of the device right now."""
        return self.device.conditions()

    def start_checks(self, keys: tuple[Key, ...]) -> None:
        """Start the interpreter's child on `keys`."""
        self._interpreter = Interpreter(keys, self.seed)

    def finish_checks(self) -> dict[str, Checked]:
        """Wait for the interpreter's child."""
        return self._interpreter.results()

    def ceilings(
        self, case: Case, rank: int, names: Sequence[CeilingName] = CEILINGS
    ) -> Iterable[tuple[Ceiling, Subject | None]]:
        """What the device itself can do, on the ring of the open case."""
        ring, shape = self._open
        return self._ceilings.of(case, shape, ring, rank, names)

    def settle_ceiling(self, subject: Subject) -> None:
        """Warm it up and size its short samples."""
        settle(subject, LEAST_CALLS, self.clock, self.device, sample_ns=SAMPLE_NS)

    def node_busy(self, subject: Subject) -> float | None:
        """ns that a node of the graph of `subject` is busy, by the profiler."""
        return traced_busy(subject, self.device)

    def capture(self, subject: Subject, key: Key, folder: Path) -> tuple[str, int]:
        """A trace of `calls` calls of `subject`."""
        from rope_prof.record.capture.capture import capture

        return capture(subject, key, self.calls, self.device, folder)

    def capture_light(self, subject: Subject, key: Key, folder: Path) -> str | None:
        """A trace without the host's operators; None on a CPU, whose operators are the kernels, and of a graph."""
        from rope_prof.record.capture.capture import capture

        if self.kind == "cpu" or key.mode == "graph":
            return None
        return capture(subject, key, self.calls, self.device, folder, light=True)[0]

    def renew(self) -> None:
        """All of it is in this very process."""
        raise UsageError("--repeats needs a process per path; leave out --no-isolate")

    def close(self) -> None:
        """Free the ring and the buffers, and end the child."""
        self._free()
        self._ceilings.close()
        self._interpreter.close()
