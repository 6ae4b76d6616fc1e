"""A native Perfetto trace (`.pftrace`, `.perfetto-trace`, packed or not) -> `Trace`.

Read: our own export, torch's CUPTI monitor, rocprofv3, and whoever writes track events with categories of theirs
(`roles`) or render stages of the GPU. Memory: the columns, and one block of the file. Judges nothing: what is odd
becomes a finding. Counters, instants, arrows and what else Perfetto can hold are counted alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

import polars as pl

from rope_prof.errors import TraceError
from rope_prof.io.kineto.categories import NODES
from rope_prof.io.perfetto.blocks import PacketBlocks
from rope_prof.io.perfetto.columns import of_each
from rope_prof.io.perfetto.compiled import distinct, framer
from rope_prof.io.perfetto.frames import Looked, on_tracks
from rope_prof.io.perfetto.roles import STAGES, with_roles
from rope_prof.io.perfetto.scan import scan
from rope_prof.io.perfetto.scanned import Scan
from rope_prof.io.perfetto.words import TraceWords, Track, read_words, signed
from rope_prof.io.rocm.records import copy_name
from rope_prof.model.drawn import KEY, NONE, WRITTEN_NAME, WRITTEN_NS, DrawnTrack, DrawnTracks, read_drawn
from rope_prof.model.trace import (
    CPU_OPS,
    GPU_EVENTS,
    GRAPH_NODES,
    HOST_CALLS,
    NAMED,
    OVERHEADS,
    RANGES,
    Finding,
    Trace,
    fitted,
    proof,
)

_REALTIME: Final = 1
_BOOTTIME: Final = 6
_SCHEMAS: Final = {
    "gpu": GPU_EVENTS,
    "nodes": GRAPH_NODES,
    "calls": HOST_CALLS,
    "ranges": RANGES,
    "ops": CPU_OPS,
    "overheads": OVERHEADS,
}
#: Column of a GPU event -> the arguments that hold it: ours, torch's, rocprofv3's.
_NUMBERS: Final = {
    "correlation": ("correlation", "corr_id"),
    "graph": ("graph id", "graph"),
    "graph_node": ("graph node id", "graph node"),
    "bytes": ("bytes", "copy_bytes"),
    "registers": ("registers per thread", "registers_per_thread"),
    "shared_bytes": ("shared memory", "shared memory bytes", "shared_mem_dynamic", "group_segment_size"),
    "external": ("External id",),
    "stream": ("stream id", "stream"),
    "process": ("process",),
}
_WORDS: Final = {"collective": ("Collective name",), "group": ("Process Group Name",)}
_OP_NUMBERS: Final = {
    "external": ("External id", "external"),
    "sequence": ("Sequence number", "sequence"),
    "forward_thread": ("Fwd thread id", "forward_thread"),
}
_OP_WORDS: Final = {"input_dims": ("Input Dims", "input_dims"), "input_types": ("Input type", "input_types")}
_SHAPES: Final = ("grid", "block")
_DEVICE: Final = ("device", "device id")
#: The arguments that are read; a file says more.
_READ: Final = frozenset(
    name
    for names in (
        *(names for table in (_NUMBERS, _WORDS, _OP_NUMBERS, _OP_WORDS) for names in table.values()),
        *(_SHAPES, _DEVICE, ("src_agent", "api", "kind", "domain", "payload", WRITTEN_NS, WRITTEN_NAME)),
    )
    for name in names
)


#: Columns that are an Enum on their way.
_TEXT_OF: Final = {name: pl.col(name).cast(pl.String) for name in ("name", "role", "device")}
#: code -> (what is counted, sentence)
_DETAILS: Final = {
    "damaged_packets": ("damaged", "packets are no protobuf messages and are left out"),
    "lost_packets": ("dropped", "times packets were lost while the file was recorded: its buffer was too small"),
    "missing_words": ("nameless", "names or arguments are numbers of words that the file does not tell"),
    "unknown_clock": ("untimed", "events have no time, or one on a clock that nothing joins to the file's own"),
    "unpaired_ends": ("ends", "ends of events have no begin: what began before the window is not in the file"),
    "unreadable_times": ("unread", "GPU events and calls never end in the file and are left out"),
    "copies_without_way": (
        "wayless",
        "copies do not say which way they went: chains end at them, and a wait for one to "
        "the host is not told from being late; torch's monitor says it in its .json",
    ),
}
_REDRAWN: Final = (
    "call k of every side is drawn at one instant: the time between calls is the picture's, not the GPU's; analyze the "
    "traces of the run"
)


def read_perfetto(chunks: Iterable[bytes], source: str, findings: Sequence[Finding] = ()) -> Trace:
    """The trace. Errors: TraceError for a file over a limit, or without a packet that can be read."""
    blocks = PacketBlocks(iter(chunks), source, framer())
    found = scan(blocks, _READ, _drawn_tracks)
    if not found.packets or found.damaged == found.packets:
        raise TraceError(
            f"{source!r} holds no whole packet of a Perfetto trace ({blocks.broken or 'it ends inside the first'}); "
            "record again"
        )
    words = read_words(found)
    drawn = read_drawn(words.metadata.get(KEY, ""))
    if drawn is not None:  # other tracks only explain these
        found.events = on_tracks(found.events, drawn.tracks)
    made = _Frames(Looked(found, words), words, drawn)
    frames = made.frames()
    held = made.findings(blocks)
    facts = made.facts()
    facts["findings"] = (*findings, *facts.get("findings", ()), *held)
    return Trace(**{"format": "perfetto", "source": source, "events": found.counted, **facts, **frames})


def _drawn_tracks(packet: bytes) -> frozenset[int] | None:
    """The tracks that a file of ours is read from, where that packet tells them."""
    if KEY.encode() not in packet:
        return None
    drawn = read_drawn(read_words(Scan(rare=[(0, packet)])).metadata.get(KEY, ""))
    return None if drawn is None else frozenset(drawn.tracks)


class _Frames:
    """Builds the frames of one file."""

    def __init__(self, looked: Looked, words: TraceWords, drawn: DrawnTracks | None) -> None:
        self._looked = looked
        self._words = words
        self._drawn = drawn
        self._unread = 0
        self._seen: dict[str, list[dict[str, Any]]] = {}
        self._wayless = 0

    def facts(self) -> dict[str, Any]:
        """What the trace says beside its frames. Ours, drawn alone, is as it was before."""
        drawn = self._drawn
        if drawn is None:
            joined = [one.clocks for one in self._words.snapshots if {_REALTIME, _BOOTTIME} <= one.clocks.keys()]
            base = joined[0][_REALTIME][0] - joined[0][_BOOTTIME][0] if joined else None
            return {"base_time_ns": base}
        if len(drawn.sides) == 1:
            facts = dict(drawn.sides[0]["facts"])
            written = facts.pop("format")
            facts["metadata"] = {**facts["metadata"], "drawn_from": written}
            return facts
        return {"findings": tuple(one for side in drawn.sides for one in side["facts"]["findings"])}

    def findings(self, blocks: PacketBlocks) -> Iterator[Finding]:
        looked, scan = self._looked, self._looked.scan
        if blocks.broken is not None:
            detail = f"the packets break off after {scan.packets}: {blocks.broken}; what stands before is read"
            yield Finding(code="damaged_packets", detail=detail)
        elif blocks.cut_bytes:
            rest = f"{scan.packets} whole packets are read, {blocks.cut_bytes} bytes are not"
            yield Finding(code="cut_packets", detail=f"the file ends inside a packet: {rest}")
        counted = {
            "damaged": scan.damaged + self._words.damaged,
            "dropped": scan.dropped,
            "nameless": looked.nameless,
            "untimed": looked.untimed,
            "ends": looked.ends,
            "unread": self._unread,
            "wayless": self._wayless,
        }
        for code, (what, detail) in _DETAILS.items():
            if counted[what]:
                events = tuple(self._seen.get(code) or self._odd(what))[:NAMED]
                yield Finding(code=code, detail=detail, count=counted[what], events=events)
        if self._drawn is not None and any(side["shift_ns"] is None for side in self._drawn.sides):
            yield Finding(code="redrawn_calls", detail=_REDRAWN)

    def _odd(self, what: str) -> list[dict[str, Any]]:
        """The first events of a count; one without a name is named by its track."""
        rows = self._looked.odd(what)
        tracks = {
            track: self._words.tracks.get(track % (1 << 64), Track()).name for track in rows["track"].drop_nulls()
        }
        on_gpu = [track for track in tracks if "device" in _place(track, self._words)]
        track = pl.col("track").replace_strict(tracks, default=None, return_dtype=pl.String).replace("", None)
        unnamed = pl.format("(unnamed, on track {})", track.fill_null(pl.col("track").cast(pl.String)))
        rows = rows.with_columns(name=pl.coalesce("name", unnamed, pl.lit("(unnamed)")))
        gpu = pl.col("track").is_null() | pl.col("track").is_in(on_gpu)
        both = [*proof(rows.filter(gpu)), *proof(rows.filter(~gpu), "host")]
        return sorted(both, key=lambda event: (event["start_ns"] is None, event["start_ns"] or 0))

    def frames(self) -> dict[str, pl.DataFrame]:
        slices = self._placed(with_roles(self._categorised()))
        held = {
            "gpu": self._gpu(slices.filter(pl.col("frame") == "gpu")),
            "nodes": self._gpu(slices.filter(pl.col("frame") == "nodes")),
            "calls": self._calls(slices.filter(pl.col("frame") == "calls")),
            "ranges": self._ranges(slices.filter(pl.col("frame") == "ranges")),
            "ops": self._ops(slices.filter(pl.col("frame") == "ops")),
            "overheads": slices.filter(pl.col("frame") == "overheads"),
        }
        stages = self._stages()
        if stages.height:
            waits = pl.col("kind").is_in(NODES)
            for name, rows in (("gpu", stages.filter(~waits)), ("nodes", stages.filter(waits))):
                held[name] = pl.concat([fitted(held[name], GPU_EVENTS), rows])
        wayless = held["gpu"].filter(pl.col("name") == "Memcpy")
        self._wayless = wayless.height
        self._seen["copies_without_way"] = list(proof(wayless))
        return {name: fitted(frame, _SCHEMAS[name]) for name, frame in held.items()}

    def _categorised(self) -> pl.DataFrame:
        """The slices; torch's monitor gives those of its own work no category but a track of their own."""
        own = [signed(track) for track, told in self._words.tracks.items() if told.name == "Overhead"]
        if not own:
            return self._looked.slices
        silent = pl.col("category").is_null() & pl.col("track").is_in(own)
        category = pl.when(silent).then(pl.lit("overhead")).otherwise(pl.col("category").cast(pl.String))
        slices = self._looked.slices.with_columns(category=category)
        return slices.cast({"category": pl.Enum(slices["category"].unique(maintain_order=True).drop_nulls())})

    def _placed(self, slices: pl.DataFrame) -> pl.DataFrame:
        """The slices with process, thread, device and stream of their tracks; ours as they were before drawing."""
        tracks, which = distinct(slices["track"].to_numpy())
        if self._drawn is None:
            places = [_place(track, self._words) for track in tracks.tolist()]
        else:
            places = [_own_place(self._drawn, track) for track in tracks.tolist()]
        columns = {"process": pl.Int64, "thread": pl.Int64, "device": pl.String}
        columns |= {"stream": pl.Int64, "shift": pl.Int64, "drawn": pl.Boolean}
        table = pl.DataFrame(places, schema=columns)
        table = table.cast({"device": pl.Enum(table["device"].unique().drop_nulls())})
        if self._drawn is None or not (table["shift"] != 0).any():
            table = table.drop("shift")
        placed = slices.hstack(table.select(pl.all().gather(pl.Series(which).cast(pl.UInt32))))
        if self._drawn is not None and not table["drawn"].all():  # tracks that only explain the others
            placed = placed.filter(pl.col("drawn"))
        if "shift" in placed.columns:
            placed = placed.with_columns(start_ns=pl.col("start_ns") - pl.col("shift").fill_null(0))
        written = self._looked.words_of(placed["ordinal"], WRITTEN_NS)
        if written.null_count() == len(written):
            return placed
        negative = written.cast(pl.Int64, strict=False)
        return placed.with_columns(
            dur_ns=pl.when(written == NONE).then(None).otherwise(pl.coalesce(negative, pl.col("dur_ns")))
        )

    def _gpu(self, rows: pl.DataFrame) -> pl.DataFrame:
        rows = self._ended(rows)
        look, ordinal = self._looked, rows["ordinal"]
        columns = {name: look.numbers(ordinal, *args) for name, args in _NUMBERS.items()}
        columns |= {name: look.words_of(ordinal, *args) for name, args in _WORDS.items()}
        columns |= {name: look.words_of(ordinal, name, tell=_shapes) for name in _SHAPES}
        device = look.words_of(ordinal, *_DEVICE)
        several = self._drawn is not None and len(self._drawn.sides) > 1
        if self._drawn is None:
            rows = self._of_a_gpu(rows)
        stream = rows["stream"]
        return rows.with_columns(
            *(column.alias(name) for name, column in columns.items() if name not in ("stream", "process")),
            name=copy_name(_TEXT_OF["name"]) if self._drawn is None else pl.col("name"),
            kind="role",
            device=_filled(rows["device"], device),
            stream=pl.coalesce(stream, columns["stream"]) if stream.null_count() else stream,
            process=pl.col("process") if several else columns["process"],
        )

    def _of_a_gpu(self, rows: pl.DataFrame) -> pl.DataFrame:
        """rocprofv3 draws a copy on the agent that it goes to: one to the host is of the GPU that it comes from."""
        tracks = self._words.tracks
        agents = {signed(number): told.name for number, told in tracks.items() if "AGENT [" in told.name}
        to_host = [number for number, name in agents.items() if name.endswith("(CPU)")]
        if not to_host:
            return rows
        gpus = sorted({_bracketed(name, "AGENT") or "" for name in agents.values() if name.endswith("(GPU)")})
        source = self._looked.words_of(rows["ordinal"], "src_agent").str.extract(r"(\d+)$")
        only = pl.lit(gpus[0] if len(gpus) == 1 else None)
        known = pl.when(source.is_in(gpus)).then(source).otherwise(only)
        return rows.with_columns(
            device=pl.when(pl.col("track").is_in(to_host)).then(known).otherwise(pl.col("device").cast(pl.String))
        )

    def _calls(self, rows: pl.DataFrame) -> pl.DataFrame:
        correlation = self._looked.numbers(rows["ordinal"], *_NUMBERS["correlation"])
        api = self._looked.words_of(rows["ordinal"], "api")
        return rows.with_columns(
            api=pl.when(pl.col("role") == "").then(api).otherwise(_TEXT_OF["role"]),
            correlation=correlation,
        ).filter(pl.col("dur_ns").is_not_null() | (self._drawn is not None))

    def _ranges(self, rows: pl.DataFrame) -> pl.DataFrame:
        look, ordinal = self._looked, rows["ordinal"]
        kind = look.words_of(ordinal, "kind")
        return rows.with_columns(
            name=pl.coalesce(look.words_of(ordinal, WRITTEN_NAME), _TEXT_OF["name"]) if self._drawn else pl.col("name"),
            kind=pl.when(pl.col("role") == "").then(kind).otherwise(_TEXT_OF["role"]),
            domain=look.words_of(ordinal, "domain"),
            payload=look.numbers(ordinal, "payload"),
        )

    def _ops(self, rows: pl.DataFrame) -> pl.DataFrame:
        look, ordinal = self._looked, rows["ordinal"]
        return rows.with_columns(
            *(look.numbers(ordinal, *args).alias(name) for name, args in _OP_NUMBERS.items()),
            *(look.words_of(ordinal, *args).alias(name) for name, args in _OP_WORDS.items()),
        )

    def _stages(self) -> pl.DataFrame:
        """Render stages that are work of the GPU, and nodes of its graphs; an annotation is neither."""
        look, stages = self._looked, self._looked.stages
        rows = stages.with_columns(kind=of_each(stages["stage"], STAGES.get, STAGES.values()))
        rows = self._ended(rows.filter(pl.col("kind").is_not_null()))
        ordinal = rows["ordinal"]
        columns = {name: look.numbers(ordinal, *args) for name, args in _NUMBERS.items() if name != "process"}
        columns |= {name: look.words_of(ordinal, *args) for name, args in _WORDS.items()}
        made = rows.with_columns(
            *(column.alias(name) for name, column in columns.items()),
            device=pl.col("device").cast(pl.String).fill_null("?"),
        )
        return fitted(made, GPU_EVENTS)

    def _ended(self, rows: pl.DataFrame) -> pl.DataFrame:
        if self._drawn is not None:
            return rows
        ended = rows.filter(pl.col("dur_ns").is_not_null())
        self._unread += rows.height - ended.height
        self._seen.setdefault("unreadable_times", []).extend(proof(rows.filter(pl.col("dur_ns").is_null())))
        return ended


