"""The packets that name things: interned words, tracks, clocks and metadata, read through protocol buffers.

A word's number counts within its sequence, until the sequence's state is cleared: from there on numbers mean anew.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from rope_prof.io.perfetto.blocks import Int64s
from rope_prof.io.perfetto.protos import message
from rope_prof.io.perfetto.scanned import Scan

#: Fields of InternedData that the library may not know yet: table -> its number.
_NEWER: Final = {
    "kernel": 1000,
    "launch": 1001,
}
_BY_FIELD: Final = {number: table for table, number in _NEWER.items()}
_BYTES: Final = 2


@dataclass(frozen=True, slots=True)
class Track:
    """A track as its descriptor says it; a thread's track has both numbers, a process's the first alone."""

    name: str = ""
    parent: int | None = None
    process: int | None = None
    thread: int | None = None
    process_name: str = ""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Instants of several clocks that are one: clock -> (its reading, whether it is incremental, ns a unit)."""

    ordinal: int
    sequence: int
    clocks: dict[int, tuple[int, bool, int]]


@dataclass
class TraceWords:
    """What the naming packets of a file say. `tables`: (table, sequence) -> epoch -> number -> word."""

    tables: dict[tuple[str, int], dict[int, dict[int, str]]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(dict))
    )
    tracks: dict[int, Track] = field(default_factory=dict)
    snapshots: list[Snapshot] = field(default_factory=list)
    default_track: dict[tuple[int, int], int] = field(default_factory=dict)  # by sequence and epoch
    default_clock: dict[tuple[int, int], int] = field(default_factory=dict)
    metadata: dict[str, str] = field(default_factory=dict)
    processes: dict[int, str] = field(default_factory=dict)
    damaged: int = 0

    def look_up(self, table: str, sequence: int, epochs: Int64s, numbers: Int64s) -> list[str | None]:
        """The word of each (epoch, number): one entry a pair; None where it was never told."""
        held = self.tables.get((table, sequence), {})
        pairs = zip(epochs.tolist(), numbers.tolist(), strict=True)
        return [held.get(epoch, {}).get(number) for epoch, number in pairs]


def signed(number: int) -> int:
    """An unsigned number of 64 bits as columns hold it."""
    return number - (1 << 64) if number >= 1 << 63 else number


def epochs(scan: Scan, sequence: int, ordinals: Int64s) -> Int64s:
    """How often the state of the sequence was cleared up to each packet, that packet's own clearing counted."""
    return np.searchsorted(np.array(scan.resets.get(sequence, []), np.int64), ordinals, side="right")


def read_words(scan: Scan) -> TraceWords:
    """Every naming packet of the scan."""
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

    words, whole = TraceWords(), message("TracePacket")
    for ordinal, data in scan.rare:
        try:
            packet = whole.FromString(data)
        except DecodeError:
            words.damaged += 1
            continue
        sequence = packet.trusted_packet_sequence_id
        epoch = int(epochs(scan, sequence, np.array([ordinal]))[0])
        if packet.HasField("interned_data"):
            try:
                for table, number, word in _interned(packet.interned_data):
                    words.tables[table, sequence][epoch].setdefault(number, word)
            except DecodeError:  # a table that the library left packed
                words.damaged += 1
        if packet.HasField("track_descriptor"):
            _track(words, packet.track_descriptor)
        if packet.HasField("clock_snapshot"):
            read = {
                clock.clock_id: (clock.timestamp, clock.is_incremental, clock.unit_multiplier_ns or 1)
                for clock in packet.clock_snapshot.clocks
            }
            words.snapshots.append(Snapshot(ordinal, sequence, read))
        if packet.HasField("trace_packet_defaults"):
            _defaults(words, packet.trace_packet_defaults, (sequence, epoch))
        for item in packet.chrome_events.metadata:
            words.metadata.setdefault(_text(item.name), _text(item.string_value))
        for process in packet.process_tree.processes:
            words.processes.setdefault(process.pid, _text(next(iter(process.cmdline), "")))
    return words


def _interned(data: Any) -> Iterator[tuple[str, int, str]]:
    """(table, number, word); of tables that this library does not know yet too, as far as they are of that kind."""
    from google.protobuf.unknown_fields import UnknownFieldSet  # type: ignore[import-untyped]

    for entries, table in (
        (data.event_categories, "category"),
        (data.event_names, "name"),
        (data.debug_annotation_names, "note"),
        (data.gpu_specifications, "queue"),
    ):
        for entry in entries:
            yield table, entry.iid, _text(entry.name)
    for entry in data.debug_annotation_string_values:
        yield "word", entry.iid, _text(entry.str)
    for context in data.graphics_contexts:
        yield "context", context.iid, str(context.pid)
    for unknown in UnknownFieldSet(data):
        table = _BY_FIELD.get(unknown.field_number, "")
        if table and unknown.wire_type == _BYTES:
            yield table, *_numbered(unknown.data)


def _numbered(data: bytes) -> tuple[int, str]:
    """A message of a number and a name, and of a kernel the name that reads better."""
    entry = message("InternedComputeKernel").FromString(data)
    return entry.iid, _text(entry.demangled_name or entry.name)


def _track(words: TraceWords, told: Any) -> None:
    """A later descriptor of a track completes an earlier one."""
    before = words.tracks.get(told.uuid, Track())
    process = thread = None
    process_name = before.process_name
    name = _text(told.name or told.static_name) or before.name
    if told.HasField("process"):
        process, process_name = told.process.pid, _text(told.process.process_name) or process_name
    if told.HasField("thread"):
        process, thread = told.thread.pid, told.thread.tid
        name = name or _text(told.thread.thread_name)
    words.tracks[told.uuid] = Track(
        name=name,
        parent=told.parent_uuid if told.HasField("parent_uuid") else before.parent,
        process=before.process if process is None else process,
        thread=before.thread if thread is None else thread,
        process_name=process_name,
    )


def _defaults(words: TraceWords, told: Any, place: tuple[int, int]) -> None:
    if told.HasField("timestamp_clock_id"):
        words.default_clock[place] = told.timestamp_clock_id
    if told.track_event_defaults.HasField("track_uuid"):
        words.default_track[place] = told.track_event_defaults.track_uuid


def annotation(data: bytes) -> str | None:
    """Lists and dictionaries as JSON has them; None where it is neither."""
    from google.protobuf.message import DecodeError

    try:
        return json.dumps(_plain(message("DebugAnnotation").FromString(data)))
    except (DecodeError, RecursionError):
        return None


def _plain(note: Any) -> Any:
    if note.array_values:
        return [_plain(one) for one in note.array_values]
    if note.dict_entries:
        return {_text(one.name): _plain(one) for one in note.dict_entries}
    value = note.WhichOneof("either")
    found = None if value is None else getattr(note, value)
    return _text(found) if isinstance(found, bytes) else found


def _text(told: str | bytes) -> str:
    """A text of a packet: where its bytes are no UTF-8 the library gives those."""
    return told if isinstance(told, str) else told.decode("utf-8", errors="replace")
