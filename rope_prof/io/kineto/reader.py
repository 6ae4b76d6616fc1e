"""Kineto (torch.profiler) Chrome JSON -> `Trace`, NVIDIA and AMD, 2021 to now, in pieces of a few megabytes.

Knows the categories, spellings and time format of the files; judges nothing: what is odd becomes a finding.
Source of the facts: kineto's ChromeTraceLogger and real files. Memory: the frames, and about 60 MB for the piece at
hand. Flow arrows, built-in functions of Python stacks and GPU-side annotations are not kept.
"""

from __future__ import annotations

import contextlib
import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from functools import cache
from typing import Any, Final

import msgspec
import numpy as np
import polars as pl

from rope_prof.errors import TraceError
from rope_prof.io.kineto.args import as_int
from rope_prof.io.kineto.categories import NODES
from rope_prof.io.kineto.columns import Columns
from rope_prof.io.kineto.events import too_deep
from rope_prof.io.kineto.identity import told_apart
from rope_prof.io.kineto.mend import without_halves
from rope_prof.io.kineto.pieces import Events
from rope_prof.io.kineto.processes import columns_in_order
from rope_prof.io.kineto.seen import Seen, told_objects
from rope_prof.model.frozen import decodable
from rope_prof.model.trace import (
    CPU_OPS,
    GPU_EVENTS,
    GRAPH_NODES,
    HOST_CALLS,
    MEMORY,
    NAMED,
    OVERHEADS,
    PYTHON_CALLS,
    RANGES,
    Finding,
    Trace,
    fitted,
)

#: What GPU events have beside the model's columns until it is known whose they are.
_OWNER: Final[dict[str, Any]] = {"owner": pl.Int64, "owner_text": pl.String}


