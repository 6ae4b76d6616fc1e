"""Why the GPU idled: each nanosecond of a gap gets exactly one cause. The one home of that rule.

A gap is judged by the GPU event that ends it, first match wins:

- `unknown`: the launch of that event is not in the file.
- `host_node`, `event_node`: a node of its graph launch or stream that runs on the host, or records an event, was
  there in the gap, once its launch had begun.
- `in_graph`: it belongs to the same graph launch as the event before the gap.
- before its launch call began: `sync` while that thread was in a synchronising call or a blocking copy, and from such a
  copy, or a call that waited for one to the host (`.item()`), on; `profiler` inside an overhead record of the
  profiler, else `host_late`.
- from there on: `queued` if the launch call had begun before the gap, else `launch`.

For one stream (or one range) come first: `other_stream` (a kernel of somebody else runs on the device), `copy`
(a copy or set does), `window_edge` (before the first or after the last event of the stream). A ladder is that list
of (cause, set of instants); the first rung that holds an instant names it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Final

import numpy as np
import polars as pl

from rope_prof.analysis.trace.groups import among, group_numbers, holding, is_constant, parts_of
from rope_prof.analysis.trace.latest import kept_for
from rope_prof.analysis.trace.launches import NODE_ENDS, launched
from rope_prof.analysis.trace.spans import EMPTY, Bools, Int64s, SpanSet, gaps, in_order, join
from rope_prof.model.trace import Trace

CAUSES: Final = (
    "other_stream",
    "copy",
    "window_edge",
    "unknown",
    "in_graph",
    "host_node",
    "event_node",
    "sync",
    "profiler",
    "host_late",
    "queued",
    "launch",
)
_CODE: Final = {cause: code for code, cause in enumerate(CAUSES)}
SYNC_CALL: Final = r"(?i)synchronize"
#: Copies that come back when they are done. Others of them only enqueue.
BLOCKING_COPY: Final = r"^(?:cuda|cu|hip)Memcpy(?:2D|3D|To\w+|From\w+|DtoH|HtoD|DtoD|Peer|WithStream)?(?:_v\d+)?$"
_TO_HOST: Final = r"(?i)\bdtoh\b"
#: Those that wait for all work of a device, and for that of one stream.
DEVICE_SYNC: Final = r"(?i)(?:device|ctx|context)synchronize"
STREAM_SYNC: Final = r"(?i)streamsynchronize$"
#: CUPTI's and nsys's overhead records hold what the driver does without a profiler too: it waits for room in a full
#: launch queue, loads and compiles code.
_DRIVERS_OWN: Final = r"(?i)command buffer full|lazy function loading|module loading|driver compiler"

Rungs = tuple[tuple[str, SpanSet], ...]


@dataclass(frozen=True)
class Host:
    """When each thread was in a synchronising call, and when the profiler spent time in each process."""

    sync: dict[tuple[Any, Any], SpanSet] = field(default_factory=dict)
    overhead: dict[Any, SpanSet] = field(default_factory=dict)

    def rungs(self, process: Any, thread: Any) -> Rungs:
        """The ladder below a launch of that thread; overhead records without a process count for all."""
        own = self.overhead.get(process, EMPTY) if process is not None else EMPTY
        profiler = join(own, self.overhead.get(None, EMPTY))
        return ("sync", self.sync.get((process, thread), EMPTY)), ("profiler", profiler)

    def kind(self, process: Any, thread: Any) -> tuple[Any, Any]:
        """What two threads have alike whose rungs are the same."""
        return (
            (process, thread) if (process, thread) in self.sync else None,
            process if process in self.overhead else None,
        )


def by_profiler(trace: Trace) -> pl.DataFrame:
    """The overhead records that the profiler itself is the cause of."""
    return trace.overheads.filter(~pl.col("name").fill_null("").str.contains(_DRIVERS_OWN))


@kept_for("gpu", "calls", "overheads")
def host(trace: Trace) -> Host:
    """The host side of a trace, as far as the rule needs it."""
    waiting = _read_back(trace, trace.calls.filter(holding(trace.calls["name"], f"{SYNC_CALL}|{BLOCKING_COPY}")))
    if not trace.overheads.height:
        return Host(sync=_unions(waiting, "process", "thread"))
    known = by_profiler(trace).with_columns(
        pl.when(pl.col("process") >= 0).then("process"), pl.col("dur_ns").fill_null(0)
    )
    return Host(
        sync=_unions(waiting, "process", "thread"),
        overhead={process: held for (process,), held in _unions(known, "process").items()},
    )


def _unions(frame: pl.DataFrame, *by: str) -> dict[Any, SpanSet]:
    """The union of the spans of each group, all groups in one pass."""
    number, groups = group_numbers(frame.select(by))
    start = frame["start_ns"].to_numpy().astype(np.int64)
    end = start + frame["dur_ns"].fill_null(0).to_numpy().astype(np.int64)
    order = np.lexsort((start, number))
    order = order[end[order] > start[order]]
    if not len(order):
        return dict.fromkeys(groups.iter_rows(), EMPTY)
    group = number[order]
    spans = in_order(order, group, start[order], end[order])
    opens = np.concatenate(([True], (group[1:] != group[:-1]) | (spans.start[1:] > spans.reach[:-1])))
    first = np.flatnonzero(opens)
    starts, ends = spans.start[first], spans.reach[np.append(first[1:], len(order)) - 1]
    cuts = np.searchsorted(group[first], np.arange(groups.height + 1))
    return {
        key: SpanSet(starts[low:high], ends[low:high])
        for key, (low, high) in zip(groups.iter_rows(), pairwise(cuts.tolist()), strict=True)
    }


def _read_back(trace: Trace, waiting: pl.DataFrame) -> pl.DataFrame:
    """The waits, blocking copies and those for a copy to the host until their thread's next launch: the queue is empty
    because of them."""
    if not waiting.height:
        return waiting
    copies = (
        trace.gpu.filter(pl.col("kind") == "memcpy") if (trace.gpu["kind"] == "memcpy").any() else trace.gpu.clear()
    )
    back = pl.Series("correlation", [], dtype=pl.Int64)
    if copies.height:
        back = copies.filter(pl.col("name").fill_null("").str.contains(_TO_HOST))["correlation"].unique().drop_nulls()
    if not len(back) and not holding(waiting["name"], BLOCKING_COPY).any():
        return waiting
    blocking = holding(trace.calls["name"], BLOCKING_COPY)
    lane = ["process", "thread"]
    made = (
        trace.calls.select(*lane, "start_ns", "correlation", blocking=blocking)
        .filter(among(trace.calls["correlation"], trace.gpu["correlation"]))
        .sort("start_ns")
    )
    made = made.select(*lane, at="start_ns", copies=pl.col("blocking") | pl.col("correlation").is_in(back.implode()))
    rows = waiting.with_columns(end=pl.col("start_ns") + pl.col("dur_ns").fill_null(0)).sort("start_ns")
    rows = rows.join_asof(made, left_on="start_ns", right_on="at", by=lane, check_sortedness=False)
    later = made.select(*lane, following="at")
    rows = rows.sort("end").join_asof(
        later, left_on="end", right_on="following", by=lane, strategy="forward", check_sortedness=False
    )
    until = pl.when(pl.col("copies")).then(pl.col("following")).otherwise(None).fill_null(pl.col("end"))
    return rows.with_columns(dur_ns=until - pl.col("start_ns")).select(waiting.columns)


@dataclass(frozen=True)
class Segments:
    """Parts of gaps that share a way of judging. `lane` -1 has no host rungs, else it numbers `lanes`."""

    start: Int64s
    end: Int64s
    rest: Int64s  # code of the cause that is left when no rung holds
    lane: Int64s
    owner: Int64s
    gap: Int64s
    lanes: tuple[tuple[Any, Any], ...]


@dataclass(frozen=True, eq=False)
class Launches:
    """The launches of events (which come from `launched`) as arrays, row for row; `lane` numbers `lanes`."""

    correlation: Int64s
    start: Int64s
    linked: Bools  # a launch is in the file
    joined: Bools  # and it has a correlation
    lane: Int64s
    lanes: tuple[tuple[Any, Any], ...]
    nodes: dict[str, Int64s]  # cause -> until when such a node keeps the event waiting; those that there are


def launches_of(events: pl.DataFrame) -> Launches:
    """What a gap's cause needs of each event that ends one."""
    lane, threads = group_numbers(events.select("launch_process", "launch_thread"))
    linked = events["launch_start_ns"].is_not_null().to_numpy()
    return Launches(
        correlation=events["correlation"].fill_null(0).to_numpy(),
        start=events["launch_start_ns"].fill_null(0).to_numpy(),
        linked=linked,
        joined=linked & events["correlation"].is_not_null().to_numpy(),
        lane=lane,
        lanes=tuple(threads.iter_rows()),
        nodes={
            cause: events[name].fill_null(np.iinfo(np.int64).min).to_numpy()
            for cause, name in NODE_ENDS.items()
            if events[name].null_count() < events.height
        },
    )


