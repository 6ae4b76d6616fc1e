"""One piece of Kineto's event array -> typed structs, mending what old or damaged files hold.

Mended, counted and kept: bare `inf`/`nan`, unescaped quotes inside strings, bytes that are no UTF-8, lone
surrogates, control characters. Counted and left out: what is still no event after that.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from operator import attrgetter
from typing import Any, Final

import msgspec
import numpy as np
import polars as pl

from rope_prof.errors import TraceError
from rope_prof.io.json_pieces import array_ends, cuts

Scalar = int | float | str | None
_ABSENT: Final = msgspec.Raw(b"")


class Args(msgspec.Struct, gc=False):
    """The args that are read, of any event, in the spellings of 2021 and later; JSON values stay text."""

    device: Scalar = None
    stream: Scalar = None
    correlation: Scalar = None
    external: Scalar = msgspec.field(name="External id", default=None)
    external_2021: Scalar = msgspec.field(name="external id", default=None)
    registers: Scalar = msgspec.field(name="registers per thread", default=None)
    shared: Scalar = msgspec.field(name="shared memory", default=None)
    graph: Scalar = msgspec.field(name="graph id", default=None)
    graph_node: Scalar = msgspec.field(name="graph node id", default=None)
    bytes: Scalar = None
    grid: msgspec.Raw = _ABSENT
    block: msgspec.Raw = _ABSENT
    dims: msgspec.Raw = msgspec.field(name="Input Dims", default=_ABSENT)
    types: msgspec.Raw = msgspec.field(name="Input type", default=_ABSENT)


NO_ARGS: Final = Args()


class Event(msgspec.Struct, gc=False, tag_field="ph", tag="X"):
    """A complete event, as far as it is read; times stay text until they are needed."""

    cat: str | None = None
    name: Scalar = ""
    pid: Scalar = None
    tid: Scalar = None
    ts: msgspec.Raw = _ABSENT
    dur: msgspec.Raw = _ABSENT
    args: Args | None = None


class _Instant(msgspec.Struct, gc=False, tag_field="ph", tag="i"):
    name: Scalar = ""


class _OldInstant(msgspec.Struct, gc=False, tag_field="ph", tag="I"):
    name: Scalar = ""


class _Name(msgspec.Struct, gc=False, tag_field="ph", tag="M"):
    """Metadata of a process or thread."""


class _FlowStart(msgspec.Struct, gc=False, tag_field="ph", tag="s"):
    """Arrows are over a third of a file's events: nothing of them is read."""


class _FlowEnd(msgspec.Struct, gc=False, tag_field="ph", tag="f"):
    """As `_FlowStart`."""


class _Loose(msgspec.Struct, gc=False):
    """Any event, its args as text: for what the strict types refuse."""

    ph: str = ""
    cat: str | None = None
    name: Scalar = ""
    pid: Scalar = None
    tid: Scalar = None
    ts: msgspec.Raw = _ABSENT
    dur: msgspec.Raw = _ABSENT
    args: msgspec.Raw = _ABSENT


class _Keys(msgspec.Struct, gc=False):
    """Which of the keys an event has."""

    ph: msgspec.Raw = _ABSENT
    cat: msgspec.Raw = _ABSENT
    name: msgspec.Raw = _ABSENT
    pid: msgspec.Raw = _ABSENT
    tid: msgspec.Raw = _ABSENT
    ts: msgspec.Raw = _ABSENT
    dur: msgspec.Raw = _ABSENT
    args: msgspec.Raw = _ABSENT


@dataclass
class Piece:
    """What one piece of text gave. `tail` is what follows the array's end, None while that has not come."""

    events: list[Event] = field(default_factory=list)  # the complete ones
    count: int = 0  # of all events
    window_end: bool = False
    mended: int = 0
    lost: int = 0
    lost_bytes: int = 0
    duplicates: int = 0
    usual_keys: int | None = None  # how many of the searched keys its events have if each has the usual ones
    tail: bytes | None = None

    def take(self, loose: _Loose) -> None:
        """Add an event that was decoded without the strict types."""
        self.count += 1
        if loose.ph == "X":
            args = lenient_args(bytes(loose.args)) if loose.args else None
            self.events.append(Event(loose.cat, loose.name, loose.pid, loose.tid, loose.ts, loose.dur, args))
        elif loose.ph in ("i", "I"):
            self.window_end = self.window_end or _ends_window(loose.name)


_WINDOW_END: Final = "Record Window End"


def _ends_window(name: Scalar) -> bool:
    return str(name).startswith(_WINDOW_END)


_Any = Event | _FlowStart | _FlowEnd | _Name | _Instant | _OldInstant
_decode_list = msgspec.json.Decoder(list[_Any]).decode
_decode_loose_list = msgspec.json.Decoder(list[_Loose]).decode
_decode_loose = msgspec.json.Decoder(_Loose).decode
_decode_keys = msgspec.json.Decoder(list[_Keys]).decode
_decode_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode_scalar = msgspec.json.Decoder(Scalar).decode
_number_encoder = msgspec.json.Encoder(decimal_format="number")
_JOIN_MOST: Final = 8
#: Keys whose repetition is looked for: of an event, and of its args where a repeat would join it to another launch.
_SEARCHED: Final = ("ts", "dur", "ph", "pid", "tid", "cat", "name", "args", "correlation", "stream", "device")
_SEARCH: Final = "|".join(f'"{key}"' for key in _SEARCHED)
#: Length -> the searched keys, quoted, as the number that their last (at most eight) bytes are.
_KEY_ENDS: Final = {
    length: [
        np.uint64(int.from_bytes(quoted[-8:], "little"))
        for quoted in (f'"{key}"'.encode() for key in _SEARCHED)
        if min(len(quoted), 8) == length
    ]
    for length in (4, 5, 6, 8)
}
_USUAL_KEYS: Final[dict[type, int]] = {Event: 8, _FlowStart: 6, _FlowEnd: 6, _Name: 7, _Instant: 6, _OldInstant: 6}


