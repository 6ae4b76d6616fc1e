"""Medians with intervals that assume no distribution. Plain numbers in, plain numbers out: the home of every interval.

Times of GPU calls are skewed and have outliers, so the centre is the median and its interval comes from order
statistics: for n independent samples the number below the true median is Binomial(n, 1/2), so the interval from the
k-th smallest to the k-th largest covers it with probability 1 - 2 P(B < k). The widest k that keeps at least the asked
coverage is taken, so the coverage is never below it. Source: David and Nagaraja, Order Statistics, 3rd edition,
section 7.1; the same as the `binomial` interval of R's quantileCI. Under six samples no such interval exists at 95 %.

What is computed from several medians at once (a sum of differences, a product) has no such rank. It is bootstrapped
over paired rounds: a draw takes as many rounds as there are, with replacement, and the same rounds for every series,
so that the machine's drift, which meets all of a round alike, stays in all of them. Differences of medians add up
exactly, in every draw, which medians of differences do not. The interval is the middle 95 % of the draws. Source: Efron
and Tibshirani, An Introduction to the Bootstrap, sections 8 and 13. The draws and quantiles are numpy's; the tests hold
ranks and draws against scipy's `quantile_test` and `bootstrap`, which start too slowly for a command line. Few
processes have no such ranks: their intervals are Student's (`student`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from math import comb, exp, inf
from statistics import median as _median
from typing import Any, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from rope_prof.analysis.student import quantile, tail
from rope_prof.model.frozen import Frozen

COVERAGE = 0.95
#: Draws of a bootstrap: the ends of its interval then vary by a few percent of its width.
DRAWS = 2000
#: Fewer samples give no interval, by rank or by draws.
LEAST = 6
#: Of what is known of two sides apart: both intervals hold at once with `COVERAGE`.
EACH_SIDE = 1 - (1 - COVERAGE) / 2
#: Fewer samples give no interval that holds with `EACH_SIDE`, which two runs need to be compared.
LEAST_APART = 7


#: What an interval is over: its samples. Calls are those of a capture, `pairs of processes` shared their rounds.
Over = Literal["rounds", "processes", "pairs of processes", "calls", "ranks"]


class Figure(Frozen):
    """A median of `n` samples; `lo` and `hi` bound the true median with 95 % coverage, None under six samples.

    `over`: what a sample is. Of processes the median is the geometric mean of theirs, and no bounds are under two.
    """

    median: float
    lo: float | None
    hi: float | None
    n: int
    over: Over = "rounds"


def figure(samples: Sequence[float], coverage: float = COVERAGE, over: Over = "rounds") -> Figure | None:
    """Median and interval of `samples`; None where there are none."""
    if not samples:
        return None
    ranked = sorted(samples)
    rank = _rank(len(ranked), coverage)
    lo, hi = (ranked[rank - 1], ranked[-rank]) if rank else (None, None)
    return Figure(float(_median(ranked)), lo, hi, len(ranked), over)


@lru_cache(maxsize=1024)
def _rank(n: int, coverage: float) -> int:
    """The largest k with P(k-th smallest <= median <= k-th largest) >= coverage; 0 where there is none."""
    total, below, rank = 2**n, 0, 0
    while rank < n // 2:
        below += comb(n, rank)
        if 2 * below > (1 - coverage) * total:
            break
        rank += 1
    return rank


def paired_ratio(baseline: Mapping[int, float], candidate: Mapping[int, float]) -> Figure | None:
    """baseline / candidate in each round that both have: over 1 the candidate is faster; None without such a round.

    Rounds measured side by side share the machine's drift, which the ratio cancels.
    """
    rounds = sorted(baseline.keys() & candidate.keys())
    return figure([baseline[r] / candidate[r] for r in rounds if candidate[r] > 0])


def one_side(values: Sequence[float]) -> Figure | None:
    """Median and interval of one of two sides, so that both hold at once with 95 %.

    Six rounds cannot hold with 97.5 %: their whole range is taken, which holds with 96.9 %, both sides with 93.8 %.
    """
    return figure(values, EACH_SIDE if len(values) >= LEAST_APART else COVERAGE)


def apart_ratio(ours: Figure | None, theirs: Figure | None) -> Figure | None:
    """Ratio of the medians of two sides; its ends hold as often as both sides' own do at once (`one_side`)."""
    if ours is None or theirs is None or theirs.median <= 0:
        return None
    lo = hi = None
    if ours.lo is not None and ours.hi is not None and theirs.lo and theirs.hi:
        lo, hi = ours.lo / theirs.hi, ours.hi / theirs.lo
    return Figure(ours.median / theirs.median, lo, hi, min(ours.n, theirs.n), ours.over)


def tenths(samples: Sequence[float]) -> tuple[float, float] | None:
    """The tenth and the ninetieth percentile, interpolated linearly; None without samples."""
    return middle(samples, 0.8)