class KinetoReader:
    """Feed it the bytes of one file, take the `Trace`."""

    def __init__(self, source: str, packed_bytes: int = 0) -> None:
        self._source = source
        self._packed_bytes = packed_bytes
        self._texts: list[pl.Series] = []
        self._batches: dict[str, list[tuple[int, pl.DataFrame]]] = defaultdict(
            list
        )  # with the number of its first text
        self._counts: dict[str, int] = defaultdict(int)
        self._proofs: dict[str, list[Seen]] = defaultdict(list)
        self._whole_us = True
        self._window_end = False
        self._window_end_ns: int | None = None
        self._top_repeats: list[str] = []

    def read(self, chunks: Iterator[bytes]) -> Trace:
        """Decode all pieces; the frames keep the file's order within one category."""
        events = Events(chunks, self._source)
        tail: bytes | None = None
        with contextlib.closing(columns_in_order(iter(events), self._packed_bytes)) as pieces:
            for columns in pieces:
                self._take(columns)
                tail = columns.tail
        if not events.found:
            self._counts["no_array"] = 1
        metadata = self._metadata(events.head, tail)
        if events.found:
            self._leave_out(metadata.pop("traceEvents", None))
        return self._trace(metadata)

    def _take(self, piece: Columns) -> None:
        for code, count in piece.counts.items():
            self._counts[code] += count
            self._proofs[code] += piece.proofs.get(code, ())[: NAMED - len(self._proofs[code])]
        self._counts["events"] += piece.events
        self._whole_us = self._whole_us and piece.whole_us
        self._window_end = self._window_end or piece.window_end
        self._window_end_ns = self._window_end_ns if piece.window_end_ns is None else piece.window_end_ns
        for frame, batch in piece.frames.items():
            self._batches[frame].append((sum(map(len, self._texts)), batch))
        self._texts.append(piece.texts)

    def _leave_out(self, second: Any) -> None:
        """Count what a second event array holds, which other readers take instead of the first."""
        if second is not None:
            held = second if isinstance(second, list) else [second]
            self._counts["second_array"] = len(held)
            self._proofs["second_array"] = told_objects(held[:NAMED])

    def _metadata(self, head: bytes, tail: bytes | None) -> dict[str, Any]:
        """The top-level members but the events; from a cut file what stands before them."""
        before = head.strip().rstrip(b",").strip()
        behind = b"" if tail is None else tail.strip().lstrip(b",").strip()
        if self._counts["no_array"]:
            value = self._object(before)
            self._counts["cut"] = value is None
            return value or {}
        if not before:  # a bare list of events
            self._counts["cut"] += tail is None
            return {}
        if tail is None or not behind.endswith(b"}"):
            self._counts["cut"] = 1
            behind = b"}"
        for text in (before + (b"," if before != b"{" and behind != b"}" else b"") + behind, before + b"}"):
            value = self._object(text)
            if value is not None:
                return value
            self._counts["cut"] = 1
        return {}

    def _object(self, text: bytes) -> dict[str, Any] | None:
        repeats: list[str] = []  # of the object closed last, which at the end is the outermost

        def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
            seen = Counter(key for key, _ in items)
            repeats[:] = [key for key, times in seen.items() if times > 1]
            return dict(items)

        try:
            read = json.loads(text.decode("utf-8", errors="replace"), strict=False, object_pairs_hook=pairs)
            value = without_halves(read)
        except RecursionError:
            raise too_deep("the metadata of a trace") from None
        except ValueError:
            return None
        self._top_repeats = list(repeats)
        return value if isinstance(value, dict) else None

    def _trace(self, metadata: dict[str, Any]) -> Trace:
        texts = pl.concat([pl.Series([], dtype=pl.String), *self._texts], rechunk=True)
        own = metadata.get("rope_prof")
        base = as_int(metadata.get("baseTimeNanoseconds"))
        frames = {
            "gpu": self._frame("gpu", GPU_EVENTS | _OWNER, texts),
            "calls": self._frame("call", HOST_CALLS, texts),
            "ranges": self._frame("range", RANGES, texts, kind="record_function"),
            "ops": self._frame("op", CPU_OPS, texts),
            "overheads": self._frame("overhead", OVERHEADS, texts),
            "python": self._frame("python", PYTHON_CALLS, texts),
            "memory": self._frame("memory", MEMORY, texts),
        }
        if self._counts["no_array"] and not self._counts["cut"]:
            raise TraceError(
                f"{self._source!r} is JSON without 'traceEvents'; expected a Kineto trace, a Proton profile "
                "or an nsys export"
            )
        frames["gpu"], names, merged = told_apart(frames["gpu"], frames["calls"], _device_names(metadata))
        gpu = frames["gpu"]
        waits = gpu["kind"].is_in(NODES)
        frames["nodes"] = (gpu.filter(waits) if waits.any() else gpu.clear())[list(GRAPH_NODES)]
        frames["gpu"] = (gpu.filter(~waits) if waits.any() else gpu)[list(GPU_EVENTS)]
        return Trace(
            format="kineto",
            source=self._source,
            **_old_ranges(frames),
            events=self._counts["events"],
            findings=_with_written(own, (*self._findings(frames["gpu"]), *merged)),
            window_end=self._window_end,
            window_end_ns=self._window_end_ns,
            base_time_ns=base,
            device_names=names,
            metadata=metadata,
            own=own if isinstance(own, dict) else None,
        )

    def _frame(self, frame: str, schema: dict[str, Any], texts: pl.Series, **fixed: str) -> pl.DataFrame:
        batches = self._batches.pop(frame, [])
        if not batches:
            return pl.DataFrame(schema=schema)
        whole = pl.concat([batch for _, batch in batches], rechunk=True) if len(batches) > 1 else batches[0][1]
        first = np.repeat(np.array([at for at, _ in batches], np.uint32), [batch.height for _, batch in batches])
        columns, constants = [], []
        read = whole.schema
        for name, dtype in schema.items():
            if name in fixed or name not in read:
                constants.append(_constant(name, dtype, fixed.get(name)))
            elif dtype == pl.String and read[name] == pl.UInt32:
                columns.append(texts[first + whole[name].to_numpy()].alias(name))
            else:
                columns.append(whole[name].cast(dtype))
        return pl.DataFrame(columns).with_columns(constants)[list(schema)]

    def _findings(self, gpu: pl.DataFrame) -> Iterator[Finding]:
        counts = self._counts
        if counts["no_array"]:
            early = "the file ends before its event array begins" if counts["cut"] else "the file has no event array"
            yield Finding(code="no_events", detail=early)
        elif counts["cut"]:
            read = f"{counts['events']} whole events are read, {counts['lost_bytes']} bytes of a cut one are not"
            yield Finding(code="cut_json", detail=f"the JSON ends early: {read}")
        for code, (count, detail) in _DETAILS.items():
            if counts[count]:
                events = tuple(self._proofs[count])
                yield Finding(code=code, detail=detail.format(**counts), count=counts[count], events=events)
        if self._top_repeats:
            detail = f"top-level keys come twice: {', '.join(self._top_repeats[:5])}"
            yield Finding(code="duplicate_metadata", detail=detail, count=len(self._top_repeats))
        if self._whole_us and gpu.height:
            yield Finding(
                code="coarse_clock", detail="times are whole microseconds: shorter gaps and kernels read as 0"
            )


