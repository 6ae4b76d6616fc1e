"""One piece of Kineto's event array -> typed structs, mending what old or damaged files hold.

Mended, counted and kept: bare `inf`/`nan`, unescaped quotes inside strings, bytes that are no UTF-8, lone
surrogates, control characters. Counted and left out: what is still no event after that.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

import msgspec

from rope_prof.errors import TraceError
from rope_prof.io.json_pieces import array_ends, cuts

Scalar = int | float | str | None
_ABSENT: Final = msgspec.Raw(b"")


class Event(msgspec.Struct, gc=False):
    """The part of a Chrome trace event that is read; times and args stay text until they are needed."""

    ph: str = ""
    cat: str | None = None
    name: Scalar = ""
    pid: Scalar = None
    tid: Scalar = None
    ts: msgspec.Raw = _ABSENT
    dur: msgspec.Raw = _ABSENT
    args: msgspec.Raw = _ABSENT


@dataclass
class Piece:
    """What one piece of text gave. `tail` is what follows the array's end, None while that has not come."""

    events: list[Event] = field(default_factory=list)
    mended: int = 0
    lost: int = 0
    lost_bytes: int = 0
    duplicates: int = 0
    exact: bool = False  # whether `duplicates` covers the args too
    tail: bytes | None = None


_decode_list = msgspec.json.Decoder(list[Event]).decode
_decode_event = msgspec.json.Decoder(Event).decode
_number_encoder = msgspec.json.Encoder(decimal_format="number")
_JOIN_MOST: Final = 8
#: Keys whose repetition is looked for in the first part of a file; that of times is looked for everywhere.
_OTHER_KEYS: Final = (b'"ph"', b'"pid"', b'"tid"', b'"cat"', b'"args"')


def read_piece(text: bytes, last: bool, every_key: bool = True) -> Piece:
    """Decode a piece of the event array (without its brackets); `last` if the array's end should be in it.

    `every_key` looks for repeats of all keys, else of the times alone.
    """
    if last and text.lstrip()[:1] == b"]":
        return Piece(tail=text.lstrip()[1:])
    whole = _whole(text, last)
    if whole is None:
        return _one_by_one(text, last)
    body = text if whole.tail is None else text[: len(text) - len(whole.tail)]
    if _keys_repeat(body, whole.events, every_key):
        whole.exact = True
        whole.duplicates = sum(1 for start, end in cuts(body) if _pairs_repeat(body[start:end]))
    return whole


def _whole(text: bytes, last: bool) -> Piece | None:
    for end in array_ends(text) if last else (len(text),):
        try:
            events = _decode_list(b"[" + text[:end] + b"]")
        except RecursionError:
            raise too_deep() from None
        except (msgspec.DecodeError, UnicodeDecodeError):
            continue
        return Piece(events=events, tail=text[end:].lstrip()[1:] if last else None)
    return None


def too_deep() -> TraceError:
    """The stated limit on nesting was met."""
    return TraceError(
        "a trace event nests deeper than the JSON decoder's limit of about a thousand levels; no profiler writes that"
    )


def _one_by_one(text: bytes, last: bool) -> Piece:
    """Every event that can be read, each decoded alone (joined with its successors where a cut was inside it)."""
    piece = Piece(exact=True)
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
            piece.events.append(_decode_event(one))
        except RecursionError:
            raise too_deep() from None
        except (msgspec.DecodeError, UnicodeDecodeError):
            continue
        if _pairs_repeat(one):
            piece.duplicates += 1
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
            piece.events.append(_decode_event(text[start:end]))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            continue
        piece.tail = text[end:].lstrip()[1:]
        return True
    return False


def _mend_into(text: bytes, piece: Piece, final: bool) -> None:
    tail = None
    if final:
        ends = array_ends(text, 64)
        if ends:
            text, tail = text[: ends[0]], text[ends[0] :].lstrip()[1:]
    event = mended(text)
    if event is None:
        piece.lost_bytes += len(text)
        piece.lost += 0 if final and tail is None else 1
    else:
        piece.events.append(event)
        piece.mended += 1
        piece.tail = tail


_BARE: Final = re.compile(r"(?<=[:\[,\s])([-+]?)(inf|nan|infinity)(?=\s*[,}\]])", re.IGNORECASE)
_CLOSES: Final = re.compile(r'\s*(?:[:}\]]|,\s*(?:["\[{\d\-]|true|false|null|$)|$)')


def mended(text: bytes) -> Event | None:
    """The event of a text that strict JSON refuses, or None where nothing helps."""
    if len(text) > 1 << 20:
        return None
    readable = text.decode("utf-8", errors="replace")
    for candidate in (readable, _BARE.sub("null", readable), _BARE.sub("null", _escape_quotes(readable))):
        try:
            value = json.loads(candidate, strict=False, parse_float=Decimal, parse_constant=lambda _: None)
            if isinstance(value, dict):
                return _decode_event(_number_encoder.encode(_clean(value)))
        except (ValueError, ArithmeticError, RecursionError, msgspec.MsgspecError, OverflowError):
            continue
    return None


def _escape_quotes(text: str) -> str:
    """Escape each quote that cannot close its string: what follows is no `:`, `,` + value, `}` or `]`."""
    out: list[str] = []
    inside = False
    k = 0
    while k < len(text):
        char = text[k]
        if inside and char == "\\":
            out.append(text[k : k + 2])
            k += 2
            continue
        if char == '"':
            if inside and not _CLOSES.match(text, k + 1):
                out.append("\\")
            else:
                inside = not inside
        out.append(char)
        k += 1
    return "".join(out)


def _clean(value: Any) -> Any:
    """The same value with surrogates replaced, so that it can be written as UTF-8."""
    if isinstance(value, str):
        return value.encode("utf-8", errors="replace").decode("utf-8")
    if isinstance(value, dict):
        return {_clean(key): _clean(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_clean(item) for item in value]
    return value


def _keys_repeat(text: bytes, events: list[Event], every_key: bool) -> bool:
    """Whether the text holds a key more often than there are events that have it: cause for an exact count."""
    if text.count(b'"ts"') > sum(map(bool, [event.ts for event in events])):
        return True
    if text.count(b'"dur"') > sum(map(bool, [event.dur for event in events])):
        return True
    if not every_key:
        return False
    named = len(events) + sum(event.ph == "M" for event in events)
    return text.count(b'"name"') > named or any(text.count(key) > len(events) for key in _OTHER_KEYS)


def _pairs_repeat(text: bytes) -> bool:
    repeats = False

    def look(pairs: list[tuple[str, Any]]) -> None:
        nonlocal repeats
        repeats = repeats or len({key for key, _ in pairs}) < len(pairs)

    try:
        json.loads(text, object_pairs_hook=look, strict=False)
    except (ValueError, RecursionError):
        return False
    return repeats
