"""The timed rounds of one case: its keys and the ceilings of the card take turns until the limits say it is enough."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from rope_prof.model.run import Case, Ceiling, Key, Why
from rope_prof.model.samples import ALONE
from rope_prof.record.loop.book import LATER, Book
from rope_prof.record.loop.describe import reason
from rope_prof.record.loop.protocols import Bench, Progress
from rope_prof.record.loop.stopping import Limits, Watch, baselines
from rope_prof.record.loop.timing import Failures, Sample, Subject, level, measure

#: Rounds of a rank while all others wait; seven are the least that two sides are compared by.
ALONE_ROUNDS = 8
WAITS = "no device time: the path waits for the device within a call"


@dataclass(slots=True)
class Rounds:
    """Times case after case; `spent_ns` of the budget is gone. `repeat`: how many processes a path had before."""

    book: Book
    bench: Bench
    progress: Progress
    limits: Limits
    spent_ns: int = 0
    repeat: int = 0

    def time(self, case: Case, subjects: list[Subject], cases_left: int) -> None:
        """The rounds of `case` that are not in the samples yet; what fails leaves them and is marked."""
        keys = {key.name: key for key in self.book.pending(case)}
        live = [subject for subject in subjects if self._settled(subject, keys[subject.name])]
        level(live)
        ceilings = self._ceilings(case, keys[live[0].name].rank) if live else []
        watch = self._watch(keys, cases_left)
        failures = Failures()
        done, why = self._rounds(case, live, [subject for _, subject in ceilings], watch, failures)
        self.spent_ns += watch.spent_ns
        for subject in live:
            self._enter(keys[subject.name], subject, failures, watch, done, why)
        for ceiling, subject in ceilings:
            error = failures.by_name.get(subject.name)
            told: dict[str, Any] = {"status": "measured"}
            if error is not None:
                told = {"status": "failed", "reason": reason(error, case)}
            self.book.put_ceilings(replace(ceiling, **told))

    def alone(self, case: Case, subjects: list[Subject]) -> None:
        """Rounds of what has been timed of `case`, by this rank while all others wait; what fails in them has none."""
        left = {key.name for key in self.book.pending(case)}
        live = [subject for subject in subjects if subject.name in left]
        for taken in self._taken(case, live, range(ALONE_ROUNDS), Failures()):
            self.book.add([replace(sample, key=ALONE + sample.key) for sample in taken])
        self.book.flush()

    def _taken(self, case: Case, subjects: list[Subject], numbers: range, failures: Failures) -> Iterator[list[Sample]]:
        return measure(
            subjects,
            numbers,
            seed=self.book.run.seed,
            case=case.name,
            clock=self.bench.clock,
            device=self.bench.device,
            failures=failures,
            before_round=self.bench.refill,
            throttled=self.bench.throttled,
            conditions=self.bench.conditions,
        )

    def _enter(self, key: Key, subject: Subject, failures: Failures, watch: Watch, done: int, why: Why | None) -> None:
        if subject.name in failures.by_name:
            self.book.fail(key, failures.by_name[subject.name])
            return
        fields: dict[str, Any] = {"reason": WAITS} if subject.waits else {}
        if why is not None:
            fields["stopped"] = watch.stopped(subject.name, why, done)
        try:
            again, _ = self.bench.check(key)
        except Exception as error:
            self.book.fail(key, error)
            return
        before = self.book.run.facts(key.name).accuracy
        if again.wrong and before is not None and not before.wrong:  # what was timed is not what was checked
            fields |= {"accuracy": again, "reason": LATER}
        self.book.set(key, **fields)
        self.book.remark(key, subject.remark)

    def _settled(self, subject: Subject, key: Key) -> bool:
        self.progress.step(f"warming up {key.words}")
        try:
            self.bench.settle(subject)
        except (Exception, SystemExit) as error:
            self.book.fail(key, error)
            return False
        return True

    def _ceilings(self, case: Case, rank: int) -> list[tuple[Ceiling, Subject]]:
        """Those that run here; the others are entered with their reasons."""
        self.progress.step(f"warming up the ceilings of {case.words}")
        live = []
        for ceiling, subject in self.bench.ceilings(case, rank):
            entry = ceiling
            if subject is not None:
                try:
                    self.bench.settle_ceiling(subject)
                except (Exception, SystemExit) as error:
                    entry = replace(ceiling, status="failed", reason=reason(error, case))
                else:
                    live.append((ceiling, subject))
            self.book.put_ceilings(entry)
        return live

    @property
    def _limits(self) -> Limits:
        """The rounds are counted through all processes: those at work now end with this one."""
        return replace(self.limits, rounds=(self.repeat + 1) * self.limits.rounds)

    def _watch(self, keys: dict[str, Key], cases_left: int) -> Watch:
        """The rounds of one case under watch, with its share of the time that is left and the samples it has."""
        budget = self.limits.budget_ns
        repeats_left = self.limits.repeats - self.repeat
        share = None if budget is None else max(0, budget - self.spent_ns) // (cases_left * repeats_left)
        watch = Watch(self._limits, baselines(keys.values()), self.bench.clock, share)
        watch.add(self.book.samples_of(list(keys)))
        return watch

    def _rounds(
        self, case: Case, live: list[Subject], ceilings: list[Subject], watch: Watch, failures: Failures
    ) -> tuple[int, Why | None]:
        """(rounds done in all, why no other followed: None where every key failed)."""
        most = self._limits.rounds
        names = [subject.name for subject in live]
        numbers = range(max(watch.rounds_done, self.repeat * self.limits.rounds), most)
        done = numbers.start
        why: Why | None = None if numbers else "rounds"
        try:
            for number, taken in zip(numbers, self._taken(case, [*live, *ceilings], numbers, failures), strict=False):
                left = [name for name in names if name not in failures.by_name]
                if not left:
                    break
                self.book.add(taken)
                watch.add([sample for sample in taken if sample.key in left])
                done = number + 1
                self.progress.step(f"timing {case.words}, round {done} of {most}", 1)
                why = watch.reason(done, left)
                if why is not None:
                    break
        finally:
            self.book.flush()
        self.progress.step(f"timed {case.words}", most - done)
        return done, why