@cache
def _constant(name: str, dtype: Any, value: str | None) -> pl.Expr:
    return pl.lit(value, dtype=dtype).alias(name)


def _with_written(own: Any, found: tuple[Finding, ...]) -> tuple[Finding, ...]:
    """What was found, and before it what a file of `io.kineto.writer` says was found in the trace that it is of."""
    written = own.get("findings") if isinstance(own, dict) else None
    told = tuple(filter(None, map(_written, written if isinstance(written, list) else ())))
    codes = {one.code for one in told}
    return (*told, *(one for one in found if one.code not in codes))


def _written(said: Any) -> Finding | None:
    try:
        return msgspec.convert(said, decodable(Finding))
    except msgspec.ValidationError:
        return None


#: code -> (what is counted, sentence)
_DETAILS: Final = {
    "mended_events": ("mended", "events are no strict JSON (bare inf, unescaped quotes, odd bytes) and were mended"),
    "damaged_events": ("lost", "events ({lost_bytes} bytes) cannot be read and are left out"),
    "damaged_unread_events": ("lost_unread", "events of categories that no figure reads cannot be read"),
    "duplicate_keys": ("duplicates", "events hold a key twice; the last one counts"),
    "duplicate_unread_keys": ("duplicates_unread", "events hold a key twice that no figure reads"),
    "unreadable_times": ("unreadable_times", "events have no readable start or duration and are left out"),
    "odd_places": ("odd_places", "GPU events name a device or a stream that is no whole number"),
    "second_array": ("second_array", "events of a second event array are left out; a file of a profiler has one"),
}


def _device_names(metadata: dict[str, Any]) -> dict[str, str]:
    devices = metadata.get("deviceProperties")
    if not isinstance(devices, list):
        return {}
    named = [d for d in devices if isinstance(d, dict) and d.get("name")]
    return {str(d.get("id")): str(d["name"]) for d in named}


def _old_ranges(frames: dict[str, pl.DataFrame]) -> dict[str, pl.DataFrame]:
    """Files from before the category `user_annotation`: their profiler steps are operators, and ranges for us."""
    if frames["ranges"].height:
        return frames
    ops = frames["ops"]
    steps = ops.filter(pl.col("name").str.starts_with("ProfilerStep#"))
    if not steps.height:
        return frames
    ranges = fitted(steps, RANGES, kind=pl.lit("record_function"))
    return {**frames, "ranges": ranges, "ops": ops.filter(~pl.col("name").str.starts_with("ProfilerStep#"))}
