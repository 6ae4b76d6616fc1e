"""Half-open spans `[start, end)` in integer nanoseconds: union, gaps, measure. Knows nothing of traces.

A `SpanSet` is sorted and disjoint, whatever order and overlap it was made from; spans of zero length take no time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import polars as pl

from rope_prof.analysis.trace.groups import group_numbers

Int64s = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


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
        over = self.ends[at - 1] - until
        over[at == 0] = 0
        found: Int64s = self._before[at]
        found -= np.maximum(over, 0, out=over)
        return found

    def holds(self, instants: Int64s) -> npt.NDArray[np.bool_]:
        """Whether each instant lies inside a span."""
        at = np.searchsorted(self.starts, instants, side="right")
        ends = np.concatenate(([np.iinfo(np.int64).min], self.ends))
        inside: npt.NDArray[np.bool_] = instants < ends[at]
        return inside

    def before(self, instants: Int64s) -> Int64s:
        """The last end of a span at or before each instant; the instant itself where there is none."""
        at = np.searchsorted(self.ends, instants, side="right")
        found: Int64s = np.where(at > 0, self.ends[np.maximum(at - 1, 0)], instants)
        return found

    def near(self, begin: int, end: int) -> SpanSet:
        """The spans that reach into `[begin, end)`, whole: inside it both sets measure and hold the same."""
        low, high = np.searchsorted(self.ends, begin, side="right"), np.searchsorted(self.starts, end)
        return self if high - low == len(self.starts) else SpanSet(self.starts[low:high], self.ends[low:high])

    def edges(self) -> Int64s:
        """Every start and end, sorted."""
        return np.stack((self.starts, self.ends), axis=1).reshape(-1)


EMPTY = SpanSet(np.zeros(0, np.int64), np.zeros(0, np.int64))


def union(starts: Int64s, ends: Int64s) -> SpanSet:
    """The set of instants that any of the spans covers; order-free and idempotent."""
    real = ends > starts
    if not real.all():
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
    held = [s for s in sets if len(s.starts)]
    if len(held) < 2:
        return held[0] if held else EMPTY
    return union(np.concatenate([s.starts for s in sets]), np.concatenate([s.ends for s in sets]))


def length() -> pl.Expr:
    """The time that a row takes: `dur_ns`, or none where that is negative or not known."""
    return pl.col("dur_ns").fill_null(0).clip(lower_bound=0)


def lengths(durations: pl.Series) -> Int64s:
    """The same of a column `dur_ns`."""
    known = durations.fill_null(0) if durations.null_count() else durations
    return np.asarray(np.maximum(known.to_numpy(), 0), np.int64)


def window(frame: pl.DataFrame) -> tuple[int, int]:
    """First start and last end of the rows, at least one."""
    start, end = frame.select(pl.col("start_ns").min(), (pl.col("start_ns") + length()).max().alias("end")).row(0)
    return int(start), int(end)


def frame_union(frame: pl.DataFrame) -> SpanSet:
    """The union of the rows' `start_ns`, `dur_ns`."""
    starts = frame["start_ns"].to_numpy().astype(np.int64)
    return union(starts, starts + frame["dur_ns"].fill_null(0).to_numpy().astype(np.int64))


def total_time(frame: pl.DataFrame) -> int:
    """Sum of `dur_ns` as a Python integer, exact also where Int64 would overflow."""
    durations = frame["dur_ns"].drop_nulls().to_numpy().astype(np.int64)
    return (int((durations >> 20).sum()) << 20) + int((durations & 0xFFFFF).sum())


GAPS = {"start_ns": pl.Int64, "dur_ns": pl.Int64, "before": pl.Int64, "after": pl.Int64}
_TIES = ("dur_ns", "stream", "correlation", "graph_node")


def event_order(frame: pl.DataFrame, by: Sequence[str] = ()) -> Int64s:
    """Row numbers by `by`, then start; ties broken by what the rows say, so that the file's order does not matter."""
    return row_order(frame, by, [name for name in _TIES if name in frame.columns and name not in by])


