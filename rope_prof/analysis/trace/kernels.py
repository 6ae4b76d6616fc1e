"""Which kernels a path runs: their count, time and share per call. Frames to frames."""

from __future__ import annotations

from typing import Any

import polars as pl

#: One row per kernel name and launch shape, the most expensive first.
KERNELS: dict[str, Any] = {
    "name": pl.String,
    "kind": pl.String,
    "per_call": pl.Float64,  # executions a call
    "ns_per_call": pl.Float64,
    "share": pl.Float64,  # of the path's kernel time; null where that is zero
    "ns_each": pl.Float64,  # median duration of one execution
    "grid": pl.String,
    "block": pl.String,
    "registers": pl.Int64,
    "shared_bytes": pl.Int64,
}


def kernel_shares(events: pl.DataFrame, calls: int) -> pl.DataFrame:
    """`events` of `calls` calls of one path, grouped by kernel and launch shape: schema KERNELS.

    A kernel that is launched with two grids is two rows. Shares add up to 1. Errors: ValueError for no call.
    """
    if calls < 1:
        raise ValueError(f"{calls} calls; expected at least one")
    total = events["dur_ns"].sum()
    return (
        events.group_by("name", "kind", "grid", "block", "registers", "shared_bytes")
        .agg(
            (pl.len() / calls).alias("per_call"),
            (pl.col("dur_ns").sum() / calls).alias("ns_per_call"),
            (pl.col("dur_ns").sum() / total if total else pl.lit(None)).alias("share"),
            pl.col("dur_ns").median().alias("ns_each"),
        )
        .sort("ns_per_call", "name", "grid", descending=[True, False, False])
        .select(pl.col(name).cast(dtype) for name, dtype in KERNELS.items())
    )