def read_piece(text: bytes, last: bool) -> Piece:
    """Decode a piece of the event array (without its brackets); `last` if the array's end should be in it."""
    if last and text.lstrip()[:1] == b"]":
        return Piece(tail=text.lstrip()[1:])
    whole = _whole(text, last)
    if whole is None:
        return _one_by_one(text, last)
    body = text if whole.tail is None else text[: len(text) - len(whole.tail)]
    if _keys_repeat(body, whole):
        whole.duplicates = sum(1 for start, end in cuts(body) if _pairs_repeat(body[start:end]))
    return whole


def _whole(text: bytes, last: bool) -> Piece | None:
    for end in array_ends(text) if last else (len(text),):
        tail = text[end:].lstrip()[1:] if last else None
        listed = b"[" + text[:end] + b"]"
        try:
            return _sorted_out(_decode_list(listed), tail)
        except RecursionError:
            raise too_deep() from None
        except (msgspec.DecodeError, UnicodeDecodeError):
            pass
        try:
            piece = Piece(tail=tail)
            for loose in _decode_loose_list(listed):
                piece.take(loose)
            return piece
        except RecursionError:
            raise too_deep() from None
        except (msgspec.DecodeError, UnicodeDecodeError):
            continue
    return None


def _sorted_out(events: list[_Any], tail: bytes | None) -> Piece:
    seen: Counter[type] = Counter(map(type, events))
    instants = seen[_Instant] + seen[_OldInstant]
    marks = [event for event in events if isinstance(event, _Instant | _OldInstant)] if instants else []
    return Piece(
        events=[event for event in events if type(event) is Event],
        count=len(events),
        window_end=any(_ends_window(event.name) for event in marks),
        usual_keys=sum(times * _USUAL_KEYS[kind] for kind, times in seen.items()),
        tail=tail,
    )


def lenient_args(raw: bytes) -> Args:
    """The args that can be read, each for itself; none where `raw` is no object."""
    try:
        fields = _decode_fields(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return NO_ARGS
    args = Args()
    for name, key in zip(Args.__struct_fields__, Args.__struct_encode_fields__, strict=True):
        if key in fields:
            value: Any = fields[key]
            if name not in _TEXT_ARGS:
                try:
                    value = _decode_scalar(value)
                except (msgspec.DecodeError, UnicodeDecodeError):
                    continue
            setattr(args, name, value)
    return args


_TEXT_ARGS: Final = ("grid", "block", "dims", "types")


def too_deep() -> TraceError:
    """The stated limit on nesting was met."""
    return TraceError(
        "a trace event nests deeper than the JSON decoder's limit of about a thousand levels; no profiler writes that"
    )


def _one_by_one(text: bytes, last: bool) -> Piece:
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
            piece.take(_decode_loose(one))
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
            piece.take(_decode_loose(text[start:end]))
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
        piece.take(event)
        piece.mended += 1
        piece.tail = tail


_BARE: Final = re.compile(r"(?<=[:\[,\s])([-+]?)(inf|nan|infinity)(?=\s*[,}\]])", re.IGNORECASE)
_CLOSES: Final = re.compile(r'\s*(?:[:}\]]|,\s*(?:["\[{\d\-]|true|false|null|$)|$)')


def mended(text: bytes) -> _Loose | None:
    """The event of a text that strict JSON refuses, or None where nothing helps."""
    if len(text) > 1 << 20:
        return None
    readable = text.decode("utf-8", errors="replace")
    for candidate in (readable, _BARE.sub("null", readable), _BARE.sub("null", _escape_quotes(readable))):
        try:
            value = json.loads(candidate, strict=False, parse_float=Decimal, parse_constant=lambda _: None)
            if isinstance(value, dict):
                return _decode_loose(_number_encoder.encode(_clean(value)))
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


def _keys_repeat(text: bytes, piece: Piece) -> bool:
    """Whether the text holds a key more often than there are events that have it: cause for an exact count."""
    args = [event.args or NO_ARGS for event in piece.events]
    absent = (
        [a.correlation for a in args].count(None),
        [a.stream for a in args].count(None),
        [a.device for a in args].count(None),
    )
    inner = 3 * len(args) - sum(absent)
    if piece.usual_keys is not None and _colon_keys(text) == piece.usual_keys + inner:
        return False
    searched = pl.Series([text.decode("utf-8", errors="replace")])
    found = int(searched.str.count_matches(_SEARCH)[0])
    events = _decode_keys(b"[" + text.rstrip().removesuffix(b"]") + b"]")
    held = sum(sum(map(bool, map(attrgetter(name), events))) for name in _Keys.__struct_fields__)
    named = sum(event.ph == b'"M"' for event in events)
    return found > held + inner + named


def _colon_keys(text: bytes) -> int:
    """How many of the searched keys stand before a colon, by the eight bytes up to it: faster than a regex.

    Misses a key with a blank before its colon: then it is not what is usual, and the slower count decides.
    """
    text = b" " * 8 + text  # so that eight bytes end at any quote
    characters = np.frombuffer(text, np.uint8)
    ends = np.flatnonzero((characters[7:-1] == ord('"')) & (characters[8:] == ord(":")))
    eights = np.ndarray((len(text) - 7,), np.dtype("<u8"), buffer=text, strides=(1,))[ends]
    found = 0
    for length, keys in _KEY_ENDS.items():
        lasts = eights >> np.uint64(8 * (8 - length))
        found += sum(int(np.count_nonzero(lasts == key)) for key in keys)
    return found


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
