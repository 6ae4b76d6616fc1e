"""What each named range cost on each device: the kernels launched inside it, their time, the idle time between them.

Ranges of one name are its calls. Names that differ in a trailing number alone (`ProfilerStep#6`, our own keys,
`aten::mul, op_id = 7`) are one family, shown as `ProfilerStep#*` and `aten::mul, op_id = *`. Idle lies inside a call:
between its own first start and last end, where none of its own events runs; what other work of the device fills is
`other_stream` or `copy`. Nested ranges are inclusive.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from rope_prof.analysis.accounting import others_on
from rope_prof.analysis.calls import call_pairs, call_rows, numbered
from rope_prof.analysis.gaps import Host, idle_by_cause, segments
from rope_prof.analysis.spans import gaps


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """Median of the calls, with the 10th and the 90th percentile; each is one of the calls' own values or half way."""

    median: float
    lo: float
    hi: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RangeUse:
    """One range name on one device. `us_per_call`: from first start to last end of a call, in µs."""

    name: str
    device: str
    calls: int
    kernels: int
    kernel_ns: int
    busy_ns: int
    idle_ns: int
    idle_by_cause_ns: dict[str, int]
    us_per_call: Spread | None
    reason: str | None = None


def range_use(ranges: pl.DataFrame, events: pl.DataFrame, host_side: Host, reason: str | None) -> tuple[RangeUse, ...]:
    """One row per name and device that something was launched on, by busy time; `reason` withholds µs per call."""
    if not ranges.height:
        return ()
    families = _families(ranges["name"])
    rows = call_rows(ranges, events).filter(pl.col("device").is_not_null())
    rows = rows.with_columns(family=families.gather(_positions(rows["range"], ranges["name"])))
    if not rows.height:
        return ()
    owners = rows.select("family", "device").unique(maintain_order=True).with_row_index("owner")
    rows = rows.join(owners, on=["family", "device"], maintain_order="left")
    causes = _causes(ranges, events, host_side, rows, owners.height)
    uses = [_use(row, causes[row["owner"]], reason) for row in _summed(rows).iter_rows(named=True)]
    return tuple(sorted(uses, key=lambda use: (-use.busy_ns, use.name, use.device)))


def _families(names: pl.Series) -> pl.Series:
    """Names that differ in their number alone become one: `base#*`, or `base, op_id = *` of PyTorch's emit_nvtx."""
    base = pl.col("name").str.replace(r"#\d+$", "#*").str.replace(r"((?:, (?:op_id|seq) = )\d+)+.*$", ", op_id = *")
    frame = names.to_frame("name").with_columns(base=base)
    several = (pl.col("name").n_unique() > 1).over("base")
    return frame.select(pl.when(several).then("base").otherwise("name").alias("family")).to_series()


def _positions(wanted: pl.Series, names: pl.Series) -> pl.Series:
    index = names.to_frame("name").with_row_index("at").unique("name", keep="first")
    return wanted.to_frame("name").join(index, on="name", how="left", maintain_order="left", nulls_equal=True)["at"]


def _causes(
    ranges: pl.DataFrame, events: pl.DataFrame, host_side: Host, rows: pl.DataFrame, owners: int
) -> list[dict[str, int]]:
    totals: list[dict[str, int]] = [{} for _ in range(owners)]
    owners_of = {device: np.zeros(ranges.height, np.int64) for device in rows["device"].unique()}
    for (device,), here in rows.select("call", "device", "owner").group_by("device"):
        owners_of[str(device)][here["call"].to_numpy()] = here["owner"].to_numpy()
    timed = events.select("device", "kind", "start_ns", "dur_ns")
    rungs = {device: others_on(here) for (device,), here in timed.group_by("device")}
    needed = ("device", "start_ns", "dur_ns", "stream", "correlation", "graph_node")
    narrow = events.select(*needed, "launch_process", "launch_thread", "launch_start_ns")
    for pairs in call_pairs(numbered(ranges), narrow):
        for device in pairs["device"].unique():
            here = pairs.filter(pl.col("device") == device) if len(rungs) > 1 else pairs
            found = gaps(here, by=["call"])
            if not found.height:
                continue
            owner = owners_of[device][here["call"].gather(found["after"]).to_numpy()]
            parts = segments(found, here, owner)
            for k, by_cause in enumerate(idle_by_cause(parts, host_side, owners, rungs[device])):
                for cause, ns in by_cause.items():
                    totals[k][cause] = totals[k].get(cause, 0) + ns
    return totals


def _summed(rows: pl.DataFrame) -> pl.DataFrame:
    length = pl.col("last_end_ns") - pl.col("first_start_ns")
    sums = ("kernels", "kernel_ns", "busy_ns", "inner_gap_ns")
    return rows.group_by("owner").agg(
        pl.col("family", "device").first(),
        pl.len().alias("calls"),
        *(pl.col(name).cast(pl.Int128).sum() for name in sums),
        length.median().alias("median"),
        length.quantile(0.1, "nearest").alias("lo"),
        length.quantile(0.9, "nearest").alias("hi"),
    )


def _use(row: dict[str, Any], causes: dict[str, int], reason: str | None) -> RangeUse:
    spread = Spread(median=row["median"] / 1000, lo=row["lo"] / 1000, hi=row["hi"] / 1000)
    return RangeUse(
        name=row["family"],
        device=row["device"],
        calls=row["calls"],
        kernels=int(row["kernels"]),
        kernel_ns=int(row["kernel_ns"]),
        busy_ns=int(row["busy_ns"]),
        idle_ns=int(row["inner_gap_ns"]),
        idle_by_cause_ns=causes,
        us_per_call=None if reason else spread,
        reason=reason,
    )
