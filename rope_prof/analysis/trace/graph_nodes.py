"""Replays of one graph run the same nodes: which of them lack some that there was time to run.

Which launches are replays of one graph: those of one graph id; without it those that share node ids; without both
those at the same place in the calls of one range. A replay is held against all nodes that any replay has (without ids:
against the replay that has the most, where it has nothing that this one lacks). Nodes that one launch runs several
times are a conditional node's and are excepted, as is a body graph that a launch does not run at all.

A missing node is *lost* where the stream was idle around the replay for at least as long as the node took elsewhere:
it can have run. Where there was no such time it did not run: a conditional or disabled node.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import polars as pl

from rope_prof.analysis.trace.calls import families, last_begun, numbered
from rope_prof.analysis.trace.groups import holding
from rope_prof.analysis.trace.spans import frame_in_order, length
from rope_prof.model.trace import Finding, Trace, proof

GRAPH_LAUNCH: Final = r"(?i)graphlaunch"
_LAUNCH: Final = ("process", "launch_process", "launch_start_ns", "correlation")
_LANE: Final = ("device", "process", "stream")
#: So often what launches share is passed on: replays of one graph share nodes with its first at once.
_STEPS: Final = 32


def graph_nodes(trace: Trace, events: pl.DataFrame) -> Iterator[Finding]:
    """The findings; `events` is the trace's `launched` frame."""
    nodes = _nodes(trace, events)
    if not nodes.height:
        return
    lacking = _lacking(nodes)
    if not lacking.height:
        return
    held = lacking.join(_room(trace, events, nodes), on="replay", how="left")
    head, tail = (pl.when(side).then(f"{side}_ns").otherwise(0) for side in ("head", "tail"))
    fits = pl.col("inner_ns") + head + tail >= pl.col("need_ns")
    for lost, rows in ((True, held.filter(fits)), (False, held.filter(~fits))):
        if not rows.height:
            continue
        count, graphs = int(rows["lacks"].sum()), rows["graph_key"].n_unique()
        named = proof(
            nodes.join(rows, on="replay", how="semi").sort("start_ns", "name").unique("replay", maintain_order=True)
        )
        seen = (
            f"nodes are not in {rows.height} replays of {graphs} graph{'s' if graphs > 1 else ''} of which others hold"
        )
        if lost:
            detail = f"{seen} them, and there was time to run them: GPU records are missing"
            yield Finding(code="missing_graph_kernels", detail=detail, count=count, events=named)
        else:
            detail = f"{seen} them, and there was no time to run them: conditional or disabled nodes"
            yield Finding(code="graph_replays_differ", detail=detail, count=count, events=named)


def _nodes(trace: Trace, events: pl.DataFrame) -> pl.DataFrame:
    """The events inside graph launches that are in the file: replay (number), graph_key, node, by_id, and their own."""
    inside = holding(events["launch_name"], GRAPH_LAUNCH) & (events["kind"] != "graph")
    rows = events.filter(inside & events["correlation"].is_not_null())
    if not rows.height:
        return rows
    rows = rows.with_columns(launch=pl.struct(_LAUNCH).rank("dense"))
    node = pl.coalesce(pl.col("graph_node"), pl.lit(0))
    kernel = pl.struct("kind", "name", "grid", "block").hash().reinterpret(signed=True)
    rows = rows.with_columns(
        by_id=pl.col("graph_node").is_not_null(),
        node=pl.when(pl.col("graph_node").is_not_null()).then(node).otherwise(kernel),
    )
    rows = _by_graph_id(rows) if rows["graph"].null_count() == 0 else _by_node_ids(rows)
    if rows["graph_key"].null_count():
        place = _places(trace, rows)
        rows = rows.join(place, on="launch", how="left", maintain_order="left")
        rows = rows.with_columns(pl.coalesce("graph_key", "place").alias("graph_key")).drop("place")
    return rows.filter(pl.col("graph_key").is_not_null()).with_columns(
        replay=pl.struct("graph_key", "launch").rank("dense")
    )


