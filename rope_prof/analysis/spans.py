"""Half-open spans `[start, end)` in integer nanoseconds: union, gaps, measure. Knows nothing of traces.

A `SpanSet` is sorted and disjoint, whatever order and overlap it was made from; spans of zero length take no time.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import polars as pl

Int64s = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class SpanSet:
    """Sorted, disjoint, non-touching spans of more than zero length."""

    starts: Int64s
    ends: Int64s

    @property
    def total(self) -> int:
        """Length of the whole set."""
        return int((self.ends - self.starts).sum())

    @cached_property
    def _before(self) -> Int64s:
        return np.concatenate(([0], np.cumsum(self.ends - self.starts)))

    def measure(self, until: Int64s) -> Int64s:
        """How much of the set lies before each instant; differences of it are overlaps."""
        if not len(self.starts):
            return np.zeros(len(until), np.int64)
        at = np.searchsorted(self.starts, until, side="right")
        last = np.maximum(at - 1, 0)
        over = np.where(at > 0, np.maximum(self.ends[last] - until, 0), 0)
        return self._before[at] - over

    def holds(self, instants: Int64s) -> npt.NDArray[np.bool_]:
        """Whether each instant lies inside a span."""
        at = np.searchsorted(self.starts, instants, side="right")
        ends = np.concatenate(([np.iinfo(np.int64).min], self.ends))
        inside: npt.NDArray[np.bool_] = instants < ends[at]
        return inside

    def edges(self) -> Int64s:
        """Every start and end, sorted."""
        return np.stack((self.starts, self.ends), axis=1).reshape(-1)


EMPTY = SpanSet(np.zeros(0, np.int64), np.zeros(0, np.int64))


def union(starts: Int64s, ends: Int64s) -> SpanSet:
    """The set of instants that any of the spans covers; order-free and idempotent."""
    real = ends > starts
    starts, ends = starts[real], ends[real]
    if not len(starts):
        return EMPTY
    if np.any(starts[1:] < starts[:-1]):
        order = np.argsort(starts, kind="stable")
        starts, ends = starts[order], ends[order]
    reach = np.maximum.accumulate(ends)
    opens = np.concatenate(([True], starts[1:] > reach[:-1]))
    first = np.flatnonzero(opens)
    return SpanSet(starts[first], reach[np.concatenate((first[1:] - 1, [len(reach) - 1]))])


def join(*sets: SpanSet) -> SpanSet:
    """The union of sets."""
    return union(np.concatenate([s.starts for s in sets]), np.concatenate([s.ends for s in sets]))


def frame_union(frame: pl.DataFrame) -> SpanSet:
    """The union of the rows' `start_ns`, `dur_ns`."""
    starts = frame["start_ns"].to_numpy().astype(np.int64)
    return union(starts, starts + frame["dur_ns"].fill_null(0).to_numpy().astype(np.int64))


def busy_time(frame: pl.DataFrame) -> int:
    """Length of the union of the rows, in ns."""
    return frame_union(frame).total


def total_time(frame: pl.DataFrame) -> int:
    """Sum of `dur_ns` as a Python integer, exact also where Int64 would overflow."""
    durations = frame["dur_ns"].drop_nulls().to_numpy().astype(np.int64)
    return (int((durations >> 20).sum()) << 20) + int((durations & 0xFFFFF).sum())


def event_order(frame: pl.DataFrame) -> Int64s:
    """Row numbers by start, ties broken by what the rows say, so that the file's order does not matter."""
    starts = frame["start_ns"]
    if starts.is_sorted() and starts.n_unique() == len(starts):
        return np.arange(frame.height, dtype=np.int64)
    keys = [k for k in ("start_ns", "dur_ns", "stream", "correlation", "graph_node", "name") if k in frame.columns]
    ordered = frame.select(*keys, pl.int_range(pl.len()).alias("_row")).sort(keys, nulls_last=True)
    return ordered["_row"].to_numpy().astype(np.int64)


def gaps(frame: pl.DataFrame) -> pl.DataFrame:
    """The maximal spans inside [first start, last end) with none of the rows running.

    Columns: start_ns, dur_ns (> 0), before, after: row numbers of the event whose end opens the gap (the latest end
    so far, by a running maximum) and of the event that ends it. A zero-length event splits a gap in two.
    """
    schema = {"start_ns": pl.Int64, "dur_ns": pl.Int64, "before": pl.Int64, "after": pl.Int64}
    if frame.height < 2:
        return pl.DataFrame(schema=schema)
    order = event_order(frame)
    starts = frame["start_ns"].to_numpy()[order]
    ends = starts + frame["dur_ns"].fill_null(0).to_numpy()[order]
    reach = np.maximum.accumulate(ends)
    grew = np.concatenate(([True], ends[1:] > reach[:-1]))
    grew[1:] |= starts[1:] >= reach[:-1]  # an event of zero length behind everything opens the next gap too
    holder = np.maximum.accumulate(np.where(grew, np.arange(len(ends)), 0))
    at = np.flatnonzero(starts[1:] > reach[:-1])
    columns = {
        "start_ns": reach[at],
        "dur_ns": starts[at + 1] - reach[at],
        "before": order[holder[at]],
        "after": order[at + 1],
    }
    return pl.DataFrame(columns, schema=schema)