def segments(found: pl.DataFrame, events: pl.DataFrame | Launches, owner: Int64s | None = None) -> Segments:
    """Split gaps (`spans.gaps` of `events`, which come from `launched`) at the start of the launch that ends them.

    Their owner is 0 where none is given.
    """
    start = found["start_ns"].to_numpy()
    end = start + found["dur_ns"].to_numpy()
    launches = events if isinstance(events, Launches) else launches_of(events)
    owners = np.zeros(found.height, np.int64) if owner is None else owner
    return parted(start, end, found["before"].to_numpy(), found["after"].to_numpy(), launches, owners)


def parted(
    start: Int64s, end: Int64s, before: Int64s, after: Int64s, launches: Launches, owner: Int64s | None = None
) -> Segments:
    """Gaps between the events of two rows, split; the owner of each is its number where none is given."""
    linked, launch = launches.linked[after], launches.start[after]
    in_graph = launches.joined[before] & launches.joined[after]
    in_graph &= launches.correlation[before] == launches.correlation[after]
    in_graph &= launches.start[before] == launch
    late = linked & ~in_graph
    middle = np.where(late, np.clip(launch, start, end), start)
    rest = np.where(launch < start, _CODE["queued"], _CODE["launch"])
    rest = np.where(late, rest, np.where(linked, _CODE["in_graph"], _CODE["unknown"]))
    for cause, until in reversed(launches.nodes.items()):
        there = until[after] > middle if cause == "host_node" else until[after] >= middle
        rest = np.where(linked & there, _CODE[cause], rest)
    early, behind = np.flatnonzero(middle > start), np.flatnonzero(end > middle)
    gap = np.concatenate((early, behind))
    return Segments(
        start=np.concatenate((start[early], middle[behind])),
        end=np.concatenate((middle[early], end[behind])),
        rest=np.concatenate((np.full(len(early), _CODE["host_late"]), rest[behind])),
        lane=np.concatenate((launches.lane[after[early]], np.full(len(behind), -1))),
        owner=gap if owner is None else owner[gap],
        gap=gap,
        lanes=launches.lanes,
    )


