"""Rows that agree in some columns share a number, or an answer: cheaper than to look at each row."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl


def group_numbers(frame: pl.DataFrame) -> tuple[npt.NDArray[np.int64], pl.DataFrame]:
    """For each row the number of its group, and the distinct rows in the order of their numbers; null equals null."""
    if not frame.height:
        return np.zeros(0, np.int64), frame
    varied = [column.name for column in frame if not is_constant(column)]
    if not varied:
        return np.zeros(frame.height, np.int64), frame.head(1)
    distinct = frame.unique(varied, keep="first", maintain_order=True)
    if len(varied) == 1 and frame.schema[varied[0]].is_integer() and not distinct[varied[0]].null_count():
        known = distinct[varied[0]].to_numpy()
        order = np.argsort(known)
        return order[np.searchsorted(known[order], frame[varied[0]].to_numpy())], distinct
    numbered = distinct.select(varied).with_row_index("number")
    found = frame.select(varied).join(numbered, on=varied, how="left", nulls_equal=True, maintain_order="left")
    return found["number"].to_numpy().astype(np.int64), distinct


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
    if len(held) and len(held) < len(names):
        return texts.is_in(held.implode()).fill_null(False)
    return texts.is_not_null() & bool(len(held))


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