def middle(samples: Sequence[float], share: float) -> tuple[float, float] | None:
    """Between what the middle `share` of the samples lies (of the samples, not of their median); None without any."""
    if not samples:
        return None
    lo, hi = percentiles(samples, round((1 - share) / 2, 9), round((1 + share) / 2, 9))
    return lo, hi


def percentiles(samples: Sequence[float] | NDArray[Any], *shares: float) -> tuple[float, ...]:
    """Under what those shares of at least one sample lie, interpolated linearly: the one rule of every percentile."""
    return tuple(float(value) for value in np.quantile(np.asarray(samples, dtype=np.float64), shares))


def tenths_of(samples: pl.Expr) -> tuple[pl.Expr, pl.Expr]:
    """`tenths` of a column, or of each group of one, by the same rule."""
    return samples.quantile(0.1, "linear"), samples.quantile(0.9, "linear")


def interval_of_logs(middle: float, error: float, freedom: float, coverage: float) -> tuple[float, float, float]:
    """(ratio, lo, hi): the t-interval of a mean of logarithms with that standard error, as ratios."""
    if not error:
        return exp(middle), exp(middle), exp(middle)
    half = quantile((1 + coverage) / 2, freedom) * error
    return exp(middle), exp(middle - half), exp(middle + half)


def both_tails(mean: float, error: float, freedom: float) -> float:
    """How likely a mean of that standard error is as far from 0, on either side, where the truth is 0: Student's t."""
    t = abs(mean) / error if error else (inf if mean else 0.0)
    return min(1.0, 2 * tail(t, freedom))


class Drawn(Frozen):
    """A value, and what it is in each draw of a bootstrap. Sums, differences and multiples of such are such again."""

    value: float
    draws: NDArray[np.float64]

    def __add__(self, other: Drawn) -> Drawn:
        return Drawn(self.value + other.value, self.draws + other.draws)

    def __sub__(self, other: Drawn) -> Drawn:
        return Drawn(self.value - other.value, self.draws - other.draws)

    def __mul__(self, factor: float) -> Drawn:
        return Drawn(self.value * factor, self.draws * factor)

    def less(self, known: float) -> Drawn:
        """This less a number that is known."""
        return Drawn(self.value - known, self.draws - known)

    def interval(self, coverage: float = COVERAGE) -> tuple[float, float]:
        """The middle `coverage` of the draws."""
        lo, hi = percentiles(self.draws, (1 - coverage) / 2, (1 + coverage) / 2)
        return lo, hi


class DrawnRounds(Frozen):
    """Draws over the rounds that all of `series` have. Errors: ValueError where they share none."""

    medians: dict[str, Drawn]
    n: int
    over: Over = "rounds"

    @property
    def enough(self) -> bool:
        """Whether there are rounds, or processes, enough for an interval."""
        return self.n >= (LEAST if self.over == "rounds" else 2)


def drawn_rounds(series: Mapping[str, Mapping[int, float]], *, seed: int = 0, draws: int = DRAWS) -> DrawnRounds:
    """The median of each series, and in each draw its median over the same rounds as all others'."""
    rounds = sorted(set.intersection(*(set(one) for one in series.values()))) if series else []
    if not rounds:
        raise ValueError("the series share no round")
    times = _times_drawn(len(rounds), seed, draws)
    medians = {}
    for name, one in series.items():
        values = np.array([one[number] for number in rounds], dtype=np.float64)
        medians[name] = Drawn(float(np.median(values)), _medians(values, times))
    return DrawnRounds(medians, len(rounds))


@lru_cache(maxsize=8)
def _times_drawn(n: int, seed: int, draws: int) -> NDArray[np.int32]:
    """How often each draw of `n` holds each of them, a row a draw."""
    taken = np.random.default_rng(seed).integers(0, n, (draws, n))
    taken += np.arange(0, draws * n, n)[:, np.newaxis]
    return np.bincount(taken.ravel(), minlength=draws * n).reshape(draws, n).astype(np.int32)


def _medians(values: NDArray[np.float64], times: NDArray[np.int32]) -> NDArray[np.float64]:
    """The median of each draw: where, by size, as many are reached as lie below a median. Seven times as fast as to
    look up and part the values of each draw."""
    order = np.argsort(values, kind="stable")
    reached, ranked = np.cumsum(times[:, order], axis=1), values[order]
    lower, upper = ((reached > rank).argmax(axis=1) for rank in ((len(values) - 1) // 2, len(values) // 2))
    found: NDArray[np.float64] = (ranked[lower] + ranked[upper]) / 2
    return found


def drawn_mean(samples: Sequence[float], *, seed: int = 0, draws: int = DRAWS) -> Drawn:
    """The mean of samples that share no rounds with any other, and in each draw the mean of as many of them."""
    values = np.asarray(samples, dtype=np.float64)
    taken = np.random.default_rng(seed).integers(0, len(values), (draws, len(values)))
    return Drawn(float(values.mean()), values[taken].mean(axis=1))


def known(value: float, draws: int = DRAWS) -> Drawn:
    """A number without spread."""
    return Drawn(value, np.full(draws, value))
