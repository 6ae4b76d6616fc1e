"""What each torch module cost in replays of graphs: the kernels that were captured in it, whoever replays them.

A call is what one replay runs of one module. Modules that differ in their number alone (`LlamaDecoderLayer_3`) are one
family, `LlamaDecoderLayer_*`. Nested ones are inclusive, as ranges are.
"""

from __future__ import annotations

from typing import Final

import polars as pl

from rope_prof.analysis.trace.gaps import Host
from rope_prof.analysis.trace.pairs import run_gaps, run_totals, runs, timed
from rope_prof.analysis.trace.ranges import RangeUse, call_use
from rope_prof.analysis.trace.shared import CallTotals
from rope_prof.analysis.trace.sites import MODULE_NUMBER
from rope_prof.model.trace import Trace, node_number

_REPLAY: Final = ("launch_process", "correlation")


def replayed_modules(trace: Trace, events: pl.DataFrame) -> pl.DataFrame:
    """row (of `events`, the trace's `launched` frame), name, and what tells replays apart, of each module around a
    captured kernel."""
    paths = trace.sites.filter(pl.col("module").is_not_null()).select("node", name=pl.col("module").str.split("/"))
    rows = events.select(*_REPLAY, node_number()).with_row_index("row").with_columns(pl.col("row").cast(pl.Int64))
    return rows.join(paths, on="node", how="inner", maintain_order="left").explode("name").unique(maintain_order=True)


def module_use(held: pl.DataFrame, events: pl.DataFrame, host_side: Host) -> list[RangeUse]:
    """One row a family of modules and device. `held`: rows of `replayed_modules`."""
    if not held.height:
        return []
    calls = held.with_columns(call=pl.struct(*_REPLAY, "name").rank("dense").cast(pl.Int64) - 1).sort("call", "row")
    names = calls.unique("call", keep="first", maintain_order=True).select("name")
    base = pl.col("name").str.replace(MODULE_NUMBER, "_*")
    several = (pl.col("name").n_unique() > 1).over(base)
    family = names.select(family=pl.when(several).then(base).otherwise("name"), closed=pl.lit(True))
    arrays = timed(events)
    found = runs(calls["call"].to_numpy(), calls["row"].to_numpy(), arrays)
    return call_use(family, [CallTotals(run_totals(found, arrays), run_gaps(found))], events, arrays, host_side)
