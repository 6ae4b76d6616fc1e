"""One event's text that strict JSON or the strict types refuse -> what of it can be read."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any, Final

import msgspec

from rope_prof.io.kineto.structs import NO_ARGS, TEXT_ARGS, Args, Loose, Scalar, decode_loose

#: Where an event ran: what cannot be read there would put it somewhere else, and is told (`columns`).
_PLACES: Final = frozenset(("device", "stream"))
ODD: Final = "?"
_decode_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode_scalar = msgspec.json.Decoder(Scalar).decode
_number_encoder = msgspec.json.Encoder(decimal_format="number")


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
            if name not in TEXT_ARGS:
                try:
                    value = _decode_scalar(value)
                except (msgspec.DecodeError, UnicodeDecodeError):
                    if name not in _PLACES:
                        continue
                    value = ODD
            setattr(args, name, value)
    return args


#: Words and figures that stand for no value and are no JSON: an event with another one is damaged.
_BARE: Final = re.compile(
    r"(?<=[:\[,])\s*(?:[-+]?(?:inf|infinity|nan(?:\(\w*\))?)|n/?a|none|nil|undefined|[-+]?\d+\.#\w+)(?=\s*[,}\]])",
    re.IGNORECASE,
)
_STRING: Final = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
_NO_ESCAPE: Final = re.compile(r'(?<!\\)(?:\\\\)*\\(?!["\\/bfnrt]|u[0-9a-fA-F]{4})')
_ONE_BACKSLASH: Final = re.compile(r'\\\\|\\(?!")')
_BEFORE_END: Final = re.compile(r'(?<!\\)\\"(?=\s*[,}\]:])')
_CLOSES: Final = re.compile(r'\s*(?:[:}\]]|,\s*(?:["\[{\d\-]|true|false|null|$)|$)')


def mended(text: bytes) -> tuple[Loose, bytes] | None:
    """The event of a text that strict JSON refuses, and the text as JSON; None where nothing helps."""
    if len(text) > 1 << 20:
        return None
    readable = text.decode("utf-8", errors="replace")
    for candidate in _candidates(readable):
        try:
            value = json.loads(candidate, strict=False, parse_float=Decimal, parse_constant=lambda _: None)
            if isinstance(value, dict):
                return decode_loose(_number_encoder.encode(without_halves(value))), candidate.encode(errors="replace")
        except (ValueError, ArithmeticError, RecursionError, msgspec.MsgspecError, OverflowError):
            continue
    return None


def _candidates(text: str) -> Iterator[str]:
    """The text with less and less of it taken for what it says: the first that is JSON is taken."""
    for change in (str, _lone_backslashes, _ends_in_backslash):
        changed = change(text)
        yield changed
        yield _no_bare_words(changed)
        yield _no_bare_words(_escape_quotes(changed))


def _no_bare_words(text: str) -> str:
    """Words outside strings that stand for no value become null."""
    out, at = [], 0
    for string in _STRING.finditer(text):
        out += [_BARE.sub(" null", text[at : string.start()]), string[0]]
        at = string.end()
    return "".join((*out, _BARE.sub(" null", text[at:])))


def _lone_backslashes(text: str) -> str:
    """In a string with a backslash that begins no escape, as Windows paths have, each stands for itself."""

    def mend(string: re.Match[str]) -> str:
        if not _NO_ESCAPE.search(string[0]):
            return string[0]
        return _ONE_BACKSLASH.sub(lambda found: found[0] if found[0] == "\\\\" else "\\\\", string[0])

    return _STRING.sub(mend, text)


def _ends_in_backslash(text: str) -> str:
    """A path may end in a backslash: the quote behind it closes the string before a comma, a colon or a brace."""
    return _lone_backslashes(_BEFORE_END.sub(r'\\\\"', text))


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


def without_halves(value: Any) -> Any:
    """The same value with surrogates replaced, so that it can be written as UTF-8."""
    if isinstance(value, str):
        return value.encode("utf-8", errors="replace").decode("utf-8")
    if isinstance(value, dict):
        return {without_halves(key): without_halves(item) for key, item in value.items()}
    if isinstance(value, list):
        return [without_halves(item) for item in value]
    return value
