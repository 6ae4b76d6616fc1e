"""A run over many cases as one frame: µs a call, how much faster than the chain, share of the roofline, what loses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import polars as pl

from rope_prof.analysis.run.rows import Row
from rope_prof.analysis.run.series import UNRANKED
from rope_prof.analysis.verdict import judge
from rope_prof.model.frozen import Frozen
from rope_prof.model.run import OperationFacts

#: The columns of a sweep behind those of the case, one an axis.
SWEEP: dict[str, Any] = {
    "l2": pl.String,
    "rank": pl.Int64,
    "path": pl.String,
    "mode": pl.String,
    "key": pl.String,
    "status": pl.String,
    "wall_ns": pl.Float64,
    "wall_lo_ns": pl.Float64,
    "wall_hi_ns": pl.Float64,
    "device_ns": pl.Float64,
    "speedup": pl.Float64,  # wall of the baseline in the same mode / wall, paired
    "speedup_lo": pl.Float64,  # null under six rounds
    "speedup_hi": pl.Float64,
    "counted": pl.Int64,  # what the speedup rests on; where there is none, that the time does
    "counted_over": pl.String,  # what is counted: `stats.Over`
    "verdict": pl.String,  # `analysis.verdict.judge` of the speedup; null where there is none
    "byte_floor_ns": pl.Float64,
    "roofline_share": pl.Float64,  # one pass over the views / device time
    "bytes_per_s": pl.Float64,
}
#: Those, and what `turning_points` adds: no axis may be called so.
TAKEN = frozenset(SWEEP) | {"so_far", "matters_to", "stops_at", "loses_at", "undecided"}


def sweep(rows: Sequence[Row]) -> pl.DataFrame:
    """One row per case, path and mode that was timed: a column an axis, then `SWEEP`.

    By the axes, the swept one last, then the run's order. Empty, with the columns of `SWEEP` alone, without rows.
    """
    timed = [row for row in rows if row.wall_ns is not None]
    if not timed:
        return pl.DataFrame(schema=SWEEP)
    operation = timed[0].case.operation
    kinds = {name: pl.Int64 if isinstance(value, int) else pl.String for name, value in timed[0].case.values}
    frame = pl.DataFrame([_line(row) for row in timed], schema=kinds | SWEEP, orient="row")
    return frame.sort(*family_columns(operation), "l2", "rank", operation.swept, maintain_order=True)


def family_columns(operation: OperationFacts) -> tuple[str, ...]:
    """The axes that the cases of one sweep share."""
    return tuple(axis.name for axis in operation.axes if axis.name != operation.swept)


def _line(row: Row) -> tuple[Any, ...]:
    wall, case = row.wall_ns, row.case
    assert wall is not None
    against = row.mode_speedup if not row.is_baseline and row.status not in UNRANKED else None
    return (
        *(value for _, value in case.values),
        *(row.l2, row.rank, row.path, row.mode, row.key, row.status),
        *(wall.median, wall.lo, wall.hi, row.device_ns.median if row.device_ns else None),
        *((against.median, against.lo, against.hi) if against else (None,) * 3),
        *((against or wall).n, (against or wall).over),
        None if against is None else judge(against.lo, against.hi),
        *(row.byte_floor_ns, row.roofline_share, row.bytes_per_s),
    )


class Widths(Frozen):
    """How wide the intervals of one column of a sweep are, each over its median: the middle one and the widest.

    `widest_at`: the place of the widest in the frame. `without`: figures that have no interval (under six rounds).
    """

    middle: float
    widest: float
    widest_at: int
    without: int


def widths(frame: pl.DataFrame, name: Literal["wall", "speedup"]) -> Widths | None:
    """Of a `SWEEP` frame: of the walls, or of the speedups; None where none has an interval."""
    median = pl.col("wall_ns" if name == "wall" else "speedup")
    lo, hi = ("wall_lo_ns", "wall_hi_ns") if name == "wall" else ("speedup_lo", "speedup_hi")
    each = frame.select(width=(pl.col(hi) - pl.col(lo)) / median, median=median)
    known = each["width"].drop_nulls()
    middle, widest, place = known.median(), known.max(), each["width"].arg_max()
    if not isinstance(middle, float) or not isinstance(widest, float) or place is None:
        return None
    return Widths(middle, widest, place, each["median"].count() - known.len())


def turning_points(frame: pl.DataFrame, operation: OperationFacts) -> pl.DataFrame:
    """Where fusing stops to matter: one row per family, path and mode against the chain in that mode.

    `matters_to`: the largest swept value up to which every measured count is FASTER; null where the fewest are not.
    `stops_at`: the first count beyond; null where every count is. `loses_at`: all counts that are SLOWER.
    `undecided`: counts without an interval.
    """
    by, swept = (*family_columns(operation), "l2", "rank", "path", "mode"), pl.col(operation.swept)
    judged = frame.filter(pl.col("path") != operation.baseline)
    word = pl.col("verdict").fill_null("UNKNOWN")
    ordered = judged.sort(swept, maintain_order=True).with_columns(
        (word == "FASTER").cast(pl.Int8).cum_min().over(by).alias("so_far")
    )
    return ordered.group_by(by, maintain_order=True).agg(
        swept.filter(pl.col("so_far") == 1).max().alias("matters_to"),
        swept.filter(pl.col("so_far") == 0).min().alias("stops_at"),
        swept.filter(word == "SLOWER").alias("loses_at"),
        swept.filter(word == "UNKNOWN").alias("undecided"),
    )
