"""The same key on several ranks: which is slow, and do bubbles widen where the host is shared? Pure, from the rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from statistics import median

from rope_prof.analysis.run.rows import Row
from rope_prof.model.frozen import Frozen
from rope_prof.model.run import Case


class RankSpread(Frozen, kw_only=True):
    """One path, mode and L2 state of a case over its ranks, `timed` of which have wall times; `lost` ones say why.

    `slow` is the rank of the longest wall time per call, `ratio` that over the ranks' median.
    """

    case: Case
    path: str
    mode: str
    l2: str
    ranks: int
    timed: int
    wall_lo_ns: float | None
    wall_median_ns: float | None
    wall_hi_ns: float | None
    slow: int | None
    ratio: float | None
    busy_lo_ns: float | None
    busy_hi_ns: float | None
    bubble_lo_ns: float | None
    bubble_hi_ns: float | None
    lost: tuple[tuple[int, str], ...]


def rank_spread(rows: Sequence[Row]) -> tuple[RankSpread, ...]:
    """One entry a key in the order of the run; none where the run has one rank alone."""
    if len({row.rank for row in rows}) < 2:
        return ()
    order = {name: place for place, name in enumerate(dict.fromkeys(map(_what, rows)))}
    ordered = sorted(rows, key=lambda row: (order[_what(row)], row.rank))
    return tuple(_spread(list(same)) for _, same in groupby(ordered, key=_what))


def _what(row: Row) -> tuple[Case, str, str, str]:
    return row.case, row.path, row.mode, row.l2


def _spread(rows: list[Row]) -> RankSpread:
    walls = [(row.wall_ns.median, row.rank) for row in rows if row.wall_ns is not None]
    middle = median(ns for ns, _ in walls) if walls else None
    slowest = max(walls) if walls else None
    busy, bubble = (list(_known(rows, name)) for name in ("busy_ns", "bubble_corrected_ns"))
    return RankSpread(
        case=rows[0].case,
        path=rows[0].path,
        mode=rows[0].mode,
        l2=rows[0].l2,
        ranks=len(rows),
        timed=len(walls),
        wall_lo_ns=min(walls)[0] if walls else None,
        wall_median_ns=middle,
        wall_hi_ns=slowest[0] if slowest else None,
        slow=slowest[1] if slowest and len(walls) > 1 else None,
        ratio=slowest[0] / middle if slowest and middle and len(walls) > 1 else None,
        busy_lo_ns=min(busy, default=None),
        busy_hi_ns=max(busy, default=None),
        bubble_lo_ns=min(bubble, default=None),
        bubble_hi_ns=max(bubble, default=None),
        lost=tuple((row.rank, row.reason or row.status) for row in rows if row.status in ("failed", "pending")),
    )


def _known(rows: list[Row], name: str) -> Iterator[float]:
    for row in rows:
        value = getattr(row, name)
        if value is not None:
            yield float(value)
