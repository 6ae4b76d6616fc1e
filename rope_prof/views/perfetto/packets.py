"""Perfetto's native format (TrackEvent): tracks, slices, flows, counters.

Knows packets, interned words and the order that the format wants; knows no trace of ours. Slices that overlap on one
native track get wrong durations without a word, so `lanes` spreads them first. Within a track, events come in the
order of time, an end before the begin at the same instant; the reader sorts tracks into one another by itself.
"""

from __future__ import annotations

import heapq
import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Final, NamedTuple

import numpy as np

from rope_prof.views.perfetto.encode import block, double, fixed, head, number, numbers

Value = str | int | float | None

_FIRST_TRACK: Final = 1000
#: TrackEvent.Type, TrackDescriptor.ChildTracksOrdering, CounterDescriptor.Unit, TracePacket.SequenceFlags.
_BEGIN, _END, _COUNTER = 1, 2, 4
_EXPLICIT: Final = 3
_COUNT: Final = 2
_CLEARED, _NEEDED = 1, 2
#: Trace's only field.
_PACKET: Final = 1
#: Fields of TracePacket, in the order in which they are written.
_METADATA, _TIMESTAMP, _SEQUENCE, _EVENT, _INTERNED, _FLAGS, _TRACK = 5, 8, 10, 11, 12, 13, 60
#: Fields of InternedData: the tables of words.
_CATEGORIES, _NAMES, _NOTES = 1, 2, 3
#: Fields of TrackEvent: its category, note, type, name and track; a value, arrows that leave and arrive, a colour.
_CATEGORY, _NOTE, _TYPE, _NAME, _OF = 3, 4, 9, 10, 11
_VALUE, _LEAVES, _ARRIVES, _COLOUR = 30, 47, 48, 53
#: So many arguments are kept as they are written.
_MOST_NOTES: Final = 1 << 16
_BEGUN: Final = number(_TYPE, _BEGIN)
_OURS: Final = number(_SEQUENCE, 1)
_KNOWN: Final = number(_FLAGS, _NEEDED)
#: Where nothing is open on a lane: after every end.
_FREE: Final = (1 << 63) - 1
_DOUBLE: Final = struct.Struct("<d").pack


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
    order = list(slices)
    if order and all(_end(one) <= after.start_ns > one.start_ns for one, after in pairwise(order)):
        return [order]
    order.sort(key=lambda s: (s.start_ns, -_end(s)))
    found: list[list[Slice]] = []
    stacks: list[list[int]] = []  # the ends of what is open on each lane, the first to come on top
    room = np.zeros(1, np.int64)  # of each lane the end on top
    closing: list[tuple[int, int]] = []
    for one in order:
        start, end = one.start_ns, _end(one)
        while closing and closing[0][0] <= start:
            _, number = heapq.heappop(closing)
            stacks[number].pop()
            room[number] = stacks[number][-1] if stacks[number] else _FREE
        least = end if nest else _FREE
        if found and (stacks[0][-1] if stacks[0] else _FREE) >= least:
            number = 0
        else:
            fits = room[: len(found)] >= least
            number = int(fits.argmax()) if fits.any() else len(found)
        if number == len(found):
            found.append([])
            stacks.append([])
            room = np.append(room, room) if number == len(room) else room
            room[number] = _FREE
        found[number].append(one)
        if end > start:
            stacks[number].append(end)
            room[number] = end
            heapq.heappush(closing, (end, number))
    return found


def _end(one: Slice) -> int:
    return _FREE - 1 if one.end_ns is None else one.end_ns


