"""Native Perfetto files drawn packet by packet, through Perfetto's own protobufs."""

from __future__ import annotations

from typing import Any

from perfetto.protos.perfetto.trace import perfetto_trace_pb2 as protos

BEGIN, END = 1, 2
CLEARED, NEEDS = 1, 2


def packet(sequence: int = 1, flags: int = NEEDS, at: int | None = None, **more: Any) -> Any:
    made = protos.TracePacket(trusted_packet_sequence_id=sequence, sequence_flags=flags, **more)
    if at is not None:
        made.timestamp = at
    return made


def words(sequence: int = 1, flags: int = CLEARED, **tables: dict[int, str]) -> Any:
    """`names={1: "k"}`, `categories=`, `notes=`."""
    made = packet(sequence, flags)
    fields = {"names": "event_names", "categories": "event_categories", "notes": "debug_annotation_names"}
    for table, entries in tables.items():
        for number, word in entries.items():
            getattr(made.interned_data, fields[table]).add(iid=number, name=word)
    return made


def begin(at: int, name: str | int, category: str | int, track: int = 1, sequence: int = 1, **args: Any) -> Any:
    """Names and categories are texts, or numbers of words."""
    made = packet(sequence, at=at)
    event = made.track_event
    event.type, event.track_uuid = BEGIN, track
    if isinstance(name, int):
        event.name_iid = name
    else:
        event.name = name
    if isinstance(category, int):
        event.category_iids.append(category)
    else:
        event.categories.append(category)
    for key, value in args.items():
        note = event.debug_annotations.add(name=key.replace("_", " "))
        setattr(note, "string_value" if isinstance(value, str) else "int_value", value)
    return made


def end(at: int, track: int = 1, sequence: int = 1) -> Any:
    made = packet(sequence, at=at)
    made.track_event.type, made.track_event.track_uuid = END, track
    return made


def track(number: int, name: str) -> Any:
    made = packet()
    made.track_descriptor.uuid, made.track_descriptor.name = number, name
    return made


def spans(*drawn: tuple[int, int], name: str = "k", category: str = "kernel", track: int = 1, **args: Any) -> list[Any]:
    """Begin and end of each (start, end)."""
    args = {"device": 0, "stream": 7, **args}
    pairs = ((begin(start, name, category, track, **args), end(stop, track)) for start, stop in drawn)
    return [one for pair in pairs for one in pair]


def data(*made: Any) -> bytes:
    """The file of these packets."""
    flat = [one for part in made for one in (part if isinstance(part, list) else [part])]
    return bytes(protos.Trace(packet=flat).SerializeToString())
