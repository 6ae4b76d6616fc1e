"""Laws of the interval: coverage, order, pairing."""

from __future__ import annotations

import random
from math import comb

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rope_prof.analysis.stats import figure, paired_ratio

_SAMPLES = st.lists(st.floats(min_value=1, max_value=1e9), min_size=1, max_size=60)


@given(_SAMPLES)
def test_the_interval_holds_the_median_and_ignores_order(samples: list[float]) -> None:
    found = figure(samples)
    assert found is not None
    assert found.n == len(samples)
    assert found == figure(sorted(samples, reverse=True))
    if len(samples) < 6:
        assert found.lo is None
        assert found.hi is None
    else:
        assert found.lo is not None
        assert found.hi is not None
        assert min(samples) <= found.lo <= found.median <= found.hi <= max(samples)


@pytest.mark.parametrize("n", [6, 10, 12, 30, 60, 200])
def test_the_rank_is_the_narrowest_that_keeps_the_coverage(n: int) -> None:
    found = figure(list(range(1, n + 1)))
    assert found is not None
    assert found.lo is not None
    rank = int(found.lo)
    outside = 2 * sum(comb(n, i) for i in range(rank)) / 2**n
    narrower = 2 * sum(comb(n, i) for i in range(rank + 1)) / 2**n
    assert outside <= 0.05 < narrower


def test_the_interval_covers_the_true_median_of_skewed_samples() -> None:
    source = random.Random(7)
    true = 0.6931471805599453  # median of the exponential distribution
    hits = 0
    for _ in range(1000):
        found = figure([source.expovariate(1) for _ in range(30)])
        assert found is not None
        assert found.lo is not None
        assert found.hi is not None
        hits += found.lo <= true <= found.hi
    assert hits >= 940


@given(st.dictionaries(st.integers(0, 40), st.floats(1, 1e6), min_size=1), st.floats(0.01, 100))
def test_swapping_the_sides_inverts_the_ratio(base: dict[int, float], factor: float) -> None:
    other = {number: value * factor for number, value in base.items()}
    there, back = paired_ratio(base, other), paired_ratio(other, base)
    assert there is not None
    assert back is not None
    assert there.median * back.median == pytest.approx(1)
    assert there.median == pytest.approx(1 / factor)


def test_drift_that_meets_both_sides_alike_leaves_the_ratio_alone() -> None:
    drift = {number: 1 + number / 5 for number in range(20)}
    base = {number: 300 * d for number, d in drift.items()}
    candidate = {number: 100 * d for number, d in drift.items()}
    found = paired_ratio(base, candidate)
    assert found is not None
    assert (found.median, found.lo, found.hi) == (pytest.approx(3), pytest.approx(3), pytest.approx(3))


def test_only_rounds_of_both_sides_count() -> None:
    found = paired_ratio({0: 10.0, 1: 20.0, 2: 30.0}, {1: 10.0, 2: 10.0, 9: 1.0})
    assert found is not None
    assert (found.n, found.median) == (2, 2.5)
    assert paired_ratio({0: 1.0}, {1: 1.0}) is None
    assert figure([]) is None
