"""Ratios over processes: the interval holds what the next process will show, where that over rounds does not."""

from __future__ import annotations

import random
from collections.abc import Callable
from math import exp, log

import polars as pl
import pytest
from scipy.stats import ttest_1samp

from rope_prof.analysis.run.processes import over_pairs, pair_logs, ratio, turns
from rope_prof.analysis.stats import paired_ratio
from tests.runs import facts, run, samples

ROUNDS = 12


def recorded(dice: random.Random, k: int, truth: float, spread: float) -> tuple[dict[int, float], ...]:
    """(baseline, candidate) by round of `k` processes each, whose medians lie `spread` apart."""
    base: dict[int, float] = {}
    cand: dict[int, float] = {}
    for process in range(k):
        one, other = (exp(dice.gauss(0, spread)) for _ in range(2))
        for number in range(process * ROUNDS, (process + 1) * ROUNDS):
            drift = 1 + 0.2 * dice.random()
            base[number] = 1000 * truth * one * drift * dice.gauss(1, 0.01)
            cand[number] = 1000 * other * drift * dice.gauss(1, 0.01)
    return base, cand


def took(k: int, first: int) -> dict[int, int]:
    return {number: first + 2 * (number // ROUNDS) for number in range(k * ROUNDS)}


@pytest.mark.parametrize(("k", "truth", "spread"), [(3, 1.0, 0.02), (5, 1.05, 0.02), (5, 1.0, 0.0), (10, 3.0, 0.05)])
def test_the_interval_holds_the_truth_as_often_as_it_says(k: int, truth: float, spread: float) -> None:
    dice, held, rounds_alone, trials = random.Random(k), 0, 0, 400
    for _ in range(trials):
        base, cand = recorded(dice, k, truth, spread)
        found = ratio(base, cand, took(k, 0), took(k, 1))
        naive = paired_ratio(base, cand)
        assert found is not None
        assert found.lo is not None
        assert found.hi is not None
        assert found.n == k
        held += found.lo <= truth <= found.hi
        rounds_alone += naive is not None and naive.lo is not None and naive.lo <= truth <= (naive.hi or 0)
    assert held / trials >= 0.92
    if spread:
        assert rounds_alone / trials < 0.85


DRAWS: dict[str, Callable[[random.Random], float]] = {
    "normal": lambda dice: dice.gauss(0, 1),
    "heavy tails": lambda dice: dice.gauss(0, 1) / max(1e-3, abs(dice.gauss(0, 1))),
    "skew": lambda dice: dice.expovariate(1) ** 2,
    "two levels": lambda dice: (dice.random() < 0.2) + dice.gauss(0, 0.05),
}


@pytest.mark.parametrize("draw", DRAWS.values(), ids=DRAWS)
def test_whatever_a_process_draws_five_of_them_hold_the_truth(draw: Callable[[random.Random], float]) -> None:
    """Logarithms of ratios of two sides of the same code are symmetric, and t never holds less than it says there."""
    dice = random.Random(1)
    intervals = [over_pairs([(draw(dice) - draw(dice)) / 100 for _ in range(5)]) for _ in range(1500)]
    held = sum(
        one is not None and one.lo is not None and one.hi is not None and one.lo <= 1 <= one.hi for one in intervals
    )
    assert 0.94 <= held / len(intervals) <= 0.995


def test_a_planted_five_percent_is_found_with_five_processes_a_side() -> None:
    dice, found_it, trials = random.Random(1), 0, 300
    for _ in range(trials):
        base, cand = recorded(dice, 5, 1.05, 0.012)
        found = ratio(base, cand, took(5, 0), took(5, 1))
        assert found is not None
        found_it += found.lo is not None and found.lo > 1
    assert found_it / trials >= 0.9


def disturbed(dice: random.Random, truth: float) -> tuple[dict[int, float], dict[int, float]]:
    """Five processes a side on a busy CPU: rounds up to four times as slow as others, and of ten samples three
    interrupted for up to as long as they last."""
    base: dict[int, float] = {}
    cand: dict[int, float] = {}
    for process in range(5):
        one, other = (exp(dice.gauss(0, 0.005)) for _ in range(2))
        for number in range(process * ROUNDS, (process + 1) * ROUNDS):
            busy = 1 + 3 * dice.random() ** 2
            late = [1 + (dice.random() < 0.3) * dice.random() for _ in range(2)]
            base[number] = 1000 * truth * one * busy * late[0] * dice.gauss(1, 0.005)
            cand[number] = 1000 * other * busy * late[1] * dice.gauss(1, 0.005)
    return base, cand


@pytest.mark.parametrize("truth", [1.0, 1.05])
def test_on_a_busy_cpu_the_interval_holds_the_truth_and_five_percent_are_found(truth: float) -> None:
    dice, trials = random.Random(5), 400
    intervals = [ratio(*disturbed(dice, truth), took(5, 0), took(5, 1)) for _ in range(trials)]
    ends = [(one.lo or 0.0, one.hi or 0.0) for one in intervals if one is not None]
    assert sum(lo <= truth <= hi for lo, hi in ends) / trials >= 0.93
    if truth > 1:
        assert sum(lo > 1 for lo, _ in ends) / trials >= 0.75


def test_the_interval_is_that_of_a_t_test() -> None:
    logs = [0.05, 0.02, 0.07, 0.04]
    found = over_pairs(logs)
    scipys = ttest_1samp(logs, 0).confidence_interval(0.95)
    assert found is not None
    assert (log(found.lo or 1), log(found.hi or 1)) == pytest.approx((scipys.low, scipys.high))
    assert log(found.median) == pytest.approx(0.045)


def test_swapping_the_sides_inverts_the_ratio() -> None:
    base, cand = recorded(random.Random(2), 4, 1.3, 0.03)
    one, other = ratio(base, cand, took(4, 0), took(4, 1)), ratio(cand, base, took(4, 1), took(4, 0))
    assert one is not None
    assert other is not None
    assert one.median == pytest.approx(1 / other.median)
    assert one.lo == pytest.approx(1 / (other.hi or 1))


def test_a_process_that_died_early_gives_no_pair_of_its_own() -> None:
    base, cand = recorded(random.Random(3), 3, 1.0, 0.0)
    theirs = took(3, 1) | {ROUNDS - 1: 99}
    assert len(pair_logs(base, cand, took(3, 0), theirs)) == 3
    few = {number: ns for number, ns in base.items() if number % ROUNDS < 2}
    assert len(pair_logs(few, cand, took(3, 0), took(3, 1))) == 3


def test_without_processes_rounds_decide() -> None:
    base, cand = recorded(random.Random(4), 2, 1.2, 0.0)
    assert ratio(base, cand, None, took(2, 1)) == paired_ratio(base, cand)
    assert ratio(base, cand, took(1, 0), took(1, 1)) == paired_ratio(base, cand)
    assert over_pairs([]) is None
    alone = over_pairs([0.5])
    assert alone is not None
    assert (alone.lo, alone.hi, alone.n) == (None, None, 1)


def test_turns_are_those_of_a_run_of_repeats_alone() -> None:
    frame = samples(unfused_eager=[300.0] * 4)
    known = frame.with_columns(process=pl.Series([0, 0, 2, 2], dtype=pl.Int64))
    plan = run(facts())
    assert turns(plan, known) == {}
    again = run(facts(), settings={"repeats": 2})
    assert turns(again, frame) == {}
    assert turns(again, known) == {facts().key.name: {0: 0, 1: 0, 2: 2, 3: 2}}
