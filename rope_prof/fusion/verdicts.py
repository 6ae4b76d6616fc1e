"""What a recording of a script's paths says of each candidate: one verdict a case and L2 state, by the rules of the
analysis.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from rope_prof.analysis.run.numbers import Numbers
from rope_prof.analysis.verdict import SAME_WITHIN, Word, judge
from rope_prof.model.run import Case, KeyFacts, Mode
from rope_prof.units import ratio

Finding = Word | Literal["WRONG"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FusionVerdict:
    """One candidate against the baseline in one case, each in the mode that is named, by walls of the same rounds.

    `case` ends in the L2 state, as `n4096, hot L2`, where the run has both.
    `speedup` is baseline / candidate, `lo` and `hi` its 95 % interval over `rounds` rounds; None where it was not
    timed, or is WRONG, for the `reason` given.
    """

    word: Finding
    case: str
    path: str
    baseline: str
    l2: str
    mode: str | None = None
    baseline_mode: str | None = None
    speedup: float | None = None
    lo: float | None = None
    hi: float | None = None
    rounds: int = 0
    reason: str | None = None

    @property
    def sentence(self) -> str:
        """The verdict in words."""
        if self.word == "WRONG":
            return f"{self.path} ({self.mode}) is wrong at {self.case}: {self.reason}"
        if self.speedup is None:
            return f"{self.path} was not held against {self.baseline} at {self.case}: {self.reason}"
        interval = "too few rounds for an interval"
        if self.lo is not None and self.hi is not None:
            ends = (1 / self.hi, 1 / self.lo) if self.word == "SLOWER" else (self.lo, self.hi)
            interval = f"95 % interval {ratio(ends[0])} to {ratio(ends[1])}"
        sides = f"{self.path} ({self.mode}) is {self._told} {self.baseline} ({self.baseline_mode})"
        return f"{sides} at {self.case}; {interval}, {self.rounds} rounds"

    @property
    def _told(self) -> str:
        assert self.speedup is not None
        if self.word == "SAME":
            return f"as fast, within {100 * SAME_WITHIN:g} %, as"
        if self.word == "FASTER":
            return f"{ratio(self.speedup)} faster than"
        if self.word == "SLOWER":
            return f"{ratio(1 / self.speedup)} slower than"
        return f"at {ratio(self.speedup)}, {self.word.lower()}, against"


def verdicts(found: Numbers, mode: Mode | None = None) -> tuple[FusionVerdict, ...]:
    """One a case, L2 state and candidate, in the order of the run: both sides in `mode`; else each in its fastest."""
    base = found.run.operation.baseline
    keys = [facts.key for facts in found.run.keys]
    several = len({key.l2 for key in keys}) > 1
    asked = dict.fromkeys((key.case, key.l2, key.path) for key in keys if key.path != base)
    return tuple(
        _verdict(found, FusionVerdict(word="UNKNOWN", case=words, path=path, baseline=base, l2=l2), case, mode)
        for case, l2, path in asked
        for words in (f"{case.words}, {l2} L2" if several else case.words,)
    )


def _verdict(found: Numbers, verdict: FusionVerdict, case: Case, mode: Mode | None) -> FusionVerdict:
    path, base, place = verdict.path, verdict.baseline, (case, verdict.l2)
    keys = (facts for facts in found.run.keys if (facts.key.case, facts.key.l2) == place)
    there = [facts for facts in keys if mode in (None, facts.key.mode)]
    mine = [facts for facts in there if facts.key.path == path]
    theirs = [facts for facts in there if facts.key.path == base]
    wrong = next((facts for facts in mine if facts.status == "wrong"), None)
    if wrong is not None:
        return replace(verdict, word="WRONG", mode=wrong.key.mode, reason=wrong.reason)
    row = next((row for row in found.modes if (row.case, row.l2) == place and row.path == path), None)
    figure = None if row is None else row.after_all if mode is None else row.fusing.get(mode)
    if row is None or figure is None or row.fastest is None:
        return replace(verdict, reason=_why(mine, theirs, path, base))
    theirs_in, mine_in = row.fastest if mode is None else (mode, mode)
    return replace(
        verdict,
        word=judge(figure.lo, figure.hi),
        baseline_mode=theirs_in,
        mode=mine_in,
        speedup=figure.median,
        lo=figure.lo,
        hi=figure.hi,
        rounds=figure.n,
    )


def _why(mine: Sequence[KeyFacts], theirs: Sequence[KeyFacts], path: str, base: str) -> str:
    """Why there is no ratio: the first reason of the candidate, else of the baseline."""
    return next(_reasons(mine, path), None) or next(_reasons(theirs, base), None) or "it has no sample"


def _reasons(facts: Sequence[KeyFacts], path: str) -> Iterator[str]:
    for one in facts:
        if one.status != "measured":
            yield f"{path} {one.key.mode} is {one.status} ({one.reason or 'not reached'})"
