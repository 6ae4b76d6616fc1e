"""Cuts the text of a Chrome JSON trace into a head and pieces of whole events, without holding the file.

A piece ends where one event object ends and the next begins: `}`, a comma, `{"`. Such a place is never inside a
string of valid JSON; it can be inside an array of objects in an event's args, so a decoder that fails on a piece
tries the events one by one (`cuts`). What cannot be decoded at last is for the caller to mend or to count.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from rope_prof.errors import TraceError

PIECE_BYTES: Final = 8 << 20
#: No event and no head may be longer than this.
MAX_EVENT_BYTES: Final = 64 << 20

_ARRAY: Final = re.compile(rb'"traceEvents"\s*:\s*\[')
_LEVEL: Final = re.compile(rb'"(?:[^"\\]|\\.)*"|[{}\[\]]', re.DOTALL)
_BETWEEN: Final = re.compile(rb'\}\s*,\s*(?=\{\s*"[A-Za-z])')
_BLANK: Final = b" \t\r\n"
#: UTF-8's byte order mark, which some editors put first.
_MARK: Final = b"\xef\xbb\xbf"


class Events:
    """Iterate for pieces: the inside of the event array, cut between events. `head` precedes it.

    `head` is complete once the first piece was given (or none is). The last piece may run past the end of the
    array or be cut: who decodes it knows where the array ended.
    """

    def __init__(self, source: Iterator[bytes], name: str) -> None:
        self._source = source
        self._name = name
        self.head = b""
        self.found = False

    def __iter__(self) -> Iterator[tuple[bytes, bool]]:
        """Pairs of a piece and whether it is the last (whose end holds the array's end and the tail)."""
        parts = [self._open()]
        if not self.found:
            return
        size, enough = len(parts[0]), PIECE_BYTES
        for more in self._source:
            parts.append(more)
            size += len(more)
            if size < enough:
                continue
            cut = _last_cut(more)
            if cut is None:  # none inside the newest part: seen from its beginning on
                parts = [b"".join(parts)]
                cut = _last_cut(parts[0])
            if cut is None:
                if size > MAX_EVENT_BYTES:
                    raise self._too_long(size)
                enough = size + PIECE_BYTES
                continue
            newest = memoryview(parts.pop())
            yield b"".join((*parts, newest[: cut[0]])), False
            parts, enough = [bytes(newest[cut[1] :])], PIECE_BYTES
            size = len(parts[0])
        yield b"".join(parts), True

    def _open(self) -> bytes:
        """Read up to the start of the array; a top-level list of events has an empty head."""
        buffer = bytearray()
        searched = 0
        levels = _Levels()
        inner: re.Match[bytes] | None = None
        for more in self._source:
            buffer += more
            if buffer.lstrip(_BLANK + _MARK)[:1] == b"[":
                self.found = True
                return bytes(buffer[buffer.index(b"[") + 1 :])
            for match in _ARRAY.finditer(bytes(buffer), max(0, searched - 64)):
                if levels.at(buffer, match.start()) == 1:
                    return self._from(buffer, match)
                inner = inner or match
            searched = len(buffer)
            if searched > MAX_EVENT_BYTES:
                raise self._too_long(searched)
        if inner is not None:  # no array at the top: the head is damaged, or all stands one level lower
            return self._from(buffer, inner)
        self.head = bytes(buffer).removeprefix(_MARK)
        return b""

    def _from(self, buffer: bytearray, match: re.Match[bytes]) -> bytes:
        self.found = True
        self.head = bytes(buffer[: match.start()]).removeprefix(_MARK)
        return bytes(buffer[match.end() :])

    def _too_long(self, size: int) -> TraceError:
        return TraceError(
            f"{self._name!r} holds {size} bytes without the end of an event, over the limit of "
            f"{MAX_EVENT_BYTES >> 20} MiB; this is no trace that a profiler wrote"
        )


class _Levels:
    """How many objects and arrays are open at a place of a text, asked in the text's order; strings count as one."""

    def __init__(self) -> None:
        self._at = self._open = 0

    def at(self, text: bytearray, place: int) -> int:
        for token in _LEVEL.finditer(bytes(text[self._at : place])):
            self._open += {b"{": 1, b"[": 1, b"}": -1, b"]": -1}.get(token.group(), 0)
        self._at = place
        return self._open


def _last_cut(buffer: bytes) -> tuple[int, int] | None:
    """The last place between two events: (end of the first, start of the second), searched from the end."""
    width = 4 << 10
    while True:
        start = max(0, len(buffer) - width)
        last = None
        for last in _BETWEEN.finditer(buffer, start):  # noqa: B007 (the last match is wanted)
            pass
        if last is not None:
            return last.start() + 1, last.end()
        if start == 0:
            return None
        width *= 8


def batches(piece: bytes, size: int, end: int) -> Iterator[tuple[int, int]]:
    """The piece up to `end` as spans of whole candidate events, each but the last of at least `size` bytes."""
    start = 0
    while match := _BETWEEN.search(piece, start + size, end):
        yield start, match.start() + 1
        start = match.end()
    yield start, end


def cuts(piece: bytes) -> list[tuple[int, int]]:
    """Every candidate event of a piece as (start, end): between two places where an event could end."""
    edges = [(m.start() + 1, m.end()) for m in _BETWEEN.finditer(piece)]
    starts = [0, *(after for _, after in edges)]
    ends = [*(before for before, _ in edges), len(piece)]
    return list(zip(starts, ends, strict=True))


_ARRAY_END: Final = re.compile(rb"\}\s*\]")


def array_ends(piece: bytes, limit: int = 8) -> list[int]:
    """The first places where the event array could end: offsets just behind a `}` that a `]` follows."""
    found = []
    for match in _ARRAY_END.finditer(piece):
        found.append(match.start() + 1)
        if len(found) == limit:
            break
    return found
