"""Perfetto's native format (TrackEvent), written through its own protobuf classes: tracks, slices, flows, counters.

Knows packets, interned words and the order that the format wants; knows no trace of ours. Slices that overlap on one
native track get wrong durations without a word, so `lanes` spreads them first. Within a track, events come in the
order of time, an end before the begin at the same instant; the reader sorts tracks into one another by itself.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from perfetto.protos.perfetto.trace.perfetto_trace_pb2 import TracePacket

Value = str | int | float | None

_SEQUENCE: Final = 1
_FIRST_TRACK: Final = 1000
#: TrackEvent.Type, TrackDescriptor.ChildTracksOrdering, CounterDescriptor.Unit, TracePacket.SequenceFlags.
_BEGIN, _END, _COUNTER = 1, 2, 4
_EXPLICIT: Final = 3
_COUNT: Final = 2
_CLEARED, _NEEDED = 1, 2
#: Where nothing is open on a lane: after every end.
_FREE: Final = (1 << 63) - 1


class Slice(NamedTuple):
    """One span of a track. `end_ns` None: never closed. Flow ids name arrows: they leave `out`, they arrive `into`."""

    start_ns: int
    end_ns: int | None
    name: str
    category: str
    args: Mapping[str, Value] = {}
    out: Sequence[int] = ()
    into: Sequence[int] = ()
    colour: str | None = None  # slices of one colour word look alike, wherever they are


def lanes(slices: Iterable[Slice], *, nest: bool) -> list[list[Slice]]:
    """The slices on as few tracks as first fit gives, each in the order of time, none cut or lost.

    With `nest` a slice may lie wholly inside another of its lane, as calls do on a thread; without, nothing overlaps.
    """
    found: list[list[Slice]] = []
    stacks: list[list[int]] = []  # the ends of what is open on each lane, the first to come on top
    room = np.zeros(1, np.int64)  # of each lane the end on top
    closing: list[tuple[int, int]] = []
    for one in sorted(slices, key=lambda s: (s.start_ns, -_end(s))):
        end = _end(one)
        while closing and closing[0][0] <= one.start_ns:
            _, number = heapq.heappop(closing)
            stacks[number].pop()
            room[number] = stacks[number][-1] if stacks[number] else _FREE
        fits = room[: len(found)] >= (end if nest else _FREE)
        number = int(fits.argmax()) if fits.any() else len(found)
        if number == len(found):
            found.append([])
            stacks.append([])
            room = np.append(room, room) if number == len(room) else room
            room[number] = _FREE
        found[number].append(one)
        if end > one.start_ns:
            stacks[number].append(end)
            room[number] = end
            heapq.heappush(closing, (end, number))
    return found


def _end(one: Slice) -> int:
    return _FREE - 1 if one.end_ns is None else one.end_ns


class PerfettoWriter:
    """Collects packets; `data()` is the file. A track must be made before its first event."""

    def __init__(self) -> None:
        from perfetto.protos.perfetto.trace import perfetto_trace_pb2 as protos

        self._packet = protos.TracePacket
        self._out = bytearray()
        self._tracks = _FIRST_TRACK
        self._ranks: dict[int, int] = {}
        self._words: dict[tuple[str, str], int] = {}
        self._started = False

    def data(self) -> bytes:
        """All packets so far as the bytes of a `.pftrace`."""
        return bytes(self._out)

    def group(self, name: str, parent: int | None = None, description: str | None = None) -> int:
        """A track that holds tracks, in the order in which they are made."""
        return self._track(name, parent, description)

    def lane(self, name: str, parent: int, slices: Iterable[Slice], description: str | None = None) -> int:
        """A track with slices as `lanes` gives them: in the order of time, nested or apart."""
        track = self._track(name, parent, description)
        pending: list[int] = []
        for one in slices:
            while pending and pending[-1] <= one.start_ns:
                self._event(track, pending.pop(), _END)
            self._begin(track, one)
            if one.end_ns is not None:
                pending.append(one.end_ns)
        while pending:
            self._event(track, pending.pop(), _END)
        return track

    def counter(self, name: str, parent: int, points: Iterable[tuple[int, int]], description: str) -> int:
        """A counter track of (ns, value), in the order of time."""
        track = self._track(name, parent, description, counter=True)
        for at, value in points:
            packet = self._event_packet(track, at, _COUNTER)
            packet.track_event.counter_value = value
            self._write(packet)
        return track

    def metadata(self, facts: Mapping[str, str]) -> None:
        """Words of the trace as a whole; the engine lists them in its table `metadata` under `cr-<name>`."""
        packet = self._new()
        for name, value in facts.items():
            packet.chrome_events.metadata.add(name=name, string_value=value)
        self._write(packet)

    def _track(self, name: str, parent: int | None, description: str | None, counter: bool = False) -> int:
        self._tracks += 1
        packet = self._new()
        track = packet.track_descriptor
        track.uuid = self._tracks
        track.name = name
        if description is not None:
            track.description = description
        if parent is not None:
            track.parent_uuid = parent
            track.sibling_order_rank = self._ranks[parent] = self._ranks.get(parent, 0) + 1
        if counter:
            track.counter.unit = _COUNT
        else:
            track.child_ordering = _EXPLICIT
        self._write(packet)
        return self._tracks

    def _begin(self, track: int, one: Slice) -> None:
        packet = self._event_packet(track, one.start_ns, _BEGIN)
        event = packet.track_event
        event.name_iid = self._word(packet, "event_names", one.name)
        event.category_iids.append(self._word(packet, "event_categories", one.category))
        event.flow_ids.extend(one.out)
        event.terminating_flow_ids.extend(one.into)
        if one.colour is not None:
            event.correlation_id_str = one.colour
        for name, value in one.args.items():
            if value is None:
                continue
            note = event.debug_annotations.add()
            note.name_iid = self._word(packet, "debug_annotation_names", name)
            if isinstance(value, str):
                note.string_value = value
            elif isinstance(value, int):
                note.int_value = value
            else:
                note.double_value = value
        self._write(packet)

    def _event(self, track: int, at: int, kind: int) -> None:
        self._write(self._event_packet(track, at, kind))

    def _event_packet(self, track: int, at: int, kind: int) -> TracePacket:
        packet = self._new()
        packet.timestamp = at
        packet.track_event.type = kind
        packet.track_event.track_uuid = track
        return packet

    def _word(self, packet: TracePacket, table: str, word: str) -> int:
        """The number of a word; at its first use its text travels in this packet."""
        number = self._words.get((table, word))
        if number is None:
            number = self._words[table, word] = len(self._words) + 1
            getattr(packet.interned_data, table).add(iid=number, name=word)
        return number

    def _new(self) -> Any:
        packet = self._packet()
        packet.trusted_packet_sequence_id = _SEQUENCE
        packet.sequence_flags = _NEEDED if self._started else _CLEARED | _NEEDED
        self._started = True
        return packet

    def _write(self, packet: TracePacket) -> None:
        body = packet.SerializeToString()
        length = len(body)
        self._out.append(0x0A)
        while length > 0x7F:
            self._out.append(length & 0x7F | 0x80)
            length >>= 7
        self._out.append(length)
        self._out += body
