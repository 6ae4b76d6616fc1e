"""Ranges that were open when recording ended, whose end in the file is the profiler's and not the program's.

Ranges of a thread nest. One that begins inside another and outlives it, to the end of all that its thread does, was
never closed: it is drawn to the end of the window. Its `dur_ns` becomes null, as that of a range which the file itself
leaves open, and it is no call. One that ends with what holds it may be whole: nothing in a file tells.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl

from rope_prof.analysis.trace.groups import is_constant
from rope_prof.analysis.trace.spans import length, lengths
from rope_prof.model.trace import Trace

_LANE = ("process", "thread")


def left_open(trace: Trace) -> Trace:
    """The trace with the ends taken away that the profiler drew."""
    ranges = trace.ranges
    if ranges["dur_ns"].len() - ranges["dur_ns"].null_count() < 2 or _all_nest(ranges):
        return trace
    end = (pl.col("start_ns") + length()).alias("end")
    rows = ranges.with_row_index("row").with_columns(end)
    rows = rows.with_columns(last=pl.col("end").max().over(_LANE))  # of a thread that does more after it none is drawn
    to_the_end = pl.col("end") >= pl.col("last")
    inner = pl.when(~to_the_end & pl.col("dur_ns").is_not_null()).then("end")
    rows = rows.sort(*_LANE, "start_ns", "end", descending=[False, False, False, True]).with_columns(
        reach=inner.cum_max().forward_fill().shift(1).over(_LANE)
    )
    opened = rows.filter(to_the_end & pl.col("thread").is_not_null() & (pl.col("reach") > pl.col("start_ns")))
    for frame in (trace.calls, trace.ops) if opened.height else ():
        later = frame.group_by(_LANE).agg(end.max().alias("later"))
        opened = opened.join(later, on=_LANE, how="left", nulls_equal=True)
        opened = opened.filter((pl.col("later") <= pl.col("last")).fill_null(True)).drop("later")
    if not opened.height:
        return trace
    mark = pl.int_range(pl.len()).is_in(opened["row"].cast(pl.Int64).implode())
    return replace(trace, ranges=ranges.with_columns(dur_ns=pl.when(~mark).then("dur_ns")))


def _all_nest(ranges: pl.DataFrame) -> bool:
    """Whether they are of one thread, and none that reaches to the end of all begins inside one that ends before."""
    if not all(is_constant(ranges[name]) for name in _LANE):
        return False
    start = ranges["start_ns"].to_numpy()
    end = start + lengths(ranges["dur_ns"])
    order = np.lexsort((-end, start))
    start, end = start[order], end[order]
    inner = (end < end.max()) & ranges["dur_ns"].is_not_null().to_numpy()[order]
    reach = np.maximum.accumulate(np.where(inner, end, np.iinfo(np.int64).min))
    return not np.any((end[1:] == end.max()) & (reach[:-1] > start[1:]))
