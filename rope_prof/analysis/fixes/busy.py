"""What of a device's busy time is no compute: copies and communication that run alone, grids that leave SMs idle, and
kernels whose counters say that too few warps run to keep anything of the device busy.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator
from typing import Final

import polars as pl

from rope_prof.analysis.fixes.fix import Fix, worth
from rope_prof.analysis.fixes.places import place_of
from rope_prof.analysis.trace.cards import sms_of
from rope_prof.analysis.trace.collectives import collectives, communicates
from rope_prof.analysis.trace.copies import ways
from rope_prof.analysis.trace.sites import LaunchSites
from rope_prof.analysis.trace.spans import SpanSet, frame_union, join, window
from rope_prof.model.nsight import KernelCounters
from rope_prof.model.trace import Trace

#: A shorter kernel takes about what any kernel takes, whatever its grid.
LEAST_NS: Final = 10_000
#: A kernel with fewer active warps than this, in percent, waits for latency, unless something is this near its peak.
FEW_WARPS: Final = 50.0
NEAR_PEAK: Final = 60.0


def busy_fixes(trace: Trace, events: pl.DataFrame, sites: LaunchSites) -> Iterator[Fix]:
    """The losses in the busy time of one device; `events` are its rows of `launched`."""
    start, end = window(events)
    comm = communicates(events)
    computes = ~comm & pl.col("kind").is_in(["kernel", "graph"])
    work = frame_union(events.select("kind", "start_ns", "dur_ns").filter(computes))
    copies = events.filter(pl.col("kind") == "memcpy")
    named = copies.with_columns(ways(copies["name"]))
    told = pl.concat_str("direction", pl.col("memory"), separator=" ", ignore_nulls=True)
    yield from _alone("copies", named.with_columns(subject=told), work, end - start, sites)
    if comm.any():
        moved = collectives(trace, events).with_columns(subject="operation")
        yield from _alone("communication", moved, work, end - start, sites)
    sms = sms_of(trace, str(events["device"][0]))
    if sms:
        long = (pl.col("kind") == "kernel") & (pl.col("dur_ns") >= LEAST_NS) & pl.col("grid").is_not_null()
        yield from _grids(events.filter(~comm & long), sms, end - start, sites)


def _alone(kind: str, rows: pl.DataFrame, work: SpanSet, span: int, sites: LaunchSites) -> Iterator[Fix]:
    """By subject: when these run and no kernel that computes does."""
    for (subject,), group in rows.group_by("subject"):
        alone = join(frame_union(group), work).total - work.total
        yield from _fix(kind, str(subject), group, alone, span, sites)


def _grids(known: pl.DataFrame, sms: int, span: int, sites: LaunchSites) -> Iterator[Fix]:
    """Kernels of fewer blocks than the device has SMs, by name: spread over all, they take that part of their time."""
    blocks = {text: _blocks(text) for text in known["grid"].unique().to_list()}
    small = {text: count for text, count in blocks.items() if 0 < count < sms}
    if not small:
        return
    rows = known.filter(pl.col("grid").is_in(list(small))).with_columns(
        blocks=pl.col("grid").replace_strict(small, return_dtype=pl.Int64)
    )
    idle = (pl.col("dur_ns") * (1 - pl.col("blocks") / sms)).alias("lost")
    for (name,), group in rows.with_columns(idle).group_by("name"):
        free = sms - int(group["blocks"].max())  # type: ignore[arg-type]
        yield from _fix("grid", str(name), group, int(group["lost"].sum()), span, sites, free)


def occupancy_fixes(events: pl.DataFrame, counters: Iterable[KernelCounters], sites: LaunchSites) -> Iterator[Fix]:
    """Kernels of one device that few warps run of, by name: at its peak, what they use most would take that part."""
    start, end = window(events)
    low: dict[str, list[tuple[float, float]]] = {}
    for one in counters:
        peaks = [share for share in (one.dram_percent, one.l2_percent, one.sm_percent) if share is not None]
        if one.occupancy_percent is not None and peaks:
            low.setdefault(one.name, []).append((one.occupancy_percent, max(peaks)))
    for name, seen in low.items():
        warps, peak = max(seen)[0], max(peak for _, peak in seen)  # of all its launches the best one
        rows = events.filter((pl.col("kind") == "kernel") & _called(name) & (pl.col("dur_ns") >= LEAST_NS))
        if warps < FEW_WARPS and peak < NEAR_PEAK and rows.height:
            most = int(int(rows["dur_ns"].sum()) * (1 - peak / 100))
            yield from _fix("occupancy", name, rows, most, end - start, sites, warps)


def _called(name: str) -> pl.Expr:
    """Kernels of that name: the tools that count write `f` where a trace has `void ns::f<int>(...)`."""
    return pl.col("name").str.contains(rf"(?:^|[\s:]){re.escape(name)}(?:$|[<(])")


def _blocks(text: str) -> int:
    sides = text.split("x")
    return math.prod(int(side) for side in sides) if all(side.isdigit() for side in sides) else 0


def _fix(
    kind: str, subject: str, rows: pl.DataFrame, most: int, span: int, sites: LaunchSites, each: float | None = None
) -> Iterator[Fix]:
    if not worth(most, span):
        return
    yield Fix(
        kind=kind,  # type: ignore[arg-type]
        devices=(str(rows["device"][0]),),
        subject=subject,
        count=rows.height,
        lo_ns=0,
        hi_ns=most,
        span_ns=span,
        place=place_of(sites, rows.sort("dur_ns").row(-1, named=True)),
        each=each,
    )
