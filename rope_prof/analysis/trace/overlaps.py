"""GPU events of one stream that run at the same time: a launch overlap, a record that is there twice, or no true time.

A stream works in order. Programmatic dependent launch lets the next kernel begin early, so that two or three overlap at
their edges; nothing lets a stream begin *and* end four launches inside one event, work on eight launches at once, or
take up twice the time that passes. Cards without it (`cards`) begin a launch when the one before has ended, and a
stream's graph launches do so on every card: what holds several whole launches there has no true duration.
A graph's own nodes may overlap, on branches; a kernel that holds several nodes of its stream in fewer than half of its
runs in graphs has no true duration there. Out-of-order queues are not judged.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from rope_prof.analysis.trace.cards import Order, order_of
from rope_prof.analysis.trace.graph_nodes import GRAPH_LAUNCH
from rope_prof.analysis.trace.groups import group_numbers, holding
from rope_prof.analysis.trace.spans import Bools, InOrder, Int64s, in_order, length
from rope_prof.model.trace import Finding, Trace, proof

#: So many whole launches inside one event of their stream make its duration impossible on any card. Real programmatic
#: overlap (H100, B200) holds none: what waits for the event before it ends after that one.
INSIDE: Final = 4
#: So many do where launches of a stream cannot overlap.
SEVERAL: Final = 2
#: So many nodes of a graph launch inside another one of their stream.
NODES: Final = 3
#: So many launches of one stream are never at work at once.
DEEP: Final = 8
#: Overlap of a stream's launches beyond this share of its busy time is no jitter of the clock, where there can be none.
_JITTER_SHARE: Final = 0.01
_JITTER_NS: Final = 10_000
#: Two graph launches of a stream overlap by no more than this share of the shorter one.
_GRAPHS_SHARE: Final = 0.1


@dataclass(frozen=True, eq=False)
class _Lane:
    """Launches (events, and graph launches as a whole) of each stream in the order of start."""

    spans: InOrder
    lane: Int64s
    graph: Bools
    order: tuple[Order, ...]  # of each lane

    def on(self, *orders: Order) -> Bools:
        """Which launches are of streams that work like that."""
        wanted = np.array([order in orders for order in self.order], np.bool_)
        return wanted[self.lane]


def overlaps(trace: Trace, events: pl.DataFrame) -> Iterator[Finding]:
    """The findings; `events` is the trace's `launched` frame."""
    lane, lanes = group_numbers(events.select("device", "process", "stream"))
    start, taken = events["start_ns"].to_numpy(), events.select(length()).to_series().to_numpy()
    launch = events["correlation"].fill_null(-1).to_numpy()
    order = np.lexsort((start, lane))
    if np.any((np.diff(start[order]) == 0) & (np.diff(lane[order]) == 0)):  # equal records stand side by side
        order = np.lexsort((launch, taken, start, lane))
    lane, start, taken, launch = lane[order], start[order], taken[order], launch[order]
    spans = in_order(order, lane, start, start + taken)
    early = _early(spans)[1:]
    count = int(np.count_nonzero(early))
    if not count:
        return
    again = early & (lane[1:] == lane[:-1]) & (start[1:] == start[:-1]) & (taken[1:] == taken[:-1])
    again &= (launch[1:] == launch[:-1]) & (taken[1:] > 0)
    same = _same(events, order[1:][again], order[:-1][again])
    twice = len(same)
    if twice:
        detail = "GPU events stand in the file twice, with the same launch, stream and times"
        yield Finding(code="duplicate_events", detail=detail, count=twice, events=proof(events[same]))
    whole = _launches(trace, events, lanes)
    wrong = _impossible(trace, events, whole)
    yield from wrong
    if count > twice:
        early_rows = events[order[1:][early]]
        why = "their durations are in doubt" if wrong else "programmatic dependent launch, or branches of a graph"
        detail = f"GPU events start before an earlier one of their stream has ended ({why})"
        yield Finding(code="stream_overlap", detail=detail, count=count - twice, events=proof(early_rows))


def _same(events: pl.DataFrame, rows: Int64s, others: Int64s) -> Int64s:
    """Those of `rows` that agree in name too, outside graphs whose nodes the file does not tell apart."""
    if not len(rows):
        return rows
    columns = ("kind", "name", "graph_node", "launch_name")
    one, other = (events.select(columns)[which] for which in (rows, others))
    same = one["name"].eq_missing(other["name"]) & one["kind"].eq_missing(other["kind"])
    same &= one["graph_node"].eq_missing(other["graph_node"])
    in_graph = holding(one["launch_name"], GRAPH_LAUNCH) & one["graph_node"].is_null()
    kept: Int64s = rows[(same & ~in_graph).to_numpy()]
    return kept


