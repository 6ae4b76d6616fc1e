"""The clocks of the ranks against each other, and who makes the others wait, both read off the collectives.

Every rank of a group leaves a collective at the same moment (within the time of its last hop) and enters it when it
has its data. So the ends say by how much the clocks differ, and the starts, on the mended clocks, who came last. A rank
waits in a collective from when nothing else runs on its device: what a backward pass hides costs nobody anything.
Offsets are one constant a rank over the window: drift within it is part of the stated spread.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from rope_prof.analysis.trace.spans import union

Int64s = NDArray[np.int64]

LEAST: Final = 3
#: Ends that still differ by more than this share of the time from one collective to the next are not of one group.
WIDEST: Final = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class Collective:
    """The executions of one collective on one rank, in order.

    `frees_ns`: since when no other kernel had run on its device at the end; None where nobody says.
    """

    starts_ns: Sequence[int]
    ends_ns: Sequence[int]
    frees_ns: Sequence[int] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Clock:
    """One rank's clock minus the ranks' median: subtract `offset_ns` from its times. `spread_ns`: median deviation."""

    offset_ns: int
    spread_ns: int


@dataclass(frozen=True, slots=True)
class Arrivals:
    """One rank at the collectives: how often it came last, and how long the others did nothing but wait for it alone.

    `worst_start_ns`: when it came, on its own clock, to the one that they waited longest at, for `worst_wait_ns`; None
    where it never came last.
    """

    last: int
    cost_ns: int
    worst_start_ns: int | None = None
    worst_wait_ns: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Clocks:
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
    fields = ("starts_ns", "ends_ns", "frees_ns")
    starts, ends, frees = (np.hstack([_table(ranks, name, field) for name in names]) for field in fields)
    order = np.argsort(np.median(ends, axis=0))
    starts, ends, frees = starts[:, order], ends[:, order], frees[:, order]
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
    return Clocks(
        collectives=count, clocks=found, arrivals=_arrivals(starts - offset[:, None], frees - offset[:, None], offset)
    )


def _count(one: Collective | None) -> int:
    return 0 if one is None else len(one.ends_ns)


def _table(ranks: Sequence[Mapping[str, Collective]], name: str, field: str) -> Int64s:
    held = [getattr(rank[name], field) for rank in ranks]
    return np.array(
        [rank[name].starts_ns if one is None else one for rank, one in zip(ranks, held, strict=True)], np.int64
    )


def _middle(table: Int64s) -> Int64s:
    """The median over ranks, exact for times since 1970, which a float64 rounds to 256 ns."""
    least = table.min(axis=0)
    middle: Int64s = least + np.rint(np.median(table - least, axis=0)).astype(np.int64)
    return middle


def _arrivals(starts: Int64s, frees: Int64s, offset: Int64s) -> tuple[Arrivals, ...]:
    """Of each collective, on one clock, the last rank to come, and for how long all others had nothing else to do.

    Collectives that run side by side are waited for at once: their time counts once. Where all others are held from
    one collective to the next and the same rank is last to both, they would have had the first behind them: what it
    took counts too, up to the wait that follows.
    """
    ordered = np.sort(starts, axis=0)
    came, last = ordered[-1], np.argmax(starts, axis=0)
    others = np.arange(starts.shape[0])[:, None] != last
    least = np.iinfo(np.int64).min
    worked = np.where(others, frees, least).max(axis=0)
    begin = np.maximum(np.where(others, starts, least).max(axis=0), worked)
    waits = begin < came
    held = np.zeros(len(came), np.bool_)
    held[1:] = waits[1:] & waits[:-1] & (last[1:] == last[:-1]) & (worked[1:] <= begin[:-1])
    between = np.zeros(len(came), np.int64)
    between[1:] = begin[1:] - came[:-1]
    wait = came - begin
    from_ns = np.where(held, begin - np.clip(between, 0, np.maximum(wait, 0)), begin)
    return tuple(
        _arrived((last == rank) & (came > ordered[-2]), waits, (from_ns, begin, came), int(offset[rank]))
        for rank in range(starts.shape[0])
    )


def _arrived(
    mine: NDArray[np.bool_], waits: NDArray[np.bool_], times: tuple[Int64s, Int64s, Int64s], offset: int
) -> Arrivals:
    """`times`: from when each collective's wait counts, from when the others do nothing else, when the last came."""
    from_ns, begin, came = times
    at = np.flatnonzero(mine & waits)
    if not len(at):
        return Arrivals(int(mine.sum()), 0)
    worst = at[np.argmax((came - begin)[at])]
    cost = union(from_ns[at], came[at]).total
    return Arrivals(int(mine.sum()), cost, int(came[worst]) + offset, int(came[worst] - begin[worst]))
