"""What each call ran: totals and gaps, however many calls hold the same events.

Mostly every (call, event) pair is looked at (`pairs`). Long ranges nested or staggered by the thousand hold nearly the
same events, in the order of launch a stretch of them each. Such calls are put into cells, whose stretches begin and end
near each other: what all calls of a cell hold is its *core*. An event of the core whose gap no event outside the core
can change is accounted for once for the whole cell; the calls themselves are made of the others.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import polars as pl

from rope_prof.analysis.trace.pairs import (
    Gaps,
    ThreadCalls,
    TimedEvents,
    by_thread,
    expanded,
    run_gaps,
    run_totals,
    runs,
)
from rope_prof.analysis.trace.spans import Bools, InOrder, Int64s, in_order

#: Calls with so few events are looked at one by one; of a thread's longer ones, those that hold no more in all are too.
FEW: Final = 512
MANY: Final = 2_000_000
#: What a cell costs by itself, as so many pairs would.
CELL: Final = 20_000


@dataclass(frozen=True, eq=False)
class CallTotals:
    """Some calls: their totals (as `run_totals` gives them), the gaps of each, and calls with the same gaps."""

    totals: pl.DataFrame
    gaps: Gaps
    alike: tuple[tuple[Int64s, Gaps], ...] = ()


def accounts(ranges: pl.DataFrame, events: pl.DataFrame, arrays: TimedEvents) -> Iterator[CallTotals]:
    """Every call that ran something, once a device. `ranges`, `events`: as for `by_thread`; `arrays`: of `events`."""
    crowded: list[tuple[ThreadCalls, int]] = []

    def others() -> Iterator[ThreadCalls]:
        for lane in by_thread(ranges, events):
            long = lane.high - lane.low > FEW
            longer = lane.of(np.flatnonzero(long))
            size = cell_size(longer)
            if size is None:
                yield lane
            else:
                yield lane.of(np.flatnonzero(~long))
                crowded.append((longer, size))

    for calls, rows in expanded(others()):
        found = runs(calls, rows, arrays)
        yield CallTotals(run_totals(found, arrays), run_gaps(found))
    for lane, size in crowded:
        for device in np.unique(arrays.device[lane.rows]).tolist():
            yield from _cells(_on(lane, arrays.device[lane.rows] == device), size, arrays)


def _on(lane: ThreadCalls, chosen: Bools) -> ThreadCalls:
    """The lane with its `chosen` rows alone, without the calls that hold none of them."""
    before = np.concatenate(([0], np.cumsum(chosen)))
    low, high = before[lane.low], before[lane.high]
    return ThreadCalls(lane.calls, low, high, lane.rows[chosen]).of(np.flatnonzero(high > low))


def _cells(lane: ThreadCalls, size: int, arrays: TimedEvents) -> Iterator[CallTotals]:
    number = _numbers(lane, size)
    order = np.argsort(number, kind="stable")
    for which in np.split(order, np.flatnonzero(np.diff(number[order])) + 1):
        yield _cell(lane.of(which), arrays)


def _numbers(lane: ThreadCalls, size: int) -> Int64s:
    """The cell of each call: its stretch begins, and ends, within the same `size` rows."""
    found: Int64s = lane.low // size * (len(lane.rows) // size + 2) + lane.high // size
    return found


def cell_size(lane: ThreadCalls) -> int | None:
    """The size with which cores and calls cost least together; None where all pairs cost less."""
    length = lane.high - lane.low
    pairs = int(length.sum())
    if pairs <= MANY:
        return None
    costs: dict[int, int] = {}
    for size in (1 << k for k in range(len(lane.rows).bit_length() + 1)):
        first = np.unique(_numbers(lane, size), return_index=True)[1]
        costs[size] = 2 * int((length[first] + size).sum()) + size * len(length) + CELL * len(first)
    best = min(costs, key=costs.__getitem__)
    return best if costs[best] < pairs else None


def _cell(lane: ThreadCalls, arrays: TimedEvents) -> CallTotals:
    begin, end = int(lane.low.min()), int(lane.high.max())
    place = begin + np.argsort(arrays.rank[lane.rows[begin:end]], kind="stable")
    row = lane.rows[place]
    starts, ends = arrays.start[row], arrays.end[row]
    core = (place >= lane.low.max()) & (place < lane.high.min())
    alone = _holders(starts, ends, core)
    fixed = core & (_holders(starts, ends, np.ones_like(core)) == alone)[:-1]
    looked = _looked_at(core, fixed, alone)
    held = (place[looked] >= lane.low[:, np.newaxis]) & (place[looked] < lane.high[:, np.newaxis])
    call, at = np.nonzero(held)
    at = looked[at]
    spans = in_order(row[at], call, starts[at], ends[at])
    before, after = spans.gap_places()
    own = np.flatnonzero(~fixed[at[after]])
    before, after = before[own], after[own]
    gaps = Gaps(call[after], spans.row[before], spans.row[after], spans.end[before], spans.start[after])
    behind = np.flatnonzero(fixed & (alone[:-1] >= 0))
    behind = behind[starts[behind] > ends[alone[behind]]]
    first = alone[behind]
    common = Gaps(np.zeros_like(behind), row[first], row[behind], ends[first], starts[behind])
    idle = np.full(len(lane.calls), int((common.end - common.start).sum()))
    np.add.at(idle, gaps.call, gaps.end - gaps.start)
    totals = _totals(lane, arrays, spans, idle)
    return CallTotals(totals, replace(gaps, call=lane.calls[gaps.call]), ((lane.calls, common),))


def _holders(starts: Int64s, ends: Int64s, chosen: Bools) -> Int64s:
    """Of the `chosen` spans, in the order of time: which opens the gap that a span would end, or -1; after all too."""
    lowest = np.iinfo(np.int64).min
    reach = np.append(lowest, np.maximum.accumulate(np.where(chosen, ends, lowest))[:-1])
    grew = chosen & ((ends > reach) | (starts >= reach))
    return np.append(-1, np.maximum.accumulate(np.where(grew, np.arange(len(starts)), -1)))


def _looked_at(core: Bools, fixed: Bools, alone: Int64s) -> Int64s:
    """The events that calls are made of: all but the fixed ones, those of the core that open gaps before them, and the
    core's first and last."""
    own = np.flatnonzero(~fixed)
    sides = np.concatenate((np.flatnonzero(core)[:1], alone[own], alone[-1:]))
    return np.unique(np.concatenate((own, sides[sides >= 0])))


def _totals(lane: ThreadCalls, arrays: TimedEvents, spans: InOrder, idle: Int64s) -> pl.DataFrame:
    kernel = arrays.kernel[lane.rows]
    taken = np.where(kernel, arrays.end[lane.rows] - arrays.start[lane.rows], 0)
    kernels, kernel_ns = (np.append(0, np.cumsum(column)) for column in (kernel, taken))
    begin, stop = spans.start[spans.first], spans.last_ends()
    device = arrays.devices[int(arrays.device[lane.rows[0]])]
    return pl.DataFrame(
        {
            "call": lane.calls,
            "device": pl.Series([device], dtype=pl.String).new_from_index(0, len(lane.calls)),
            "kernels": kernels[lane.high] - kernels[lane.low],
            "events": lane.high - lane.low,
            "kernel_ns": kernel_ns[lane.high] - kernel_ns[lane.low],
            "busy_ns": stop - begin - idle,
            "first_start_ns": begin,
            "last_end_ns": stop,
            "inner_gap_ns": idle,
        }
    )
