"""The calls inside a replay of a graph that we captured, cut by kernel order, and the length of each call."""

from __future__ import annotations

from typing import Any

import polars as pl

from rope_prof.analysis.trace.calls import call_events
from rope_prof.analysis.trace.spans import busy_time, total_time
from rope_prof.model.trace import Trace


def own_calls(frame: pl.DataFrame) -> pl.DataFrame:
    """The calls of a `call_frame` that ran something, in the order of their first event, with the `length_ns` of each:
    its period, or for the last its own extent."""
    alive = frame.filter(pl.col("first_start_ns").is_not_null()).sort("first_start_ns", maintain_order=True)
    extent = pl.col("last_end_ns") - pl.col("first_start_ns")
    period = pl.col("first_start_ns").shift(-1) - pl.col("first_start_ns")
    return alive.with_columns(length_ns=period.fill_null(extent), whole=period.is_not_null())


def split_replays(trace: Trace, frame: pl.DataFrame, per_range: int) -> pl.DataFrame:
    """A `call_frame` whose ranges are replays of a graph of `per_range` calls, cut into those calls by kernel order.

    The host did one launch for all: `host_start_ns` is null but for the first. A replay whose events do not divide
    stays whole.
    """
    if per_range == 1:
        return frame
    rows: list[dict[str, Any]] = []
    for row in frame.filter(pl.col("events") > 0).iter_rows(named=True):
        events = call_events(trace, row)
        size, rest = divmod(events.height, per_range)
        if rest:
            rows.append(row)
            continue
        rows += [_part(row, events[k * size : (k + 1) * size], first=k == 0) for k in range(per_range)]
    return pl.DataFrame(rows, schema=frame.schema)


def _part(row: dict[str, Any], events: pl.DataFrame, *, first: bool) -> dict[str, Any]:
    start = int(events["start_ns"].to_numpy().min())
    end = int((events["start_ns"] + events["dur_ns"].fill_null(0)).to_numpy().max())
    kernels = events.filter(pl.col("kind") == "kernel")
    return row | {
        "host_start_ns": row["host_start_ns"] if first else None,
        "kernels": kernels.height,
        "events": events.height,
        "kernel_ns": total_time(kernels),
        "busy_ns": busy_time(events),
        "first_start_ns": start,
        "last_end_ns": end,
        "inner_gap_ns": end - start - busy_time(events),
    }
