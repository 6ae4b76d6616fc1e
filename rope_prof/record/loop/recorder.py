"""The recording itself: check, time, capture; every step leaves a run folder that reads and that can go on.

Order matters: all timed passes of all cases come before the first capture, since a profiler that has run once stays
attached. Keys of one case take turns in rounds, so that drift of the machine meets all of them alike. The checks in
Triton's interpreter run in a child while the parent compiles, and are waited for before anything is timed.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from rope_prof.errors import RopeProfError
from rope_prof.model.run import Case, Key, Run
from rope_prof.record.loop.book import Book, wrong_reason
from rope_prof.record.loop.describe import reason
from rope_prof.record.loop.plan import CHECKED
from rope_prof.record.loop.protocols import Bench, Others, Progress
from rope_prof.record.loop.rounds import Rounds
from rope_prof.record.loop.stopping import Limits
from rope_prof.record.loop.timing import Subject


class InterruptedRecordingError(RopeProfError):
    """Ctrl-C: what was done is kept; the message says how to go on."""

    code = "interrupted"


@dataclass(slots=True)
class Recorder:
    """One recording into `folder`. `run` holds the plan, and what is known of it so far.

    Without `capture` the keys are timed alone: a sweep. `others`: the ranks that record the same plan at once; each
    case is begun with them, and timed once more by each rank while they wait.
    """

    folder: Path
    run: Run
    bench: Bench
    progress: Progress
    limits: Limits
    capture: bool = True
    others: Others | None = None
    book: Book = field(init=False)

    def __post_init__(self) -> None:
        self.book = Book(self.folder, self.run, self.bench.kind)

    def record(self) -> Run:
        """Do all that is pending. Errors: RunError for a folder that cannot be written; InterruptedRecordingError."""
        try:
            self.book.save()
            self.progress.total(self._steps())
            self._time_all()
            self._capture_all()
            self.book.save(complete=True)
        except KeyboardInterrupt:
            raise InterruptedRecordingError(self._how_to_resume()) from None
        finally:
            self.bench.close()
        return self.book.run

    def _how_to_resume(self) -> str:
        keys = self.book.run.keys
        left = sum(facts.status == "pending" for facts in keys)
        return (
            f"stopped with {left} of {len(keys)} keys unfinished; what is done is kept: "
            f"{self.book.run.going_on(str(self.folder))}"
        )

    def _steps(self) -> int:
        book = self.book
        timed = len(book.pending()) + self.limits.rounds * len(book.cases())
        return self.limits.repeats * timed + len(book.pending()) + len(book.pending(elsewhere=True))

    def _time_all(self) -> None:
        elsewhere = self.book.pending(elsewhere=True)
        if elsewhere:
            self.bench.start_checks(elsewhere)
        rounds = Rounds(self.book, self.bench, self.progress, self.limits)
        first = min(self.book.rounds_done() // self.limits.rounds, self.limits.repeats - 1)
        for repeat in range(first, self.limits.repeats):
            if repeat > first:
                self.bench.renew()
            rounds.repeat = repeat
            self._time_cases(rounds)
        self._take_checks()

    def _time_cases(self, rounds: Rounds) -> None:
        """Each case by the processes at work. Every other time the keys come the other way round: ABBA."""
        cases = self.book.cases()
        for number, case in enumerate(cases):
            opened = self._opened(case)
            keys = self.book.pending(case)[:: -1 if rounds.repeat % 2 else 1] if opened else ()
            if opened:
                self.bench.check_ahead(keys)
            subjects = [subject for key in keys if (subject := self._prepared(key))]
            if opened:
                self._take_checks()
            if self.others is not None:
                self.others.meet()
            if opened:
                rounds.time(case, subjects, cases_left=len(cases) - number)
            if self.others is not None:
                self.progress.step(f"timing {case.words}, each rank alone")
                self.others.in_turn(partial(rounds.alone, case, subjects))

    def _opened(self, case: Case) -> bool:
        """Make the input of `case`; where that fails, all its keys do."""
        try:
            self.bench.open_case(case)
        except (Exception, SystemExit) as error:
            for key in self.book.pending(case):
                self.book.fail(key, error)
            return False
        return True

    def _prepared(self, key: Key) -> Subject | None:
        self.progress.step(f"checking {key.words}")
        try:
            accuracy, first_ns = self.bench.check(key)
            known = self.book.run.facts(key.name).accuracy
            accuracy = known if known is not None and known.wrong else accuracy
            subject = self.bench.ready(key)
            self.book.set(key, accuracy=accuracy, first_call_ns=first_ns, **self.bench.facts(key))
            self.book.remark(key, subject.remark)
        except (Exception, SystemExit) as error:
            self.book.fail(key, error)
            return None
        self.progress.step(f"checking {key.words}", 1)
        return subject

    def _take_checks(self) -> None:
        keys = {key.name: key for key in self.book.pending(elsewhere=True)}
        if not keys:
            return
        self.progress.step("checking the Triton paths in the interpreter")
        for name, found in self.bench.finish_checks().items():
            key = keys[name]
            if found.accuracy is None:
                self.book.set(key, status="failed", reason=found.reason)
            else:
                self.book.set(
                    key,
                    status="wrong" if found.accuracy.wrong else "checked",
                    reason=CHECKED,
                    accuracy=found.accuracy,
                    **self.bench.facts(key),
                )
            self.progress.step(f"checked {key.words}", 1)

    def _capture_all(self) -> None:
        if not self.capture:
            for key in self.book.pending():
                self.book.close(key)
                self.progress.step(f"timed {key.words}", 1)
            return
        for case in self.book.cases():
            if not self._opened(case):
                continue
            keys = self.book.pending(case)
            for key in keys:
                self._capture(key)
            self._trace_nodes(case)

    def _capture(self, key: Key) -> None:
        self.progress.step(f"capturing {key.words}")
        try:
            self.bench.refill(0)
            subject = self.bench.ready(key)
            trace, calls = self.bench.capture(subject, key, self.folder)
            light = self.bench.capture_light(subject, key, self.folder)
        except (Exception, SystemExit) as error:
            wrong = wrong_reason(self.book.run.facts(key.name).accuracy)
            if wrong is None or isinstance(error, RopeProfError):
                self.book.fail(key, error)
            else:
                self.book.set(key, status="wrong", reason=f"{wrong}; not captured: {reason(error, key.case)}")
        else:
            self.book.remark(key, subject.remark)
            self.book.close(key, trace=trace, light_trace=light, captured_calls=calls)
        self.progress.step(f"captured {key.words}", 1)

    def _trace_nodes(self, case: Case) -> None:
        """What a node of the ceilings' graphs is busy, which no clock outside a profiler tells."""
        timed = (c for c in self.book.run.ceilings if c.case == case and c.status == "measured")
        nodes = {c.key_name: c for c in timed if c.name == "graph_node"}
        if not nodes:
            return
        self.progress.step(f"tracing the graph nodes of {case.words}")
        rank = next(iter(nodes.values())).rank
        for ceiling, subject in self.bench.ceilings(case, rank, ("graph_node",)):
            known = nodes.get(ceiling.key_name)
            if known is None or subject is None:
                continue
            try:
                self.book.put_ceilings(replace(known, busy_ns=self.bench.node_busy(subject)))
            except (Exception, SystemExit) as error:
                if isinstance(error, RopeProfError):
                    raise
                self.book.put_ceilings(replace(known, reason=f"not traced: {reason(error, case)}"))
