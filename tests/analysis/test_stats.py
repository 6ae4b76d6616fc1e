"""Laws of the interval: coverage, order, pairing."""

from __future__ import annotations

import random
from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rope_prof.analysis.stats import drawn_mean, drawn_rounds, figure, known, paired_ratio, tenths

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


@pytest.mark.parametrize("n", [6, 11, 30, 60])
def test_the_ranks_are_those_of_scipy(n: int) -> None:
    stats = pytest.importorskip("scipy.stats", reason="scipy is not installed")
    samples = [float(i) ** 1.5 for i in range(1, n + 1)]
    found = figure(samples)
    theirs = stats.quantile_test(samples, q=samples[n // 2], p=0.5).confidence_interval(0.95)
    assert found is not None
    assert (found.lo, found.hi) == (theirs.low, theirs.high)


def test_the_draws_are_those_of_a_bootstrap() -> None:
    stats = pytest.importorskip("scipy.stats", reason="scipy is not installed")
    np = pytest.importorskip("numpy")
    samples = np.random.default_rng(3).exponential(100, 60)
    ours = drawn_mean(samples.tolist(), draws=9000).interval()
    theirs = stats.bootstrap((samples,), np.mean, n_resamples=9000, method="percentile").confidence_interval
    width = theirs.high - theirs.low
    assert ours == (pytest.approx(theirs.low, abs=width / 5), pytest.approx(theirs.high, abs=width / 5))


def test_the_interval_of_a_difference_covers_the_truth() -> None:
    source = random.Random(11)
    hits = 0
    for seed in range(200):
        drift = [source.expovariate(1) for _ in range(30)]
        base = {i: 300 + 50 * d + source.gauss(0, 1) for i, d in enumerate(drift)}
        cand = {i: 100 + 50 * d + source.gauss(0, 1) for i, d in enumerate(drift)}
        medians = drawn_rounds({"base": base, "cand": cand}, seed=seed, draws=400).medians
        lo, hi = (medians["base"] - medians["cand"]).interval()
        hits += lo <= 200 <= hi
    assert hits >= 184  # of 200 at 95 %: 190 expected, and two standard deviations below


def test_drift_of_a_round_stays_in_all_series_of_a_draw() -> None:
    base = {i: 300.0 + 10 * i for i in range(20)}
    cand = {i: 100.0 + 10 * i for i in range(20)}
    medians = drawn_rounds({"base": base, "cand": cand}).medians
    found = medians["base"] - medians["cand"]
    assert (found.value, *found.interval()) == (200, 200, 200)


def test_draws_add_up_and_take_the_shared_rounds_alone() -> None:
    rounds = drawn_rounds({"a": {0: 1.0, 1: 5.0, 2: 9.0, 3: 7.0}, "b": {1: 2.0, 2: 4.0, 3: 3.0}})
    assert (rounds.n, rounds.enough) == (3, False)
    a, b = rounds.medians["a"], rounds.medians["b"]
    assert (a.value, b.value) == (7, 3)
    both = (a + b) * 2 - known(1)
    assert both.value == 19
    assert (both.draws == 2 * a.draws + 2 * b.draws - 1).all()
    assert a.less(2).value == 5


def test_series_that_share_no_round_are_an_error() -> None:
    with pytest.raises(ValueError, match="share no round"):
        drawn_rounds({"a": {0: 1.0}, "b": {1: 1.0}})


def test_tenths() -> None:
    assert tenths([]) is None
    assert tenths([float(i) for i in range(11)]) == (1, 9)


@pytest.mark.parametrize("rounds", [1, 2, 7, 50])
def test_the_median_of_each_draw_is_that_of_the_rounds_it_took(rounds: int) -> None:
    values = np.random.default_rng(3).integers(0, 20, rounds) / 7  # some of them equal
    (drawn,) = drawn_rounds({"a": dict(enumerate(values.tolist()))}, seed=5, draws=200).medians.values()
    taken = np.random.default_rng(5).integers(0, rounds, (200, rounds))
    assert drawn.draws.tolist() == np.median(values[taken], axis=1).tolist()
