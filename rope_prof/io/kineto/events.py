"""One piece of Kineto's event array -> its events, sorted into frames, mending what old or damaged files hold.

Mended, counted and kept: bare `inf`/`nan`, unescaped quotes inside strings, bytes that are no UTF-8, lone
surrogates, control characters. Counted and left out: what is still no event after that.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from operator import call
from typing import Final

import msgspec

from rope_prof.errors import TraceError
from rope_prof.io.kineto.categories import FRAMES, KINDS, NO_FIGURE, role
from rope_prof.io.kineto.digits import microseconds_to_ns
from rope_prof.io.kineto.groups import Group
from rope_prof.io.kineto.mend import lenient_args, mended
from rope_prof.io.kineto.pieces import array_ends, batches, cuts
from rope_prof.io.kineto.repeats import Twice, repeated_key, repeats
from rope_prof.io.kineto.seen import Seen, seen
from rope_prof.io.kineto.structs import (
    Allocation,
    Event,
    Instant,
    Loose,
    OldInstant,
    decode_list,
    decode_loose,
    decode_loose_list,
    memory_args,
)
from rope_prof.model.trace import NAMED

_WINDOW_END: Final = "Record Window End"
_MEMORY: Final = "[memory]"
_JOIN_MOST: Final = 8
#: So much text is decoded at a time: its structs stay in a core's cache until their fields are taken.
_BATCH_BYTES: Final = 1 << 20
_DECODE_ERRORS: Final = (msgspec.DecodeError, UnicodeDecodeError)


def _groups() -> dict[str, Group]:
    return {frame: Group(frame) for frame in (*FRAMES, "")}


@dataclass
class Piece:
    """What one piece of text gave. `tail` is what follows the array's end, None while that has not come."""

    groups: dict[str, Group] = field(default_factory=_groups)  # the empty frame takes what is not read
    count: int = 0  # of all events
    window_end: bool = False
    window_end_ns: int | None = None
    mended: int = 0
    lost: int = 0
    lost_bytes: int = 0
    lost_unread: int = 0  # of a category that no figure reads
    duplicates: int = 0  # events that hold a key twice that a figure can rest on
    duplicates_unread: int = 0  # or another one
    proofs: dict[str, list[Seen]] = field(default_factory=dict)  # of each count the first events
    tail: bytes | None = None

    def settle(self) -> None:
        """Take the fields of the events added since the last time."""
        for group in self.groups.values():
            group.settle()

    def add(self, events: list[Event]) -> None:
        """Put complete events into their groups."""
        categories = [event.cat for event in events]
        roles = {category: role(category) for category in set(categories)}
        put = {category: self.groups[frame].events.append for category, (frame, _) in roles.items()}
        deque(map(call, map(put.__getitem__, categories), events), maxlen=0)
        for frame in KINDS:
            group = self.groups[frame]
            group.kinds += [roles[event.cat][1] for event in group.events[len(group.kinds) - group.count :]]

    def take(self, loose: Loose) -> None:
        """Add an event that was decoded without the strict types."""
        self.count += 1
        if loose.ph == "X":
            args = lenient_args(bytes(loose.args)) if loose.args else None
            self.add([Event(loose.cat, loose.name, loose.pid, loose.tid, loose.ts, loose.dur, args)])
        elif loose.ph in ("i", "I"):
            self.mark(loose)

    def note(self, twice: Twice, text: bytes, count: int = 1) -> None:
        """Count what `repeated_key` says of `count` events of which that is the first."""
        if twice in ("read", "unread"):
            self.tell("duplicates" if twice == "read" else "duplicates_unread", text, count)

    def tell(self, what: str, text: bytes, count: int = 1) -> None:
        """Count `count` events of which that is the first's text."""
        setattr(self, what, getattr(self, what) + count)
        known = self.proofs.setdefault(what, [])
        if len(known) < NAMED:
            known.append(seen(text))

    def mark(self, instant: Instant | OldInstant | Loose) -> None:
        """See whether an instant tells of memory, or is the end of the window."""
        if instant.name == _MEMORY:
            told = memory_args(instant.args)
            held = self.groups["memory"].events
            held.append(Allocation(instant.name, instant.pid, instant.tid, instant.ts, told))
        elif str(instant.name).startswith(_WINDOW_END):
            self.window_end = True
            times, good = microseconds_to_ns([bytes(instant.ts)])
            self.window_end_ns = int(times[0]) if good[0] else None


def read_piece(text: bytes, last: bool) -> Piece:
    """Decode a piece of the event array (without its brackets); `last` if the array's end should be in it."""
    if last and text.lstrip()[:1] == b"]":
        return Piece(tail=text.lstrip()[1:])
    whole = _whole(text, last)
    if whole is None:
        piece = one_by_one(text, last)
        piece.settle()
        return piece
    body = text if whole.tail is None else text[: len(text) - len(whole.tail)]
    twice = repeats(body)
    for found, event in twice.texts:
        whole.note(found, event, 0)
    whole.duplicates, whole.duplicates_unread = twice.read, twice.unread
    return whole


