"""Everything that a trace says of one span, as label and text: what a click on it shows. Names letter for letter."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import polars as pl

from rope_prof.units import US, duration, size
from rope_prof.views.timeline.lanes import Lane
from rope_prof.views.timeline.scene import Scene
from rope_prof.views.words.causes import CAUSE_WORDS

Facts = list[tuple[str, str]]


def facts(scene: Scene, lane: Lane, item: int, zero_ns: int) -> Facts:
    """The facts of span `item` of that lane; `zero_ns` is the file's time that the picture calls zero."""
    start, end = int(lane.starts[item]), int(lane.ends[item])
    row = int(lane.rows[item])
    told = [
        ("start", signed(start - zero_ns)),
        ("length", duration(end - start)),
        ("end", signed(end - zero_ns)),
    ]
    if lane.role == "kernel":
        return told + list(_kernel(scene, scene.events.row(row, named=True)))
    if lane.role == "bubble":
        return told + list(_bubble(scene.gaps.row(row, named=True)))
    frame = {"range": scene.trace.ranges, "op": scene.trace.ops, "launch": scene.trace.calls}[lane.role]
    return told + list(_host(scene, frame.row(row, named=True), lane.role))


def signed(ns: int) -> str:
    """A time against zero, to the nanosecond."""
    return f"{ns / US:+,.3f} µs"


def _told(pairs: list[tuple[str, Any]]) -> Iterator[tuple[str, str]]:
    for label, value in pairs:
        if value is not None and value != "":
            yield label, str(value)


def _kernel(scene: Scene, event: dict[str, Any]) -> Iterator[tuple[str, str]]:
    launch, begun = event["launch_name"], event["launch_start_ns"]
    queue = None
    if begun is not None and event["device"] != "cpu":
        queue = event["start_ns"] - begun - (event["launch_dur_ns"] or 0)
    yield from _told(
        [
            ("kind", event["kind"]),
            ("grid", event["grid"]),
            ("block", event["block"]),
            ("registers a thread", event["registers"]),
            ("shared memory", None if event["shared_bytes"] is None else size(event["shared_bytes"])),
            ("bytes", None if event["bytes"] is None else f"{event['bytes']:,}"),
            ("device", _device(scene, event["device"])),
            ("stream", None if event["device"] == "cpu" else event["stream"]),
            ("graph", event["graph"]),
            ("graph node", event["graph_node"]),
            ("correlation", event["correlation"]),
        ]
    )
    if event["device"] == "cpu":
        yield "thread", str(event["launch_thread"])
    elif launch is None:
        yield "launch", "not in the file"
    else:
        yield from _told([("launch", launch), ("launch length", duration(event["launch_dur_ns"]))])
        yield from _told([("launch thread", event["launch_thread"]), ("launch to kernel", signed(queue or 0))])
    yield from _around(scene, event)


def _device(scene: Scene, device: str) -> str:
    name = scene.trace.device_names.get(device)
    return f"{device} ({name})" if name else device


def _flat(text: str | None) -> str | None:
    """JSON text on one line, whatever way the file is written."""
    return None if text is None else re.sub(r"\s*\n\s*", "", text)


def _around(scene: Scene, event: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """The operator that caused it, and the ranges in which it was launched, the innermost first."""
    if event["external"] is not None and scene.trace.ops.height:
        ops = scene.trace.ops.filter(pl.col("external") == event["external"])
        for op in ops.head(1).iter_rows(named=True):
            yield from _told(
                [("operator", op["name"]), ("shapes", _flat(op["input_dims"])), ("types", _flat(op["input_types"]))]
            )
    begun = event["launch_start_ns"]
    if begun is None:
        return
    ends = pl.col("start_ns") + pl.col("dur_ns").fill_null(1 << 62)
    inside = scene.trace.ranges.filter((pl.col("start_ns") <= begun) & (ends > begun))
    for name in ("process", "thread"):
        value = event[f"launch_{name}"]
        if value is not None:
            inside = inside.filter(pl.col(name).is_null() | (pl.col(name) == value))
    for found in inside.sort("start_ns", descending=True).head(4)["name"]:
        yield "range", str(found)


def _bubble(gap: dict[str, Any]) -> Iterator[tuple[str, str]]:
    yield "means", CAUSE_WORDS.get(gap["cause"], gap["cause"])
    yield from _told(
        [
            ("whole gap", duration(gap["gap_dur_ns"])),
            ("kernel before", gap["before"]),
            ("its stream", gap["before_stream"]),
            ("kernel after", gap["after"]),
            ("that one's stream", gap["after_stream"]),
            ("launch of it", gap["launch_name"]),
        ]
    )
    if gap["launch_start_ns"] is not None:
        late = gap["launch_start_ns"] - gap["gap_start_ns"]
        yield "launch call began", f"{signed(late)} after the gap began"


def _host(scene: Scene, row: dict[str, Any], role: str) -> Iterator[tuple[str, str]]:
    skipped = {"name", "start_ns", "dur_ns"}
    words = {"api": "interface", "input_dims": "shapes", "input_types": "types", "external": "external id"}
    if row["dur_ns"] is None:
        yield "closed", "never in this file"
    values = {name: _flat(value) if name.startswith("input_") else value for name, value in row.items()}
    yield from _told([(words.get(name, name), value) for name, value in values.items() if name not in skipped])
    if role == "launch" and row["correlation"] is not None:
        started = scene.events.filter(
            (pl.col("correlation") == row["correlation"]) & (pl.col("launch_start_ns") == row["start_ns"])
        )
        if started.height:
            yield "started", f"{started.height:,} on the device"
            yield "the first", str(started["name"][0])
