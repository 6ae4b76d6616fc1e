"""Launches without a kernel, and kernels without a launch: which are to be expected, which are lost records.

Expected: launches recorded into a graph while a stream captures, and those whose kernels ran after the window: issued
after the launch of the last recorded event, or while a stream that is busy to the window's end still worked on earlier
ones. A capture takes in what other threads of its process launch (autograd's, say); one that begins before the file
reaches back to its start.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import polars as pl

from rope_prof.analysis.trace.launches import LAUNCHES_KERNEL
from rope_prof.analysis.trace.spans import Int64s, SpanSet, length, union
from rope_prof.model.trace import Finding, Trace

_FAR = np.int64(1) << 62


def missing(trace: Trace, events: pl.DataFrame) -> Iterator[Finding]:
    """The findings; `events` is the trace's `launched` frame."""
    unlinked = events["launch_start_ns"].null_count()
    if unlinked:
        detail = "GPU events have no launch call in the file (launched before the window, or filtered)"
        yield Finding(code="kernels_without_launch", detail=detail, count=unlinked)
    launches = trace.calls.filter(pl.col("name").str.contains(LAUNCHES_KERNEL))
    bare = _without_kernel(launches, events)
    if bare.height:
        yield from _bare(trace, events, bare, launches.height)


def _bare(trace: Trace, events: pl.DataFrame, bare: pl.DataFrame, launches: int) -> Iterator[Finding]:
    window = (
        events.filter(pl.col("launch_start_ns").is_not_null())
        .group_by(process="launch_process")
        .agg(first=pl.col("launch_start_ns").min(), last=pl.col("launch_start_ns").max())
    )
    bare = bare.join(window, on="process", how="left", nulls_equal=True)
    captured = _inside(bare, _captures(trace))
    after = ~captured & ((bare["start_ns"] > bare["last"]).fill_null(False) | _inside(bare, _backlogs(events, bare)))
    rest = bare.filter(~captured & ~after)
    start = int((rest["first"].is_null() | (rest["start_ns"] < rest["first"])).sum())
    if count := int(captured.sum()):
        detail = "launches were recorded into a graph by a stream capture; none is expected to have a kernel"
        yield Finding(code="captured_launches", detail=detail, count=count)
    if count := int(after.sum()):
        detail = "launches come after that of the last recorded GPU event: their kernels ran after the window"
        yield Finding(code="launches_after_last_record", detail=detail, count=count)
    if start:
        detail = "launches at the start of the file have no kernel in it: GPU records are missing"
        yield Finding(code="missing_kernels_start", detail=detail, count=start)
    if count := rest.height - start:
        detail = f"of {launches} launches in the middle of the file have no kernel in it: GPU records are missing"
        yield Finding(code="missing_kernels", detail=detail, count=count)


def _without_kernel(launches: pl.DataFrame, events: pl.DataFrame) -> pl.DataFrame:
    keys = ["correlation", "process"] if events["process"].null_count() == 0 else ["correlation"]
    rows = launches.filter(pl.col("correlation").is_not_null())
    return rows.join(events.select(keys).unique(), on=keys, how="anti")


def _inside(bare: pl.DataFrame, spans: dict[int | None, SpanSet]) -> pl.Series:
    """Which launches begin inside a span of their process; those of no known process hold for all."""
    start = bare["start_ns"].to_numpy()
    inside = np.zeros(len(start), np.bool_)
    for process, instants in spans.items():
        own = True if process is None else (bare["process"] == process).fill_null(False).to_numpy()
        inside |= own & instants.holds(start)
    return pl.Series(inside)


def _captures(trace: Trace) -> dict[int | None, SpanSet]:
    """When some thread of each process was capturing a stream."""
    marks = trace.calls.filter(pl.col("name").str.contains("(?i)Stream(?:Begin|End)Capture")).sort("start_ns")
    spans: dict[int | None, list[tuple[Int64s, Int64s]]] = {}
    for (process, _), rows in marks.group_by("process", "thread", maintain_order=True):
        at = rows["start_ns"].to_numpy()
        begins = rows["name"].str.contains("(?i)BeginCapture").to_numpy()
        edges, opens = np.concatenate(([-_FAR], at, [_FAR])), np.concatenate(([not begins[0]], begins))
        own = spans.setdefault(None if process is None else int(process), [])
        own.append((edges[:-1][opens], edges[1:][opens]))
    return {
        process: union(np.concatenate([a for a, _ in parts]), np.concatenate([b for _, b in parts]))
        for process, parts in spans.items()
    }


def _backlogs(events: pl.DataFrame, bare: pl.DataFrame) -> dict[int | None, SpanSet]:
    """When a launch would have queued behind work that kept its stream busy until the records end.

    Of each stream, from its last recorded event's launch to that event's end, if no longer event of the stream fits
    between that end and the end of all records: the next one was running then.
    """
    end = pl.col("start_ns") + length()
    known = pl.coalesce(pl.col("process"), pl.col("launch_process"))
    streams = (
        events.with_columns(end_ns=end, owner=known)
        .group_by("device", "process", "stream")
        .agg(
            pl.col("owner").drop_nulls().first(),
            pl.col("launch_start_ns").max(),
            pl.col("end_ns", "dur_ns").max(),
        )
        .filter(pl.col("end_ns") + pl.col("dur_ns") >= pl.col("end_ns").max())
        .with_columns(pl.col("launch_start_ns").fill_null(int(bare["start_ns"].min()) - 1))  # type: ignore[arg-type]
    )
    return {
        None if owner is None else int(owner): union(rows["launch_start_ns"].to_numpy(), rows["end_ns"].to_numpy())
        for (owner,), rows in streams.group_by("owner")
    }
