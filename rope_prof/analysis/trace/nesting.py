"""Which span of a thread lies in which, and which one a launch was made in: the one that holds it and began last.

The rule is that of `calls.innermost`; here the answer is a row, so that one can go on to what lies around it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from rope_prof.analysis.trace.launches import FOR_THREAD
from rope_prof.analysis.trace.pairs import FOREVER
from rope_prof.analysis.trace.spans import Int64s

_LANE = ["process", "thread"]


@dataclass(frozen=True, eq=False)
class Nest:
    """Spans by process, thread and start, an outer one first. `parent`: the row of the span around it, or -1."""

    spans: pl.DataFrame
    start: Int64s
    end: Int64s
    parent: Int64s

    def holding(self, row: Int64s, at: Int64s) -> Int64s:
        """From the rows that began before `at`, outwards to the first that is still open then; -1 for none."""
        row = row.copy()
        while len(closed := np.flatnonzero((row >= 0) & (self.end[row] <= at))):
            row[closed] = self.parent[row[closed]]
        return row

    def depths(self) -> Int64s:
        """Of each span how many are around it."""
        depth = np.zeros(len(self.parent), np.int64)
        rows, around = np.arange(len(self.parent)), self.parent
        while len(rows):
            rows, around = rows[around >= 0], around[around >= 0]
            depth[rows] += 1
            around = self.parent[around]
        return depth

    def with_parents(self, rows: Int64s) -> Int64s:
        """Those rows and all that are around them, in order."""
        used = np.zeros(len(self.parent), np.bool_)
        while len(rows):
            used[rows] = True
            rows = np.unique(self.parent[rows])
            rows = rows[(rows >= 0) & ~used[rows]]
        return np.flatnonzero(used)


def nested(spans: pl.DataFrame) -> Nest:
    """The nest of spans with process, thread, start_ns and dur_ns (null: never closed)."""
    reach = (pl.col("start_ns") + pl.col("dur_ns").clip(lower_bound=0)).fill_null(FOREVER)
    held = spans.filter(pl.col("start_ns").is_not_null()).with_columns(end=reach)
    held = held.sort(*_LANE, "start_ns", "end", descending=[False, False, False, True], maintain_order=True)
    start, end = held["start_ns"].to_numpy(), held["end"].to_numpy()
    first = held.select(pl.struct(_LANE).is_first_distinct()).to_series().to_numpy()
    parent = np.where(first, -1, np.arange(held.height) - 1)
    # What closed before a span closed before all that begin later: whom the one before it skips, it skips too.
    while len(closed := np.flatnonzero((parent >= 0) & (end[parent] <= start))):
        parent[closed] = parent[parent[closed]]
    return Nest(held.drop("end"), start, end, parent)


def innermost_rows(nest: Nest, events: pl.DataFrame) -> Int64s:
    """For each of `events` (as `launched` gives them) the row of the span that its launch was made in, or -1."""
    best = np.full(events.height, -1, np.int64)
    began = np.full(events.height, np.iinfo(np.int64).min)
    lanes = nest.spans.with_row_index("at").group_by(_LANE, maintain_order=True).agg(pl.col("at").min(), pl.len())
    linked = events.select("launch_process", "launch_thread", "launch_start_ns", FOR_THREAD, row=pl.int_range(pl.len()))
    linked = linked.filter(pl.col("launch_start_ns").is_not_null())
    for process, thread, first, count in lanes.iter_rows():
        here = linked if process is None else linked.filter(pl.col("launch_process").eq_missing(process))
        if thread is not None:
            waits = (pl.col(FOR_THREAD) == thread).fill_null(False)
            here = here.filter(pl.col("launch_thread").eq_missing(thread) | waits)
        at, rows = here["launch_start_ns"].to_numpy(), here["row"].to_numpy()
        before = np.searchsorted(nest.start[first : first + count], at, side="right") - 1
        found = nest.holding(np.where(before < 0, -1, before + first), at)
        later = (found >= 0) & (nest.start[found] >= began[rows])
        best[rows[later]], began[rows[later]] = found[later], nest.start[found[later]]
    return best
