"""The bench that a worker holds: `Setup.bench` names `torch_bench`. It trusts no path: what it checks it watches.

The functions that a measurement rests on are noted before a path's code is loaded (`seal`), calls are watched while
they are checked (`watch`), and what is timed is held against them on new inputs once its rounds are done. Loads torch.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from rope_prof.errors import OperationError, UsageError
from rope_prof.kernels.lookup import OURS, operation
from rope_prof.kernels.operation import Call as Made
from rope_prof.kernels.paths import path_of
from rope_prof.model.run import Accuracy, Case, Key
from rope_prof.record.bench.accuracy import limits
from rope_prof.record.bench.bench import TorchBench
from rope_prof.record.bench.copies import copied
from rope_prof.record.bench.subjects import Call, warm_compiler
from rope_prof.record.capture.capture import attach_profiler, listened
from rope_prof.record.device.devices import find_device
from rope_prof.record.device.machine import machine
from rope_prof.record.loop.describe import out_of_memory
from rope_prof.record.loop.plan import GRAPH_CALLS
from rope_prof.record.loop.timing import Subject, turn
from rope_prof.record.worker.anew import outputs, require_anew
from rope_prof.record.worker.audit import LEAST, Audit, Rota
from rope_prof.record.worker.messages import Setup
from rope_prof.record.worker.seal import Seal
from rope_prof.record.worker.watch import DishonestPathError, differs, made_by, no_oracle, watched

TORCH_BENCH = f"{__name__}:torch_bench"
#: Numbers of refills that no round has.
NEW_VALUES = 1 << 20


class WorkerBench(TorchBench):
    """`TorchBench` that says what it runs on, finds paths by name, and watches those of others."""

    def __init__(self, setup: Setup) -> None:
        device = find_device(setup.device)
        super().__init__(device, seed=setup.seed, calls=setup.calls, profiler=setup.profiler)
        self.machine = machine(device)
        if setup.compiles and self.kind == "cuda":  # all workers at once; a CPU's few cores gain nothing
            with suppress(Exception):  # the check of the path says what is wrong
                warm_compiler(device)
        self._word = setup.operation
        with suppress(LookupError):  # `find_path` says what is wrong
            measured = operation(self._word)
            path_of(measured, measured.paths[0])  # loads the baseline's code: it is among what nobody may replace
        self._seal = Seal()
        self._checking = self._capturing = self._listening = False
        self._asked: set[str] = set()
        #: By name of the key: what is timed, and of a graph the arguments of its calls and the result of the last.
        self._timed: dict[str, tuple[Subject, list[tuple[Any, ...]], Any]] = {}
        self._captured: tuple[list[tuple[Any, ...]], Any] = ([], None)
        self._right: dict[str, Key] = {}
        self._granted: dict[Case, Sequence[float]] = {}
        self._rota, self._drawn, self._listens_in = Rota(), 0, 0

    def find_path(self, name: str) -> object:
        """The path called `name`. Errors: LookupError in one sentence; what its code raises as it is loaded."""
        try:
            measured = operation(self._word)
        except LookupError as error:
            raise UsageError(str(error)) from error
        return path_of(measured, name)

    def listen(self) -> None:
        """Attach the profiler of the captures that come."""
        self._listening = True
        attach_profiler(self.device, self.profiler)

    def open_case(self, case: Any) -> None:
        """Make the ring of `case`; graphs of the one before are freed with it."""
        self._timed.clear()
        self._captured = ([], None)
        super().open_case(case)

    def check(self, key: Key) -> tuple[Accuracy, int]:
        """As `TorchBench.check`, watched; of a key that was timed its timed calls too.

        Errors: DishonestPathError names what a path does to look faster than it is.
        """
        found = self._watched_check(key)
        self._granted.setdefault(key.case, self._limits[key.case].errors)
        if self._foreign(key) and key.mode != "compile" and key.path not in self._asked:
            self._asked.add(key.path)
            with no_oracle():
                self._held_call(key)
        self._check_timed(key, wrong=found[0].wrong)
        self._require_seal()
        self._right.pop(key.name, None)
        if self._foreign(key) and not found[0].wrong:
            self._right[key.name] = key
        return found

    def _held_call(self, key: Key) -> None:
        """A call on other values than before, all of it queued before any runs.

        Work that its own stream does not wait for has not run when its outputs are looked at, and what lies there from
        an earlier call is not what belongs there now.
        """
        call, _ = super()._callable(key)
        self.refill(1 << 21)
        try:
            assert self._ring is not None
            watched(call, self.device, held=True)(*copied(self._ring.calls[0]).arguments)
        finally:
            self.refill(0)

    def _watched_check(self, key: Key) -> tuple[Accuracy, int]:
        self._checking = True
        try:
            return super().check(key)
        except DishonestPathError:
            raise
        except Exception:
            self._require_seal()
            raise
        finally:
            self._checking = False

    def _require_seal(self) -> None:
        replaced = self._seal.replaced()
        if replaced:
            more = f" and {len(replaced) - 3} more" if len(replaced) > 3 else ""
            raise DishonestPathError(f"it has replaced {', '.join(replaced[:3])}{more}; no time of it can be believed")

    def _callable(self, key: Key) -> tuple[Call, bool]:
        call, in_place = super()._callable(key)
        if self._checking and self._foreign(key):
            return watched(call, self.device, held=False), in_place
        if self._capturing:
            return self._kept(call), in_place
        return call, in_place

    def _kept(self, call: Call) -> Call:
        """`call`, which keeps the arguments of all times, the result of its last: in a graph, where outputs will be."""
        batch: list[tuple[Any, ...]] = []

        def run(*arguments: Any) -> Any:
            result = call(*arguments)
            batch.append(arguments)
            self._captured = batch, result
            return result

        return run

    def ready(self, key: Key) -> Subject:
        """`key` on the ring of the open case."""
        if key.mode == "graph" and key.name in self._right and not self._listening and secrets.randbelow(2):
            self._audited(key, least=1)
        self._capturing = key.mode == "graph"
        try:
            subject = super().ready(key)
        finally:
            self._capturing = False
        batch, result = self._captured if key.mode == "graph" else ([], None)
        self._timed[key.name] = subject, batch[-GRAPH_CALLS:], result
        return subject

    def _check_timed(self, key: Key, *, wrong: bool) -> None:
        """Hold what the timing loop, or the graph, makes of new inputs against calls on the same.

        A wrong path may well make the same of other positions, and is never ranked: it is not held to more.
        """
        if key.name not in self._timed or self._ring is None:
            return
        held = self._foreign(key) and not wrong
        if held and key.mode != "compile":
            arguments = self._ring.take(1, key.l2)[0]
            own = next(one.fresh for one in self._ring.calls if one.arguments is arguments)
            call, _ = super()._callable(key)
            require_anew(call, self._baseline(key), arguments, own, lambda: self.refill(NEW_VALUES))
        if key.mode == "graph":
            self._check_graph(key)
        if held:
            self._audited(key, least=LEAST)

    def _check_graph(self, key: Key) -> None:
        """Hold the last call of the timed graph against a call on the same inputs."""
        assert self._ring is not None
        subject, batch, result = self._timed[key.name]
        if key.l2 == "hot" and result is None:  # in place, again and again in one buffer
            return
        call, _ = super()._callable(key)
        self.refill(NEW_VALUES)
        called = outputs(call, batch[-1])
        self.refill(NEW_VALUES)
        subject.work(subject.step)()
        self.device.synchronize()
        why = differs(made_by(result, batch[-1]), called)
        if why is not None:
            raise DishonestPathError(
                f"its graph does not what its calls do: {why}; is a launch left out where a stream is captured?"
            )

    def capture(self, subject: Subject, key: Key, folder: Path) -> tuple[str, int]:
        """As `TorchBench.capture`; before it, after it or after the light one, by chance, calls are looked at while the
        profiler listens: no count of its turns tells a path which of them is kept.
        """
        self._listens_in = secrets.randbelow(3)
        self._look_listening(key, 0)
        found = super().capture(subject, key, folder)
        self._look_listening(key, 1)
        return found

    def capture_light(self, subject: Subject, key: Key, folder: Path) -> str | None:
        """As `TorchBench.capture_light`, looked at as `capture` is."""
        found = super().capture_light(subject, key, folder)
        self._look_listening(key, 2)
        return found

    def _look_listening(self, key: Key, place: int) -> None:
        if place == self._listens_in and key.name in self._right and key.mode != "graph":
            with listened(self.device):
                self._audited(key, least=LEAST)

    def audits(self, name: str, number: int) -> Iterator[Subject]:
        """What has the turn of the subject called `name` ahead of it in round `number`, if it is time to look."""
        key = self._right.get(name)
        if key is not None and self._rota.due(name, number):
            yield from self._audit(key, least=1)
            self.refill(number)

    def _audit(self, key: Key, *, least: int) -> Iterator[Subject]:
        """Every one of many calls of `key`, and of the graph that is timed where its buffers can tell."""
        assert self._ring is not None
        call, _ = super()._callable(key)
        subject, batch, result = self._timed.get(key.name, (None, [], None))
        audit = Audit(
            ring=self._ring,
            l2=key.l2,
            call=call,
            baseline=self._baseline(key),
            granted=self._granted[key.case],
            refill=self._new_values,
            synchronize=self.device.synchronize,
            granted_on=partial(self._granted_on, key),
            ahead=secrets.randbelow(subject.calls + 1) if subject else 0,
        )
        try:
            if key.mode != "graph":
                yield from audit.stages(self.clock, least)
                return
            if subject is not None and result is None and key.l2 == "cold":
                made = {tuple(map(id, one.arguments)): one for one in self._ring.calls}
                calls = [made[tuple(map(id, arguments))] for arguments in batch]
                audit.of_replay(subject.work(subject.step), calls, [None] * len(calls))
            audit.of_capture()
        except Exception as error:
            if not out_of_memory(error):
                raise

    def _granted_on(self, key: Key, call: Made) -> Sequence[float]:
        """How far each output may lie off on the very values of `call`: they may be larger than those of the check."""
        with suppress(OperationError):
            return limits(self.operations.of(key.case.operation), dict(key.case.values), call).errors
        return self._granted[key.case]

    def _audited(self, key: Key, *, least: int) -> None:
        for stage in self._audit(key, least=least):
            turn(stage, 0, self.clock, self.device, wake=False)

    def _foreign(self, key: Key) -> bool:
        """Whether it is another's code that may look fast: not the baseline, which all are held against."""
        own = self._word not in OURS and key.path != self.operations.of(key.case.operation).paths[0]
        return ":" in key.path or own

    def _new_values(self) -> None:
        self._drawn += 1
        self.refill(NEW_VALUES + self._drawn)

    def _baseline(self, key: Key) -> Call:
        operation = self.operations.of(key.case.operation)
        return path_of(operation, operation.paths[0]).call


def torch_bench(setup: Setup) -> WorkerBench:
    """The bench of a real device."""
    return WorkerBench(setup)
