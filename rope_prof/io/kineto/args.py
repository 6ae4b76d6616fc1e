"""JSON scalars of many events -> integer columns, whatever way the file writes an integer."""

from __future__ import annotations

from typing import Any

import polars as pl


def ints(name: str, values: list[Any]) -> pl.Series:
    """Int64 column; a quoted or whole float number counts as its integer, anything else is null."""
    try:
        return pl.Series(name, values, dtype=pl.Int64, strict=True)
    except (TypeError, OverflowError, pl.exceptions.PolarsError):
        return pl.Series(name, [as_int(value) for value in values], dtype=pl.Int64)


def as_int(value: object) -> int | None:
    """`7`, `"7"`, `7.0` and `"stream 7"` are 7; what is no whole number that fits Int64 is None."""
    if isinstance(value, float):
        value = int(value) if value.is_integer() else None
    if isinstance(value, str):
        digits = value.removeprefix("stream ").strip()
        value = int(digits) if len(digits) < 20 and digits.removeprefix("-").isdecimal() else None
    return value if isinstance(value, int) and -(1 << 63) <= value < 1 << 63 else None