def _launches(trace: Trace, events: pl.DataFrame, lanes: pl.DataFrame) -> _Lane:
    lane, _ = group_numbers(events.select("device", "process", "stream"))
    inside = holding(events["launch_name"], GRAPH_LAUNCH) | events["graph"].is_not_null()
    in_graph = inside & (events["kind"] != "graph")
    rows = events.with_columns(in_graph=in_graph).select(
        pl.Series("lane", lane),
        row=pl.int_range(pl.len()),
        start="start_ns",
        end=pl.col("start_ns") + length(),
        name=pl.col("name").fill_null(""),
        graph=pl.col("in_graph") | (pl.col("kind") == "graph"),
        unit=pl.when(pl.col("in_graph") & pl.col("correlation").is_not_null())
        .then(pl.col("correlation"))
        .otherwise(-1 - pl.int_range(pl.len())),
    )
    whole = rows.group_by("lane", "unit", "graph").agg(
        pl.col("row").sort_by("start", "name").first(), pl.col("start").min(), pl.col("end").max()
    )
    whole = whole.sort("lane", "start", "end", descending=[False, False, True])
    number = whole["lane"].to_numpy()
    spans = in_order(whole["row"].to_numpy(), number, whole["start"].to_numpy(), whole["end"].to_numpy())
    return _Lane(spans, number, whole["graph"].to_numpy(), _orders(trace, events, lanes))


def _orders(trace: Trace, events: pl.DataFrame, lanes: pl.DataFrame) -> tuple[Order, ...]:
    """How the stream of each of `lanes` works."""
    cards = {
        device: order_of(trace, device, rows["launch_name"].unique())
        for (device,), rows in events.select("device", "launch_name").group_by("device")
    }
    return tuple(cards[device] for device in lanes["device"])


def _impossible(trace: Trace, events: pl.DataFrame, whole: _Lane) -> list[Finding]:
    """What no true durations give, with the events that show it."""
    strict = whole.on("in_order")
    slack = 1000 if any(found.code == "coarse_clock" for found in trace.findings) else 0
    graphs = whole.graph & whole.on("early") | strict
    held = (_holds(whole, INSIDE, 0) & ~whole.on("free")) | (_holds(whole, SEVERAL, slack) & graphs)
    crossed = _graphs_cross(whole, slack)
    inside = _held_nodes(trace, events, slack)
    deep = _depth(whole) & ~whole.on("free")
    over = _over(whole)
    sayings = (
        (held, "GPU events or graph launches hold several whole launches of their own stream"),
        (crossed, "graph launches begin before the one before them on their stream has ended"),
        (deep, f"GPU events run while {DEEP - 1} others of their own stream do"),
        (over, "GPU events are of streams whose durations add up to more than a stream can do in the time that passed"),
    )
    found = []
    told = np.zeros(len(held), np.bool_)
    for rows, saying in sayings:
        new = rows & ~told
        if new.any():
            named = proof(events[whole.spans.row[new]])
            detail = f"{saying}: their durations are impossible"
            found.append(Finding(code="impossible_overlap", detail=detail, count=int(new.sum()), events=named))
        told |= rows
    if inside.height:
        detail = (
            "nodes of a graph launch hold several whole nodes of their stream, which the same kernel does not in most "
            "of its runs: their durations are impossible"
        )
        found.append(Finding(code="impossible_overlap", detail=detail, count=inside.height, events=proof(inside)))
    return found[:1] if len(found) == 1 else [_joined(found)] if found else []