def _own_place(drawn: DrawnTracks, track: int) -> dict[str, Any]:
    """Where a track of ours is from; with several sides in the file their labels tell devices and processes apart."""
    place: DrawnTrack | None = drawn.tracks.get(track)
    if place is None:
        return {"drawn": False}
    side = drawn.sides[place.side]
    several = len(drawn.sides) > 1
    return {
        "drawn": True,
        "device": f"{side['label']} · {place.device}" if several and place.device is not None else place.device,
        "stream": place.stream,
        "process": place.side if several else place.process,
        "thread": place.thread,
        "shift": side["shift_ns"],
    }


def _place(track: int, words: TraceWords) -> dict[str, Any]:
    """What a track's descriptor and its parents' say: a thread, or a stream of a device."""
    told = words.tracks.get(track % (1 << 64), Track())
    parent = words.tracks.get(told.parent, Track()) if told.parent is not None else Track()
    owner = told.process_name or parent.process_name
    found: dict[str, Any] = {"process": told.process if told.process is not None else parent.process}
    found["thread"] = told.thread
    agent, stream = _bracketed(told.name, "AGENT"), _bracketed(told.name, "STREAM", "QUEUE")
    if agent is not None:
        found |= {"device": agent, "stream": int(stream) if stream else None}
    elif owner.startswith("GPU ") and owner[4:].isdigit():
        found |= {"device": owner[4:], "stream": told.thread}
    return found


def _bracketed(name: str, *words: str) -> str | None:
    """`COMPUTE AGENT [4] STREAM [1] (GPU)`: the number behind one of the words."""
    for word in words:
        _, found, rest = name.partition(f"{word} [")
        if found:
            number = rest.partition("]")[0]
            return number if number.isdigit() else None
    return None


def _filled(device: pl.Series, argument: pl.Series) -> pl.Series:
    """The device of a track, else that of the argument, else a question mark."""
    if not device.null_count():
        return device
    return pl.select(pl.coalesce(device.cast(pl.String), argument).fill_null("?")).to_series()


def _shapes(texts: pl.Series) -> pl.Series:
    """`[8, 1, 1]` -> `8x1x1`."""
    return texts.str.strip_chars("[]").str.replace_all(", ", "x", literal=True)
