"""The recording itself: check, time, capture; every step leaves a run folder that reads and that can go on.

Order matters: all timed passes of all cases come before the first capture, since a profiler that has run once stays
attached. Keys of one case take turns in rounds, so that drift of the machine meets all of them alike. The checks in
Triton's interpreter run in a child while the parent compiles, and are waited for before anything is timed.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from rope_prof.errors import RopeProfError, UnavailableError
from rope_prof.io.run_folder import append_samples, read_run, write_run
from rope_prof.model.run import Accuracy, Case, Key, Run, samples_schema
from rope_prof.record.describe import reason
from rope_prof.record.interpret import Checked
from rope_prof.record.stopping import Limits, Watch, baselines
from rope_prof.record.timing import Clock, Device, Failures, Sample, Subject, measure
from rope_prof.record.workload import CHECKED, Kind, interpreted

#: Seconds of samples that a kill may cost.
FLUSH_S = 2.0
WAITS = "no device time: the path waits for the device within a call"


class InterruptedRecordingError(RopeProfError):
    """Ctrl-C: what was done is kept; the message says how to go on."""


class Progress(Protocol):
    """Where the recorder says what runs and what is left."""

    def total(self, steps: int) -> None:
        """How many steps there are in all."""

    def step(self, what: str, done: int = 0) -> None:
        """`what` runs now; `done` more steps are behind."""


class Bench(Protocol):
    """All that touches a device: a GPU's, a CPU's, or a test's."""

    @property
    def kind(self) -> Kind:
        """cuda or cpu."""

    @property
    def clock(self) -> Clock:
        """The host's clock, in ns."""

    @property
    def device(self) -> Device:
        """The device under the clock."""

    def open_case(self, case: Case) -> None:
        """Make the input of `case`; the one before is freed."""

    def check(self, key: Key) -> tuple[Accuracy, int]:
        """(accuracy on the very input, ns of the first call with its compilation)."""

    def ready(self, key: Key) -> Subject:
        """`key` of the open case, to be called."""

    def settle(self, subject: Subject) -> None:
        """Warm it up and size its samples."""

    def facts(self, key: Key) -> dict[str, Any]:
        """Fields of KeyFacts that the key and its open case give: in_place, bytes_moved, ring_*."""

    def refill(self, number: int) -> None:
        """Ahead of each round: new values in the buffers of the open case."""

    def throttled(self) -> bool | None:
        """Whether the device's clock is held down; None where it does not say."""

    def start_checks(self, keys: tuple[Key, ...]) -> None:
        """Begin to check, elsewhere, keys that cannot run here."""

    def finish_checks(self) -> dict[str, Checked]:
        """Wait for them."""

    def capture(self, subject: Subject, key: Key, folder: Path) -> tuple[str, int]:
        """Record a trace into `folder`: (its file name, the calls that it holds)."""

    def close(self) -> None:
        """Free all; end what was started."""


