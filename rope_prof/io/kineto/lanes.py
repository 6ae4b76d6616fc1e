"""GPU events that overlap on one stream, on lanes of their own, so that a viewer of Chrome JSON drops none.

A stream's kernels overlap where the next one starts early (programmatic dependent launch); viewers take a stream for
a thread, whose spans must nest, and drop or shorten what does not. Here such a span, and the arrow that ends at it,
moves to an extra thread of its process. `args.stream` still says the truth; every other byte of the events stays.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import msgspec

from rope_prof.model.frozen import decodable

_GPU = frozenset({"kernel", "gpu_memcpy", "gpu_memset", "gpu_user_annotation"})
#: Thread ids of extra lanes start here: above every stream id, below what a JSON number holds exactly.
_LANE_STEP = 1_000_000


class _Event(msgspec.Struct):
    ph: str = ""
    cat: str = ""
    name: str = ""
    pid: int | str | None = None
    tid: int | str | None = None
    ts: msgspec.Raw = msgspec.Raw(b"0")
    dur: msgspec.Raw = msgspec.Raw(b"0")
    id: int | str | None = None
    args: dict[str, msgspec.Raw] = {}


@dataclass(slots=True)
class _Lane:
    """Ends of the spans that are open on one lane, outermost first."""

    ends: list[Decimal] = field(default_factory=list)

    def takes(self, start: Decimal, end: Decimal) -> bool:
        """Whether `[start, end)` nests with what is open; if so it is open now."""
        while self.ends and self.ends[-1] <= start:
            self.ends.pop()
        if self.ends and end > self.ends[-1]:
            return False
        self.ends.append(end)
        return True


def laned(events: bytes) -> bytes:
    """A JSON array of trace events -> the same with overlapping GPU spans on extra threads; the input where none is."""
    parsed = msgspec.json.decode(events, type=decodable(list[_Event]))
    moved = _moved(parsed)
    if not moved:
        return events
    raws = msgspec.json.decode(events, type=list[msgspec.Raw])
    out = [_on_thread(raw, moved[index]) if index in moved else raw for index, raw in enumerate(raws)]
    out += [msgspec.Raw(json.dumps(name).encode()) for name in _thread_names(parsed, moved)]
    return msgspec.json.encode(out)


def _moved(events: list[_Event]) -> dict[int, int]:
    """Index of each event that leaves its thread -> its new thread id."""
    spans: dict[tuple[Any, int], list[tuple[Decimal, Decimal, int]]] = {}
    for index, event in enumerate(events):
        if event.ph == "X" and event.cat in _GPU and isinstance(event.tid, int):
            start = Decimal(bytes(event.ts).decode())
            end = start + Decimal(bytes(event.dur).decode())
            spans.setdefault((event.pid, event.tid), []).append((start, end, index))
    moved: dict[int, int] = {}
    arrows: dict[tuple[Any, int, int, Decimal], int] = {}  # a graph's kernels share a correlation, not a start
    for (pid, tid), rows in spans.items():
        lanes = [_Lane()]
        for start, end, index in sorted(rows, key=lambda row: (row[0], -row[1], row[2])):
            number = next((n for n, lane in enumerate(lanes) if lane.takes(start, end)), len(lanes))
            if number == len(lanes):
                lanes.append(_Lane([end]))
            if number:
                moved[index] = tid + number * _LANE_STEP
                correlation = events[index].args.get("correlation")
                if correlation is not None and events[index].cat != "gpu_user_annotation":
                    arrows[pid, tid, int(bytes(correlation)), start] = moved[index]
    if moved:
        for index, event in enumerate(events):
            if event.ph == "f":
                at = (event.pid, event.tid, event.id, Decimal(bytes(event.ts).decode()))
                if at in arrows:
                    moved[index] = arrows[at]
    return moved


def _on_thread(raw: msgspec.Raw, tid: int) -> dict[str, msgspec.Raw]:
    fields = msgspec.json.decode(raw, type=dict[str, msgspec.Raw])
    return fields | {"tid": msgspec.Raw(str(tid).encode())}


def _thread_names(events: list[_Event], moved: dict[int, int]) -> list[dict[str, Any]]:
    """Metadata events that name and order the extra threads beside the streams they belong to."""
    streams = {(events[i].pid, events[i].tid, tid) for i, tid in moved.items() if events[i].ph == "X"}
    return [
        {"name": name, "ph": "M", "ts": 0, "pid": pid, "tid": tid, "args": args}
        for pid, stream, tid in sorted(streams, key=str)
        for name, args in (
            ("thread_name", {"name": f"stream {stream} overlap {(tid - int(stream or 0)) // _LANE_STEP}"}),
            ("thread_sort_index", {"sort_index": int(stream or 0)}),
        )
    ]
