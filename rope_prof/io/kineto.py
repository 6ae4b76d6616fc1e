"""Kineto (torch.profiler) Chrome JSON -> `Trace`, NVIDIA and AMD, 2021 to now, in pieces of a few megabytes.

Knows the categories, spellings and time format of the files; judges nothing: what is odd becomes a finding.
Source of the facts: kineto's ChromeTraceLogger and real files. Memory: the frames, and about 60 MB for the piece at
hand. Flow arrows, Python frames and GPU-side annotations are not kept.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Any, Final

import polars as pl

from rope_prof.errors import TraceError
from rope_prof.io.digits import microseconds_to_ns, whole_microseconds
from rope_prof.io.json_pieces import Events
from rope_prof.io.kineto_args import CallArgs, GpuArgs, OpArgs, as_int, decode_args, ints
from rope_prof.io.kineto_events import Event, Piece, read_piece
from rope_prof.model.trace import CPU_OPS, GPU_EVENTS, HOST_CALLS, OVERHEADS, RANGES, Finding, Trace

_GPU: Final = {
    "kernel": "kernel",
    "gpu_memcpy": "memcpy",
    "gpu_memset": "memset",
    "memcpy": "memcpy",
    "memset": "memset",
}
_CALLS: Final = {
    **dict.fromkeys(("cuda_runtime", "hip_runtime", "xpu_runtime", "privateuse1_runtime", "runtime"), "runtime"),
    **dict.fromkeys(("cuda_driver", "hip_driver", "xpu_driver", "privateuse1_driver", "driver"), "driver"),
}
_OPS: Final = ("cpu_op", "operator")
_SEARCH_BYTES: Final = 64 << 20
_WINDOW_END: Final = "Record Window End"
_KEPT: Final = ("gpu", "call", "range", "op", "overhead")


def _role(category: str | None) -> tuple[str, str]:
    """What a category is to us: (frame, kind), by its lower-case spelling."""
    name = (category or "").lower()
    if name in _GPU:
        return "gpu", _GPU[name]
    if name in _CALLS:
        return "call", _CALLS[name]
    if name in _OPS:
        return "op", ""
    if name == "user_annotation":
        return "range", "record_function"
    return ("overhead", "") if name == "overhead" else ("", name)


class _Names:
    """Each distinct text once; columns hold its number until the frame is built."""

    def __init__(self) -> None:
        self._numbers: dict[Any, int] = {}

    def numbers(self, texts: list[Any]) -> pl.Series:
        known = self._numbers
        for text in dict.fromkeys(texts):
            known.setdefault(text, len(known))
        return pl.Series(list(map(known.__getitem__, texts)), dtype=pl.UInt32)

    def texts(self) -> pl.Series:
        plain = [t if isinstance(t, str) or t is None else _plain(t) for t in self._numbers]
        return pl.Series(plain, dtype=pl.String)


def _plain(value: Any) -> str:
    return value.decode("utf-8", errors="replace") if isinstance(value, bytes) else str(value)


class KinetoReader:
    """Feed it the bytes of one file, take the `Trace`."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._names = _Names()
        self._batches: dict[str, list[pl.DataFrame]] = defaultdict(list)
        self._roles: dict[str | None, tuple[str, str]] = {}
        self._counts: dict[str, int] = defaultdict(int)
        self._whole_us = True
        self._read = 0
        self._exact = False
        self._window_end = False
        self._top_repeats: list[str] = []

    def read(self, chunks: Iterator[bytes]) -> Trace:
        """Decode all pieces; the frames keep the file's order within one category."""
        events = Events(chunks, self._source)
        tail: bytes | None = None
        for text, last in events:
            piece = read_piece(text, last, every_key=self._read < _SEARCH_BYTES)
            self._read += len(text)
            self._take(piece)
            if last:
                tail = piece.tail
        if not events.found:
            self._counts["no_array"] = 1
        metadata = self._metadata(events.head, tail)
        return self._trace(metadata)

    def _take(self, piece: Piece) -> None:
        for code in ("mended", "lost", "lost_bytes", "duplicates"):
            self._counts[code] += getattr(piece, code)
        self._counts["events"] += len(piece.events)
        groups: dict[str, list[Event]] = defaultdict(list)
        roles = self._roles
        for event in piece.events:
            if event.ph == "X":
                role = roles.get(event.cat)
                if role is None:
                    role = roles[event.cat] = _role(event.cat)
                groups[role[0]].append(event)
            elif event.ph in ("i", "I") and not self._window_end:
                self._window_end = str(event.name).startswith(_WINDOW_END)
        self._exact = piece.exact
        for frame in _KEPT:
            if groups[frame]:
                self._take_group(frame, groups[frame])

    def _take_group(self, frame: str, group: list[Event]) -> None:
        starts = [event.ts for event in group]
        self._whole_us = self._whole_us and whole_microseconds(starts)
        start, start_good = microseconds_to_ns(starts)
        dur, dur_good = microseconds_to_ns([event.dur for event in group])
        good = start_good & dur_good
        columns = [
            self._names.numbers([event.name for event in group]).alias("name"),
            pl.Series("start_ns", start),
            pl.Series("dur_ns", dur),
            ints("process", [event.pid for event in group]),
            ints("thread", [event.tid for event in group]),
        ]
        if frame == "gpu":
            columns += self._gpu_columns(group, columns.pop())
            columns.append(self._names.numbers([self._roles[event.cat][1] for event in group]).alias("kind"))
        elif frame == "call":
            args, joined = decode_args([event.args for event in group], CallArgs)
            self._count_repeats(joined, b'"correlation"', len(args))
            columns.append(ints("correlation", [a.correlation for a in args]))
            columns.append(self._names.numbers([self._roles[event.cat][1] for event in group]).alias("api"))
        elif frame == "op":
            args, _ = decode_args([event.args for event in group], OpArgs)
            columns.append(ints("external", [a.external if a.external is not None else a.external_2021 for a in args]))
            columns.append(self._names.numbers([bytes(a.dims) or None for a in args]).alias("input_dims"))
            columns.append(self._names.numbers([bytes(a.types) or None for a in args]).alias("input_types"))
        # of a GPU event the file names the device, not the process
        batch = pl.DataFrame(columns).drop("process") if frame == "gpu" else pl.DataFrame(columns)
        if not good.all():
            self._counts["unreadable_times"] += int((~good).sum())
            batch = batch.filter(pl.Series(good))
        self._batches[frame].append(batch)

    def _gpu_columns(self, group: list[Event], thread: pl.Series) -> list[pl.Series]:
        args, joined = decode_args([event.args for event in group], GpuArgs)
        for key in (b'"correlation"', b'"stream"', b'"device"'):
            self._count_repeats(joined, key, len(args))
        devices = [a.device if a.device is not None else e.pid for a, e in zip(args, group, strict=True)]
        columns = [
            self._names.numbers(_devices(devices)).alias("device"),
            ints("stream", [a.stream for a in args]).fill_null(thread),
            ints("correlation", [a.correlation or None for a in args]),
            ints("external", [a.external if a.external is not None else a.external_2021 for a in args]),
            ints("registers", [a.registers for a in args]),
            ints("shared_bytes", [a.shared for a in args]),
            ints("graph", [a.graph or None for a in args]),
            ints("graph_node", [a.graph_node or None for a in args]),
            ints("bytes", [a.bytes for a in args]),
        ]
        for name in ("grid", "block"):
            raws = [bytes(getattr(a, name)) for a in args]
            shapes = {raw: _shape(raw) for raw in set(raws)}
            columns.append(self._names.numbers([shapes[raw] for raw in raws]).alias(name))
        return columns

    def _count_repeats(self, joined: bytes, key: bytes, events: int) -> None:
        if not self._exact:
            self._counts["duplicates"] += max(0, joined.count(key) - events)

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
            value = json.loads(text.decode("utf-8", errors="replace"), strict=False, object_pairs_hook=pairs)
        except (ValueError, RecursionError):
            return None
        self._top_repeats = list(repeats)
        return value if isinstance(value, dict) else None

    def _trace(self, metadata: dict[str, Any]) -> Trace:
        texts = self._names.texts()
        own = metadata.get("rope_prof")
        base = as_int(metadata.get("baseTimeNanoseconds"))
        frames = {
            "gpu": self._frame("gpu", GPU_EVENTS, texts),
            "calls": self._frame("call", HOST_CALLS, texts),
            "ranges": self._frame("range", RANGES, texts, kind="record_function"),
            "ops": self._frame("op", CPU_OPS, texts),
            "overheads": self._frame("overhead", OVERHEADS, texts),
        }
        if self._counts["no_array"] and not self._counts["cut"]:
            raise TraceError(
                f"{self._source!r} is JSON without 'traceEvents'; expected a Kineto trace, a Proton profile "
                "or an nsys export"
            )
        return Trace(
            format="kineto",
            source=self._source,
            **_old_ranges(frames),
            events=self._counts["events"],
            findings=tuple(self._findings(frames["gpu"])),
            window_end=self._window_end,
            base_time_ns=base,
            device_names=_device_names(metadata),
            metadata=metadata,
            own=own if isinstance(own, dict) else None,
        )

    def _frame(self, frame: str, schema: dict[str, Any], texts: pl.Series, **fixed: str) -> pl.DataFrame:
        batches = self._batches.pop(frame, [])
        if not batches:
            return pl.DataFrame(schema=schema)
        whole = pl.concat(batches, rechunk=True)
        columns = []
        for name, dtype in schema.items():
            if name in fixed:
                columns.append(pl.lit(fixed[name], dtype=dtype).alias(name))
            elif name not in whole.columns:
                columns.append(pl.lit(None, dtype=dtype).alias(name))
            elif dtype == pl.String and whole.schema[name] == pl.UInt32:
                columns.append(pl.lit(texts.gather(whole[name])).alias(name))
            else:
                columns.append(pl.col(name).cast(dtype))
        return whole.select(columns)

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
                yield Finding(code=code, detail=detail.format(**counts), count=counts[count])
        if self._top_repeats:
            detail = f"top-level keys come twice: {', '.join(self._top_repeats[:5])}"
            yield Finding(code="duplicate_metadata", detail=detail, count=len(self._top_repeats))
        if self._whole_us and gpu.height:
            yield Finding(
                code="coarse_clock", detail="times are whole microseconds: shorter gaps and kernels read as 0"
            )