@dataclass(slots=True)
class Recorder:
    """One recording into `folder`. `run` holds the plan, and what is known of it so far.

    Without `capture` the keys are timed alone: a sweep.
    """

    folder: Path
    run: Run
    bench: Bench
    progress: Progress
    limits: Limits
    capture: bool = True
    _unsaved: list[Sample] = field(default_factory=list)
    _spent_ns: int = 0

    def record(self) -> Run:
        """Do all that is pending. Errors: RunError for a folder that cannot be written; InterruptedRecordingError."""
        try:
            self._save()
            self.progress.total(self._steps())
            self._time_all()
            self._capture_all()
            self.run = replace(self.run, complete=True)
            self._save()
        except KeyboardInterrupt:
            raise InterruptedRecordingError(self._how_to_resume()) from None
        finally:
            self.bench.close()
        return self.run

    def _how_to_resume(self) -> str:
        left = sum(facts.status == "pending" for facts in self.run.keys)
        return (
            f"stopped with {left} of {len(self.run.keys)} keys unfinished; what is done is kept: "
            f"go on with `python -m rope_prof record --resume -o {self.folder}`"
        )

    def _save(self) -> None:
        write_run(self.folder, self.run)

    def _set(self, key: Key, **fields: Any) -> None:
        self.run = replace(
            self.run,
            keys=tuple(replace(facts, **fields) if facts.key == key else facts for facts in self.run.keys),
        )
        self._save()

    def _fail(self, key: Key, error: Exception) -> None:
        """Mark `key`; an error of our own that is not about the key ends the recording."""
        if isinstance(error, UnavailableError):
            self._set(key, status="unavailable", reason=str(error))
        elif isinstance(error, RopeProfError):
            raise error
        else:
            self._set(key, status="failed", reason=reason(error, key.case.tokens))

    def _pending(self, case: Case | None = None, *, elsewhere: bool = False) -> tuple[Key, ...]:
        return tuple(
            facts.key
            for facts in self.run.keys
            if facts.status == "pending"
            and interpreted(facts.key, self.bench.kind) is elsewhere
            and case in (None, facts.key.case)
        )

    def _cases(self) -> tuple[Case, ...]:
        return tuple(dict.fromkeys(key.case for key in self._pending()))

    def _steps(self) -> int:
        return 2 * len(self._pending()) + self.limits.rounds * len(self._cases()) + len(self._pending(elsewhere=True))

    def _time_all(self) -> None:
        elsewhere = self._pending(elsewhere=True)
        if elsewhere:
            self.bench.start_checks(elsewhere)
        cases = self._cases()
        for number, case in enumerate(cases):
            if not self._opened(case):
                continue
            subjects = [subject for key in self._pending(case) if (subject := self._prepared(key))]
            self._take_checks()
            self._time(case, subjects, cases_left=len(cases) - number)
        self._take_checks()

    def _opened(self, case: Case) -> bool:
        """Make the input of `case`; where that fails, all its keys do."""
        try:
            self.bench.open_case(case)
        except Exception as error:
            for key in self._pending(case):
                self._fail(key, error)
            return False
        return True

    def _prepared(self, key: Key) -> Subject | None:
        self.progress.step(f"checking {label(key)}")
        try:
            accuracy, first_ns = self.bench.check(key)
            subject = self.bench.ready(key)
            self._set(key, accuracy=accuracy, first_call_ns=first_ns, **self.bench.facts(key))
        except Exception as error:
            self._fail(key, error)
            return None
        self.progress.step(f"checking {label(key)}", 1)
        return subject

    def _take_checks(self) -> None:
        keys = {key.name: key for key in self._pending(elsewhere=True)}
        if not keys:
            return
        self.progress.step("checking the Triton paths in the interpreter")
        for name, found in self.bench.finish_checks().items():
            key = keys[name]
            if found.accuracy is None:
                self._set(key, status="failed", reason=found.reason)
            else:
                self._set(
                    key,
                    status="wrong" if found.accuracy.wrong else "checked",
                    reason=CHECKED,
                    accuracy=found.accuracy,
                    **self.bench.facts(key),
                )
            self.progress.step(f"checked {label(key)}", 1)

    def _time(self, case: Case, subjects: list[Subject], cases_left: int) -> None:
        """The rounds of `case` that are not in the samples yet, until its limits say that it is enough."""
        keys = {key.name: key for key in self._pending(case)}
        first = self._rounds_done(keys)
        failures = Failures()
        live = [subject for subject in subjects if self._settled(subject, keys[subject.name])]
        watch = self._watch(keys, cases_left)
        done, why = self._rounds(case, live, first, watch, failures)
        self._spent_ns += watch.spent_ns
        for subject in live:
            if subject.name in failures.by_name:
                self._fail(keys[subject.name], failures.by_name[subject.name])
                continue
            fields = {"reason": WAITS} if subject.waits else {}
            if why is not None:
                fields["stopped"] = watch.stopped(subject.name, why, done)
            self._set(keys[subject.name], **fields)

    def _watch(self, keys: dict[str, Key], cases_left: int) -> Watch:
        """The rounds of one case under watch, with its share of the time that is left and the samples it has."""
        budget = self.limits.budget_ns
        share = None if budget is None else max(0, budget - self._spent_ns) // cases_left
        watch = Watch(self.limits, baselines(keys.values()), self.bench.clock, share)
        samples = read_run(self.folder).samples
        rows = samples.filter(samples["key"].is_in(list(keys))).iter_rows()
        watch.add([Sample(*row) for row in rows])
        return watch

    def _rounds(
        self, case: Case, live: list[Subject], first: int, watch: Watch, failures: Failures
    ) -> tuple[int, str | None]:
        """(rounds done in all, why no other followed: None where every key failed)."""
        most = self.limits.rounds
        numbers = range(first, most)
        names = [subject.name for subject in live]
        done, why = first, None if numbers else "rounds"
        saved = time.monotonic()
        taken_rounds = measure(
            live,
            numbers,
            seed=self.run.seed,
            case=case.name,
            clock=self.bench.clock,
            device=self.bench.device,
            failures=failures,
            before_round=self.bench.refill,
            throttled=self.bench.throttled,
        )
        try:
            for number, taken in zip(numbers, taken_rounds, strict=False):
                self._unsaved += taken
                watch.add(taken)
                done = number + 1
                self.progress.step(f"timing {case.name}, round {done} of {most}", 1)
                if time.monotonic() - saved > FLUSH_S:
                    self._flush()
                    saved = time.monotonic()
                why = watch.reason(done, [name for name in names if name not in failures.by_name])
                if why is not None:
                    break
        finally:
            self._flush()
        self.progress.step(f"timed {case.name}", most - done)
        return done, why

    def _settled(self, subject: Subject, key: Key) -> bool:
        self.progress.step(f"warming up {label(key)}")
        try:
            self.bench.settle(subject)
        except Exception as error:
            self._fail(key, error)
            return False
        return True

    def _rounds_done(self, keys: dict[str, Key]) -> int:
        """The first round that no key of `keys` has a sample of."""
        samples = read_run(self.folder).samples
        mine = samples.filter(samples["key"].is_in(list(keys)))
        return int(mine["round"].max()) + 1 if mine.height else 0  # type: ignore[arg-type]

    def _flush(self) -> None:
        import polars as pl

        if self._unsaved:
            rows = [(s.key, s.round, s.clock, s.calls, s.ns, s.throttled) for s in self._unsaved]
            append_samples(self.folder, pl.DataFrame(rows, schema=samples_schema(), orient="row"))
            self._unsaved.clear()

    def _capture_all(self) -> None:
        if not self.capture:
            self._close_timed()
            return
        for case in self._cases():
            if not self._opened(case):
                continue
            for key in self._pending(case):
                self._capture(key)

    def _close_timed(self) -> None:
        for key in self._pending():
            wrong = wrong_reason(self.run.facts(key.name).accuracy)
            why = wrong or self.run.facts(key.name).reason
            self._set(key, status="wrong" if wrong else "measured", reason=why)
            self.progress.step(f"timed {label(key)}", 1)

    def _capture(self, key: Key) -> None:
        self.progress.step(f"capturing {label(key)}")
        try:
            self.bench.refill(0)
            trace, calls = self.bench.capture(self.bench.ready(key), key, self.folder)
        except Exception as error:
            wrong = wrong_reason(self.run.facts(key.name).accuracy)
            if wrong is None or isinstance(error, RopeProfError):
                self._fail(key, error)
            else:
                self._set(key, status="wrong", reason=f"{wrong}; not captured: {reason(error, key.case.tokens)}")
        else:
            facts = self.run.facts(key.name)
            wrong = wrong_reason(facts.accuracy)
            status = "wrong" if wrong else "measured"
            self._set(key, status=status, reason=wrong or facts.reason, trace=trace, captured_calls=calls)
        self.progress.step(f"captured {label(key)}", 1)


def label(key: Key) -> str:
    """`fused eager, 28b tp1 973 tokens bf16`."""
    case = key.case
    return f"{key.path} {key.mode}, {case.model} tp{case.tp} {case.tokens} tokens {case.dtype}"


def wrong_reason(accuracy: Accuracy | None) -> str | None:
    """Why a path is wrong; None where it is right."""
    if accuracy is None or not accuracy.wrong:
        return None
    if accuracy.nans:
        return f"{accuracy.nans} outputs are NaN"
    return f"max error {accuracy.max_error:.3g} is over the limit of {accuracy.limit:.3g}"