def _whole(text: bytes, last: bool) -> Piece | None:
    """All events, by the first decoder that takes them; None where the text is no list of events."""
    for end in array_ends(text) if last else (len(text),):
        tail = text[end:].lstrip()[1:] if last else None
        for decode in (strict, loose):
            try:
                piece = decode(text, end)
            except RecursionError:
                raise too_deep() from None
            except _DECODE_ERRORS:
                continue
            piece.settle()
            piece.tail = tail
            return piece
    return None


def _listed(text: bytes, start: int, end: int) -> bytes:
    return b"".join((b"[", memoryview(text)[start:end], b"]"))


def strict(text: bytes, end: int) -> Piece:
    """Events as profilers write them, some at a time."""
    piece = Piece()
    for start, stop in batches(text, _BATCH_BYTES, end):
        events = decode_list(_listed(text, start, stop))
        piece.count += len(events)
        kinds = set(map(type, events))
        if kinds & {Instant, OldInstant}:
            for event in events:
                if isinstance(event, Instant | OldInstant):
                    piece.mark(event)
        piece.add([event for event in events if type(event) is Event])
        piece.settle()
    return piece


def loose(text: bytes, end: int) -> Piece:
    piece = Piece()
    for event in decode_loose_list(_listed(text, 0, end)):
        piece.take(event)
    return piece


def too_deep(what: str = "a trace event") -> TraceError:
    """The stated limit on nesting was met."""
    return TraceError(
        f"{what} nests deeper than the JSON decoder's limit of about a thousand levels; no profiler writes that"
    )


def one_by_one(text: bytes, last: bool) -> Piece:
    """Every event that can be read, each decoded alone (joined with its successors where a cut was inside it)."""
    piece = Piece()
    spans = cuts(text)
    ends = array_ends(text, len(text)) if last else []
    k = 0
    while k < len(spans):
        used = _decode_from(text, spans, k, piece)
        if used == 0 and last and _ended(text, spans, k, ends, piece):
            break
        if used == 0:
            start, end = spans[k]
            _mend_into(text[start:end], piece, final=last and k == len(spans) - 1)
            used = 1
        k += used
    return piece


def _decode_from(text: bytes, spans: Sequence[tuple[int, int]], k: int, piece: Piece) -> int:
    start = spans[k][0]
    for j in range(k, min(k + _JOIN_MOST, len(spans))):
        one = text[start : spans[j][1]]
        try:
            piece.take(decode_loose(one))
        except RecursionError:
            raise too_deep() from None
        except _DECODE_ERRORS:
            continue
        piece.note(repeated_key(one), one)
        return j - k + 1
    return 0


def _ended(text: bytes, spans: Sequence[tuple[int, int]], k: int, ends: Sequence[int], piece: Piece) -> bool:
    """True, with the event and the tail taken, if span `k` begins with an event and the array's end.

    `ends` are all places in `text` where the array could end: searched once, not anew behind every damaged event.
    """
    start, reach = spans[k][0], spans[min(k + _JOIN_MOST, len(spans)) - 1][1]
    first = bisect_right(ends, start)
    for end in ends[first : first + _JOIN_MOST]:
        if end > reach:
            return False
        try:
            piece.take(decode_loose(text[start:end]))
        except (*_DECODE_ERRORS, RecursionError):
            continue
        piece.tail = text[end:].lstrip()[1:]
        return True
    return False


_CATEGORY: Final = re.compile(rb'"cat"\s*:\s*"([^"\\]*)"')
_PHASE: Final = re.compile(rb'"ph"\s*:\s*"')


def _unread(text: bytes) -> bool:
    """Whether a damaged text is one whole event of a category that no figure reads: it ends as an event does."""
    found = _CATEGORY.findall(text)
    whole = len(found) == 1 and len(_PHASE.findall(text)) == 1 and text.rstrip().endswith(b"}")
    return whole and role(found[0].decode("utf-8", errors="replace"))[0] in NO_FIGURE


def _mend_into(text: bytes, piece: Piece, final: bool) -> None:
    tail = None
    if final:
        ends = array_ends(text, 64)
        if ends:
            text, tail = text[: ends[0]], text[ends[0] :].lstrip()[1:]
    held = mended(text)
    if held is None:
        if _unread(text):
            piece.tell("lost_unread", text)
            piece.tail = tail
            return
        piece.lost_bytes += len(text)
        if not final or tail is not None:
            piece.tell("lost", text)
    else:
        piece.take(held[0])
        piece.tell("mended", text)
        piece.note(repeated_key(held[1]), held[1])
        piece.tail = tail
