"""Who comes last to the collectives, on mended clocks, and what that costs the others.

A delay is paid once. Where collectives run beside a backward pass, who is late to the first is as late to all of that
stretch: the largest lead of the others counts, not the sum. What they had left to run meanwhile is not taken off: a
collective that waits takes part of the device from it. A host that fell behind once is behind at every launch until
the hosts wait for their devices: of what it costs no more counts than it is behind.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from rope_prof.model.frozen import Frozen

Int64s = NDArray[np.int64]


class Arrivals(Frozen):
    """One rank at the collectives: how often it came last, and how much later all others came on for it alone.

    `worst_start_ns`: when it came, on its own clock, to the one that they waited longest at, for `worst_wait_ns`; None
    where they never did.
    """

    last: int
    cost_ns: int
    worst_start_ns: int | None = None
    worst_wait_ns: int | None = None


class Times(Frozen, kw_only=True):
    """A row a rank, a column a collective, by its end; all on one clock. Fields as in `clock.Collective`.

    `behind`: how much later than the last of the other hosts the host of a rank launched it. Without it or `syncs`
    nobody knows of a late host that it is late once.
    """

    starts: Int64s
    ends: Int64s
    frees: Int64s
    behind: Int64s | None = None
    syncs: Int64s | None = None


class _Wait(Frozen):
    """One delay: whose, at which collective it shows, the lead of the others, and whether that host was the cause."""

    rank: int
    place: int
    lead_ns: int
    by_host: bool


def arrivals(times: Times, offset: Int64s) -> tuple[Arrivals, ...]:
    """By rank; `offset`: of each rank's clock."""
    ordered = np.sort(times.starts, axis=0)
    last, lead = np.argmax(times.starts, axis=0), ordered[-1] - ordered[-2]
    waits = list(_waits(times, last, lead, ordered[-2]))
    found = []
    for rank in range(len(times.starts)):
        mine = [wait for wait in waits if wait.rank == rank and wait.lead_ns > 0]
        count = int(((last == rank) & (lead > 0)).sum())
        if not mine:
            found.append(Arrivals(count, 0))
            continue
        worst = max(mine, key=lambda wait: wait.lead_ns)
        start = int(times.starts[rank, worst.place] + offset[rank])
        found.append(Arrivals(count, _cost(times, rank, mine), start, worst.lead_ns))
    return tuple(found)


def _cost(times: Times, rank: int, waits: list[_Wait]) -> int:
    """What came of the device in full; of the host, from one wait of the hosts to the next, as far as it is behind."""
    if times.behind is None or times.syncs is None:
        return sum(wait.lead_ns for wait in waits)
    cost, by_host = 0, dict[int, tuple[int, int]]()
    for wait in waits:
        if not wait.by_host:
            cost += wait.lead_ns
            continue
        period = int(times.syncs[rank, wait.place])
        total, most = by_host.get(period, (0, 0))
        by_host[period] = total + wait.lead_ns, max(most, int(times.behind[rank, wait.place]))
    return cost + sum(min(total, most) for total, most in by_host.values())


def _waits(times: Times, last: Int64s, lead: Int64s, others: Int64s) -> Iterator[_Wait]:
    """One a stretch, its largest. `others`: when the last but one came to each collective."""
    apart = others[1:] >= np.median(times.ends, axis=0)[:-1]
    for begin, end in _stretches(times, apart):
        place = begin + int(np.argmax(lead[begin : end + 1]))
        rank = int(last[place])
        by_host = times.behind is not None and bool(times.behind[rank, place] >= lead[place])
        yield _Wait(rank, place, int(lead[place]), by_host)


def behind(launches: Int64s) -> Int64s:
    """`Times.behind` of those launches."""
    others = [np.delete(launches, rank, axis=0).max(axis=0) for rank in range(len(launches))]
    late: Int64s = launches - np.array(others)
    return late


def _stretches(times: Times, apart: NDArray[np.bool_]) -> Iterator[tuple[int, int]]:
    """(first, last collective) of each stretch at whose end the ranks go on together.

    They do where nothing else runs on most of them when a collective ends, and work follows before the next one, which
    lies `apart`. A collective that runs beside other work holds nobody: who is late to it is still as late to the next.
    """
    ends, frees = times.ends, times.frees
    idle, again = frees[:, :-1] < ends[:, :-1], frees[:, 1:] > ends[:, :-1]
    together = np.flatnonzero(apart & (2 * (idle & again).sum(axis=0) > len(ends))).tolist()
    yield from zip([0, *(k + 1 for k in together)], [*together, ends.shape[1] - 1], strict=True)
