"""Decimal microseconds as text -> integer nanoseconds, from the digits, never through a float.

Kineto writes `1419247332972.313`: microseconds with up to three digits of nanoseconds. In float64 such values are
off by up to 246 ns (absolute times) or by 1 ns (offsets). Plain digits are read column-wise; whatever else stands there
(exponents, quotes, more than three decimals) goes through `decimal.Decimal`, one value at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation, localcontext
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl

#: Times beyond this many nanoseconds (73 years) are unreadable: an end would no longer fit Int64.
LIMIT_NS: Final = 1 << 61

_COMMA, _DOT, _ZERO, _ONE = 44, 46, 48, 49
#: So many before the point fit Int64 as ns; one more where the first is a 1, as in microseconds since 1970 until 2033.
_MAX_DIGITS: Final = 15
_REGULAR: Final = r"^(?<sign>-?)(?<whole>[0-9]{1,15}|1[0-9]{15})(?:\.(?<decimals>[0-9]{1,3}))?$"

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
    parts = pl.Series([bytes(text).decode("latin-1") for text in texts]).str.extract_groups(_REGULAR).struct.unnest()
    ns = 1000 * parts["whole"].cast(pl.Int64) + parts["decimals"].str.pad_end(3, "0").cast(pl.Int64).fill_null(0)
    signed = ns * pl.select(pl.when(parts["sign"] == "-").then(-1).otherwise(1)).to_series()
    values = signed.fill_null(0).to_numpy(writable=True)
    return _one_by_one(texts, np.flatnonzero(ns.is_null().to_numpy()), values, np.ones(n, np.bool_))


def _all_to_the_ns(buffer: npt.NDArray[np.uint8], ends: Int64s, n: int) -> bool:
    """Whether each of the `n` texts is 1 to 15 digits, a point and three digits, as Kineto writes all of its times."""
    dots = np.flatnonzero(buffer == _DOT)
    if len(ends) != n or len(dots) != n or np.any(dots != ends - 4):
        return False
    lengths = np.diff(ends, prepend=-1) - 5  # of the digits before the point
    digits = np.count_nonzero((buffer - np.uint8(_ZERO)) <= 9)
    if digits != len(buffer) - 2 * n or int(lengths.min()) < 1:
        return False
    long = lengths > _MAX_DIGITS
    late = (lengths == _MAX_DIGITS + 1) & (buffer[ends - 4 - lengths] == _ONE)
    return not np.any(long & ~late)


def whole_microseconds(texts: Sequence[Bytes]) -> bool:
    """True if no text has a decimal point: the file's clock has a resolution of one microsecond."""
    return not any(b"." in bytes(text) for text in texts)


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