def edges(start: Int64s, end: Int64s, owner: Int64s) -> Segments:
    """Spans outside a stream's own events, as segments whose rest is `window_edge`."""
    real = np.flatnonzero(end > start)
    none = np.full(len(real), -1)
    return Segments(start[real], end[real], np.full(len(real), _CODE["window_edge"]), none, owner[real], none, ())


def _ladders(parts: Segments, host_side: Host, first: Rungs) -> Iterator[tuple[Int64s, list[int], list[SpanSet]]]:
    """Per kind of lane: its segments, the codes of its rungs, and the union of each rung with those above it.

    Threads that nothing of their own tells apart share a ladder.
    """
    lanes = np.flatnonzero(np.bincount(parts.lane + 1)) - 1
    alike: dict[Any, int] = {}
    ladders: list[Rungs] = []
    kind = np.zeros(len(parts.lanes) + 1, np.int64)
    for lane in lanes.tolist():
        place = None if lane < 0 else parts.lanes[lane]
        told = None if place is None else host_side.kind(*place)
        if told not in alike:
            alike[told] = len(ladders)
            ladders.append(first if place is None else (*first, *host_side.rungs(*place)))
        kind[lane] = alike[told]
    of_part = kind[parts.lane]
    order = np.argsort(of_part, kind="stable")
    bounds = np.searchsorted(of_part[order], np.arange(len(ladders) + 1))
    for number, rungs in enumerate(ladders):
        rows = order[bounds[number] : bounds[number + 1]]
        begin, end = int(parts.start[rows].min()), int(parts.end[rows].max())
        above: list[SpanSet] = []
        for _, whole in rungs:
            instants = whole.near(begin, end)
            if above and not len(instants.starts):
                above.append(above[-1])
            else:
                above.append(join(above[-1], instants) if above else instants)
        yield rows, [_CODE[cause] for cause, _ in rungs], above


def idle_by_cause(parts: Segments, host_side: Host, owners: int = 1, first: Rungs = ()) -> list[dict[str, int]]:
    """Nanoseconds by cause for each owner; causes that took no time are left out. They add up exactly."""
    return [
        {c: int(ns) for c, ns in zip(CAUSES, row, strict=True) if ns}
        for row in cause_table(parts, host_side, owners, first)
    ]


def cause_table(parts: Segments, host_side: Host, owners: int, first: Rungs = ()) -> Int64s:
    """Nanoseconds, one row per owner and one column per cause (in the order of `CAUSES`)."""
    table = np.zeros((owners, len(CAUSES)), np.int64, order="F")
    for rows, codes, above in _ladders(parts, host_side, first):
        start, end, owner = parts.start[rows], parts.end[rows], parts.owner[rows]
        taken = np.zeros(len(rows), np.int64)
        measured = EMPTY
        for code, instants in zip(codes, above, strict=True):
            if instants is measured:  # an empty rung adds nothing to those above it
                continue
            measured = instants
            reached = instants.measure(end) - instants.measure(start)
            np.add.at(table[:, code], owner, reached - taken)
            taken = reached
        cells = table.T.reshape(-1)  # the same memory, cause after cause
        np.add.at(cells, parts.rest[rows] * owners + owner, end - start - taken)
    return table


