"""Traces drawn in a line: `trace(kernel(0, 10), kernel(14, 20))`. Times are ns; a span is (start, end)."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from rope_prof.model.trace import (
    CPU_OPS,
    GPU_EVENTS,
    GRAPH_NODES,
    HOST_CALLS,
    MEMORY,
    OVERHEADS,
    PYTHON_CALLS,
    RANGES,
    Trace,
)

Span = tuple[int, int]


@dataclass(frozen=True)
class Drawn:
    """Rows for the frames of a trace: frame name -> rows."""

    rows: dict[str, list[dict[str, Any]]] = field(default_factory=dict)


def kernel(
    start: int,
    end: int,
    *,
    name: str = "k",
    kind: str = "kernel",
    stream: int = 7,
    device: str = "0",
    launched: Span | None = None,
    correlation: int | None = None,
    thread: int = 1,
    process: int = 1,
    by: str = "cudaLaunchKernel",
    **more: Any,
) -> Drawn:
    """One GPU event; with `launched` also the host call that made it, on a correlation of its own."""
    number = correlation if correlation is not None else abs(hash((start, end, stream, device, name))) % (1 << 40) + 1
    event = {"kind": kind, "name": name, "device": device, "stream": stream, "correlation": number, **_span(start, end)}
    rows = {"gpu": [event | more]}
    if launched is not None:
        rows["calls"] = call(by, *launched, thread=thread, process=process, correlation=number).rows["calls"]
    return Drawn(rows)


def graph(launched: Span, *spans: Span, correlation: int = 900, **more: Any) -> list[Drawn]:
    """One graph launch and its kernels, all on one correlation."""
    first, *others = spans
    head = kernel(*first, launched=launched, correlation=correlation, by="cudaGraphLaunch", **more)
    return [head, *(kernel(*span, correlation=correlation, **more) for span in others)]


def node(start: int, end: int, *, kind: str = "host_node", name: str = "HostNode", **more: Any) -> Drawn:
    """A node of a graph that takes no time of the device: `correlation` is its launch, `stream` the one that waits."""
    row = {"kind": kind, "name": name, "device": "0", "stream": 7} | _span(start, end)
    return Drawn({"nodes": [row | more]})


def call(
    name: str, start: int, end: int, *, thread: int = 1, process: int = 1, correlation: int | None = None
) -> Drawn:
    row = {"name": name, "api": "driver" if name.startswith("cuL") else "runtime", "correlation": correlation}
    return Drawn({"calls": [row | {"process": process, "thread": thread} | _span(start, end)]})


def sync(start: int, end: int, *, thread: int = 1) -> Drawn:
    return call("cudaDeviceSynchronize", start, end, thread=thread)


def range_(
    name: str, start: int, end: int | None, *, kind: str = "record_function", thread: int = 1, **more: Any
) -> Drawn:
    row = {"name": name, "kind": kind, "process": 1, "thread": thread, "start_ns": start}
    return Drawn({"ranges": [row | {"dur_ns": None if end is None else end - start} | more]})


def op(name: str, start: int, end: int, *, thread: int = 1, **more: Any) -> Drawn:
    return Drawn({"ops": [{"name": name, "process": 1, "thread": thread} | _span(start, end) | more]})


def python(name: str, start: int, end: int, *, thread: int = 1) -> Drawn:
    """A function of a Python stack."""
    return Drawn({"python": [{"name": name, "process": 1, "thread": thread} | _span(start, end)]})


def memory(at: int, size: int, allocated: int | None, reserved: int | None = None, *, device: str = "0") -> Drawn:
    """An allocation (negative: a release) and the totals from then on."""
    row = {"device": device, "process": 1, "thread": 1, "start_ns": at, "bytes": size}
    return Drawn({"memory": [row | {"allocated_bytes": allocated, "reserved_bytes": reserved}]})


def overhead(start: int, end: int, *, process: int | None = None, name: str = "Buffer Flush") -> Drawn:
    row = {"name": name, "process": process, "thread": None}
    return Drawn({"overheads": [row | _span(start, end)]})


def _span(start: int, end: int) -> dict[str, int]:
    return {"start_ns": start, "dur_ns": end - start}


_SCHEMAS = {"gpu": GPU_EVENTS, "calls": HOST_CALLS, "ranges": RANGES, "ops": CPU_OPS, "overheads": OVERHEADS}
_SCHEMAS |= {"nodes": GRAPH_NODES, "python": PYTHON_CALLS, "memory": MEMORY}


def trace(*drawn: Drawn | Iterable[Drawn], **facts: Any) -> Trace:
    """The `Trace` of what was drawn, rows in the order drawn."""
    flat = [one for part in drawn for one in ((part,) if isinstance(part, Drawn) else part)]
    frames = {}
    for name, schema in _SCHEMAS.items():
        rows = [{column: row.get(column) for column in schema} for one in flat for row in one.rows.get(name, [])]
        frames[name] = pl.DataFrame(rows, schema=schema)
    known = {"format": "kineto", "source": "drawn", "events": len(flat), "window_end": True}
    return Trace(**frames, **(known | facts))


def microseconds(ns: int) -> str:
    """The digits that Kineto writes: `-1.500`, `12.345`."""
    return f"{'-' if ns < 0 else ''}{abs(ns) // 1000}.{abs(ns) % 1000:03d}"


_CATEGORIES = {"kernel": "kernel", "memcpy": "gpu_memcpy", "memset": "gpu_memset"}


def kineto_events(drawn: Trace) -> list[str]:
    """Each event as the text that Kineto would write: host ops, ranges, calls, overheads, then GPU events."""
    ops, ranges = (frame.iter_rows(named=True) for frame in (drawn.ops, drawn.ranges))
    out = [_event("cpu_op", row, row["process"], row["thread"], {"External id": row["external"]}) for row in ops]
    out += [_event("user_annotation", row, row["process"], row["thread"], {}) for row in ranges]
    for row in drawn.calls.iter_rows(named=True):
        args = {"correlation": row["correlation"]}
        out.append(_event(f"cuda_{row['api']}", row, row["process"], row["thread"], args))
    frames = drawn.python.iter_rows(named=True)
    out += [_event("python_function", row, row["process"], row["thread"], {}) for row in frames]
    out += [_memory_event(row) for row in drawn.memory.iter_rows(named=True)]
    out += [_event("overhead", row, -1, 0, {}) for row in drawn.overheads.iter_rows(named=True)]
    for row in drawn.gpu.iter_rows(named=True):
        args = {"device": int(row["device"]), "stream": row["stream"], "correlation": row["correlation"]}
        args |= {"bytes": row["bytes"], "registers per thread": row["registers"], "External id": row["external"]}
        args |= {"graph id": row["graph"], "graph node id": row["graph_node"]}
        out.append(_event(_CATEGORIES[row["kind"]], row, int(row["device"]), row["stream"], args))
    return out


def _event(category: str, row: dict[str, Any], pid: int, tid: int, args: dict[str, Any]) -> str:
    told = json.dumps({key: value for key, value in args.items() if value is not None})
    times = f'"ts": {microseconds(row["start_ns"])}, "dur": {microseconds(row["dur_ns"])}'
    name = json.dumps(row["name"], ensure_ascii=False)
    return f'{{"ph": "X", "cat": "{category}", "name": {name}, "pid": {pid}, "tid": {tid}, {times}, "args": {told}}}'


def _memory_event(row: dict[str, Any]) -> str:
    told = {"Bytes": row["bytes"], "Total Allocated": row["allocated_bytes"], "Total Reserved": row["reserved_bytes"]}
    cpu = row["device"] == "cpu"
    told |= {"Device Id": -1 if cpu else int(row["device"]), "Device Type": 0 if cpu else 1}
    args = json.dumps({key: value for key, value in told.items() if value is not None})
    place = f'"pid": {row["process"]}, "tid": {row["thread"]}, "ts": {microseconds(row["start_ns"])}'
    return f'{{"ph": "i", "cat": "cpu_instant_event", "s": "t", "name": "[memory]", {place}, "args": {args}}}'


WINDOW_END = '{"name": "Record Window End", "ph": "i", "s": "g", "pid": "", "tid": "", "ts": 1.000}'


def kineto_json(drawn: Trace | list[str], *, window_end: bool = True, **top: Any) -> bytes:
    """A whole Kineto file of a drawn trace, or of event texts."""
    events = list(drawn) if isinstance(drawn, list) else kineto_events(drawn)
    events += [WINDOW_END] if window_end else []
    head = "".join(f'"{key}": {json.dumps(value)},\n' for key, value in {"schemaVersion": 1, **top}.items())
    body = ",\n  ".join(events)
    return f'{{\n{head}"traceEvents": [\n  {body}\n],\n"traceName": "t.json"}}\n'.encode()
