"""A Proton trace as Triton's TraceData.cpp writes it: one JSON object a stream, one a line, keys in their order."""

from __future__ import annotations

import json
from collections.abc import Sequence


def proton_trace(*streams: tuple[int, Sequence[tuple[str, float, float]]]) -> bytes:
    """(stream, its kernels as (name, start µs, µs)) a line."""
    lines = []
    for stream, kernels in streams:
        events = [
            {
                "args": {"call_stack": ["ROOT", name]},
                "cat": "kernel",
                "dur": dur,
                "name": name,
                "ph": "X",
                "tid": stream,
                "ts": ts,
            }
            for name, ts, dur in kernels
        ]
        lines.append(json.dumps({"displayTimeUnit": "us", "traceEvents": events}, separators=(",", ":")) + "\n")
    return "".join(lines).encode()
