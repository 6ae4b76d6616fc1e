"""The book of one recording: the run as far as it is known, its samples, what is left. An entry is on disk at once."""

from __future__ import annotations

import time
from dataclasses import astuple, dataclass, field, replace
from pathlib import Path
from typing import Any

import polars as pl

from rope_prof.errors import OperationError, RopeProfError, UnavailableError
from rope_prof.io.run.folder import append_samples, is_run, read_run, write_run
from rope_prof.model.kind import Kind
from rope_prof.model.run import Accuracy, Case, Ceiling, Key, Run
from rope_prof.model.samples import conditions_schema, samples_schema
from rope_prof.record.loop.describe import reason
from rope_prof.record.loop.plan import interpreted
from rope_prof.record.loop.timing import Sample

#: Of a path that is right on its first call and wrong once it was timed: it keeps what it made, or loses its input.
LATER = "right on its first call, wrong after it was timed"
#: Seconds of samples that a kill may cost.
FLUSH_S = 2.0


@dataclass(slots=True)
class Book:
    """`run` in `folder`: what is planned, and what is known of it so far. Errors: RunError where it is not writable."""

    folder: Path
    run: Run
    kind: Kind
    _unsaved: list[Sample] = field(default_factory=list)
    _saved_at: float = 0.0

    def save(self, **fields: Any) -> None:
        """Write the run, with `fields` of it changed."""
        self.run = replace(self.run, **fields)
        write_run(self.folder, self.run)

    def set(self, key: Key, **fields: Any) -> None:
        """Change facts of `key`."""
        self.save(keys=tuple(replace(f, **fields) if f.key == key else f for f in self.run.keys))

    def remark(self, key: Key, said: str | None) -> None:
        """Say of `key` how it came to be measured, beside what else is said of it."""
        known = self.run.facts(key.name).reason
        if said is not None and known != LATER and said not in (known or ""):
            self.set(key, reason=said if known is None else f"{known}; {said}")

    def close(self, key: Key, **fields: Any) -> None:
        """`key` is done: measured, or wrong with its reason."""
        facts = self.run.facts(key.name)
        wrong = wrong_reason(facts.accuracy)
        told = f"{facts.reason}: {wrong}" if wrong and facts.reason == LATER else wrong or facts.reason
        self.set(key, status="wrong" if wrong else "measured", reason=told, **fields)

    def fail(self, key: Key, error: BaseException) -> None:
        """Mark `key`; an error of our own that is not about the key ends the recording.

        So does an operation that lies before anything is known: there is nothing that could be kept.
        """
        if isinstance(error, UnavailableError):
            self.set(key, status="unavailable", reason=str(error))
        elif isinstance(error, OperationError) and any(facts.accuracy is not None for facts in self.run.keys):
            self.set(key, status="failed", reason=str(error))
        elif isinstance(error, RopeProfError):
            raise error
        else:
            self.set(key, status="failed", reason=reason(error, key.case))

    def pending(self, case: Case | None = None, *, elsewhere: bool = False) -> tuple[Key, ...]:
        """What is left, of `case` or of all; `elsewhere`: what only Triton's interpreter can check."""
        return tuple(
            facts.key
            for facts in self.run.keys
            if facts.status == "pending"
            and interpreted(facts, self.kind) is elsewhere
            and case in (None, facts.key.case)
        )

    def cases(self) -> tuple[Case, ...]:
        """The cases with something left."""
        return tuple(dict.fromkeys(key.case for key in self.pending()))

    def put_ceilings(self, *new: Ceiling) -> None:
        """Enter `new`, in the place of those of the same names."""
        ours = {ceiling.key_name: ceiling for ceiling in self.run.ceilings}
        ours |= {ceiling.key_name: ceiling for ceiling in new}
        self.save(ceilings=tuple(ours.values()))

    def samples_of(self, names: list[str]) -> list[Sample]:
        """The samples on disk of the keys called `names`."""
        samples = read_run(self.folder).samples
        return [Sample(*row) for row in samples.filter(samples["key"].is_in(names)).iter_rows()]

    def rounds_done(self) -> int:
        """Rounds of which samples are on disk, in the case that has the fewest."""
        last = dict.fromkeys(self.cases(), 0)
        where = {key.name: key.case for key in self.pending()}
        for sample in self.samples_of(list(where)) if is_run(self.folder) else []:
            last[where[sample.key]] = max(last[where[sample.key]], sample.round + 1)
        return min(last.values(), default=0)

    def add(self, samples: list[Sample]) -> None:
        """Take in the samples of a round; on disk every two seconds."""
        self._unsaved += samples
        now = time.monotonic()
        self._saved_at = self._saved_at or now
        if now - self._saved_at > FLUSH_S:
            self.flush()

    def flush(self) -> None:
        """All samples to disk."""
        self._saved_at = time.monotonic()
        if self._unsaved:
            schema = samples_schema() | conditions_schema()
            append_samples(self.folder, pl.DataFrame([astuple(s) for s in self._unsaved], schema=schema, orient="row"))
            self._unsaved.clear()


def wrong_reason(accuracy: Accuracy | None) -> str | None:
    """Why a path is wrong; None where it is right."""
    if accuracy is None or not accuracy.wrong:
        return None
    if accuracy.nans:
        return f"{accuracy.nans} outputs are NaN or infinite where the reference is not, or it is where they are not"
    bad = next((one for one in accuracy.outputs if one.wrong), None)
    if bad is not None or not accuracy.max_error <= accuracy.limit:
        found, of = (accuracy, "") if bad is None or len(accuracy.outputs) == 1 else (bad, f" of {bad.name!r}")
        if bad is not None and bad.max_error <= bad.limit:
            share, limit = 100 * bad.far_share, 100 * bad.far_limit
            return f"{share:.3g} % of {bad.name!r} err by over a quarter of their value; the limit is {limit:.3g} %"
        return f"max error{of} {found.max_error:.3g} is over the limit of {found.limit:.3g}"
    one = accuracy.layout_errors[0]
    more = len(accuracy.layout_errors) - 1
    others = f"; and in {more} more layouts" if more else ""
    return f"wrong where {one.argument!r} is {one.layout}: {one.reason}{others}"
