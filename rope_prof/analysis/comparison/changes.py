"""A name's recordings as histories: the median of each key over commits, and where its level changed. Pure.

Change points are those of PELT on the logarithms of medians (l2 cost, at least two recordings a level), by the library
`ruptures`. A change costs `COST` s² log n, s being what one recording scatters: the larger of what neighbours differ by
(their median absolute difference), of what runs of the same code were known to differ by (A/A), and of what counts as
no difference. A change within what counts as the same, or whose interval holds 1, is none. Sources: Killick, Fearnhead
and Eckley, Optimal detection of changepoints with a linear computational cost, 2012; Zhang and Siegmund, A modified
Bayes information criterion, 2007, whose factor of log n is 3.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from itertools import pairwise
from math import log
from statistics import median

import numpy as np

from rope_prof.analysis.comparison.family import t_interval
from rope_prof.analysis.stats import COVERAGE
from rope_prof.analysis.verdict import SAME_WITHIN, Word, judge
from rope_prof.errors import UnavailableError
from rope_prof.model.baseline import BaselineKey, KeptFigure, NamedRun

#: Levels are of so many recordings at least: one alone is no level.
LEAST_LEVEL = 2
#: 95 % of pairs of one code lie within this many scatters of one recording: 1.96 times the root of two.
_PAIRS = 2.772
#: The median absolute difference of neighbours, of which each scatters by s, is so many s.
_NEIGHBOURS = 0.6745 * 2**0.5
#: More than the criterion's 3, since s is estimated from the same few recordings: of 20 without a change 3 % show one.
COST = 5
CLOCKS = ("wall", "device")


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangePoint:
    """From place `at` of the line on its level is `after_ns`, until then `before_ns`, both medians a call.

    `ratio` is before / after with its interval over recordings: over 1 it got faster.
    """

    at: int
    before_ns: float
    after_ns: float
    ratio: float
    lo: float
    hi: float

    @property
    def word(self) -> Word:
        """FASTER or SLOWER."""
        return judge(self.lo, self.hi)


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryLine:
    """One key by one clock: in each recording that has it (`places`, of the history's) its figure, and its changes."""

    key: BaselineKey
    clock: str
    places: tuple[int, ...]
    figures_ns: tuple[KeptFigure, ...]
    changes: tuple[ChangePoint, ...] = ()

    @property
    def levels(self) -> tuple[tuple[int, int, float], ...]:
        """(first place, behind the last, median) of each stretch between changes, in places of the line."""
        cuts = [0, *(one.at for one in self.changes), len(self.places)]
        return tuple((i, j, median(one.median for one in self.figures_ns[i:j])) for i, j in pairwise(cuts))


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedHistory:
    """Every recording of one operation and device under a name, the oldest first, and a line a key and clock.

    `unknown`: why no changes were looked for, None where they were.
    """

    name: str
    operation: str
    device: str
    recordings: tuple[NamedRun, ...]
    lines: tuple[HistoryLine, ...]
    unknown: str | None = None


def histories(found: Sequence[NamedRun]) -> tuple[NamedHistory, ...]:
    """One of each operation and device among the recordings of a name, given the oldest first."""
    groups: dict[tuple[str, str], list[NamedRun]] = {}
    for one in found:
        groups.setdefault((one.operation, one.device), []).append(one)
    return tuple(_history(tuple(ones)) for ones in groups.values())


def _history(recordings: tuple[NamedRun, ...]) -> NamedHistory:
    last, unknown, lines = recordings[-1], None, []
    for name in dict.fromkeys(key for one in recordings for key in one.keys):
        for clock in CLOCKS:
            had = [
                (place, one.keys[name].figures_ns[clock])
                for place, one in enumerate(recordings)
                if name in one.keys and clock in one.keys[name].figures_ns
            ]
            if not had:
                continue
            places, figures = zip(*had, strict=True)
            key = next(one.keys[name] for one in reversed(recordings) if name in one.keys)
            factor = max(one.spread.get(f"{key.mode} {key.l2}", {}).get(clock, 1.0) for one in recordings)
            try:
                changes = change_points([one.median for one in figures], factor)
            except UnavailableError as error:
                changes, unknown = (), str(error)
            lines.append(HistoryLine(key=key, clock=clock, places=places, figures_ns=figures, changes=changes))
    return NamedHistory(
        name=last.name,
        operation=last.operation,
        device=last.device,
        recordings=recordings,
        lines=tuple(lines),
        unknown=unknown,
    )


def change_points(medians: Sequence[float], factor: float = 1.0) -> tuple[ChangePoint, ...]:
    """Where the level of positive `medians` changed; runs of the same code stay within `factor` of each other (A/A).

    None of under four. Errors: UnavailableError without the library.
    """
    if len(medians) < 2 * LEAST_LEVEL or min(medians) <= 0:
        return ()
    try:
        pelt = import_module("ruptures").Pelt
    except ImportError:
        raise UnavailableError(
            "change points need the package ruptures, which is not installed: pip install 'rope-prof[history]'"
        ) from None
    logs = np.log(np.asarray(medians, dtype=np.float64))
    near = median(abs(a - b) for a, b in pairwise(logs)) / _NEIGHBOURS
    scatter = max(float(near), log(max(factor, 1 + SAME_WITHIN)) / _PAIRS)
    found = pelt(model="l2", min_size=LEAST_LEVEL, jump=1).fit(logs[:, None])
    cuts = found.predict(pen=COST * scatter**2 * log(len(logs)))
    return _told(medians, [0, *map(int, cuts)])


def _told(medians: Sequence[float], cuts: list[int]) -> tuple[ChangePoint, ...]:
    """The changes at inner `cuts`; those within what counts as the same are joined, the smallest first."""
    while True:
        found = [_change(medians, *three) for three in zip(cuts, cuts[1:], cuts[2:], strict=False)]
        small = [
            one for one in found if abs(log(one.ratio)) <= log(1 + SAME_WITHIN) or one.word not in {"FASTER", "SLOWER"}
        ]
        if not small:
            return tuple(found)
        cuts.remove(min(small, key=lambda one: abs(log(one.ratio))).at)


def _change(medians: Sequence[float], start: int, at: int, end: int) -> ChangePoint:
    before, after = medians[start:at], medians[at:end]
    ratio = t_interval(before, after, COVERAGE)
    assert ratio is not None  # PELT gives levels of two at least, and medians are positive
    return ChangePoint(
        at=at, before_ns=median(before), after_ns=median(after), ratio=ratio[0], lo=ratio[1], hi=ratio[2]
    )