def pieces(parts: Segments, host_side: Host, first: Rungs = ()) -> pl.DataFrame:
    """The same as rows: gap, start_ns, dur_ns, cause, in the order of time; neighbours of one cause are one row."""
    found: dict[str, list[Int64s]] = {"gap": [], "start_ns": [], "end": [], "code": []}
    for rows, codes, above in _ladders(parts, host_side, first):
        start, end, row = _cut(parts.start[rows], parts.end[rows], above)
        cause = parts.rest[rows][row]
        for code, instants in reversed(list(zip(codes, above, strict=True))):
            cause = np.where(instants.holds(start), code, cause)
        for name, column in zip(found, (parts.gap[rows][row], start, end, cause), strict=True):
            found[name].append(column)
    schema = {"gap": pl.Int64, "start_ns": pl.Int64, "dur_ns": pl.Int64, "cause": pl.String}
    if not found["gap"]:
        return pl.DataFrame(schema=schema)
    gap, start, end, causes = (np.concatenate(arrays) for arrays in found.values())
    order = np.lexsort((start, gap))
    gap, start, end, causes = gap[order], start[order], end[order], causes[order]
    opens = np.flatnonzero(np.concatenate(([True], (gap[1:] != gap[:-1]) | (causes[1:] != causes[:-1]))))
    last = np.append(opens[1:], len(gap)) - 1
    named = pl.Series(CAUSES, dtype=pl.String).gather(causes[opens])
    return pl.DataFrame([gap[opens], start[opens], end[last] - start[opens], named], schema=schema)


def _cut(start: Int64s, end: Int64s, sets: list[SpanSet]) -> tuple[Int64s, Int64s, Int64s]:
    """Each span cut at the edges inside it: starts, ends and the span's row."""
    cuts = np.unique(np.concatenate([s.edges() for s in sets])) if sets else np.zeros(0, np.int64)
    low, high = np.searchsorted(cuts, start, side="right"), np.searchsorted(cuts, end, side="left")
    inner = np.maximum(high - low, 0)
    row = np.repeat(np.arange(len(start)), inner + 1)
    nth = np.arange(len(row)) - np.repeat(np.cumsum(inner + 1) - (inner + 1), inner + 1)
    padded = np.append(cuts, 0)
    starts = np.where(nth == 0, start[row], padded[np.minimum(low[row] + nth - 1, len(cuts))])
    ends = np.where(nth == inner[row], end[row], padded[np.minimum(low[row] + nth, len(cuts))])
    return starts, ends, row


@kept_for("gpu", "calls", "ranges", "ops", "nodes", "overheads")
def idle_pieces(trace: Trace) -> dict[str, pl.DataFrame]:
    """By device the `pieces` of the gaps of its events, its rows of `launched`."""
    host_side = host(trace)
    return {
        device: pieces(segments(gaps(rows), rows), host_side) for device, rows in parts_of(launched(trace), "device")
    }


def device_gaps(trace: Trace, device: str) -> pl.DataFrame:
    """Every idle span between first start and last end of a device, split by cause, in the order of time.

    Columns: start_ns, dur_ns, cause; gap (number), gap_start_ns, gap_dur_ns; before, before_stream, after,
    after_stream: the events on both sides; launch_name, launch_start_ns, launch_thread, graph, graph_node: of the event
    after.
    """
    events = launched(trace)
    if not (events.height and is_constant(events["device"]) and events["device"][0] == device):
        events = events.filter(pl.col("device") == device)
    found = gaps(events)
    split = idle_pieces(trace)[device] if events.height else pieces(segments(found, events), host(trace))
    before = events[found["before"]].select(before="name", before_stream="stream")
    after = events[found["after"]].select(
        "launch_name",
        "launch_start_ns",
        "launch_thread",
        "launch_process",
        "launch_for_thread",
        "graph",
        "graph_node",
        after="name",
        after_stream="stream",
    )
    sides = found.select(gap_start_ns="start_ns", gap_dur_ns="dur_ns").hstack(before).hstack(after)
    wanted = split.hstack(sides[split["gap"]])
    order = ("start_ns", "dur_ns", "cause", "gap", "gap_start_ns", "gap_dur_ns", "before", "before_stream", "after")
    launch = ("launch_name", "launch_start_ns", "launch_process", "launch_thread", "launch_for_thread")
    return wanted.select(*order, "after_stream", *launch, "graph", "graph_node")
