"""When the rounds of a case end: the intervals are narrow enough, the time is spent, or all rounds are done.

The interval is that of the paired wall ratio of each path to the baseline of its case (`analysis.stats`): its whole
width over the ratio. It is looked at after every tenth round only, and must be narrow at two looks in a row: an
interval that is looked at until it pleases is one that happens to be narrow, and covers less than it says. Of 20,000
simulated runs whose intervals state 95 %, 94.0 to 94.6 % hold the truth where the first narrow look ends them and 94.9
to 95.2 % where the second does. The rule heeds the width alone, never the side of the ratio.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from rope_prof.analysis.stats import LEAST_APART, Figure, figure, paired_ratio
from rope_prof.errors import UsageError
from rope_prof.model.run import Key, Stopped, Why
from rope_prof.record.loop.timing import Clock, Sample
from rope_prof.units import SECOND

#: Rounds between two looks, and before the first that may end it.
LOOK_EVERY = 10
FIRST_LOOK = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """`rounds` at most, of each of `repeats` processes; `precision`: 0.01 asks for intervals under 1 %; `budget_ns`:
    time for rounds of all cases.

    The budget ends no case before it has rounds enough to be compared with another run (`stats.LEAST_APART`): what can
    be held against nothing decides nothing.
    """

    rounds: int
    precision: float | None = None
    budget_ns: int | None = None
    repeats: int = 1


def parse_precision(word: str) -> float:
    """`1%` and `0.01` -> 0.01. UsageError for what is no share between 0 and 1."""
    found = re.fullmatch(r"\s*([0-9]*\.?[0-9]+)\s*(%?)\s*", word, re.ASCII)
    share = float(found[1]) / (100 if found[2] else 1) if found else 0.0
    if not 0 < share < 1:
        raise UsageError(f"precision {word!r}; expected a share between 0 and 1, as in --precision 1%")
    return share


def baselines(keys: Iterable[Key]) -> dict[str, str]:
    """Each key's name -> that of the baseline of its case: run eagerly, of the same L2 state; the first, else."""
    first: dict[object, str] = {}
    eager: dict[object, str] = {}
    listed = list(keys)
    for key in listed:
        group = (key.case, key.rank, key.l2)
        first.setdefault(group, key.name)
        if key.is_baseline and key.mode == "eager":
            eager[group] = key.name
    groups = first | eager
    return {key.name: groups[(key.case, key.rank, key.l2)] for key in listed}


@dataclass(slots=True)
class Watch:
    """The rounds of one case. `spent` says how much of `budget_ns` (its share) is gone since it was made."""

    limits: Limits
    baselines: dict[str, str]
    clock: Clock
    budget_ns: int | None
    _ns: dict[str, dict[int, float]] = field(default_factory=dict)
    _begun: int = 0

    def __post_init__(self) -> None:
        self._begun = self.clock()

    def add(self, samples: Sequence[Sample]) -> None:
        """Take in the samples of a round."""
        for sample in samples:
            if sample.clock == "wall":
                self._ns.setdefault(sample.key, {})[sample.round] = sample.ns / sample.calls

    @property
    def spent_ns(self) -> int:
        """Time since the watch was made."""
        return self.clock() - self._begun

    @property
    def rounds_done(self) -> int:
        """The first round that no key has a sample of."""
        return max((number + 1 for rounds in self._ns.values() for number in rounds), default=0)

    def width(self, name: str, before: int | None = None) -> float | None:
        """Width of the interval of `name` over its centre, by all rounds or those `before` one; None under six.

        That of its ratio to the baseline; of the baseline itself, that of its own median.
        """
        mine, other = self._ns.get(name, {}), self._ns.get(self.baselines[name], {})
        if before is not None:
            mine = {number: ns for number, ns in mine.items() if number < before}
        found = figure(list(mine.values())) if self.baselines[name] == name else paired_ratio(other, mine)
        return _width(found)

    def reason(self, done: int, live: Sequence[str]) -> Why | None:
        """Why no round follows the first `done`; None where one does. `live` are the keys that still take part."""
        if self._precise(done, live):
            return "precision"
        if self.budget_ns is not None and self.spent_ns >= self.budget_ns and done >= LEAST_APART:
            return "budget"
        return "rounds" if done >= self.limits.rounds else None

    def _precise(self, done: int, live: Sequence[str]) -> bool:
        if self.limits.precision is None or done < FIRST_LOOK or done % LOOK_EVERY:
            return False
        judged = [name for name in live if self.baselines[name] != name] or list(live)
        widths = [self.width(name, before) for before in (done, done - LOOK_EVERY) for name in judged]
        return all(width is not None and width < self.limits.precision for width in widths)

    def stopped(self, name: str, why: Why, done: int) -> Stopped:
        """`KeyFacts.stopped` of the key called `name`."""
        asked = {"precision": self.limits.precision, "budget": (self.budget_ns or 0) / SECOND, "rounds": None}
        own = self.baselines[name] == name
        return Stopped(why=why, rounds=done, width=self.width(name), of="median" if own else "ratio", asked=asked[why])


def _width(found: Figure | None) -> float | None:
    if found is None or found.lo is None or found.hi is None or found.median <= 0:
        return None
    return (found.hi - found.lo) / found.median
