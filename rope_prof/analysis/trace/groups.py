"""Rows that agree in some columns share a number, or an answer: cheaper than to look at each row."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

#: Cells of a table that costs less than to sort a few rows.
_TABLE = 1 << 12


def group_numbers(frame: pl.DataFrame) -> tuple[npt.NDArray[np.int64], pl.DataFrame]:
    """For each row the number of its group, and the distinct rows in the order of their numbers; null equals null."""
    code, codes = np.zeros(frame.height, np.int64), 1
    for column in frame if frame.height else ():
        if not is_constant(column):
            more, width = _codes(column)
            code, codes = _dense(code * width + more, codes * width)
    first = np.full(codes, frame.height)
    first[code[::-1]] = np.arange(frame.height)[::-1]  # of rows that share a cell the last one written stays
    rows = np.sort(first[first < frame.height])
    number = np.zeros(codes, np.int64)
    number[code[rows]] = np.arange(len(rows))
    return number[code], frame[rows]


def _codes(column: pl.Series) -> tuple[npt.NDArray[np.int64], int]:
    """A number below the second one for each row, one for each value; null has its own."""
    if column.dtype == pl.String:
        column = column.cast(pl.Categorical).to_physical()
    elif not column.dtype.is_integer():
        column = column.rank("dense")
    least, most = int(column.min()), int(column.max())  # type: ignore[arg-type]
    values = (column.fill_null(least) if column.null_count() else column).to_numpy().astype(np.int64)
    code, width = _dense(values - least, most - least + 1)
    return (np.where(column.is_null().to_numpy(), width, code), width + 1) if column.null_count() else (code, width)


def _dense(code: npt.NDArray[np.int64], width: int) -> tuple[npt.NDArray[np.int64], int]:
    """`code` itself where a table of `width` cells is smaller than to sort the rows, else numbered without holes."""
    if width <= max(_TABLE, len(code)):
        return code, width
    found, code = np.unique(code, return_inverse=True)
    return code.astype(np.int64), len(found)


def is_constant(column: pl.Series) -> bool:
    """Whether all rows hold the same."""
    if not len(column) or column.null_count() == len(column):
        return True
    if column.dtype.is_integer() or column.dtype == pl.String:  # no query of polars, which costs what few rows do not
        return not column.null_count() and column[0] == column[-1] and column.min() == column.max()
    return bool(column.eq_missing(column[0]).all())


def parts_of(frame: pl.DataFrame, column: str, *, ordered: bool = False) -> Iterator[tuple[Any, pl.DataFrame]]:
    """Each value of the column with its rows, by value or in the order in which they come; of one value all rows."""
    if frame.height and is_constant(frame[column]):
        yield frame[column][0], frame
    else:
        rows = frame.sort(column, maintain_order=True) if ordered else frame
        yield from ((value, part) for (value,), part in rows.group_by(column, maintain_order=True))


def holding(texts: pl.Series, pattern: str) -> pl.Series:
    """Which rows' text holds the pattern, each distinct text looked at once; no row without a text does."""
    names = texts.unique().drop_nulls()
    held = names.filter(names.str.contains(pattern))
    if not len(held):
        return pl.Series(texts.name, np.zeros(len(texts), np.bool_))
    return texts.is_in(held.implode()).fill_null(False) if len(held) < len(names) else texts.is_not_null()


def among(numbers: pl.Series, known: pl.Series) -> pl.Series:
    """Which of `numbers` stand in `known`; a null stands nowhere."""
    nulls = numbers.null_count() > 0
    found = np.isin((numbers.fill_null(0) if nulls else numbers).to_numpy(), known.drop_nulls().to_numpy())
    held = pl.Series(numbers.name, found)
    return held & numbers.is_not_null() if nulls else held


def first_rows(numbers: pl.Series, known: pl.Series) -> pl.Series:
    """For each number the first row of `known` (at least one, no nulls) that holds it, or null."""
    nulls = numbers.null_count() > 0
    held, wanted = known.to_numpy(), (numbers.fill_null(0) if nulls else numbers).to_numpy()
    order = np.argsort(held, kind="stable")
    ordered = held[order]
    at = np.minimum(np.searchsorted(ordered, wanted), len(held) - 1)
    there = ordered[at] == wanted
    if nulls:
        there &= numbers.is_not_null().to_numpy()
    rows = pl.Series(order[at])
    return rows if there.all() else rows.set(pl.Series(~there), None)
