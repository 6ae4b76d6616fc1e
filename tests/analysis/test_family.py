"""Laws of Holm's correction and of Student's t, held against scipy's own tests."""

from __future__ import annotations

from math import exp, log

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from rope_prof.analysis.comparison.family import chance_alone, chance_apart, chance_of_rounds, holm, t_interval

_LOGS = st.lists(st.floats(-1, 1), min_size=3, max_size=12).filter(lambda values: np.std(values) > 1e-6)


def test_holm_walks_from_the_least_likely_on_and_stops_at_the_first_that_may_be_chance() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == (True, False, False, True)
    assert holm([0.05]) == (True,)
    assert holm([]) == ()


@given(st.lists(st.floats(0, 1), max_size=20))
def test_what_stands_among_many_stands_alone(chances: list[float]) -> None:
    assert all(not stands or chance <= 0.05 for stands, chance in zip(holm(chances), chances, strict=True))


def test_of_a_thousand_families_without_a_difference_at_most_one_in_twenty_has_one() -> None:
    chance = np.random.default_rng(1)
    false = sum(any(holm(chance.uniform(size=60).tolist())) for _ in range(1000))
    assert false <= 70  # 50 expected, and three standard deviations


@given(_LOGS, _LOGS)
def test_the_probabilities_are_those_of_scipy(ours: list[float], theirs: list[float]) -> None:
    assert chance_alone(ours) == pytest.approx(stats.ttest_1samp(ours, 0).pvalue, abs=1e-9)
    welch = stats.ttest_ind(ours, theirs, equal_var=False)
    assert chance_apart(ours, theirs) == pytest.approx(welch.pvalue, abs=1e-9)
    found = t_interval([exp(v) for v in ours], [exp(v) for v in theirs], 0.95)
    ends = welch.confidence_interval(0.95)
    assert found is not None
    assert [log(v) for v in found[1:]] == pytest.approx([ends.low, ends.high], abs=1e-9)


@given(st.lists(st.integers(-3, 3), min_size=18, max_size=60).filter(lambda values: sum(map(bool, values)) >= 18))
def test_of_many_rounds_signs_tell(logs: list[int]) -> None:
    told = [value > 0 for value in logs if value]
    assert chance_of_rounds(logs) == pytest.approx(stats.binomtest(sum(told), len(told)).pvalue, abs=1e-9)
    few = [0.1, 0.2, -0.1]
    assert chance_of_rounds(few) == chance_alone(few)


def test_a_difference_that_runs_of_the_same_code_show_too_is_none() -> None:
    ours, theirs = [0.00, 0.01, -0.01], [0.10, 0.11, 0.09]
    assert (chance_apart(ours, theirs) or 0) < 0.001
    assert chance_apart(ours, theirs, between=0.2) == 1
    assert chance_alone([0.1]) is None
    assert chance_apart([0.1], theirs) is None
    assert chance_alone([0.0, 0.0]) == 1
    assert chance_alone([0.1, 0.1]) == 0
