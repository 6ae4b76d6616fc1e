"""The shape of a packet: which of its bytes say what it is, and where in it the values stand.

Packets of one shape differ in their values alone, so that a whole file is read as a few hundred shapes: one packet of
each is walked field by field, all others are told by a comparison of bytes. What is walked: track events and render
stages of the GPU with their arguments. Packets of words, tracks and clocks are named (`rare`), for protobuf to read.
Field numbers: Perfetto's trace_packet.proto, track_event.proto, debug_annotation.proto, gpu_render_stage_event.proto.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from rope_prof.io.perfetto.blocks import varint

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_WORD: Final = 8

#: How the value of an argument is to be read.
INT, DOUBLE, TEXT, WORD, BLOB = "int", "double", "text", "word", "blob"
#: Of a text that is how a number is written, the number; who reads texts as they stand knows no such values.
DIGITS: Final = "text of digits"
#: (what names it, how it is read): the name is its text, or the number of a word in the table said.
ArgKey = tuple[str, int | str, str]

#: Fields of a packet that protobuf reads: process_tree, chrome_events, clock_snapshot, interned_data,
#: trace_packet_defaults, track_descriptor.
_RARE: Final = frozenset((2, 5, 6, 12, 59, 60))
_TIMESTAMP, _SEQUENCE, _EVENT, _FLAGS, _CLEARED, _DROPPED = 8, 10, 11, 13, 41, 42
_STAGE, _CLOCK, _DEFAULTS, _FIRST = 53, 58, 59, 87
#: Of a track event, and of a render stage: field -> value.
_EVENT_VALUES: Final = {10: "name_iid", 11: "track"}
_STAGE_VALUES: Final = {
    1: "event_id",
    2: "duration",
    5: "context",
    11: "gpu",
    13: "queue_iid",
    14: "stage_iid",
    19: "kernel_iid",
    20: "name_iid",
}
_DIMS: Final = {1: "x", 2: "y", 3: "z"}
_MOST_DEPTH: Final = 4


@dataclass(eq=False, slots=True)
class Shape:
    """What all packets of one shape have in common. Offsets count from a packet's first byte; -1: not there."""

    mask: npt.NDArray[np.uint64]
    image: npt.NDArray[np.uint64]
    kind: int = 0  # TrackEvent.Type; 0 for none
    stage: bool = False
    rare: bool = False
    defaults: bool = False  # it says what later packets of its sequence leave out
    damaged: bool = False
    sequence: int = 0
    clock: int = 0
    flags: int = 0
    dropped: bool = False
    category: int | str | None = None  # the number of a word, or the text
    values: dict[str, tuple[int, int]] = field(default_factory=dict)  # offset, length: that of a shape never varies
    texts: dict[str, tuple[int, int]] = field(default_factory=dict)
    args: list[tuple[ArgKey, int, int]] = field(default_factory=list)  # key, offset, length


_UINT32: Final = (1 << 32) - 1


def _as_int64(value: int) -> int:
    """A number of up to ten bytes as columns hold it, and as protocol buffers cut it."""
    return ((value & ((1 << 64) - 1)) ^ 1 << 63) - (1 << 63)


class _DamagedError(Exception):
    """A packet is no protobuf message."""


