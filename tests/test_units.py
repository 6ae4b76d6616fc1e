"""Units read as people write them, and never lose the sign or invent a figure."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rope_prof.units import MISSING, between, duration, microseconds, ratio, significant, size


@pytest.mark.parametrize(
    ("ns", "text"),
    [
        (0, "0 ns"),
        (950, "950 ns"),
        (12_340, "12.3 µs"),
        (-12_340, "-12.3 µs"),
        (1_234_567, "1.23 ms"),
        (61_000_000_000, "61.0 s"),
        (None, MISSING),
    ],
)
def test_duration(ns: float | None, text: str) -> None:
    assert duration(ns) == text


def test_between_tells_a_shared_unit_once() -> None:
    assert between(24_800, 35_100) == "24.8–35.1 µs"
    assert between(950_000, 1_020_000) == "950 µs–1.02 ms"
    assert between(1000, 1001) == "1.00 µs"


def test_the_rest() -> None:
    assert microseconds(20_349) == "20.3"
    assert microseconds(1_234_567) == "1,235"
    assert microseconds(None) == MISSING
    assert size(157_286_400) == "150 MiB"
    assert ratio(5.4321) == "5.43x"
    assert ratio(None) == MISSING


@given(st.floats(min_value=1e-6, max_value=1e9))
def test_significant_keeps_three_digits_and_the_sign(value: float) -> None:
    read = float(significant(value).replace(",", ""))
    assert read == pytest.approx(value, rel=6e-3)
    assert significant(-value) == f"-{significant(value)}"