class PerfettoWriter:
    """Collects packets; `data()` is the file. A track must be made before its first event.

    `clean` is asked once for each text that is written.
    """

    def __init__(self, clean: Callable[[str], str] = str) -> None:
        self._clean = clean
        self._said: dict[str, bytes] = {}
        self._notes: dict[tuple[str, Value, type], bytes] = {}
        self._fractions: dict[str, bytes] = {}
        self._colours: dict[str, bytes] = {}
        self._called: dict[tuple[str, str], tuple[bytes, bytes]] = {}  # (name, category) -> what `_call` gave
        self._out: list[bytes] = []
        self._facts = 0  # packets of metadata, the first ones
        self._tracks = _FIRST_TRACK
        self._ranks: dict[int, int] = {}
        self._words: dict[tuple[int, str], int] = {}
        self._new: dict[int, list[bytes]] = {}  # words of the packet at hand that no packet before it told

    def data(self) -> bytes:
        """All packets so far as the bytes of a `.pftrace`."""
        return b"".join(self._out)

    def group(self, name: str, parent: int | None = None, description: str | None = None) -> int:
        """A track that holds tracks, in the order in which they are made."""
        return self._track(name, parent, description)

    def lane(self, name: str, parent: int, slices: Iterable[Slice], description: str | None = None) -> int:
        """A track with slices as `lanes` gives them: in the order of time, nested or apart."""
        track = self._track(name, parent, description)
        ended = _OURS + block(_EVENT, number(_TYPE, _END) + number(_OF, track)) + _KNOWN
        about, held = number(_OF, track), list(slices)
        begins = numbers(_TIMESTAMP, [one.start_ns for one in held])
        ends = numbers(_TIMESTAMP, [one.start_ns if one.end_ns is None else one.end_ns for one in held])
        pending: list[tuple[int, bytes]] = []
        for one, begin, end in zip(held, begins, ends, strict=True):
            while pending and pending[-1][0] <= one.start_ns:
                self._write(pending.pop()[1] + ended)
            self._write(begin + _OURS + self._begun(one, about))
            if one.end_ns is not None:
                pending.append((one.end_ns, end))
        while pending:
            self._write(pending.pop()[1] + ended)
        return track

    def counter(self, name: str, parent: int, points: Iterable[tuple[int, int]], description: str) -> int:
        """A counter track of (ns, value), in the order of time."""
        track = self._track(name, parent, description, counter=True)
        about, held = number(_TYPE, _COUNTER) + number(_OF, track), list(points)
        events = {value: block(_EVENT, about + number(_VALUE, value)) for value in {value for _, value in held}}
        for instant, (_, value) in zip(numbers(_TIMESTAMP, [at for at, _ in held]), held, strict=True):
            self._write(instant + _OURS + events[value] + _KNOWN)
        return track

    def metadata(self, facts: Mapping[str, str]) -> None:
        """Words of the trace as a whole; the engine lists them in its table `metadata` under `cr-<name>`.

        They stand before all events, so that who reads the file knows them in time.
        """
        told = (block(1, self._text(name)) + block(2, self._text(value)) for name, value in facts.items())
        self._write(block(_METADATA, b"".join(block(2, fact) for fact in told)) + _OURS + self._flags())
        self._out.insert(self._facts, self._out.pop())
        self._facts += 1

    def _track(self, name: str, parent: int | None, description: str | None, counter: bool = False) -> int:
        self._tracks += 1
        about = number(1, self._tracks) + block(2, self._text(name))
        rank = b""
        if parent is not None:
            rank = number(12, self._ranks.setdefault(parent, 0) + 1)
            self._ranks[parent] += 1
            about += number(5, parent)
        about += block(8, number(3, _COUNT)) if counter else number(11, _EXPLICIT)
        about += rank + (b"" if description is None else block(14, self._text(description)))
        self._write(_OURS + self._flags() + block(_TRACK, about))
        return self._tracks

    def _begun(self, one: Slice, track: bytes) -> bytes:
        """The fields of a slice's first packet behind its instant."""
        called, notes = (one.name, one.category), self._notes
        category, name = self._called.get(called) or self._call(*called)
        parts = [category]
        for word, value in one.args.items():
            if value.__class__ is float:  # hardly comes again, and is not kept
                parts.append((self._fractions.get(word) or self._fraction(word)) + _DOUBLE(value))
            elif value is not None:
                key = word, value, value.__class__
                parts.append(notes[key] if key in notes else self._note(key))
        parts += (name, track)
        if one.out:
            parts += [fixed(_LEAVES, flow) for flow in one.out]
        if one.into:
            parts += [fixed(_ARRIVES, flow) for flow in one.into]
        if one.colour is not None:
            parts.append(self._colours.get(one.colour) or self._colour(one.colour))
        event = block(_EVENT, b"".join(parts))
        if not self._new:
            return event + _KNOWN
        tables, self._new = sorted(self._new.items()), {}
        return event + block(_INTERNED, b"".join(block(t, word) for t, words in tables for word in words)) + _KNOWN

    def _call(self, name: str, category: str) -> tuple[bytes, bytes]:
        """The fields before and behind the arguments."""
        behind = _BEGUN + number(_NAME, self._word(_NAMES, name))
        found = self._called[name, category] = number(_CATEGORY, self._word(_CATEGORIES, category)), behind
        return found

    def _colour(self, word: str) -> bytes:
        self._colours[word] = found = block(_COLOUR, self._text(word))
        return found

    def _fraction(self, word: str) -> bytes:
        """What stands before the number of an argument of that name."""
        whole = block(_NOTE, number(1, self._word(_NOTES, word)) + double(5, 0.0))
        found = self._fractions[word] = whole[:-8]
        return found

    def _note(self, key: tuple[str, Value, type]) -> bytes:
        """An argument, kept for the next slice that has it."""
        word, value, _ = key
        note = number(1, self._word(_NOTES, word))
        if isinstance(value, str):
            note += block(6, self._text(value))
        else:
            assert isinstance(value, int)
            note += number(4, value)
        if len(self._notes) >= _MOST_NOTES:
            self._notes.clear()
        self._notes[key] = note = block(_NOTE, note)
        return note

    def _word(self, table: int, word: str) -> int:
        """The number of a word; at its first use its text travels in this packet."""
        found = self._words.get((table, word))
        if found is None:
            found = self._words[table, word] = len(self._words) + 1
            self._new.setdefault(table, []).append(number(1, found) + block(2, self._text(word)))
        return found

    def _text(self, text: str) -> bytes:
        said = self._said.get(text)
        if said is None:
            said = self._said[text] = self._clean(text).encode(errors="backslashreplace")
        return said

    def _flags(self) -> bytes:
        return _KNOWN if self._out else number(_FLAGS, _CLEARED | _NEEDED)

    def _write(self, packet: bytes) -> None:
        self._out.append(head(_PACKET, len(packet)) + packet)
