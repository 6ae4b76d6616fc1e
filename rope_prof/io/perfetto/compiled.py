"""Framing and scanning of packets by compiled functions (scan.c) where they are (`io.compiled`).

What they do not take (see scan.c) is read in Python, block by block; which of the two reads a block changes no figure.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from rope_prof.io.compiled import CompiledSource
from rope_prof.io.perfetto import blocks
from rope_prof.io.perfetto.blocks import PAD, Block, Bytes, Framed, Int64s
from rope_prof.io.perfetto.notes import Notes
from rope_prof.io.perfetto.scanned import ABSENT, TABLES, Part, Scan, ScannedArgument
from rope_prof.io.perfetto.shapes import BLOB, DIGITS, DOUBLE, INT, TEXT, WORD, ArgKey, Shape

Numbers = npt.NDArray[np.int32]

SOURCE: Final = CompiledSource(Path(__file__).with_name("scan.c"))
#: Words of scan.c, in its order: the values of a packet, how an argument is read, what names it.
_VALUES: Final = (
    *("at", "track", "name_iid", "duration", "gpu", "queue_iid", "stage_iid", "kernel_iid", "context"),
    *(f"{side}_{dim}" for side in ("grid", "block") for dim in "xyz"),
)
_KINDS: Final = (INT, DOUBLE, TEXT, WORD, BLOB, DIGITS)
_TABLES: Final = ("name", "note", "launch")
_RARE, _RESET, _DEFAULTS = 1, 2, 4
#: So many keys and heads of a block are told apart, so many names skipped.
_MOST_KEYS: Final = 1024
_MOST_SKIPPED: Final = 4096
#: Bytes of a block for each row, argument and text that there is room for; one with more is read in Python.
_ROW_BYTES, _ARG_BYTES, _TEXT_BYTES = 16, 8, 64
#: More than a block and a packet; what is unpacked to more is read in Python.
_MOST_BYTES: Final = 128 << 20

_SHORT: Final = frozenset(("text_table", "arg_key", "event_head", "stage_head", "other_head"))
_COUNTS: Final = (
    *("events", "stages", "others", "names", "marked", "texts", "key_count", "head_count", "args", "counted"),
    "dropped",
)
_MEMBERS: Final = (
    *("text_at", "text_size", "most_texts", "text_table", "text_slots", "keys", "key_counts", "most_keys"),
    *("heads", "most_heads", "arg_key", "arg_row", "arg_value", "arg_rows", "arg_values", "most_args"),
    *("event_head", "stage_head", "other_head", "event_row", "event_values", "stage_row", "stage_values"),
    *("other_row", "other_values", "name_row", "name_text", "mark_row", "mark_sequence", "marks", "most_rows"),
    *("skipped", "skip_count", "tracks", "track_count", "wanted", "wanted_size", "digits", "stepped", *_COUNTS),
)


class _Room(ctypes.Structure):
    """`Room` of scan.c: numbers, and addresses of arrays."""

    _fields_ = [(name, ctypes.c_int64) for name in _MEMBERS]


def framer() -> Callable[[bytes], Framed] | None:
    """What gives the same as `blocks.framed`; None where there is no compiled function."""
    frame = SOURCE.function("frame")
    return None if frame is None else _Framer(frame)


@dataclass
class _Framer:
    """Frames by `frame` of scan.c, in room that stays."""

    frame: Callable[..., int]
    _room: Int64s = field(default_factory=lambda: np.empty((2, 0), np.int64))

    def __call__(self, data: bytes) -> Framed:
        if len(data) > _MOST_BYTES:
            return blocks.framed(data)
        end = len(data) - PAD
        if self._room.shape[1] <= end // 2:
            self._room = np.empty((2, end // 2 + 1), np.int64)
        starts, lengths = self._room
        told = np.zeros(2, np.int64)
        count = self.frame(data, ctypes.c_int64(end), starts.ctypes, lengths.ctypes, told.ctypes)
        return Framed(starts[:count].copy(), lengths[:count].copy(), int(told[0]), bool(told[1]))


def distinct(values: Int64s) -> tuple[Int64s, Numbers]:
    """(the distinct values, the number of each value's), in no order that a reader may rest on."""
    number = SOURCE.function("number")
    if number is not None:
        numbers, found = np.empty(len(values), np.int32), np.empty(_MOST_KEYS, np.int64)
        count = number(
            *(values.ctypes, ctypes.c_int64(len(values)), numbers.ctypes, found.ctypes, ctypes.c_int64(len(found)))
        )
        if count >= 0:
            return found[:count], numbers
    each, which = np.unique(values, return_inverse=True)
    return each, which.astype(np.int32)


def lay(where: Numbers, ordinals: Int64s, values: Int64s, laid: Int64s, known: npt.NDArray[np.bool_]) -> bool:
    """Put each value where its packet's row is; whether that was done: it is not without a compiled function."""
    function = SOURCE.function("lay")
    if function is None:
        return False
    function(
        *(where.ctypes, np.ascontiguousarray(ordinals).ctypes, np.ascontiguousarray(values, np.int64).ctypes),
        *(ctypes.c_int64(len(ordinals)), laid.ctypes, known.ctypes),
    )
    return True


def pairs(track: Int64s, at: Int64s, begins: npt.NDArray[np.bool_]) -> Int64s | None:
    """Of a begin the row of its end, -1 for none; of an end -1 where it has no begin.

    None where there is no compiled function.
    """
    pair = SOURCE.function("pair")
    if pair is None:
        return None
    each, numbers = distinct(track)
    first = np.empty(len(each) + 1, np.int64)
    rows, before, ends = (np.empty(len(track), np.int64) for _ in range(3))
    pair(
        *(numbers.ctypes, at.ctypes, begins.ctypes, ctypes.c_int64(len(track))),
        *(first.ctypes, ctypes.c_int64(len(each)), rows.ctypes, before.ctypes, ends.ctypes),
    )
    return ends


@dataclass
class CompiledScan:
    """Reads blocks into `found`. `only`: from a packet, the tracks whose events are kept, as soon as one tells."""

    found: Scan
    notes: Notes
    only: Callable[[bytes], frozenset[int] | None]
    _shapes: dict[tuple[int, int, int, int, int | str | None], int] = field(default_factory=dict)
    _arrays: dict[str, npt.NDArray[Any]] = field(default_factory=dict)
    _most: dict[str, int] = field(default_factory=dict)
    _size: int = 0
    _tracks: frozenset[int] | None = None
    _wanted: Bytes = field(init=False)  # names of arguments that are read, each behind its length; none: all are
    _newly: bool = False  # the tracks are known since the block at hand

    def __post_init__(self) -> None:
        names = [name.encode() for name in sorted(self.found.wanted or ())]
        short = all(len(name) < 1 << 8 for name in names)
        told = b"".join(bytes((len(name),)) + name for name in names if short)
        self._wanted = np.frombuffer(told + bytes(8), np.uint8)

    def read(self, block: Block) -> dict[str, Part] | None:
        """The rows of a block by their table; None where it is to be read in Python."""
        skipped = self.notes.skipped(self.found.resets, _MOST_SKIPPED)
        room = self._scanned(block, skipped)
        if room is None:
            return None
        marks = self._marks(block, room)
        unread = set(self.notes.skipped(self._cleared(marks), _MOST_SKIPPED))
        if not unread.issuperset(skipped):  # a name that was not read means something else from here on
            skipped = [one for one in skipped if one in unread]
            room = self._scanned(block, skipped)
        if room is not None and self._mixes(room):
            room = self._scanned(block, skipped, digits=False)
        if room is None:
            return None
        self._mark(block, marks)
        self.found.counted += room.counted
        self.found.dropped += room.dropped
        texts = self._texts(block, room)
        self._tell(room, texts)
        return dict(self._parts(room, texts))

    def _scanned(self, block: Block, skipped: list[tuple[int, int]], *, digits: bool = True) -> _Room | None:
        scan = SOURCE.function("scan")
        if scan is None or len(block.data) > _MOST_BYTES:
            return None
        names = np.array(skipped or [(0, 0)], np.int64)
        tracks = np.array(sorted(self._tracks or ()), np.int64)
        room = self._room(len(block.data))
        room.skipped, room.skip_count = names.ctypes.data, len(skipped)
        room.tracks, room.track_count = tracks.ctypes.data, len(tracks)
        room.digits, room.stepped = digits, bool(self.found.stepped)
        room.wanted, room.wanted_size = self._wanted.ctypes.data, len(self._wanted) - 8
        why = scan(
            *(block.data.ctypes, block.starts.ctypes, block.lengths.ctypes),
            *(ctypes.c_int64(len(block.starts)), ctypes.c_int64(block.first), ctypes.byref(room)),
        )
        return room if why == 0 else None

    def _mixes(self, room: _Room) -> bool:
        """Whether texts of an argument are numbers and others are none: a packet with both would lose their order."""
        keys = self._arrays["keys"][: 4 * room.key_count].reshape(-1, 4)
        digits, texts = (keys[keys[:, 2] == _KINDS.index(kind)][:, [0, 1, 3]].tolist() for kind in (DIGITS, TEXT))
        return any(one in texts for one in digits)

    def _room(self, size: int) -> _Room:
        """Empty room for a block of that size; the arrays are those of the block before."""
        if self._size < size:
            rows, args, texts = size // _ROW_BYTES + 64, size // _ARG_BYTES + 64, size // _TEXT_BYTES + 64
            most = {"most_rows": rows, "most_args": args, "most_texts": texts, "most_keys": _MOST_KEYS}
            cells = {
                **dict.fromkeys(("text_at", "text_size"), texts),
                "text_table": 1 << (2 * texts).bit_length(),
                "keys": 4 * _MOST_KEYS,
                "key_counts": _MOST_KEYS,
                "heads": 6 * _MOST_KEYS,
                **dict.fromkeys(("arg_key", "arg_row", "arg_value", "arg_rows", "arg_values"), args),
                **{f"{one}_{what}": rows for one in ("event", "stage", "other") for what in ("head", "row")},
                **dict.fromkeys(("other_values", "name_row", "name_text", "mark_row", "mark_sequence", "marks"), rows),
                "event_values": len(TABLES["events"]) * rows,
                "stage_values": len(_VALUES) * rows,
            }
            self._arrays = {
                name: np.empty(count, np.int32 if name in _SHORT else np.int64) for name, count in cells.items()
            }
            self._most = most | {"most_heads": _MOST_KEYS, "text_slots": cells["text_table"]}
            self._size = size
        self._arrays["text_table"][:] = 0
        return _Room(**self._most, **{name: array.ctypes.data for name, array in self._arrays.items()})

    def _marks(self, block: Block, room: _Room) -> list[tuple[int, int, int]]:
        """(ordinal, sequence, what it says beside an event) of packets; the names that they tell are learnt."""
        told = [self._arrays[name][: room.marked].tolist() for name in ("mark_row", "mark_sequence", "marks")]
        marks = list(zip(*told, strict=True))
        for row, sequence, mark in marks:
            if mark & _RARE:
                self.notes.learn(sequence, [_packet(block, row)])
        return marks

    def _cleared(self, marks: list[tuple[int, int, int]]) -> dict[int, list[int]]:
        """A few of the resets of each sequence up to the end of the block that these are of."""
        found = {sequence: rows[:2] for sequence, rows in self.found.resets.items()}
        for row, sequence, mark in marks:
            if mark & _RESET:
                found.setdefault(sequence, []).append(row)
        return found

    def _mark(self, block: Block, marks: list[tuple[int, int, int]]) -> None:
        """Keep what packets say beside their events."""
        for row, sequence, mark in marks:
            if mark & _RESET:
                self.found.resets[sequence].append(row)
            if mark & _DEFAULTS:
                self.found.step(sequence, row)
            if mark & _RARE:
                packet = _packet(block, row)
                self.found.rare.append((row, packet))
                if self._tracks is None:
                    self._tracks = self.only(packet)
                    self._newly = self._tracks is not None

    def _tell(self, room: _Room, texts: list[bytes]) -> None:
        """Arguments and names that are written out."""
        known = np.array([self.found.texts.setdefault(text, len(self.found.texts)) for text in texts], np.int64)
        if room.names:
            rows, numbers = (self._arrays[name][: room.names] for name in ("name_row", "name_text"))
            self.found.names.append(ScannedArgument(rows.copy(), known[numbers]))
        ends = self._arrays["key_counts"][: room.key_count].tolist()
        keys = self._arrays["keys"][: 4 * room.key_count].reshape(-1, 4).tolist()
        begin = 0
        for (table, name, kind, sequence), end in zip(keys, ends, strict=True):
            told = name if table else texts[name].decode() if name >= 0 else ""
            key: ArgKey = (_TABLES[table], told, _KINDS[kind])
            if end > begin and self.notes.reads(sequence, key[:2], self.found.resets):
                rows, values = (self._arrays[which][begin:end] for which in ("arg_rows", "arg_values"))
                numbers = known[values] if key[2] in (TEXT, BLOB) else values.copy()
                made = numbers.view(np.float64) if key[2] == DOUBLE else numbers
                self.found.args[sequence, key].append(ScannedArgument(rows.copy(), made))
            begin = end

    def _texts(self, block: Block, room: _Room) -> list[bytes]:
        at, size = (self._arrays[name][: room.texts].tolist() for name in ("text_at", "text_size"))
        return [block.data[start : start + length].tobytes() for start, length in zip(at, size, strict=True)]

    def _parts(self, room: _Room, texts: list[bytes]) -> Iterator[tuple[str, Part]]:
        heads = self._arrays["heads"][: 6 * room.head_count].reshape(-1, 6).tolist()
        known = np.array([self._shape(head, texts) for head in heads], np.int32)
        for table, fields in TABLES.items():
            one, count = table[:-1], getattr(room, table)
            if not count:
                continue
            columns = self._arrays[f"{one}_values"].reshape(-1, self._most["most_rows"])
            values = {name: columns[_VALUES.index(name), :count].copy() for name in fields}
            row, head = (self._arrays[f"{one}_{what}"][:count] for what in ("row", "head"))
            part = row.copy(), known[head], values
            yield table, self._stepped(part) if table == "others" else self._kept(part) if table == "events" else part

    def _stepped(self, part: Part) -> Part:
        """Those of the rows that are read for their times."""
        told = np.array([self.found.stepped.get(shape.sequence, -1) for shape in self.found.shapes])[part[1]]
        return _taken(part, np.flatnonzero((told >= 0) & (part[0] >= told)))

    def _kept(self, part: Part) -> Part:
        """Those of the rows that are on tracks asked for: all, unless a packet of the block was the one that told."""
        if not self._newly:
            return part
        self._newly = False
        each, which = distinct(part[2]["track"])
        kept = np.array([one == ABSENT or one in (self._tracks or ()) for one in each.tolist()] or [True])
        return _taken(part, np.flatnonzero(kept[which]))

    def _shape(self, head: list[int], texts: list[bytes]) -> int:
        """The number of a shape that says what a head does."""
        sequence, clock, kind, stage, word, is_text = head
        category: int | str | None = None if word == ABSENT else word
        if is_text:
            category = texts[word].decode(errors="replace")
        told = sequence, clock, kind, stage, category
        if told not in self._shapes:
            self._shapes[told] = len(self.found.shapes)
            shape = Shape(_NO_BITS, _NO_BITS, kind, bool(stage), sequence=sequence, clock=clock, category=category)
            self.found.shapes.append(shape)
        return self._shapes[told]


def _taken(part: Part, rows: Int64s) -> Part:
    return part[0][rows], part[1][rows], {name: values[rows] for name, values in part[2].items()}


def _packet(block: Block, ordinal: int) -> bytes:
    start, length = (int(column[ordinal - block.first]) for column in (block.starts, block.lengths))
    return block.data[start : start + length].tobytes()


_NO_BITS: Final = np.zeros(0, np.uint64)
