"""One run folder, opened: every file is read once, every figure computed once, and all who ask get the same object.

Commands, exports, reports and the dashboard ask here and nowhere else, so that a field has one value. Knows which files
belong together and that a capture must be whole; computes nothing itself (`analysis`) and draws nothing (`views`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from threading import RLock
from typing import Any, TypeVar

import polars as pl

from rope_prof.analysis.requests.per_layer import PerLayer, per_layer
from rope_prof.analysis.run.capture import CaptureFigures, call_pattern, figures, require_whole
from rope_prof.analysis.run.ceilings import Ceilings, ceilings
from rope_prof.analysis.run.decomposition import Decomposition, decompose
from rope_prof.analysis.run.headline import BestAgainstBest, headlines
from rope_prof.analysis.run.modes import modes
from rope_prof.analysis.run.numbers import Numbers, numbers
from rope_prof.analysis.run.rows import Row, summary
from rope_prof.analysis.run.series import series
from rope_prof.analysis.trace.analyze import accounted
from rope_prof.analysis.trace.calls import call_frame
from rope_prof.analysis.trace.replays import named_calls, single_calls
from rope_prof.errors import RunError, TraceError
from rope_prof.io.kept import place
from rope_prof.io.run.folder import RunFolder, read_run
from rope_prof.io.trace.read import read_trace
from rope_prof.model.frozen import Frozen
from rope_prof.model.nsight import Nsight
from rope_prof.model.run import Case, Key, KeyFacts, Run
from rope_prof.model.trace import Trace
from rope_prof.opened.requests import OpenedRequests
from rope_prof.views.report.data import Captured, captured

#: Traces that stay in memory; who walks over the keys of a run needs the last one alone.
TRACES_KEPT = 8
#: Laid-out captures that stay in memory, of a run that is looked at.
CAPTURES_KEPT = 64

Read = Callable[[Path], Trace]
T = TypeVar("T")


class Capture(Frozen):
    """One key's trace with the frame of its calls (`single_calls`)."""

    trace: Trace
    calls: pl.DataFrame


def once(compute: Callable[[Any], T]) -> T:
    """A property of an opened run that is computed when it is first asked for, by one thread for all."""

    def kept(self: OpenedRun) -> T:
        with self._lock:
            if compute.__name__ not in self._once:
                self._once[compute.__name__] = compute(self)
            found: T = self._once[compute.__name__]
            return found

    return property(kept, doc=compute.__doc__)  # type: ignore[return-value]


