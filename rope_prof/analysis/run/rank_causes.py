"""Is a rank slow by itself, or slowed by the others? Each rank timed alone, in turn, against all of them at once. Pure.

Alone, a rank has the host to itself: what is slow then is its own card (by the device's clock) or its own host. What
becomes slow only at once is shared: the host's cores where the device's clock does not see it, else power or links.
A side of a comparison is one rank's rounds; a rank is called slow where more than half of its keys are, each beyond
its interval and by `SLOW_SHARE` at least. Replays of a graph need no host: they tell of the card alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from math import exp, log, sqrt
from statistics import fmean, median, stdev
from typing import Final, Literal

from rope_prof.analysis.run.rows import Row
from rope_prof.analysis.run.series import Series
from rope_prof.analysis.stats import COVERAGE, Figure, apart_ratio, interval_of_logs, one_side
from rope_prof.analysis.verdict import judge
from rope_prof.model.frozen import Frozen
from rope_prof.model.samples import ALONE

#: Cards of one kind differ by less.
SLOW_SHARE: Final = 0.05

#: Fewer ranks say nothing of how they differ.
LEAST_RANKS: Final = 3

By = Literal["wall", "device"]
#: `card`, `host`, and `self` where no clock of a device tells them apart; shared by all: `shared host`, `shared card`.
Cause = Literal["card", "host", "self", "shared host", "shared card"]


class Slowness(Frozen, kw_only=True):
    """One comparison over the keys of a rank: the median of the ratios (over 1: slower), and how many keys are slow."""

    ratio: float
    keys: int
    slow: int

    @property
    def is_slow(self) -> bool:
        """More than half of the keys."""
        return 2 * self.slow > self.keys


class RankCauses(Frozen, kw_only=True):
    """One rank. `own_*`: alone against the other ranks alone; `shared_*`: at once against alone; None: not measured.

    Bubbles are medians over its keys, in ns a call: wall less busy time, at once and alone. `causes`: see `Cause`.
    """

    rank: int
    own_wall: Slowness | None
    own_device: Slowness | None
    shared_wall: Slowness | None
    shared_device: Slowness | None
    bubble_ns: float | None
    bubble_alone_ns: float | None
    causes: tuple[Cause, ...]


class _Timed(Frozen, kw_only=True):
    """One key of one rank by one clock: alone and at once."""

    rank: int
    alone: Figure | None
    together: Figure | None


def rank_causes(rows: Sequence[Row], found: Series) -> tuple[RankCauses, ...]:
    """One entry a rank; none where the run has one rank, or where no rank was timed alone."""
    ranks = sorted({row.rank for row in rows})
    if len(ranks) < 2 or not any(name.startswith(ALONE) for name, _ in found):
        return ()
    ordered = sorted(rows, key=_what)
    groups = [list(same) for _, same in groupby(ordered, key=_what)]
    tables: Mapping[By, list[list[_Timed]]] = {
        "wall": [_timed(group, found, "wall") for group in groups if group[0].mode != "graph"],
        "device": [_timed(group, found, "device") for group in groups],
    }
    return tuple(_causes(rank, rows, found, tables) for rank in ranks)


def _what(row: Row) -> tuple[str, str, str, str]:
    return row.case.name, row.path, row.mode, row.l2


def _timed(group: Iterable[Row], found: Series, clock: By) -> list[_Timed]:
    """The keys that differ in their rank alone."""
    return [
        _Timed(rank=row.rank, alone=_side(found, ALONE + row.key, clock), together=_side(found, row.key, clock))
        for row in group
    ]


def _side(found: Series, name: str, clock: By) -> Figure | None:
    return one_side(list(found.get((name, clock), {}).values()))


def _causes(rank: int, rows: Sequence[Row], found: Series, tables: Mapping[By, list[list[_Timed]]]) -> RankCauses:
    own = {clock: _slowness(_own(group, rank) for group in table) for clock, table in tables.items()}
    shared = {clock: _slowness(_shared(group, rank) for group in table) for clock, table in tables.items()}
    at_once, alone = _bubbles(rank, rows, found)
    causes: list[Cause] = []
    for kind, host, card in ((own, "host", "card"), (shared, "shared host", "shared card")):
        causes += _told(kind["wall"], kind["device"], host, card)  # type: ignore[arg-type]
    return RankCauses(
        rank=rank,
        own_wall=own["wall"],
        own_device=own["device"],
        shared_wall=shared["wall"],
        shared_device=shared["device"],
        bubble_ns=at_once,
        bubble_alone_ns=alone,
        causes=tuple(causes),
    )


def _told(wall: Slowness | None, device: Slowness | None, host: Cause, card: Cause) -> list[Cause]:
    """The card's doing where its clock shows it, else the host's where that does; `self` without such a clock."""
    if device is not None and device.is_slow:
        return [card]
    if wall is None or not wall.is_slow:
        return []
    return ["self"] if device is None and host == "host" else [host]


def _own(group: Sequence[_Timed], rank: int) -> Figure | None:
    """That rank alone over the middle one of the others alone."""
    mine = next((one.alone for one in group if one.rank == rank), None)
    others = sorted((one.alone for one in group if one.rank != rank and one.alone), key=lambda side: side.median)
    return apart_ratio(mine, others[(len(others) - 1) // 2]) if others else None


def _shared(group: Sequence[_Timed], rank: int) -> Figure | None:
    """That rank at once over itself alone."""
    return next((apart_ratio(one.together, one.alone) for one in group if one.rank == rank), None)


def _slowness(ratios: Iterable[Figure | None]) -> Slowness | None:
    known = [ratio for ratio in ratios if ratio is not None]
    if not known:
        return None
    # the other ranks are the candidate
    slow = [one for one in known if one.median >= 1 + SLOW_SHARE and judge(one.lo, one.hi) == "FASTER"]
    return Slowness(ratio=median(ratio.median for ratio in known), keys=len(known), slow=len(slow))


def _bubbles(rank: int, rows: Sequence[Row], found: Series) -> tuple[float | None, float | None]:
    """(at once, alone): the medians over the keys that a host launches call by call and that were captured."""
    at_once, alone = [], []
    for row in rows:
        together, by_itself = found.get((row.key, "wall")), found.get((ALONE + row.key, "wall"))
        if row.rank != rank or row.mode == "graph" or row.busy_ns is None or not together or not by_itself:
            continue
        at_once.append(median(together.values()) - row.busy_ns)
        alone.append(median(by_itself.values()) - row.busy_ns)
    return (median(at_once), median(alone)) if at_once else (None, None)


def over_ranks(found: Sequence[RankCauses], clock: By) -> Figure | None:
    """At once over alone by that clock, the mean over the ranks; its interval is Student's on the ranks' logarithms.

    None where no rank has both; without an interval under three ranks. One rank's rounds may tell nothing by
    themselves where the host is busy, while all of them together do.
    """
    sides = [one.shared_wall if clock == "wall" else one.shared_device for one in found]
    logs = [log(side.ratio) for side in sides if side is not None]
    if not logs:
        return None
    middle = fmean(logs)
    if len(logs) < LEAST_RANKS:
        return Figure(exp(middle), None, None, len(logs), "ranks")
    ratio, lo, hi = interval_of_logs(middle, stdev(logs) / sqrt(len(logs)), len(logs) - 1, COVERAGE)
    return Figure(ratio, lo, hi, len(logs), "ranks")


def widest(found: Sequence[RankCauses]) -> RankCauses | None:
    """The rank with the widest bubbles at once; None where under two ranks have any."""
    known = [one for one in found if one.bubble_ns is not None]
    return max(known, key=lambda one: one.bubble_ns or 0.0) if len(known) > 1 else None
