"""What of a device's idle time could go: launches that come late, a host that is elsewhere, waits for the GPU.

Rests on the causes of `trace.gaps`: a gap's part before its launch began, and the launch itself, is the host's.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import polars as pl

from rope_prof.analysis.chains.saving import FUSED_LAUNCH_NS, PAUSE
from rope_prof.analysis.fixes.fix import Fix, worth
from rope_prof.analysis.fixes.places import place_of
from rope_prof.analysis.trace.analyze import Analysis
from rope_prof.analysis.trace.gaps import BLOCKING_COPY, SYNC_CALL, idle_pieces
from rope_prof.analysis.trace.groups import holding
from rope_prof.analysis.trace.sites import LaunchSites
from rope_prof.analysis.trace.spans import gaps
from rope_prof.model.trace import Trace

#: What stays of a gap between two nodes of a graph.
NODE_NS: Final = 2_000
#: A range is named where it holds at least this part of what is lost.
_HOLDS: Final = 0.6
_LATE: Final = ("host_late", "launch")
_GRAPH: Final = "(?i)graphlaunch"


def idle_fixes(trace: Trace, analysis: Analysis, events: pl.DataFrame, sites: LaunchSites) -> Iterator[Fix]:
    """The idle losses of one device; `events` are its rows of `launched`."""
    found = gaps(events)
    if not found.height:
        return
    after = events.select("name", "launch_name", "launch_process", "launch_thread", "launch_start_ns")
    device, span = str(events["device"][0]), _span(events)
    split = idle_pieces(trace)[events["device"][0]]
    parts = split.filter(pl.col("cause").is_in(_LATE)).group_by("gap", maintain_order=True)
    late = parts.agg(pl.col("start_ns").first(), pl.col("dur_ns").sum())
    late = late.hstack(after[found["after"][late["gap"]]])
    if late.height:
        usual = float(late["dur_ns"].median() or 0)  # type: ignore[arg-type]
        apart = (pl.col("dur_ns") > PAUSE * usual) | holding(late["launch_name"], _GRAPH)
        yield from _launches(late.filter(~apart), analysis, device, span, sites)
        yield from _elsewhere(late.filter(apart), device, span, sites)
    waits = split.filter(pl.col("cause") == "sync")
    yield from _waits(trace, waits.hstack(after[found["after"][waits["gap"]]]), device, span, sites)


def _span(events: pl.DataFrame) -> int:
    end = events.select((pl.col("start_ns") + pl.col("dur_ns").clip(lower_bound=0)).max()).item()
    return int(end) - int(events["start_ns"].min())  # type: ignore[arg-type]


def _launches(late: pl.DataFrame, analysis: Analysis, device: str, span: int, sites: LaunchSites) -> Iterator[Fix]:
    """Gaps between launches that come one by one: a graph of them, or fewer of them, closes these."""
    if not late.height:
        return
    total = int(late["dur_ns"].sum())
    kept = int((late["dur_ns"] - NODE_NS).clip(0).sum())
    name, times = _holder(analysis, device, total)
    yield Fix(
        kind="launches",
        devices=(device,),
        subject="launches",
        count=late.height,
        lo_ns=max(0, kept - FUSED_LAUNCH_NS * (times or 1)),
        hi_ns=total,
        span_ns=span,
        place=place_of(sites, late.sort("dur_ns").row(-1, named=True)),
        within=name,
        times=times,
        each=late.height / times if times else None,
    )


def _holder(analysis: Analysis, device: str, total_ns: int) -> tuple[str | None, int | None]:
    """The shortest range inside whose calls most of the late launches lie, and its calls."""
    held = [
        (use.busy_ns + use.idle_ns, use.name, use.calls)
        for use in analysis.ranges
        if use.device == device and sum(use.idle_by_cause_ns.get(cause, 0) for cause in _LATE) >= _HOLDS * total_ns
    ]
    return min(held)[1:] if held else (None, None)


def _elsewhere(late: pl.DataFrame, device: str, span: int, sites: LaunchSites) -> Iterator[Fix]:
    """Long stops of the host between two launches, and those before a graph: no graph removes these."""
    if late.height:
        yield Fix(
            kind="host",
            devices=(device,),
            subject="stops",
            count=late.height,
            lo_ns=0,
            hi_ns=int(late["dur_ns"].sum()),
            span_ns=span,
            place=place_of(sites, late.sort("dur_ns").row(-1, named=True)),
        )


def _waits(trace: Trace, idle: pl.DataFrame, device: str, span: int, sites: LaunchSites) -> Iterator[Fix]:
    """Idle after waits of the host, by the call that waited and the operator that made it."""
    calls = trace.calls.filter(holding(trace.calls["name"], f"{SYNC_CALL}|{BLOCKING_COPY}"))
    if not idle.height or not calls.height:
        return
    keys = ["launch_process", "launch_thread"]
    made = calls.select(
        launch_process="process", launch_thread="thread", at="start_ns", launch_start_ns="start_ns", call="name"
    )
    pieces_ = idle.drop("launch_start_ns").with_columns(until=pl.col("start_ns") + pl.col("dur_ns"))
    rows = pieces_.sort("until").join_asof(
        made.sort("at"), left_on="until", right_on="at", by=keys, check_sortedness=False
    )
    rows = rows.filter(pl.col("call").is_not_null())
    if not rows.height:
        return
    rows = rows.with_columns(sites.operators(rows), sites.ranges(rows), sites.lines(rows))
    for (call, operator, within, _), group in rows.group_by("call", "operator", "range", "line"):
        lost = int(group["dur_ns"].sum())
        if not worth(lost, span):
            continue
        yield Fix(
            kind="wait",
            devices=(device,),
            subject=f"{operator} ({call})" if operator else str(call),
            count=group["at"].n_unique(),
            lo_ns=0,
            hi_ns=lost,
            span_ns=span,
            place=place_of(sites, group.sort("dur_ns").row(-1, named=True), name="call"),
            within=None if within is None else str(within),
        )
