"""Rows that agree in some columns share a number, or an answer: cheaper than to look at each row."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import polars as pl


def group_numbers(frame: pl.DataFrame) -> tuple[npt.NDArray[np.int64], pl.DataFrame]:
    """For each row the number of its group, and the distinct rows in the order of their numbers; null equals null."""
    distinct = frame.unique(maintain_order=True)
    if distinct.height < 2:
        return np.zeros(frame.height, np.int64), distinct
    numbered = distinct.with_row_index("number")
    found = frame.join(numbered, on=frame.columns, how="left", nulls_equal=True, maintain_order="left")
    return found["number"].to_numpy().astype(np.int64), distinct


def holding(texts: pl.Series, pattern: str) -> pl.Series:
    """Which rows' text holds the pattern, each distinct text looked at once; no row without a text does."""
    names = texts.unique().drop_nulls()
    return texts.is_in(names.filter(names.str.contains(pattern)).implode()).fill_null(False)
