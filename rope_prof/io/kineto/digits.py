"""Decimal microseconds as text -> integer nanoseconds, from the digits, never through a float.

Kineto writes `1419247332972.313`: microseconds with up to three digits of nanoseconds. In float64 such values are
off by up to 246 ns (absolute times) or by 1 ns (offsets). The regular case is read column-wise; whatever is not
plain digits (exponents, quotes, more than three decimals) goes through `decimal.Decimal`, one value at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation, localcontext
from typing import Any, Final

import numpy as np
import numpy.typing as npt

#: Times beyond this many nanoseconds (73 years) are unreadable: an end would no longer fit Int64.
LIMIT_NS: Final = 1 << 61

_COMMA, _MINUS, _DOT, _ZERO, _ONE, _NINE = 44, 45, 46, 48, 49, 57
#: So many before the point fit Int64 as ns; one more where the first is a 1, as in microseconds since 1970 until 2033.
_MAX_DIGITS: Final = 15

Bytes = Any  # bytes, or a view of them as msgspec.Raw is
Int64s = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


def microseconds_to_ns(texts: Sequence[Bytes]) -> tuple[Int64s, Bools]:
    """Nanoseconds of each decimal text and whether it could be read; unreadable ones are 0 and False.

    `texts` are JSON number literals (or quoted ones) in microseconds; more than three decimals round half to even.
    """
    n = len(texts)
    if n == 0:
        return np.zeros(0, np.int64), np.zeros(0, np.bool_)
    joined = b",".join(texts) + b","
    buffer = np.frombuffer(joined, np.uint8)
    ends = np.flatnonzero(buffer == _COMMA)
    if _all_to_the_ns(buffer, ends, n):
        values = np.fromstring(joined[:-1].replace(b".", b""), np.int64, sep=",")
        return values, np.ones(n, np.bool_)
    if len(ends) != n:  # a text holds a comma itself: no number, but it must not shift its neighbours
        return _one_by_one(texts, np.arange(n), np.zeros(n, np.int64), np.ones(n, np.bool_))
    starts = np.empty(n, np.int64)
    starts[0] = 0
    starts[1:] = ends[:-1] + 1
    odd = _irregular(buffer, starts, ends)
    values = np.zeros(n, np.int64)
    regular = np.flatnonzero(~odd)
    if len(regular):
        values[regular] = _regular(buffer, starts[regular], ends[regular])
    return _one_by_one(texts, np.flatnonzero(odd), values, np.ones(n, np.bool_))


def _all_to_the_ns(buffer: npt.NDArray[np.uint8], ends: Int64s, n: int) -> bool:
    """Whether each of the `n` texts is 1 to 15 digits, a point and three digits, as Kineto writes all of its times."""
    dots = np.flatnonzero(buffer == _DOT)
    if len(ends) != n or len(dots) != n or np.any(dots != ends - 4):
        return False
    lengths = np.diff(ends, prepend=-1) - 5  # of the digits before the point
    digits = np.count_nonzero((buffer - np.uint8(_ZERO)) <= 9)
    if digits != len(buffer) - 2 * n or int(lengths.min()) < 1:
        return False
    return int(lengths.max()) <= _MAX_DIGITS or not np.any(_too_long(buffer, ends - 4 - lengths, lengths))


def _too_long(buffer: npt.NDArray[np.uint8], first: Int64s, whole: Int64s) -> Bools:
    """Rows whose digits before the point, `whole` of them from `first` on, may not fit."""
    fits = (whole == _MAX_DIGITS + 1) & (buffer[np.minimum(first, len(buffer) - 1)] == _ONE)
    long: Bools = (whole > _MAX_DIGITS) & ~fits
    return long


def whole_microseconds(texts: Sequence[Bytes]) -> bool:
    """True if no text has a decimal point: the file's clock has a resolution of one microsecond."""
    return not any(b"." in bytes(text) for text in texts)


def _first_dot(buffer: npt.NDArray[np.uint8], starts: Int64s, ends: Int64s) -> Int64s:
    dots = np.flatnonzero(buffer == _DOT)
    at = np.searchsorted(dots, starts)
    found: Int64s = np.append(dots, len(buffer))[at]
    return np.minimum(found, ends).astype(np.int64)


def _irregular(buffer: npt.NDArray[np.uint8], starts: Int64s, ends: Int64s) -> Bools:
    """Rows that are not `-?digits(.digits{1,3})?`, or have too many digits before the point."""
    strange = (buffer != _COMMA) & (buffer != _DOT) & ((buffer < _ZERO) | (buffer > _NINE))
    strange[starts] &= buffer[starts] != _MINUS
    per_row = np.add.reduceat(strange, starts, dtype=np.int64)
    dots = np.add.reduceat(buffer == _DOT, starts, dtype=np.int64)
    dot = _first_dot(buffer, starts, ends)
    first = starts + (buffer[starts] == _MINUS)
    decimals = ends - dot - 1
    whole = dot - first
    odd: Bools = (per_row > 0) | (dots > 1) | (decimals > 3) | (decimals == 0) | (whole < 1)
    return odd | _too_long(buffer, first, whole)


def _regular(buffer: npt.NDArray[np.uint8], starts: Int64s, ends: Int64s) -> Int64s:
    negative = buffer[starts] == _MINUS
    first = starts + negative
    dot = _first_dot(buffer, starts, ends)
    value = np.zeros(len(starts), np.int64)
    for k in range(int((dot - first).max())):
        at = dot - 1 - k
        digit = buffer[np.maximum(at, 0)].astype(np.int64) - _ZERO
        value += np.where(at >= first, digit, 0) * (1000 * 10**k)
    for k, weight in enumerate((100, 10, 1), start=1):
        at = dot + k
        digit = buffer[np.minimum(at, len(buffer) - 1)].astype(np.int64) - _ZERO
        value += np.where(at < ends, digit, 0) * weight
    return np.where(negative, -value, value)


def _one_by_one(texts: Sequence[Bytes], rows: Int64s, values: Int64s, good: Bools) -> tuple[Int64s, Bools]:
    for row in rows.tolist():
        value = decimal_ns(bytes(texts[row]))
        good[row] = value is not None
        values[row] = value or 0
    good &= np.abs(values) <= LIMIT_NS
    values[~good] = 0
    return values, good


def decimal_ns(text: bytes) -> int | None:
    cleaned = text.strip().strip(b'"')
    if not 0 < len(cleaned) <= 64:
        return None
    try:
        number = Decimal(cleaned.decode("ascii"))
    except (InvalidOperation, UnicodeDecodeError):
        return None
    if not number.is_finite() or number.adjusted() > 18:
        return None
    with localcontext() as context:
        context.prec = 100
        value = int((number * 1000).to_integral_value(rounding=ROUND_HALF_EVEN))
    return value if abs(value) <= LIMIT_NS else None
