"""(call, GPU event) pairs as row numbers, and what follows from their order in time: totals and gaps of each call.

A call is one occurrence of a range; its events are those launched in it (`analysis.trace.calls` states the rule). Of
nested ranges each holds all that is launched inside, so an event is in as many pairs as ranges are around its launch:
the pairs stay numbers, and the frames are gathered only where a row is wanted.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from rope_prof.analysis.trace.groups import group_numbers
from rope_prof.analysis.trace.spans import InOrder, Int64s, event_order, in_order, lengths

Bools = npt.NDArray[np.bool_]

FOREVER = 1 << 62
#: About so many pairs are held at a time.
MOST_PAIRS = 250_000


@dataclass(frozen=True, eq=False)
class ThreadCalls:
    """The ranges of one thread and what was launched in them: call `calls[i]` holds `rows[low[i]:high[i]]`.

    `rows` are those of the events that a launch of the thread, or one made for it, is known of, in the order of launch.
    """

    calls: Int64s
    low: Int64s
    high: Int64s
    rows: Int64s

    def of(self, which: Int64s) -> ThreadCalls:
        """Those calls alone."""
        return ThreadCalls(self.calls[which], self.low[which], self.high[which], self.rows)

    def held(self) -> Bools:
        """Which of `rows` any call holds."""
        steps = np.zeros(len(self.rows) + 1, np.int64)
        np.add.at(steps, self.low, 1)
        np.add.at(steps, self.high, -1)
        return np.cumsum(steps[:-1]) > 0

    def last(self) -> Int64s:
        """For each of `rows` the last call that holds it, or -1."""
        size, length = len(self.rows), self.high - self.low
        level = np.frexp(length)[1] - 1  # a call is two stretches of 2**level rows; from above to single rows
        found = np.full(size, -1, np.int64)
        for k in range(int(level.max(initial=-1)), -1, -1):
            whole, half = found.copy(), 1 << k
            np.maximum(found[half:], whole[: max(size - half, 0)], out=found[half:])
            mine = np.flatnonzero(level == k)
            for at in (self.low[mine], self.high[mine] - half):
                np.maximum.at(found, at, self.calls[mine])
        return found


def by_thread(ranges: pl.DataFrame, events: pl.DataFrame) -> Iterator[ThreadCalls]:
    """One for each thread of `ranges`, in the order in which they first come.

    `ranges` come from `calls.numbered`, `events` need the columns launch_process, _thread and _start_ns; with
    launch_for_thread a launch is also in the ranges of the thread that waits for it.
    """
    none = pl.Series([None], dtype=pl.Int64).new_from_index(0, events.height)
    linked = pl.DataFrame(
        {
            "row": np.arange(events.height),
            "at": events["launch_start_ns"],
            "process": events["launch_process"],
            "thread": events["launch_thread"],
            "other": events["launch_for_thread"] if "launch_for_thread" in events.columns else none,
        }
    )
    if linked["at"].null_count():
        linked = linked.filter(pl.col("at").is_not_null())
    instants = linked["at"].to_numpy()
    if np.any(instants[1:] < instants[:-1]):
        linked = linked[np.argsort(instants, kind="stable")]
    waited = linked.clear()
    if linked["other"].null_count() < linked.height:
        waited = linked.filter(pl.col("other").is_not_null() & pl.col("other").ne_missing(pl.col("thread")))
    known = pl.concat([linked, waited.with_columns(thread="other")]) if waited.height else linked
    lane, lanes = group_numbers(known[["process", "thread"]])
    row, at = known["row"].to_numpy(), known["at"].to_numpy()
    by_lane = np.lexsort((row, at, lane)) if waited.height else np.argsort(lane, kind="stable")
    row, at = row[by_lane], at[by_lane]
    bounds = np.searchsorted(lane[by_lane], np.arange(lanes.height + 1)).tolist()
    places = dict(zip(lanes.iter_rows(), map(slice, bounds, bounds[1:]), strict=False))
    closed = ranges["host_end_ns"]
    begin = ranges["host_start_ns"].to_numpy()
    end = (closed.fill_null(FOREVER) if closed.null_count() else closed).to_numpy()
    calls = ranges["call"].to_numpy()
    number, threads = group_numbers(ranges[["process", "thread"]])
    order = np.argsort(number, kind="stable")
    cuts = np.searchsorted(number[order], np.arange(threads.height + 1))
    for k, (process, thread) in enumerate(threads.iter_rows()):
        if process is None or thread is None:
            mine = pl.lit(process is None) | pl.col("process").eq_missing(process)
            mine &= pl.lit(thread is None) | pl.col("thread").eq_missing(thread) | pl.col("other").eq_missing(thread)
            here = linked.filter(mine)
            rows, starts = here["row"].to_numpy(), here["at"].to_numpy()
        else:
            place = places.get((process, thread), slice(0))
            rows, starts = row[place], at[place]
        which = order[cuts[k] : cuts[k + 1]]
        low, high = np.searchsorted(starts, begin[which]), np.searchsorted(starts, end[which])
        yield ThreadCalls(calls[which], low, np.maximum(low, high), rows)


def pairs(ranges: pl.DataFrame, events: pl.DataFrame, most: int = MOST_PAIRS) -> Iterator[tuple[Int64s, Int64s]]:
    """Call numbers and rows of `events`, in pieces of about `most` pairs; no call is cut in two.

    Of a thread they come by call and launch. `ranges` and `events` as in `by_thread`.
    """
    yield from expanded(by_thread(ranges, events), most)


def expanded(found: Iterable[ThreadCalls], most: int = MOST_PAIRS) -> Iterator[tuple[Int64s, Int64s]]:
    """The pairs of those lanes as `pairs` gives them."""
    calls: list[Int64s] = []
    rows: list[Int64s] = []
    waiting = 0
    for lane in found:
        counts = lane.high - lane.low
        for piece in _pieces(counts, most):
            size = int(counts[piece].sum())
            if waiting and waiting + size > most:
                yield np.concatenate(calls), np.concatenate(rows)
                calls, rows, waiting = [], [], 0
            if size:
                calls.append(np.repeat(lane.calls[piece], counts[piece]))
                rows.append(lane.rows[_expand(lane.low[piece], counts[piece])])
                waiting += size
    if waiting:
        yield np.concatenate(calls), np.concatenate(rows)


def _pieces(counts: Int64s, most: int) -> Iterator[slice]:
    reached = np.cumsum(counts)
    begin, held = 0, 0
    while begin < len(counts):
        end = max(begin + 1, int(np.searchsorted(reached, held + most, side="right")))
        yield slice(begin, end)
        begin, held = end, int(reached[end - 1])


def _expand(low: Int64s, counts: Int64s) -> Int64s:
    """low[i], low[i] + 1, ... (counts[i] of them) for each i, one after the other."""
    offsets = np.cumsum(counts) - counts
    return np.arange(int(counts.sum())) - np.repeat(offsets - low, counts)


@dataclass(frozen=True, eq=False)
class TimedEvents:
    """GPU events as arrays, row for row: what the order in time needs. `device` numbers `devices`."""

    start: Int64s
    end: Int64s
    rank: Int64s
    device: Int64s
    kernel: Bools
    devices: tuple[str | None, ...]

    def names(self, numbers: Int64s) -> pl.Series:
        """The devices of those numbers."""
        if len(self.devices) == 1:
            return pl.Series(self.devices, dtype=pl.String).new_from_index(0, len(numbers))
        return pl.Series(self.devices, dtype=pl.String).gather(numbers)


def timed(events: pl.DataFrame) -> TimedEvents:
    """The arrays of `events`; ties of start are broken as in `spans.event_order`."""
    order = event_order(events)
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    number, devices = group_numbers(events[["device"]])
    start = events["start_ns"].to_numpy()
    return TimedEvents(
        start=start,
        end=start + lengths(events["dur_ns"]),
        rank=rank,
        device=number,
        kernel=(events["kind"] == "kernel").to_numpy(),
        devices=tuple(devices["device"]),
    )


@dataclass(frozen=True, eq=False)
class Runs:
    """Pairs in order of call, device and time; a group is a run, what one call has on one device."""

    call: Int64s
    spans: InOrder


def runs(calls: Int64s, rows: Int64s, events: TimedEvents) -> Runs:
    """The pairs of one piece of `pairs`, sorted; they mostly come in that order."""
    device, rank = events.device[rows], events.rank[rows]
    group = calls * len(events.devices) + device
    later = (group[1:] > group[:-1]) | ((group[1:] == group[:-1]) & (rank[1:] > rank[:-1]))
    if not np.all(later):
        order = np.lexsort((rank, group))
        calls, rows, group = calls[order], rows[order], group[order]
    return Runs(calls, in_order(rows, group, events.start[rows], events.end[rows]))


def run_totals(found: Runs, events: TimedEvents) -> pl.DataFrame:
    """Per run: call, device, counts, kernel time and the union."""
    spans = found.spans
    first, kernel = spans.first, events.kernel[spans.row]
    begin, stop, busy = spans.start[first], spans.last_ends(), spans.busy()
    return pl.DataFrame(
        {
            "call": found.call[first],
            "device": events.names(events.device[spans.row[first]]),
            "kernels": np.add.reduceat(kernel, first, dtype=np.int64),
            "events": np.diff(first, append=len(spans.row)),
            "kernel_ns": np.add.reduceat(np.where(kernel, spans.end - spans.start, 0), first),
            "busy_ns": busy,
            "first_start_ns": begin,
            "last_end_ns": stop,
            "inner_gap_ns": stop - begin - busy,
        }
    )


@dataclass(frozen=True, eq=False)
class Gaps:
    """Gaps of runs: the run's call, rows of the events on both sides, start and end."""

    call: Int64s
    before: Int64s
    after: Int64s
    start: Int64s
    end: Int64s

    def of(self, rows: Int64s) -> Gaps:
        """Those at the positions `rows`."""
        return Gaps(self.call[rows], self.before[rows], self.after[rows], self.start[rows], self.end[rows])


def run_gaps(found: Runs) -> Gaps:
    """The gaps of each run between its own first start and last end."""
    spans = found.spans
    held, at = spans.gap_places()
    return Gaps(found.call[at], spans.row[held], spans.row[at], spans.reach[at - 1], spans.start[at])


def once_each(found: Gaps) -> tuple[Int64s, Int64s]:
    """Of gaps between the same two events only one: the positions of those, and for each gap the one that it equals.

    Nested ranges share most of their gaps. Equal ones may stay apart where calls of one event differ in what they hold.
    """
    newest = np.zeros(int(found.after.max()) + 1 if len(found.after) else 0, np.int64)
    newest[found.after] = np.arange(len(found.after))
    stands = newest[found.after]
    own = (found.before != found.before[stands]) | (found.start != found.start[stands])
    stands = np.where(own, np.arange(len(stands)), stands)
    kept = np.zeros(len(stands), np.bool_)
    kept[stands] = True
    place = np.cumsum(kept) - 1
    return np.flatnonzero(kept), place[stands]
