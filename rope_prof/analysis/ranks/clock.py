"""The clocks of the ranks against each other, and who makes the others wait, both read off the collectives.

Every rank of a group leaves a collective at the same moment (within the time of its last hop) and enters it when it
has its data. So the ends say by how much the clocks differ, and the starts, on the mended clocks, who came last.
Offsets are one constant a rank over the window: drift within it is part of the stated spread.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from rope_prof.analysis.ranks.arrivals import Arrivals, Int64s, Times, arrivals, behind
from rope_prof.model.frozen import Frozen

LEAST: Final = 3
#: Ends that still differ by more than this share of the time from one collective to the next are not of one group.
WIDEST: Final = 0.25


class Collective(Frozen, kw_only=True):
    """The executions of one collective on one rank, in order.

    `frees_ns`: since when no other kernel had run on its device at the end. `launches_ns`: when the host launched it;
    `syncs`: how often a thread of the host had waited for the device by then. None where nobody says.
    """

    starts_ns: Sequence[int]
    ends_ns: Sequence[int]
    frees_ns: Sequence[int] | None = None
    launches_ns: Sequence[int | None] | None = None
    syncs: Sequence[int] | None = None


class Clock(Frozen, kw_only=True):
    """One rank's clock minus the ranks' median: subtract `offset_ns` from its times. `spread_ns`: median deviation."""

    offset_ns: int
    spread_ns: int


class Clocks(Frozen, kw_only=True):
    """By rank, in the order given; empty with a `reason` where the collectives do not tell."""

    collectives: int = 0
    clocks: tuple[Clock, ...] = ()
    arrivals: tuple[Arrivals, ...] = ()
    reason: str | None = None


def clocks(ranks: Sequence[Mapping[str, Collective]]) -> Clocks:
    """The clocks of `ranks`, each a mapping of a collective's name to its executions.

    The k-th execution on one rank is held to be the k-th on the others, so that only names that come equally often on
    all ranks count.
    """
    if len(ranks) < 2:
        return Clocks(reason="one rank alone")
    if not all(ranks):
        return Clocks(reason="not every rank has collectives that end together (all-reduce, all-gather, ...)")
    names = sorted(name for name in ranks[0] if len({_count(rank.get(name)) for rank in ranks}) == 1)
    if not names:
        return Clocks(reason="no collective comes equally often on every rank: windows differ, or groups do")
    starts, ends = (np.hstack([_table(ranks, name, field) for name in names]) for field in ("starts_ns", "ends_ns"))
    order = np.argsort(np.median(ends, axis=0))
    frees, launches, syncs = (_said(ranks, names, field) for field in ("frees_ns", "launches_ns", "syncs"))
    starts, ends = starts[:, order], ends[:, order]
    count = ends.shape[1]
    if count < LEAST:
        return Clocks(collectives=count, reason=f"{count} collectives in common; at least {LEAST} are needed")
    apart = ends - _middle(ends)
    offset = np.rint(np.median(apart, axis=1)).astype(np.int64)
    spread = np.median(np.abs(apart - offset[:, None]), axis=1).astype(np.int64)
    mended = ends - offset[:, None]
    period = float(np.median(np.diff(np.sort(np.median(mended, axis=0)))))
    if float(spread.max()) > WIDEST * period:
        reason = (
            f"ends of the k-th collectives differ by {int(spread.max())} ns between ranks, one comes every "
            f"{period:.0f} ns: they are not of one group, or the windows begin apart"
        )
        return Clocks(collectives=count, reason=reason)
    found = tuple(Clock(offset_ns=int(o), spread_ns=int(s)) for o, s in zip(offset, spread, strict=True))
    begun = starts - offset[:, None]
    times = Times(
        starts=begun,
        ends=mended,
        frees=begun if frees is None else frees[:, order] - offset[:, None],
        behind=None if launches is None else behind(launches[:, order] - offset[:, None]),
        syncs=None if syncs is None else syncs[:, order],
    )
    return Clocks(collectives=count, clocks=found, arrivals=arrivals(times, offset))


def _count(one: Collective | None) -> int:
    return 0 if one is None else len(one.ends_ns)


def _table(ranks: Sequence[Mapping[str, Collective]], name: str, field: str) -> Int64s:
    return np.array([getattr(rank[name], field) for rank in ranks], np.int64)


def _said(ranks: Sequence[Mapping[str, Collective]], names: Sequence[str], field: str) -> Int64s | None:
    """The same of all `names`; None where a rank does not say it of each."""
    told = [getattr(rank[name], field) for rank in ranks for name in names]
    if any(one is None or None in one for one in told):
        return None
    return np.hstack([_table(ranks, name, field) for name in names])


def _middle(table: Int64s) -> Int64s:
    """The median over ranks, exact for times since 1970, which a float64 rounds to 256 ns."""
    least = table.min(axis=0)
    middle: Int64s = least + np.rint(np.median(table - least, axis=0)).astype(np.int64)
    return middle
