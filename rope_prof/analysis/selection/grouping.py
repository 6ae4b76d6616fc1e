"""GPU events by what a viewer asks for: kernel name or class, operator, module, line, range, shape, stream, rank.

Knows what the file tells of each event; a null is what it does not tell.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

import numpy as np
import polars as pl

from rope_prof.analysis.trace.kernel_class import kernel_class
from rope_prof.analysis.trace.nesting import innermost_rows, nested
from rope_prof.analysis.trace.sites import LaunchSites
from rope_prof.model.trace import Trace

Told = Callable[[Trace, pl.DataFrame], pl.Series]


def groups_of(trace: Trace, events: pl.DataFrame, by: str) -> pl.Series:
    """The group of each of `events` (`launched` of `trace`) by one of `GROUPINGS`; null where the file has none."""
    return GROUPINGS[by](trace, events)


def known_groupings(trace: Trace) -> tuple[str, ...]:
    """Those of `GROUPINGS` that the trace tells anything of."""
    modules = trace.python["name"].str.starts_with("nn.Module: ").any()
    has = {
        "operator": trace.ops.height > 0,
        "shape": trace.ops["input_dims"].null_count() < trace.ops.height,
        "range": trace.ranges.height > 0,
        "module": modules,
        "line": trace.python.height > 0,
    }
    return tuple(by for by in GROUPINGS if has.get(by, True))


def _operator_rows(trace: Trace, events: pl.DataFrame) -> pl.DataFrame:
    """Of each event the operator that caused it, by its External id, else the innermost around its launch."""
    first = trace.ops.filter(pl.col("external").is_not_null()).unique("external", keep="first", maintain_order=True)
    said = events.select("external").join(first, on="external", how="left", maintain_order="left", nulls_equal=False)
    if said["name"].null_count() == 0:
        return said
    nest = nested(trace.ops)
    row = innermost_rows(nest, events)
    around = nest.spans.select("name", "input_dims")[np.maximum(row, 0).tolist()] if nest.spans.height else said.clear()
    if not around.height:
        return said
    found = pl.Series(row >= 0)
    missing = said["name"].is_null()
    return said.with_columns(
        pl.when(missing & found).then(around[name]).otherwise(pl.col(name)).alias(name)
        for name in ("name", "input_dims")
    )


def _operator(trace: Trace, events: pl.DataFrame) -> pl.Series:
    return _operator_rows(trace, events)["name"]


def _shape(trace: Trace, events: pl.DataFrame) -> pl.Series:
    """`aten::mm [[16, 32], [32, 8]]`, without inputs that have no shape: an operator without shapes has no group."""
    rows = _operator_rows(trace, events)
    flat = pl.col("input_dims").str.replace_all(r"\s+", "")  # some files are written over many lines
    dims = flat.str.replace_all(r",\[\]|\[\],", "").str.replace_all(",", ", ", literal=True)
    return rows.select(pl.concat_str("name", pl.lit(" "), dims)).to_series()


def _site(what: str, trace: Trace, events: pl.DataFrame) -> pl.Series:
    found: pl.Series = getattr(LaunchSites(trace), what)(events)
    return found


def _stream(_: Trace, events: pl.DataFrame) -> pl.Series:
    stream = pl.concat_str(pl.lit("stream "), pl.col("stream").cast(pl.String))
    return events.select(pl.concat_str(_device(events), stream, separator=" · ", ignore_nulls=True)).to_series()


def _rank(trace: Trace, events: pl.DataFrame) -> pl.Series:
    """The file's rank where it says one, the device, and the process where several have launched."""
    told = trace.metadata.get("distributedInfo")
    rank = told.get("rank") if isinstance(told, dict) else None
    word = pl.lit(None, dtype=pl.String) if rank is None else pl.lit(f"rank {rank}")
    owner = pl.coalesce("process", "launch_process")
    several = events.select(owner.drop_nulls().n_unique()).item() > 1
    process = pl.concat_str(pl.lit("process "), owner.cast(pl.String)) if several else pl.lit(None, dtype=pl.String)
    return events.select(pl.concat_str(word, _device(events), process, separator=" · ", ignore_nulls=True)).to_series()


def _device(events: pl.DataFrame) -> pl.Expr:
    one = events["device"].n_unique() < 2 and "cpu" in events["device"]
    return pl.lit("cpu") if one else pl.concat_str(pl.lit("device "), pl.col("device").fill_null("?"))


#: Word -> what tells the group of each event.
GROUPINGS: Final[dict[str, Told]] = {
    "name": lambda _, events: events["name"],
    "class": lambda _, events: kernel_class(events),
    "operator": _operator,
    "shape": _shape,
    "module": partial(_site, "modules"),
    "line": partial(_site, "lines"),
    "range": partial(_site, "ranges"),
    "stream": _stream,
    "rank": _rank,
}
