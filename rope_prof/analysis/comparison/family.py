"""Many verdicts at once: which differences are more than so many comparisons give by chance. Numbers in, numbers out.

A single 95 % interval excludes a true 1 in 5 % of the cases, so that of 756 comparisons of identical code 38 differ.
Holm's procedure keeps the chance that *any* of a family is false under 5 %: the smallest of m probabilities is held
against 5 % / m, the next against 5 % / (m - 1), and so on until one is too large. Source: S. Holm, A simple
sequentially rejective multiple test procedure, Scandinavian Journal of Statistics 6 (1979).

The probabilities are those of Student's t on the logarithms (Welch's for two sides of unlike spread): ranks of six
rounds cannot be less likely than 3 %, however far apart the sides are. Of enough paired rounds it is the test of signs,
whose interval the ranks' own is. The intervals stay those of the ranks; a difference must pass both.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import comb, log, sqrt
from statistics import fmean, variance

from rope_prof.analysis.stats import both_tails, interval_of_logs
from rope_prof.model.frozen import Frozen

#: The chance that is granted, to one comparison and to a family.
ALPHA = 0.05
#: From so many paired rounds on their signs tell apart what stands among thousands of verdicts.
SIGNS = 18


class Family(Frozen):
    """All verdicts of one metric: of `judged`, `differ` by themselves, `by_chance` of identical sides would on average;
    `kept` still differ after Holm's correction.
    """

    metric: str
    judged: int
    differ: int
    by_chance: float
    kept: int


def holm(chances: Sequence[float], alpha: float = ALPHA) -> tuple[bool, ...]:
    """For each probability whether its difference stands among all of them."""
    order = sorted(range(len(chances)), key=lambda i: chances[i])
    kept = [False] * len(chances)
    for place, i in enumerate(order):
        if chances[i] > alpha / (len(chances) - place):
            break
        kept[i] = True
    return tuple(kept)


def chance_alone(logs: Sequence[float]) -> float | None:
    """How likely a mean as far from 0 is, where the truth is 0: Student's t; None under two values."""
    if len(logs) < 2:
        return None
    return both_tails(fmean(logs), sqrt(variance(logs) / len(logs)), len(logs) - 1)


def chance_of_rounds(logs: Sequence[float]) -> float | None:
    """As `chance_alone`, of paired rounds: by their signs, which no outlier outweighs, where there are enough."""
    told = [value > 0 for value in logs if value]
    if len(told) < SIGNS:
        return chance_alone(logs)
    fewer = min(sum(told), len(told) - sum(told))
    return min(1.0, 2.0 ** (1 - len(told)) * sum(comb(len(told), k) for k in range(fewer + 1)))


def chance_apart(ours: Sequence[float], theirs: Sequence[float], between: float = 0.0) -> float | None:
    """How likely two means of logarithms are as far apart, where they are at most `between` apart: Welch's t.

    None where a side has under two values.
    """
    if len(ours) < 2 or len(theirs) < 2:
        return None
    error, freedom = _welch(ours, theirs)
    return both_tails(max(0.0, abs(fmean(ours) - fmean(theirs)) - between), error, freedom)


def _welch(ours: Sequence[float], theirs: Sequence[float]) -> tuple[float, float]:
    """(standard error of the difference of the means, its degrees of freedom: 1 without any spread)."""
    one, two = variance(ours) / len(ours), variance(theirs) / len(theirs)
    if not one + two:
        return 0.0, 1.0
    return sqrt(one + two), (one + two) ** 2 / (one**2 / (len(ours) - 1) + two**2 / (len(theirs) - 1))


def t_interval(ours: Sequence[float], theirs: Sequence[float], coverage: float) -> tuple[float, float, float] | None:
    """(ratio, lo, hi) of ours / theirs from the logarithms of each: Welch's interval; None under two values a side."""
    if len(ours) < 2 or len(theirs) < 2 or min(*ours, *theirs) <= 0:
        return None
    a, b = [log(v) for v in ours], [log(v) for v in theirs]
    error, freedom = _welch(a, b)
    return interval_of_logs(fmean(a) - fmean(b), error, freedom, coverage)
