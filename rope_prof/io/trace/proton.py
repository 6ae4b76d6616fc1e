"""Proton (triton.profiler) hatchet JSON -> `Trace`: totals per call path; it has no times, no gaps, no host side."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

from rope_prof.errors import TraceError
from rope_prof.io.bombs import whole
from rope_prof.model.trace import Finding, Trace

MAX_BYTES: Final = 512 << 20
_TIME: Final = "time (ns)"


def read_proton(chunks: Iterable[bytes], source: str, findings: Sequence[Finding] = ()) -> Trace:
    """The profile; `totals` has one entry a call path: path, device, count, kernel_ns.

    Raises `TraceError` for a cut, damaged or too large file: a tree that is cut has no readable part.
    """
    text = whole(chunks, MAX_BYTES, f"{source!r} is a Proton profile")
    try:
        value = json.loads(text.decode("utf-8-sig", errors="replace"))
    except RecursionError:
        raise TraceError(f"{source!r} nests deeper than the JSON decoder's limit of about a thousand levels") from None
    except ValueError as error:
        raise TraceError(f"{source!r} is a Proton profile that is cut or damaged: {error}; record again") from None
    roots = [node for node in value if isinstance(node, dict) and "frame" in node]
    totals = [total for root in roots for total in _totals(root)]
    return Trace(
        format="proton",
        source=source,
        events=len(totals),
        findings=tuple(findings),
        metadata={"totals": totals},
    )


def _totals(root: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The leaves that took time, each with the path of names that leads to it, without the root's own name."""
    stack: list[tuple[dict[str, Any], tuple[str, ...]]] = [(root, ())]
    while stack:
        node, path = stack.pop()
        below = node.get("children")
        children = [child for child in below if isinstance(child, dict)] if isinstance(below, list) else []
        stack.extend((child, (*path, _name(child))) for child in reversed(children))
        metrics = node.get("metrics")
        time = metrics.get(_TIME) if isinstance(metrics, dict) else None
        if not isinstance(metrics, dict) or children or not isinstance(time, int | float) or not abs(time) < 1 << 62:
            continue
        count = metrics.get("count")
        yield {
            "path": list(path),
            "device": str(metrics.get("device_id", "?")),
            "count": int(count) if isinstance(count, int | float) and abs(count) < 1 << 62 else None,
            "kernel_ns": round(time),
        }


def _name(node: dict[str, Any]) -> str:
    frame = node.get("frame")
    return str(frame.get("name", "?")) if isinstance(frame, dict) else "?"