def _held_nodes(trace: Trace, events: pl.DataFrame, slack: int) -> pl.DataFrame:
    """Nodes of graph launches that hold several others of their launch and stream, unlike most runs of their kernel."""
    nodes = events.filter(holding(events["launch_name"], GRAPH_LAUNCH) & (events["kind"] != "graph"))
    nodes = nodes.filter(pl.col("correlation").is_not_null())
    if nodes.height <= NODES:
        return nodes.clear()
    lane, lanes = group_numbers(nodes.select("device", "process", "stream", "launch_start_ns", "correlation"))
    start, taken = nodes["start_ns"].to_numpy(), nodes.select(length()).to_series().to_numpy()
    order = np.lexsort((-taken, start, lane))
    spans = in_order(order, lane[order], start[order], (start + taken)[order])
    launch = _Lane(spans, lane[order], np.ones(len(order), np.bool_), _orders(trace, nodes, lanes))
    rows = nodes[order].with_columns(
        holds=pl.Series(_holds(launch, NODES, slack) & ~launch.on("free")),
        run=pl.struct("name", "grid", "block").rank("dense"),
    )
    rare = (2 * pl.col("holds").sum().over("run") < pl.len().over("run")) & (pl.len().over("run") > SEVERAL)
    return rows.filter(pl.col("holds") & rare)


def _joined(found: list[Finding]) -> Finding:
    """Several ways to see it are one finding: that durations are impossible."""
    detail = "; ".join(f"{one.count}: {one.detail}" for one in found)
    return Finding(
        code="impossible_overlap", detail=detail, count=sum(one.count for one in found), events=found[0].events
    )


def _holds(whole: _Lane, least: int, slack: int) -> Bools:
    """Which launches hold at least `least` of the next few of their stream whole; in time linear in the launches."""
    start, end = whole.spans.start, whole.spans.end
    count = np.zeros(len(start), np.int64)
    reach = 4 * least
    open_ = np.arange(len(start))
    for ahead in range(1, reach + 1):
        open_ = open_[open_ + ahead < len(start)]
        near = open_ + ahead
        going = (whole.lane[near] == whole.lane[open_]) & (start[near] < end[open_])
        open_, near = open_[going], near[going]
        if not len(open_):
            break
        inside = (start[near] >= start[open_] + slack) & (end[near] < end[open_] - slack) & (end[near] > start[near])
        same_end = (end[near] == end[open_]) & (start[near] > start[open_] + slack) & (end[near] > start[near])
        count[open_[inside | same_end]] += 1
    return count >= least


def _graphs_cross(whole: _Lane, slack: int) -> Bools:
    """Graph launches that begin well inside the graph launch before them, whatever lies between: a stream finishes a
    graph first."""
    cross = np.zeros(len(whole.graph), np.bool_)
    rows = np.flatnonzero(whole.graph)
    start, end, lane = whole.spans.start[rows], whole.spans.end[rows], whole.lane[rows]
    overlap = np.minimum(end[:-1], end[1:]) - start[1:]
    shorter = np.minimum(end[:-1] - start[:-1], end[1:] - start[1:])
    near = lane[1:] == lane[:-1]
    cross[rows[1:]] = near & (overlap > np.maximum(1000 + slack, _GRAPHS_SHARE * shorter))
    return cross & whole.on("early", "in_order")


def _depth(whole: _Lane) -> Bools:
    """Which launches begin while `DEEP` - 1 others of their stream are at work."""
    start, end = whole.spans.start, whole.spans.end
    n = len(start)
    time = np.concatenate((start, end))
    lane = np.concatenate((whole.lane, whole.lane))
    step = np.concatenate((np.ones(n, np.int64), np.full(n, -1)))
    step[np.flatnonzero(end == start)] = 0
    step[n + np.flatnonzero(end == start)] = 0
    order = np.lexsort((step, time, lane))
    depth = np.empty(2 * n, np.int64)
    depth[order] = np.cumsum(step[order])
    return (depth[:n] >= DEEP) & (end > start)


def _over(whole: _Lane) -> Bools:
    """Launches of streams whose durations add up to over twice their busy time, or over it where nothing overlaps."""
    spans = whole.spans
    total = np.add.reduceat(spans.end - spans.start, spans.first)
    busy, count = spans.busy(), np.diff(spans.first, append=len(spans.row))
    at = whole.lane[spans.first]
    order = np.array([whole.order[k] for k in at.tolist()])
    jitter = np.maximum(_JITTER_SHARE * busy, _JITTER_NS)
    wrong = (order == "in_order") & (total - busy > jitter)
    wrong |= (order == "early") & (total > 2 * busy) & (count > 2)
    return np.repeat(wrong, count) & _early(spans)


def _early(spans: InOrder) -> Bools:
    """Which launches begin before an earlier one of their stream has ended."""
    early = np.zeros(len(spans.row), np.bool_)
    early[1:] = spans.start[1:] < spans.reach[:-1]
    early[spans.first] = False
    return early
