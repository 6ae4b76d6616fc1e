"""Which forward operator caused backward work: the last one with the sequence number of the backward operator that the
launch was made in. So the work counts for the ranges around that forward operator too."""

from __future__ import annotations

import polars as pl

from rope_prof.analysis.trace.calls import innermost
from rope_prof.model.trace import Trace


def caused_by_forward(trace: Trace, events: pl.DataFrame) -> pl.DataFrame:
    """The events that were launched inside a backward operator whose forward operator is in the file, with that
    operator's thread and start in place of the launch's."""
    numbered = pl.col("sequence").is_not_null() & (pl.col("sequence") >= 0)
    backward = pl.col("forward_thread").fill_null(0) > 0
    ops = trace.ops.filter(numbered)
    later = ops.filter(backward)
    if not later.height:
        return events.clear()
    number = innermost(later.with_columns(name=pl.col("sequence").cast(pl.String), kind=pl.lit("operator")), events)
    caused = events.with_columns(sequence=number.cast(pl.Int64)).filter(pl.col("sequence").is_not_null())
    forward = ops.filter(~backward).sort("start_ns").unique(["process", "sequence"], keep="last", maintain_order=True)
    causes = forward.select("sequence", launch_process="process", forward_on="thread", forward_at="start_ns")
    return (
        caused.join(causes, on=["launch_process", "sequence"], how="inner", nulls_equal=True, maintain_order="left")
        .with_columns(launch_thread="forward_on", launch_start_ns="forward_at", launch_for_thread=None)
        .with_columns(pl.col("launch_for_thread").cast(pl.Int64))
        .select(events.columns)
    )