@dataclass(slots=True)
class _Walk:
    """Walks one packet; `mask` grows to say which bits of it belong to its shape."""

    data: bytes
    mask: bytearray
    shape: Shape

    def fields(self, at: int, end: int) -> Iterator[tuple[int, int, int, int, int]]:
        """(field, wire type, where its value begins, where that ends, the value of a varint)."""
        while at < end:
            tag, start = varint(self.data, at)
            number, wire = tag >> 3, tag & 7
            if start < 0 or start > end or not 0 < number < 1 << 29:
                raise _DamagedError
            self.keep(at, start)
            value = 0
            if wire == _VARINT:
                value, at = varint(self.data, start)
                value = _as_int64(value)
                self.mask[start : max(at, start)] = b"\x80" * max(at - start, 0)
            elif wire == _BYTES:
                length, body = varint(self.data, start)
                self.keep(start, max(body, start))
                start, at = body, body + length if body >= 0 else -1
            elif wire == _FIXED64:
                at = start + 8
            elif wire == _FIXED32:
                at = start + 4
            else:
                raise _DamagedError
            if at < 0 or at > end:
                raise _DamagedError
            yield number, wire, start, at, value

    def keep(self, start: int, end: int) -> None:
        """These bytes are alike in all packets of the shape."""
        self.mask[start:end] = b"\xff" * (end - start)

    def packet(self) -> None:
        shape = self.shape
        for number, wire, start, end, value in self.fields(0, len(self.data)):
            if wire == _VARINT and number == _TIMESTAMP:
                shape.values["at"] = start, end - start
            elif wire == _VARINT and number in (_SEQUENCE, _FLAGS, _CLEARED, _DROPPED, _CLOCK, _FIRST):
                self.keep(start, end)
                self._constant(number, value)
            elif wire == _BYTES and number == _EVENT:
                self._event(start, end)
            elif wire == _BYTES and number == _STAGE:
                shape.stage = True
                self._stage(start, end)
            elif number in _RARE:
                shape.rare = True
                shape.defaults |= number == _DEFAULTS

    def _constant(self, number: int, value: int) -> None:
        shape = self.shape
        if number == _SEQUENCE:
            shape.sequence = value & _UINT32
        elif number == _CLOCK:
            shape.clock = value & _UINT32
        elif number == _FLAGS:
            shape.flags |= value
        elif number == _CLEARED:
            shape.flags |= value & 1
        elif number == _DROPPED:
            shape.dropped = bool(value)
        elif value:  # the first packet of a sequence: what came before it was never meant to be there
            shape.dropped = False

    def _event(self, begin: int, stop: int) -> None:
        shape = self.shape
        for number, wire, start, end, value in self.fields(begin, stop):
            if wire == _VARINT and number in _EVENT_VALUES:
                shape.values[_EVENT_VALUES[number]] = start, end - start
            elif number == 9 and wire == _VARINT:
                self.keep(start, end)
                shape.kind = value
            elif number == 3:
                self.keep(start, end)
                shape.category = _as_int64(varint(self.data, start)[0])
            elif number == 22 and wire == _BYTES:
                self.keep(start, end)
                shape.category = self.data[start:end].decode(errors="replace")
            elif number == 23 and wire == _BYTES:
                shape.texts["name"] = (start, end - start)
            elif number == 4 and wire == _BYTES:
                self._note(start, end)

    def _note(self, begin: int, stop: int) -> None:
        """A debug annotation: what names it belongs to the shape, its value does not."""
        name: tuple[str, int | str] = ("name", "")
        named = begin, begin
        found: tuple[str, int, int] | None = None
        before = begin
        for number, wire, start, end, value in self.fields(begin, stop):
            if number == 1 and wire == _VARINT:
                name, named = ("note", value), (before, end)
            elif number == 10 and wire == _BYTES:
                name, named = ("name", self.data[start:end].decode(errors="replace")), (before, end)
            elif number in (2, 3, 4, 7) and wire == _VARINT:
                found = INT, start, end - start
            elif number == 5 and wire == _FIXED64:
                found = DOUBLE, start, 8
            elif number in (6, 9) and wire == _BYTES:
                found = TEXT, start, end - start
            elif number == 17 and wire == _VARINT:
                found = WORD, start, end - start
            elif number in (11, 12) and wire == _BYTES:
                found = BLOB, begin, stop - begin
            before = end
        if found is not None and found[0] == BLOB:  # any elements of that length: whoever reads it looks again
            self.mask[begin:stop] = bytes(stop - begin)
        self.keep(*named)
        self._argument(name, found)

    def _argument(self, name: tuple[str, int | str], found: tuple[str, int, int] | None) -> None:
        if found is not None:
            self.shape.args.append(((*name, found[0]), found[1], found[2]))

    def _stage(self, begin: int, stop: int) -> None:
        shape = self.shape
        for number, wire, start, end, _ in self.fields(begin, stop):
            if wire == _VARINT and number in _STAGE_VALUES:
                shape.values[_STAGE_VALUES[number]] = start, end - start
            elif number == 17 and wire == _BYTES:
                shape.texts["name"] = (start, end - start)
            elif number == 6 and wire == _BYTES:
                self._extra(start, end)
            elif number == 21 and wire == _BYTES:
                self._launch(start, end)

    def _extra(self, begin: int, stop: int) -> None:
        name: tuple[str, int | str] = ("name", "")
        found: tuple[str, int, int] | None = None
        for number, wire, start, end, _ in self.fields(begin, stop):
            if number == 1 and wire == _BYTES:
                self.keep(start, end)
                name = ("name", self.data[start:end].decode(errors="replace"))
            elif number == 2 and wire == _BYTES:
                found = TEXT, start, end - start
        self._argument(name, found)

    def _launch(self, begin: int, stop: int) -> None:
        for number, wire, start, end, _ in self.fields(begin, stop):
            if wire == _BYTES and number in (1, 2):
                side = "grid" if number == 1 else "block"
                for dim, kind, place, after, _ in self.fields(start, end):
                    if kind == _VARINT and dim in _DIMS:
                        self.shape.values[f"{side}_{_DIMS[dim]}"] = place, after - place
            elif wire == _BYTES and number == 3:
                self._launch_argument(start, end)

    def _launch_argument(self, begin: int, stop: int) -> None:
        name: tuple[str, int | str] = ("name", "")
        found: tuple[str, int, int] | None = None
        for number, wire, start, end, value in self.fields(begin, stop):
            if number == 1 and wire == _VARINT:
                self.keep(start, end)
                name = ("launch", value)
            elif number == 2 and wire == _BYTES:
                self.keep(start, end)
                name = ("name", self.data[start:end].decode(errors="replace"))
            elif number in (3, 4) and wire == _VARINT:
                found = INT, start, end - start
            elif number == 5 and wire == _FIXED64:
                found = DOUBLE, start, 8
        self._argument(name, found)


def shape_of(packet: bytes) -> Shape:
    """The shape of a packet; a `damaged` one is alike to itself alone."""
    width = -(-len(packet) // _WORD) * _WORD
    shape = Shape(mask=np.zeros(0, np.uint64), image=np.zeros(0, np.uint64))
    walk = _Walk(packet, bytearray(width), shape)
    try:
        walk.packet()
    except _DamagedError:
        shape = Shape(mask=shape.mask, image=shape.image, damaged=True)
        walk.mask[: len(packet)] = b"\xff" * len(packet)
    shape.mask = np.frombuffer(bytes(walk.mask), np.uint64)
    shape.image = np.frombuffer(packet.ljust(width, b"\0"), np.uint64) & shape.mask
    return shape
