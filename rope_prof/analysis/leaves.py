"""Leaf operators of a CPU trace as its kernels: one row per call, the columns of `analysis.calls.call_frame`.

A leaf is an operator in which no other operator of its thread runs. Only for traces recorded on a CPU: on a GPU an
operator is a launch and a kernel is what ran.
"""

from __future__ import annotations

import re
from typing import Any

import polars as pl

from rope_prof.model.trace import Trace

#: What one call of a CPU trace is known by.
CALLS = {
    "range": pl.String,
    "call": pl.Int64,
    "host_start_ns": pl.Int64,
    "host_end_ns": pl.Int64,
    "kernels": pl.Int64,
    "kernel_ns": pl.Int64,
    "busy_ns": pl.Int64,
    "first_start_ns": pl.Int64,
    "last_end_ns": pl.Int64,
    "period_ns": pl.Int64,
}


def leaf_ops(trace: Trace) -> pl.DataFrame:
    """The operators that hold no other, by thread and start; the columns of `model.trace.CPU_OPS` and `end_ns`."""
    place = ["process", "thread"]
    ordered = trace.ops.with_columns(end_ns=pl.col("start_ns") + pl.col("dur_ns")).sort(
        *place, "start_ns", "dur_ns", descending=[False, False, False, True]
    )
    following = pl.col("start_ns").shift(-1).over(place)
    return ordered.filter(following.is_null() | (following >= pl.col("end_ns")))


def leaf_call_frame(trace: Trace, name: str | re.Pattern[str]) -> pl.DataFrame:
    """One row per record_function range whose whole name matches `name`, in order of start; schema `CALLS`.

    Leaves of one thread never overlap, so busy time is their sum.
    """
    pattern = re.compile(name) if isinstance(name, str) else name
    leaves = leaf_ops(trace)
    ranges = trace.ranges.filter(pl.col("dur_ns").is_not_null()).sort("start_ns")
    rows: list[dict[str, Any]] = []
    for row in ranges.iter_rows(named=True):
        if not pattern.fullmatch(row["name"]):
            continue
        start, end = row["start_ns"], row["start_ns"] + row["dur_ns"]
        inside = leaves.filter(
            (pl.col("thread") == row["thread"]) & (pl.col("start_ns") >= start) & (pl.col("end_ns") <= end)
        )
        busy = int(inside["dur_ns"].sum())
        rows.append(
            {
                "range": row["name"],
                "call": len(rows),
                "host_start_ns": start,
                "host_end_ns": end,
                "kernels": inside.height,
                "kernel_ns": busy,
                "busy_ns": busy,
                "first_start_ns": inside["start_ns"].min(),
                "last_end_ns": inside["end_ns"].max(),
            }
        )
    frame = pl.DataFrame(rows, schema={k: v for k, v in CALLS.items() if k != "period_ns"})
    return frame.with_columns(period_ns=pl.col("first_start_ns").shift(-1) - pl.col("first_start_ns"))
