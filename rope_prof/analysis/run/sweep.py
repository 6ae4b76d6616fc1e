"""A run over many cases as one frame: µs a call, how much faster than the chain, share of the roofline, what loses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import polars as pl

from rope_prof.analysis.run.rows import Row
from rope_prof.analysis.run.series import BASELINE, UNRANKED
from rope_prof.analysis.verdict import judge

_FAMILY = ("model", "tp", "dtype", "prompt", "l2", "rank", "path", "mode")

SWEEP: dict[str, Any] = {
    "model": pl.String,
    "tp": pl.Int64,
    "tokens": pl.Int64,
    "dtype": pl.String,
    "prompt": pl.String,
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
    "speedup": pl.Float64,  # wall of unfused in the same mode / wall, paired
    "speedup_lo": pl.Float64,  # null under six rounds
    "speedup_hi": pl.Float64,
    "rounds": pl.Int64,  # that the speedup rests on; where there is none, that the time does
    "verdict": pl.String,  # `analysis.verdict.judge` of the speedup; null where there is none, as for unfused itself
    "byte_floor_ns": pl.Float64,
    "roofline_share": pl.Float64,  # one pass over the views / device time
    "bytes_per_s": pl.Float64,
}


def sweep(rows: Sequence[Row]) -> pl.DataFrame:
    """One row per case, path and mode that was timed; schema `SWEEP`, by model, TP, tokens, then the run's order."""
    timed = [_line(row) for row in rows if row.wall_ns is not None]
    frame = pl.DataFrame(timed, schema=SWEEP, orient="row")
    return frame.sort("model", "tp", "dtype", "prompt", "l2", "rank", "tokens", maintain_order=True)


def _line(row: Row) -> tuple[Any, ...]:
    wall, case = row.wall_ns, row.case
    assert wall is not None
    against = row.mode_speedup if row.path != BASELINE and row.status not in UNRANKED else None
    return (
        *(case.model, case.tp, case.tokens, case.dtype, case.prompt),
        *(row.l2, row.rank, row.path, row.mode, row.key, row.status),
        *(wall.median, wall.lo, wall.hi, row.device_ns.median if row.device_ns else None),
        *((against.median, against.lo, against.hi) if against else (None,) * 3),
        (against or wall).n,
        None if against is None else judge(against.lo, against.hi),
        *(row.byte_floor_ns, row.roofline_share, row.bytes_per_s),
    )


@dataclass(frozen=True, slots=True)
class Widths:
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


def turning_points(frame: pl.DataFrame) -> pl.DataFrame:
    """Where fusing stops to matter: one row per model, TP, path and mode against the chain in that mode.

    `matters_to`: the most tokens up to which every measured count is FASTER; null where the fewest are not.
    `stops_at`: the first count beyond; null where every count is. `loses_at`: all counts that are SLOWER.
    `undecided`: counts without an interval.
    """
    judged = frame.filter(pl.col("path") != BASELINE)
    word = pl.col("verdict").fill_null("UNKNOWN")
    ordered = judged.sort("tokens", maintain_order=True).with_columns(
        (word == "FASTER").cast(pl.Int8).cum_min().over(_FAMILY).alias("so_far")
    )
    return ordered.group_by(_FAMILY, maintain_order=True).agg(
        pl.col("tokens").filter(pl.col("so_far") == 1).max().alias("matters_to"),
        pl.col("tokens").filter(pl.col("so_far") == 0).min().alias("stops_at"),
        pl.col("tokens").filter(word == "SLOWER").alias("loses_at"),
        pl.col("tokens").filter(word == "UNKNOWN").alias("undecided"),
    )