def _by_graph_id(rows: pl.DataFrame) -> pl.DataFrame:
    owner = pl.coalesce("process", "launch_process").fill_null(-1)
    return rows.with_columns(graph_key=pl.format("graph {} of {}", "graph", owner))


def _by_node_ids(rows: pl.DataFrame) -> pl.DataFrame:
    """Launches that share node ids are of one graph: each takes the least number of those it shares with."""
    owner = pl.coalesce("process", "launch_process").fill_null(-1).alias("owner")
    shared = rows.filter("by_id").select(owner, "node", "launch").unique().with_columns(least=pl.col("launch"))
    for _ in range(_STEPS):
        after = shared.with_columns(pl.col("least").min().over("owner", "node"))
        after = after.with_columns(pl.col("least").min().over("launch"))
        if after["least"].equals(shared["least"]):
            break
        shared = after
    of = shared.group_by("launch").agg(pl.format("nodes of launch {}", pl.col("least").min()).alias("graph_key"))
    return rows.join(of, on="launch", how="left", maintain_order="left")


def _places(trace: Trace, rows: pl.DataFrame) -> pl.DataFrame:
    """For each launch the name of its innermost range and its place among the graph launches of that call."""
    columns = ("launch", "launch_process", "launch_thread", "launch_start_ns")
    launches = rows.select(columns).unique("launch", maintain_order=True)
    ordered = numbered(trace.ranges.filter(pl.col("dur_ns").is_not_null()))
    found = (
        launches.with_columns(call=last_begun(ordered, launches)).filter(pl.col("call") >= 0).sort("launch_start_ns")
    )
    family = ordered.select(families(ordered["range"])).to_series()
    return found.with_columns(range=family.gather(found["call"])).select(
        "launch", place=pl.format("{} {}", "range", pl.int_range(pl.len()).over("call"))
    )


def _lacking(nodes: pl.DataFrame) -> pl.DataFrame:
    """Replays that lack nodes: graph_key, replay, lacks (how many), need_ns (what those took at least elsewhere).

    `head`, `tail`: whether missing ones can have come before the first or after the last that is there.
    """
    counts = nodes.group_by("graph_key", "replay", "node", "by_id").agg(
        pl.len().cast(pl.Int64).alias("n"), length().min().alias("least_ns")
    )
    if _are_alike(counts):
        return counts.clear()
    ids = counts.filter("by_id")
    loops = ids.group_by("graph_key", "node").agg(pl.col("n").max()).filter(pl.col("n") > 1)
    wanted = ids.join(loops, on=["graph_key", "node"], how="anti").with_columns(n=pl.lit(1, dtype=pl.Int64))
    sizes = nodes.filter(~pl.col("by_id")).group_by("graph_key", "replay").len()
    fullest = sizes.sort("len", "replay", descending=[True, False]).unique("graph_key", maintain_order=True)
    named = counts.filter(~pl.col("by_id"))
    model = named.join(fullest, on=["graph_key", "replay"], how="semi")
    others = named.join(model.select("graph_key", "node", most="n"), on=["graph_key", "node"], how="left")
    foreign = others.filter(pl.col("most").is_null() | (pl.col("n") > pl.col("most"))).select("replay").unique()
    known = pl.concat([wanted, model.join(foreign, on="replay", how="anti")])
    known = known.group_by("graph_key", "node", "by_id").agg(pl.col("n").max(), pl.col("least_ns").min())
    every = counts.select("graph_key", "replay", "by_id").unique().join(foreign, on="replay", how="anti")
    expected = every.join(known, on=["graph_key", "by_id"], how="inner")
    held = expected.join(counts.select("replay", "node", "by_id", have="n"), on=["replay", "node", "by_id"], how="left")
    short = held.with_columns(lacks=(pl.col("n") - pl.col("have").fill_null(0)).clip(lower_bound=0)).filter(
        pl.col("lacks") > 0
    )
    ends = (
        nodes.sort("start_ns")
        .group_by("graph_key", "replay")
        .agg(pl.col("node").first().alias("first"), pl.col("node").last().alias("last"), pl.len())
    )
    whole = ends.sort("len", "replay", descending=[True, False]).unique("graph_key", maintain_order=True)
    short = short.join(ends.drop("len", "graph_key"), on="replay").join(
        whole.select("graph_key", head_node="first", tail_node="last"), on="graph_key"
    )
    again = pl.col("n") > 1  # kernels of one name: which of them is missing is not known
    return short.group_by("graph_key", "replay").agg(
        pl.col("lacks").sum(),
        (pl.col("lacks") * pl.col("least_ns")).sum().alias("need_ns"),
        ((pl.col("first") != pl.col("head_node")) | (again & (pl.col("node") == pl.col("first")))).any().alias("head"),
        ((pl.col("last") != pl.col("tail_node")) | (again & (pl.col("node") == pl.col("last")))).any().alias("tail"),
    )


