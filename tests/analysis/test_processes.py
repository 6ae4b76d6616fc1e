"""Ratios over processes: the interval holds what the next process will show, where that over rounds does not."""

from __future__ import annotations

import random
from collections.abc import Callable
from math import exp, log
from statistics import median

import polars as pl
import pytest
from scipy.stats import ttest_1samp

from rope_prof.analysis.run.numbers import Numbers, numbers
from rope_prof.analysis.run.processes import drawn, middle_of, over_pairs, pair_logs, ratio
from rope_prof.analysis.run.series import PerRound, series
from rope_prof.analysis.stats import Figure, figure, paired_ratio
from rope_prof.views.words.sampled import interval_line
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


def taken(by_round: dict[int, float], first: int) -> PerRound:
    """Those rounds, every `ROUNDS` of them by a process of its own, numbered from `first` in twos."""
    found = PerRound(by_round)
    found.took = {number: first + 2 * (number // ROUNDS) for number in by_round}
    return found


def ratio_of(base: dict[int, float], cand: dict[int, float]) -> Figure | None:
    return ratio(taken(base, 0), taken(cand, 1))


@pytest.mark.parametrize(("k", "truth", "spread"), [(3, 1.0, 0.02), (5, 1.05, 0.02), (5, 1.0, 0.0), (10, 3.0, 0.05)])
def test_the_interval_holds_the_truth_as_often_as_it_says(k: int, truth: float, spread: float) -> None:
    dice, held, rounds_alone, trials = random.Random(k), 0, 0, 400
    for _ in range(trials):
        base, cand = recorded(dice, k, truth, spread)
        found = ratio_of(base, cand)
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
        found = ratio_of(base, cand)
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
    intervals = [ratio_of(*disturbed(dice, truth)) for _ in range(trials)]
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
    one, other = ratio_of(base, cand), ratio_of(cand, base)
    assert one is not None
    assert other is not None
    assert one.median == pytest.approx(1 / other.median)
    assert one.lo == pytest.approx(1 / (other.hi or 1))


def test_a_process_that_died_early_gives_no_pair_of_its_own() -> None:
    base, cand = recorded(random.Random(3), 3, 1.0, 0.0)
    theirs = taken(cand, 1)
    theirs.took = {**theirs.took, ROUNDS - 1: 99}
    assert len(pair_logs(taken(base, 0), theirs)) == 3
    few = {number: ns for number, ns in base.items() if number % ROUNDS < 2}
    assert len(pair_logs(taken(few, 0), taken(cand, 1))) == 3


def test_without_processes_rounds_decide() -> None:
    base, cand = recorded(random.Random(4), 2, 1.2, 0.0)
    assert ratio(PerRound(base), taken(cand, 1)) == paired_ratio(base, cand)
    assert middle_of(PerRound(base)) == figure(list(base.values()))
    assert over_pairs([]) is None
    alone = over_pairs([0.5])
    assert alone is not None
    assert (alone.lo, alone.hi, alone.n) == (None, None, 1)


def test_one_process_alone_has_no_interval_however_many_rounds_it_has() -> None:
    base, cand = recorded(random.Random(4), 1, 1.2, 0.0)
    for one in (ratio_of(base, cand), middle_of(taken(base, 0))):
        assert one is not None
        assert (one.lo, one.hi, one.n) == (None, None, 1)
        assert "processes" in one.over


def test_processes_are_those_of_a_run_of_repeats_alone() -> None:
    frame = samples(unfused_eager=[300.0] * 4)
    known = frame.with_columns(process=pl.Series([0, 0, 2, 2], dtype=pl.Int64))
    again, name = run(facts(), settings={"repeats": 2}), (facts().key.name, "wall")
    assert series(known, run(facts()))[name].took == {}
    assert series(frame, again)[name].took == {}
    assert series(known, again)[name].took == {0: 0, 1: 0, 2: 2, 3: 2}


def test_what_is_drawn_over_processes_has_the_interval_of_t() -> None:
    """Every sum and difference of the drawn medians; the centre is that of `middle_of`."""
    base, cand = (taken(one, i) for i, one in enumerate(recorded(random.Random(6), 5, 1.3, 0.01)))
    found = drawn({"base": base, "cand": cand}, draws=40_000)
    apart = found.medians["base"] - found.medians["cand"]
    medians = [[median(one[n] for n in range(k * ROUNDS, (k + 1) * ROUNDS)) for k in range(5)] for one in (base, cand)]
    expected = ttest_1samp([x - y for x, y in zip(*medians, strict=True)], 0).confidence_interval(0.95)
    lo, hi = apart.interval()
    assert (hi - lo) == pytest.approx(expected.high - expected.low, rel=0.05)
    one = middle_of(base)
    assert one is not None
    assert found.medians["base"].value == pytest.approx(one.median)
    assert (found.n, found.over, found.enough) == (5, "processes", True)


def figures_of(found: Numbers) -> list[Figure]:
    """Every figure of a run's calls that has an interval."""
    rows = [one for row in found.rows for one in (row.wall_ns, row.device_ns, row.speedup_interval, row.mode_speedup)]
    modes = [one for row in found.modes for one in (*row.wall_ns.values(), *row.fusing.values(), row.after_all)]
    steps = [step.ratio for one in found.headlines for step in (one.best, *one.same, one.device) if step is not None]
    ceilings = [one.ns for each in found.ceilings for one in each.measured]
    return [one for one in (*rows, *modes, *steps, *ceilings) if one is not None]


@pytest.mark.parametrize("repeats", [1, 2])
def test_no_figure_of_a_run_of_several_processes_is_over_its_rounds(repeats: int) -> None:
    frame = samples(unfused_eager=[300.0, 310.0] * 6, fused_eager=[100.0] * 12)
    frame = frame.with_columns(process=(pl.col("round") // 6).cast(pl.Int64))
    plan = run(facts(), facts(path="fused"), settings={"repeats": repeats})
    overs = {one.over for one in figures_of(numbers(plan, frame, {}))}
    assert overs == ({"rounds"} if repeats == 1 else {"processes", "pairs of processes"})
    line = interval_line(numbers(plan, frame, {}).rows)
    said = "over 2 processes, of ratios over 2 pairs of processes that shared their rounds, by Student's t"
    assert ("over 12 rounds, by order statistics" in line, said in line) == (repeats == 1, repeats == 2)
