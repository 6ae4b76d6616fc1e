"""The bench that a worker holds: `Setup.bench` names `torch_bench`. It trusts no path: what it checks it watches.

The functions that a measurement rests on are noted before a path's code is loaded (`seal`), calls are watched while
they are checked (`watch`), and what is timed is held against them on new inputs once its rounds are done. Loads torch.
"""

from __future__ import annotations

from contextlib import nullcontext, suppress
from functools import partial
from typing import Any

from rope_prof.errors import UsageError
from rope_prof.kernels.lookup import operation
from rope_prof.kernels.paths import path_of
from rope_prof.model.run import Accuracy, Key
from rope_prof.record.bench.bench import TorchBench
from rope_prof.record.bench.copies import copied
from rope_prof.record.bench.subjects import Call, warm_compiler
from rope_prof.record.capture.capture import attach_profiler
from rope_prof.record.device.devices import find_device
from rope_prof.record.device.machine import machine
from rope_prof.record.loop.timing import Subject
from rope_prof.record.worker.anew import outputs, require_anew
from rope_prof.record.worker.messages import Setup
from rope_prof.record.worker.seal import Seal
from rope_prof.record.worker.watch import DishonestPathError, differs, made_by, no_oracle, returned, watched

TORCH_BENCH = f"{__name__}:torch_bench"


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
        self._checking = self._capturing = False
        self._asked: set[str] = set()
        #: By name of the key: what is timed, and of a graph the arguments and the result of the last call in it.
        self._timed: dict[str, tuple[Subject, tuple[Any, ...], Any]] = {}
        self._last: tuple[tuple[Any, ...], Any] = ((), None)

    def find_path(self, name: str) -> object:
        """The path called `name`. Errors: LookupError in one sentence; what its code raises as it is loaded."""
        try:
            measured = operation(self._word)
        except LookupError as error:
            raise UsageError(str(error)) from error
        return path_of(measured, name)

    def listen(self) -> None:
        """Attach the profiler of the captures that come."""
        attach_profiler(self.device, self.profiler)

    def open_case(self, case: Any) -> None:
        """Make the ring of `case`; graphs of the one before are freed with it."""
        self._timed.clear()
        self._last = ((), None)
        super().open_case(case)

    def check(self, key: Key) -> tuple[Accuracy, int]:
        """As `TorchBench.check`, watched; of a key that was timed its timed calls too.

        Errors: DishonestPathError names what a path does to look faster than it is.
        """
        found = self._watched_check(key)
        if _foreign(key) and key.mode != "compile" and key.path not in self._asked:
            self._asked.add(key.path)
            with no_oracle():
                self._held_call(key)
        self._check_timed(key, wrong=found[0].wrong)
        self._require_seal()
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
        if self._checking and _foreign(key):
            return watched(call, self.device, held=False), in_place
        if self._capturing:
            return self._kept(call), in_place
        return call, in_place

    def _kept(self, call: Call) -> Call:
        """`call`, which keeps the arguments and the result of its last time: in a graph, where its outputs will be."""

        def run(*arguments: Any) -> Any:
            result = call(*arguments)
            self._last = arguments, result
            return result

        return run

    def ready(self, key: Key) -> Subject:
        """`key` on the ring of the open case."""
        self._capturing = key.mode == "graph"
        try:
            subject = super().ready(key)
        finally:
            self._capturing = False
        self._timed[key.name] = (subject, *(self._last if key.mode == "graph" else ((), None)))
        return subject

    def _check_timed(self, key: Key, *, wrong: bool) -> None:
        """Hold what the timing loop, or the graph, makes of new inputs against a call on the same.

        A wrong path may well make the same of other positions, and is never ranked: it is not held to make it anew.
        """
        if key.name not in self._timed or key.mode == "compile" or self._ring is None:
            return
        subject, arguments, result = self._timed[key.name]
        call, _ = super()._callable(key)
        refill = partial(self.refill, 1 << 20)
        refill()
        arguments = arguments or self._ring.take(1, key.l2)[0]
        called = outputs(call, arguments)
        if _foreign(key) and not wrong:
            operation = self._ring.operation
            own = next((one.fresh for one in self._ring.calls if one.arguments[0] is arguments[0]), ())
            require_anew(call, path_of(operation, operation.paths[0]).call, arguments, own, refill)
        refill()
        work, kept = subject.work(subject.step), [result]
        with returned(kept) if key.mode == "eager" else nullcontext():
            work()
        self.device.synchronize()
        why = differs(made_by(kept[-1], arguments), called)
        if why is not None and key.mode == "graph":
            raise DishonestPathError(
                f"its graph does not what its calls do: {why}; is a launch left out where a stream is captured?"
            )
        if why is not None:
            raise DishonestPathError(f"its timed calls do not what its checked calls do: {why}")


def _foreign(key: Key) -> bool:
    """Whether the path is somebody else's code: `module:function`."""
    return ":" in key.path


def torch_bench(setup: Setup) -> WorkerBench:
    """The bench of a real device."""
    return WorkerBench(setup)
