"""Units read as people write them, and never lose the sign or invent a figure."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rope_prof.units import (
    MISSING,
    between,
    counted,
    duration,
    ends,
    gigabytes_per_s,
    in_us,
    megabytes,
    microseconds,
    milliseconds,
    number,
    percent,
    ratio,
    significant,
    size,
    whole,
)


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
    assert between(-1_138_000, 930_000) == "-1.14 ms to 930 µs"
    assert between(-3_000, 5_000) == "-3.00 to 5.00 µs"


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


def test_counts_shares_and_bytes() -> None:
    assert (counted(1, "token"), counted(8192, "token"), counted(2.5, "kernel")) == (
        "1 token",
        "8,192 tokens",
        "2.5 kernels",
    )
    assert (percent(0.1234), percent(0.1234, 1), percent(None)) == ("12 %", "12.3 %", MISSING)
    assert (whole(8192), whole(None), number(2 + 1 / 3)) == ("8,192", MISSING, "2.333")
    assert (megabytes(12e6), megabytes(0), gigabytes_per_s(3.011e12)) == ("12.0", MISSING, "3,011")
    assert (milliseconds(1_500_000), ends(20_100, 20_600), ends(None, 1.0)) == ("1.50", "[20.1, 20.6]", "")
    assert (in_us(1500), in_us(None)) == (1.5, None)


def test_no_other_file_knows_how_many_nanoseconds_a_unit_has(repository: Path) -> None:
    """A time divided by a bare 1e3 is a unit chosen elsewhere."""
    found = [
        f"{path.relative_to(repository)}:{number}: {line.strip()}"
        for folder in ("rope_prof/analysis", "rope_prof/views", "rope_prof/commands", "rope_prof/opened", "dashboard")
        for path in (repository / folder).rglob("*.py")
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if re.search(r"[/*] 1e[369]\b", line)
    ]
    assert found == []
