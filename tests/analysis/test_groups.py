"""Rows that agree: one answer for all, whatever the column holds."""

from __future__ import annotations

import polars as pl
import pytest

from rope_prof.analysis.trace.groups import among, first_rows, group_numbers, is_constant
from rope_prof.analysis.trace.workers import one_thread


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        ([], pl.Int64),
        ([None, None], pl.String),
        ([None, 3], pl.Int64),
        ([3, None, 3], pl.Int64),
        ([3, 4, 3], pl.Int64),
        ([3, 3, 3], pl.Int64),
        (["a", "b", "a"], pl.String),
        (["a", "a"], pl.String),
        ([0.5, 0.5], pl.Float64),
        ([True, False, True], pl.Boolean),
    ],
)
def test_a_column_is_constant_where_it_holds_one_value_or_null_alone(values: list[object], dtype: type) -> None:
    assert is_constant(pl.Series(values, dtype=dtype)) == (len(set(values)) <= 1)


@pytest.mark.parametrize("numbers", [[5, 7, 9], [5, None, 9], [None, None], [7, 7]])
def test_numbers_are_found_where_they_stand_first(numbers: list[int | None]) -> None:
    known = [9, 7, 9, 0]
    asked, held = pl.Series(numbers, dtype=pl.Int64), pl.Series(known)
    assert among(asked, held).to_list() == [n in known for n in numbers]
    assert first_rows(asked, held).to_list() == [known.index(n) if n in known else None for n in numbers]


@pytest.mark.parametrize(
    "columns",
    [
        {"a": pl.Series([7, None, 7, 9], dtype=pl.Int64)},
        {"a": pl.Series(["x", None, "y", "x"]), "b": pl.Series([1, 1, None, 1], dtype=pl.Int64)},
        {"a": pl.Series([-(2**63), 2**63 - 1, None, -(2**63)], dtype=pl.Int64), "b": pl.Series(["x"] * 4)},
        {"a": pl.Series([2**40 * (n % 9000) for n in range(20_000)]), "b": pl.Series([n % 7 for n in range(20_000)])},
        {"a": pl.Series([0.5, None, True, 0.5], dtype=pl.Float64, strict=False), "b": pl.Series([True, None] * 2)},
        {"a": pl.Series([None, None], dtype=pl.String)},
        {"a": pl.Series([], dtype=pl.Int64)},
    ],
)
def test_rows_that_agree_share_a_number_in_the_order_in_which_they_come(columns: dict[str, pl.Series]) -> None:
    frame = pl.DataFrame(columns)
    numbers, distinct = group_numbers(frame)
    assert distinct.equals(frame.unique(keep="first", maintain_order=True))
    assert [distinct.row(number) for number in numbers.tolist()] == frame.rows()


@pytest.mark.parametrize(
    ("launching", "ranged", "alone"),
    [([1, 1], [1], True), ([1, 1], [], True), ([1, 2], [1], False), ([1], [1, 2], False), ([], [], True)],
)
def test_nobody_waits_for_the_only_thread(launching: list[int], ranged: list[int], alone: bool) -> None:
    assert one_thread(pl.Series(launching, dtype=pl.Int64), pl.Series(ranged, dtype=pl.Int64)) is alone