class OpenedRun:
    """A run folder and everything that is made of it, on demand and once. May be shared by threads.

    `read` reads a trace; who keeps traces over several openings gives its own. `keep`: `read` takes a file as it is, so
    that figures of captures go into the user's cache and come from there; by default where it is `read_trace`.
    """

    def __init__(self, folder: RunFolder, read: Read = read_trace, *, keep: bool | None = None) -> None:
        self.folder = folder
        self._as_it_is = read is read_trace
        self._keep = self._as_it_is if keep is None else keep
        self._lock = RLock()
        self._read: Read = lru_cache(maxsize=TRACES_KEPT)(read)
        self._figures: dict[tuple[str, bool], CaptureFigures | None] = {}
        self._laid_out = lru_cache(maxsize=CAPTURES_KEPT)(self._lay_out)
        self._told = lru_cache(maxsize=CAPTURES_KEPT)(self._tell)
        self._split = lru_cache(maxsize=None)(self._decompose)
        self._limits = lru_cache(maxsize=None)(self._ceilings)
        self._once: dict[str, Any] = {}

    @property
    def path(self) -> Path:
        """The folder."""
        return self.folder.path

    @property
    def run(self) -> Run:
        """What `run.json` says."""
        return self.folder.run

    @property
    def samples(self) -> pl.DataFrame:
        """Every unprofiled sample."""
        return self.folder.samples

    def trace(self, facts: KeyFacts, *, light: bool = False) -> Trace | None:
        """The whole trace of that key, or its light one; None where it was not captured or the file is gone.

        Errors: TraceError for a file that is no trace; RunError for one that holds other calls than were recorded, of
        which figures would be wrong.
        """
        path = self.folder.trace_path(facts.key.name, light=light)
        if path is None:
            return None
        with self._lock:
            trace = self._read(path)
            if (facts.key.name, light) not in self._figures:
                self._figures[facts.key.name, light] = _whole(trace, facts, path)
            return trace

    def figures(self, facts: KeyFacts, *, light: bool = False) -> CaptureFigures | None:
        """What that capture says of a call; None without one. Errors: as of `trace`."""
        with self._lock:
            at = (facts.key.name, light)
            if at not in self._figures and self.trace(facts, light=light) is None:
                self._figures[at] = None
            return self._figures[at]

    def figures_or_reason(self, facts: KeyFacts) -> CaptureFigures | str:
        """The same, or why there are none: who compares times does without."""
        try:
            found = self.figures(facts)
        except (RunError, TraceError) as error:
            return str(error)
        if found is not None:
            return found
        label = facts.key.side
        return f"{label} was not captured" if facts.trace is None else f"the trace {facts.trace!r} is missing"

    @property
    def captures(self) -> dict[str, CaptureFigures]:
        """Key -> the figures of its capture. Errors: as of `trace`."""
        return self._captures(light=False)

    @property
    def light_captures(self) -> dict[str, CaptureFigures]:
        """The same of the captures at the lowest overhead."""
        return self._captures(light=True)

    def _captures(self, *, light: bool, of: Callable[[Key], bool] = lambda _: True) -> dict[str, CaptureFigures]:
        with self._lock:
            keys = [facts for facts in self.run.keys if of(facts.key)]
            named = [(facts, self.folder.trace_path(facts.key.name, light=light)) for facts in keys]
            paths = [(facts, path) for facts, path in named if path is not None]
            if self._keep and any((facts.key.name, light) not in self._figures for facts, _ in paths):
                kind = dict[str, CaptureFigures]
                words = [(facts.key.name, facts.captured_calls, path.name) for facts, path in paths]
                with place([kind, *words], [path for _, path in paths]).asked(kind) as kept:
                    # read anew: what was read before may be of other bytes
                    found = kept.value or kept.give(
                        {facts.key.name: _whole(read_trace(path), facts, path) for facts, path in paths}
                    )
                self._figures |= {(name, light): one for name, one in found.items()}
            every = ((facts.key.name, self.figures(facts, light=light)) for facts, _ in paths)
            return {name: one for name, one in every if one is not None}

    @once
    def rows(self) -> tuple[Row, ...]:
        """Every key with the figures of its samples and its captures. Errors: as of `trace`."""
        return summary(self.run, self.samples, self.captures, self.light_captures)

    def rows_of_case(self, case: str) -> tuple[Row, ...]:
        """`rows` with the figures of that case's captures alone, unless all are known: a fraction of them to read."""
        with self._lock:
            name = f"rows of {case}"
            if "rows" not in self._once and name not in self._once:
                full, few = (
                    self._captures(light=light, of=lambda key: key.case.name == case) for light in (False, True)
                )
                self._once[name] = summary(self.run, self.samples, full, few)
            found: tuple[Row, ...] = self._once.get("rows") or self._once[name]
            return found

    @once
    def headlines(self) -> tuple[BestAgainstBest, ...]:
        """Best against best, of each path and case."""
        found = series(self.samples, self.run)
        return headlines(self.run, found, modes(self.run, found))

    @once
    def numbers(self) -> Numbers:
        """Everything that is computed of the run. Errors: as of `trace`."""
        found = numbers(self.run, self.samples, self.captures, self.light_captures)
        self._once |= {"rows": found.rows, "headlines": found.headlines}
        return found

    @once
    def nsight(self) -> Nsight | None:
        """What NVIDIA's own tools said of the run; None where none was asked. Errors: RunError."""
        return self.folder.nsight

    @once
    def requests(self) -> OpenedRequests | None:
        """The whole requests that were measured into the run; None where there are none. Errors: RunError."""
        found = self.folder.end_to_end
        return None if found is None else OpenedRequests(found, self._read, keep=self._as_it_is)

    @once
    def per_layer(self) -> tuple[PerLayer, ...]:
        """What the run's calls foretell of its whole requests, beside what came: from times, no capture is read."""
        found = self.requests
        return () if found is None else per_layer(summary(self.run, self.samples, {}), found.facts, found.rows)

    def capture(self, facts: KeyFacts) -> Capture | None:
        """The trace of that key, whole or not, ready to be drawn; None where there is none. Errors: TraceError."""
        path = self.folder.trace_path(facts.key.name)
        with self._lock:
            return None if path is None else self._laid_out(path, facts.key)

    def _lay_out(self, path: Path, key: Key) -> Capture:
        trace = accounted(self._read(path))
        frame = call_frame(trace, call_pattern(key.name), kind="record_function")
        return Capture(named_calls(trace, key.name), single_calls(trace, frame))

    def account(self, facts: KeyFacts, *, whole: bool = True) -> Captured | None:
        """Median call of that key's trace, of the `whole` kernels and gaps; None without one. Errors: TraceError."""
        with self._lock:
            return None if self.folder.trace_path(facts.key.name) is None else self._told(facts.key.name, whole)

    def _tell(self, name: str, whole: bool) -> Captured:
        facts = self.run.facts(name)
        path = self.folder.trace_path(name)
        if path is None:
            raise TraceError(f"the trace {facts.trace!r} is missing")
        return captured(self._read(path), facts, whole=whole)

    def decomposed(self, base: Key, cand: Key) -> Decomposition | None:
        """Where the time goes that `cand` saves of `base`; None where a side is not ranked, timed or captured."""
        with self._lock:
            return self._split(base, cand)

    def _decompose(self, base: Key, cand: Key) -> Decomposition | None:
        captures = self._captures(light=False, of=lambda key: key.case in (base.case, cand.case))
        return decompose(self.run, self.samples, captures, base, cand)

    def limits(self, case: Case, rank: int) -> Ceilings:
        """What the card of that rank itself did in the rounds of that case."""
        with self._lock:
            return self._limits(case, rank)

    def _ceilings(self, case: Case, rank: int) -> Ceilings:
        return ceilings(self.run, self.samples, case, rank)


def _whole(trace: Trace, facts: KeyFacts, path: Path) -> CaptureFigures:
    """The figures of a capture of that key. Errors: RunError where it holds other calls than were recorded."""
    found = figures(trace, facts.key)
    require_whole(trace, found, replace(facts, trace=path.name))
    return found


def open_run(path: Path, read: Read = read_trace, *, keep: bool | None = None) -> OpenedRun:
    """The run in the folder `path`. Errors: RunError, as of `io.run.folder.read_run`."""
    return OpenedRun(read_run(path), read, keep=keep)