#: code -> (what is counted, sentence)
_DETAILS: Final = {
    "mended_events": ("mended", "events are no strict JSON (bare inf, unescaped quotes, odd bytes) and were mended"),
    "damaged_events": ("lost", "events ({lost_bytes} bytes) cannot be read and are left out"),
    "duplicate_keys": ("duplicates", "events hold a key twice; the last one counts"),
    "unreadable_times": ("unreadable_times", "events have no readable start or duration and are left out"),
}


def _devices(values: list[Any]) -> list[str]:
    told = {value: _device(value) for value in dict.fromkeys(values)}
    return list(map(told.__getitem__, values))


def _device(value: Any) -> str:
    return str(int(value)) if isinstance(value, float) and value.is_integer() else "?" if value is None else str(value)


def _shape(raw: bytes) -> str | None:
    """`[8, 1, 1]` -> `8x1x1`; None where the file has none (AMD graph kernels)."""
    sides = raw.strip().strip(b"[]").replace(b" ", b"").replace(b"\n", b"").split(b",")
    return "x".join(side.decode("ascii", errors="replace") for side in sides) if raw and sides != [b""] else None


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
    ranges = steps.select(
        pl.lit(None, dtype=dtype).alias(name) if name not in steps.columns else pl.col(name)
        for name, dtype in RANGES.items()
    ).with_columns(kind=pl.lit("record_function"))
    return {**frames, "ranges": ranges, "ops": ops.filter(~pl.col("name").str.starts_with("ProfilerStep#"))}
