"""What each device did and where its time went, closed: busy + idle = span, and the causes add up to the idle.

Totals are exact integers of what the file holds; nothing is judged here.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import polars as pl

from rope_prof.analysis.trace.collectives import Communication, communication
from rope_prof.analysis.trace.copies import CopyUse, copy_use, only_copies_ns
from rope_prof.analysis.trace.gaps import Host, Launches, Rungs, edges, idle_by_cause, launches_of, segments
from rope_prof.analysis.trace.groups import group_numbers, holding
from rope_prof.analysis.trace.launches import NODE_ENDS
from rope_prof.analysis.trace.spans import SpanSet, frame_in_order, frame_union, gaps, total_time, window
from rope_prof.model.frozen import Frozen

#: The columns of `launched` that an account needs; gathering the others costs more than the account.
NEEDED: Final = (
    *("device", "kind", "name", "bytes", "collective", "stream", "start_ns", "dur_ns", "correlation", "graph_node"),
    *("launch_name", "launch_process", "launch_thread", "launch_start_ns", *NODE_ENDS.values()),
)


class StreamUse(Frozen, kw_only=True):
    """One stream over the span of its device: busy_ns + the causes = the device's span_ns."""

    stream: int | None
    events: int
    busy_ns: int
    idle_by_cause_ns: dict[str, int]


class DeviceUse(Frozen, kw_only=True):
    """One device between its first start and its last end. What is withheld is None, for the `reason`.

    A profile of totals alone has no times: all but the device, its kernels and their time is None then.
    """

    device: str
    name: str | None
    kernels: int | None
    kernel_ns: int
    memcpys: int | None = None
    memsets: int | None = None
    graph_launches: int | None = None
    busy_ns: int | None = None
    span_ns: int | None = None
    idle_ns: int | None = None
    gaps: int | None = None
    gap_max_ns: int | None = None
    idle_by_cause_ns: dict[str, int] | None = None
    streams: tuple[StreamUse, ...] = ()
    copies: tuple[CopyUse, ...] = ()
    copies_only_ns: int | None = None  # copies run and nothing else does
    communication: Communication | None = None
    idle_share: float | None = None
    idle_share_bound: float | None = None  # by how much the share can be off, where a finding says that it can be
    reason: str | None = None


def device_use(device: str, name: str | None, events: pl.DataFrame, host_side: Host) -> DeviceUse:
    """The account of one device; `events` are its rows of `launched`, at least one."""
    events = events.select(NEEDED)
    launches = launches_of(events)
    found = gaps(events)
    start, end = window(events)
    kinds = dict(events["kind"].value_counts().iter_rows())
    busy = frame_union(events).total
    return DeviceUse(
        device=device,
        name=name,
        kernels=kinds.get("kernel", 0),
        memcpys=kinds.get("memcpy", 0),
        memsets=kinds.get("memset", 0),
        graph_launches=kinds.get("graph", 0) + _graph_launches(events),
        kernel_ns=total_time(events.select("kind", "dur_ns").filter(pl.col("kind") == "kernel")),
        busy_ns=busy,
        span_ns=end - start,
        idle_ns=end - start - busy,
        gaps=found.height,
        gap_max_ns=int(found["dur_ns"].max() or 0),  # type: ignore[arg-type]
        idle_by_cause_ns=idle_by_cause(segments(found, launches), host_side)[0],
        copies=copy_use(events),
        copies_only_ns=only_copies_ns(events),
        communication=communication(events),
        streams=_stream_use(events, launches, host_side, start, end),
    )


def _graph_launches(events: pl.DataFrame) -> int:
    """Distinct graph launches behind single kernels, as Kineto and node-level nsys files give them."""
    nodes = events.filter((events["kind"] != "graph") & holding(events["launch_name"], "(?i)graphlaunch"))
    return nodes.select("launch_process", "launch_start_ns", "correlation").n_unique() if nodes.height else 0


def others_on(events: pl.DataFrame) -> Rungs:
    """The rungs of a stream or range: kernels (and graphs) of the device first, then its copies and sets."""
    timed = events.select("kind", "start_ns", "dur_ns")
    work: SpanSet = frame_union(timed.filter(pl.col("kind").is_in(["kernel", "graph"])))
    moves: SpanSet = frame_union(timed.filter(pl.col("kind").is_in(["memcpy", "memset"])))
    return ("other_stream", work), ("copy", moves)


def _stream_use(
    events: pl.DataFrame, launches: Launches, host_side: Host, start: int, end: int
) -> tuple[StreamUse, ...]:
    number, distinct = group_numbers(events.select("stream"))
    place = distinct["stream"].arg_sort(nulls_last=True).arg_sort().to_numpy().astype(np.int64)
    owner = place[number]
    spans = frame_in_order(events.with_columns(owner=pl.Series(owner)), by=["owner"])
    found, n = spans.gaps(), distinct.height
    first, last = spans.start[spans.first], spans.last_ends()
    inner = segments(found, launches, owner[found["after"].to_numpy()])
    outer = edges(
        np.concatenate((np.full(n, start), last)),
        np.concatenate((first, np.full(n, end))),
        np.concatenate((np.arange(n), np.arange(n))),
    )
    rungs = others_on(events)
    inside, outside = (idle_by_cause(parts, host_side, n, rungs) for parts in (inner, outer))
    counts = np.diff(spans.first, append=events.height)
    return tuple(
        StreamUse(stream=stream, events=count, busy_ns=busy, idle_by_cause_ns=_added(inside[k], outside[k]))
        for k, (stream, count, busy) in enumerate(
            zip(distinct["stream"].sort(nulls_last=True), counts.tolist(), spans.busy().tolist(), strict=True)
        )
    )


def _added(one: dict[str, int], other: dict[str, int]) -> dict[str, int]:
    return {cause: one.get(cause, 0) + other.get(cause, 0) for cause in {**one, **other}}