def row_order(frame: pl.DataFrame, by: Sequence[str], ties: Sequence[str]) -> Int64s:
    """Row numbers by `by`, `start_ns` and `ties`, nulls last: one sort of integers, and one of the rows that tie."""
    key = frame["start_ns"].to_numpy()
    if by and frame.height:
        number, groups = group_numbers(frame.select(by))
        place = groups.with_row_index("place").sort(by, nulls_last=True)["place"].arg_sort().to_numpy().astype(np.int64)
        low, width = int(key.min()), int(key.max()) - int(key.min()) + 1
        if groups.height * width >= 1 << 62:
            rows = frame.select(*by, "start_ns", *ties).with_row_index("row")
            return rows.sort(*by, "start_ns", *ties, "row", nulls_last=True)["row"].to_numpy().astype(np.int64)
        key = place[number] * width + (key - low)
    order = np.argsort(key, kind="stable")
    ordered = key[order]
    same = ordered[1:] == ordered[:-1]
    if same.any():
        tied = np.append(same, False) | np.append(False, same)
        rows = frame[order[tied]].select(ties).with_columns(key=ordered[tied], row=order[tied])
        order[tied] = rows.sort("key", *ties, "row", nulls_last=True)["row"].to_numpy()
    return order


def gaps(frame: pl.DataFrame, by: Sequence[str] = ()) -> pl.DataFrame:
    """The maximal spans inside [first start, last end) with none of the rows running; for each group of `by` apart.

    Columns `GAPS`: start_ns, dur_ns (> 0); before, after: row numbers of the event whose end opens the gap (the
    latest end so far, by a running maximum) and of the event that ends it. An event of zero length splits a gap.
    """
    if frame.height < 2:
        return pl.DataFrame(schema=GAPS)
    return frame_in_order(frame, by).gaps()


@dataclass(frozen=True, eq=False)
class InOrder:
    """Spans in the order of their group and start: `row` says which each is, `first` where groups begin.

    `reach` is the latest end within the group so far.
    """

    row: Int64s
    start: Int64s
    end: Int64s
    first: Int64s
    reach: Int64s

    def last_ends(self) -> Int64s:
        """The latest end of each group."""
        last: Int64s = np.append(self.first[1:], len(self.row)) - 1
        return self.reach[last]

    def busy(self) -> Int64s:
        """Length of the union of each group."""
        before = np.concatenate((self.start[:1], self.reach[:-1]))
        before[self.first] = self.start[self.first]
        new = np.maximum(self.end - np.maximum(self.start, before), 0)
        return np.asarray(np.add.reduceat(new, self.first), np.int64)

    def gap_places(self) -> tuple[Int64s, Int64s]:
        """For each gap the position of the event whose end opens it, and of the one that ends it."""
        reached, starts, ends = self.reach, self.start, self.end
        opens = np.zeros(len(starts), np.bool_)
        opens[self.first] = True
        grew = opens.copy()
        grew[1:] |= (ends[1:] > reached[:-1]) | (starts[1:] >= reached[:-1])
        holder = np.maximum.accumulate(np.where(grew, np.arange(len(ends)), 0))
        at = np.flatnonzero(~opens[1:] & (starts[1:] > reached[:-1]))
        return holder[at], at + 1

    def gaps(self) -> pl.DataFrame:
        """The gaps as `spans.gaps` gives them."""
        held, at = self.gap_places()
        start = self.reach[at - 1]
        columns = (start, self.start[at] - start, self.row[held], self.row[at])
        return pl.DataFrame(dict(zip(GAPS, columns, strict=True)), schema=GAPS)


def in_order(row: Int64s, group: Int64s, start: Int64s, end: Int64s) -> InOrder:
    """Spans that are sorted by `group` and `start` already."""
    opens = np.concatenate(([True], group[1:] != group[:-1]))
    return InOrder(row, start, end, np.flatnonzero(opens), reach_of(start, end, opens))


def frame_in_order(frame: pl.DataFrame, by: Sequence[str] = ()) -> InOrder:
    """The rows of a frame, at least one, in the order of `event_order`."""
    order = event_order(frame, by)
    group = frame[order].select(pl.struct(by).rle_id()).to_series().to_numpy() if by else np.zeros_like(order)
    start = frame["start_ns"].to_numpy()[order]
    return in_order(order, group, start, start + lengths(frame["dur_ns"])[order])


def reach_of(starts: Int64s, ends: Int64s, opens: Bools) -> Int64s:
    """The latest end so far, for each event; anew where a group `opens`. Events are in the order of group and start."""
    if not opens[1:].any():
        return np.maximum.accumulate(ends)
    base = int(min(starts.min(), ends.min()))
    width = int(max(starts.max(), ends.max())) - base + 1
    group = np.cumsum(opens) - 1
    if (int(group[-1]) + 1) * width < 1 << 62:  # groups one after the other on one axis
        shift = group * width - base
        return np.asarray(np.maximum.accumulate(ends + shift) - shift, np.int64)
    whole = pl.DataFrame({"group": group, "end": ends})
    return np.asarray(whole.select(pl.col("end").cum_max().over("group")).to_series(), np.int64)