def _are_alike(counts: pl.DataFrame) -> bool:
    """Whether all replays of each graph hold the same nodes, each as often."""
    replays = counts.group_by("graph_key").agg(pl.col("replay").n_unique().alias("replays"))
    nodes = counts.group_by("graph_key", "node", "by_id").agg(
        pl.len().alias("held"), (pl.col("n").min() == pl.col("n").max()).alias("equal")
    )
    return bool(
        nodes["equal"].all()
        and nodes.join(replays, on="graph_key").select((pl.col("held") == pl.col("replays")).all()).item()
    )


def _room(trace: Trace, events: pl.DataFrame, nodes: pl.DataFrame) -> pl.DataFrame:
    """For each replay how long its streams were idle: since the event before it or its launch (head_ns), until the
    event after it (tail_ns), and between its own events (inner_ns)."""
    numbers = nodes.select(*_LANE, "start_ns", "correlation", "graph_node", "name", "launch_start_ns", "replay")
    keys = [*_LANE, "start_ns", "correlation", "graph_node", "name", "launch_start_ns"]
    rows = events.select(*_LANE, "start_ns", "dur_ns", "correlation", "graph_node", "name", "launch_start_ns").join(
        numbers.unique(keys), on=keys, how="left", nulls_equal=True, maintain_order="left"
    )
    spans = frame_in_order(rows, by=_LANE)
    ordered = rows[spans.row].with_columns(
        end_ns=pl.Series(spans.end), reach=pl.Series(spans.reach), lane=pl.struct(_LANE).rle_id()
    )
    last = _until(trace, events)
    ordered = ordered.with_columns(
        before=pl.col("reach").shift(1).over("lane"), after=pl.col("start_ns").shift(-1).over("lane")
    )
    tail = (pl.col("after").last().fill_null(last) - pl.col("reach").last()).clip(lower_bound=0)
    begun = pl.max_horizontal(pl.col("before").first(), pl.col("launch_start_ns").first())
    head = (pl.col("start_ns").first() - begun).clip(lower_bound=0).fill_null(0)
    inner = (pl.col("start_ns") - pl.col("before")).clip(lower_bound=0).slice(1).sum()
    by_lane = ordered.filter(pl.col("replay").is_not_null()).group_by("replay", "lane", maintain_order=True)
    rooms = by_lane.agg(head.alias("head_ns"), tail.alias("tail_ns"), inner.alias("inner_ns"))
    return rooms.group_by("replay").agg(pl.col("head_ns", "tail_ns", "inner_ns").sum())


def _until(trace: Trace, events: pl.DataFrame) -> int:
    """When the recording ended, as far as the file tells."""
    ends = [f.select((pl.col("start_ns") + length()).max()).item() for f in (events, trace.calls) if f.height]
    last = int(max(ends))
    return last if trace.window_end_ns is None else max(trace.window_end_ns, last)
