"""Proton's trace data (`data="trace"`) -> `Trace`: one JSON object a stream, one a line, or one object in all.

It holds kernels with their streams and the scopes that they were launched in, but no launches, no device and no time
zero that another file shares. Source of the facts: Triton's TraceData.cpp.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec
import polars as pl

from rope_prof.io.bombs import whole
from rope_prof.io.damaged import DAMAGED
from rope_prof.io.kineto.args import ints
from rope_prof.io.kineto.digits import microseconds_to_ns
from rope_prof.io.trace.proton import MAX_BYTES
from rope_prof.model.trace import GPU_EVENTS, Finding, Trace, fitted

_NONE: Final = msgspec.Raw(b"")


class _Event(msgspec.Struct, gc=False):
    name: str = ""
    cat: str = ""
    ph: str = ""
    tid: int | float | str | None = None
    ts: msgspec.Raw = _NONE
    dur: msgspec.Raw = _NONE


class _Stream(msgspec.Struct, gc=False):
    events: list[_Event] = msgspec.field(name="traceEvents", default_factory=list)


_decode = msgspec.json.Decoder(_Stream).decode


def read_proton_trace(chunks: Iterable[bytes], source: str, findings: Sequence[Finding] = ()) -> Trace:
    """The trace; a line that is cut or damaged is left out and said. Errors: TraceError for a too large file."""
    events: list[_Event] = []
    lost = 0
    for line in whole(chunks, MAX_BYTES, f"{source!r} is a Proton trace").splitlines():
        if not line.strip():
            continue
        try:
            events += [event for event in _decode(line).events if event.ph == "X" and event.cat == "kernel"]
        except DAMAGED:
            lost += 1
    found = list(findings)
    if lost:
        detail = "streams of a Proton trace are cut or damaged and are left out"
        found.append(Finding(code="damaged_events", detail=detail, count=lost))
    start, start_good = microseconds_to_ns([bytes(event.ts) for event in events])
    dur, dur_good = microseconds_to_ns([bytes(event.dur) for event in events])
    good = pl.Series(start_good & dur_good)
    if unreadable := len(events) - int(good.sum()):
        detail = "events have no readable start or duration and are left out"
        found.append(Finding(code="unreadable_times", detail=detail, count=unreadable))
    rows = pl.DataFrame(
        [
            pl.Series("name", [event.name for event in events], dtype=pl.String),
            ints("stream", [event.tid for event in events]),
            pl.Series("start_ns", start),
            pl.Series("dur_ns", dur),
        ]
    )
    return Trace(
        format="proton_trace",
        source=source,
        gpu=fitted(rows.filter(good), GPU_EVENTS, kind=pl.lit("kernel"), device=pl.lit("?")),
        events=len(events),
        findings=tuple(found),
    )
