"""Medians and ratios of a run's series: over its rounds, or over processes where K fresh ones measured each side.

Rounds within one process share its allocation, its compiled code, its captured graph: more of them say more of that
process and nothing of the next. So each process gives one number, the median of its rounds, and each pair of processes
that shared rounds one too, the median over these of the logarithm of their ratio; the intervals are Student's t over
their logarithms. What meets both sides of a round (the core that both launch from, who else is on it) is in no ratio:
on a busy CPU the ratio of two medians was seen to scatter 30 times as much. No figure of such a run is over rounds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import exp, log, sqrt
from statistics import fmean, median, stdev

import numpy as np

from rope_prof.analysis.run.series import PerRound
from rope_prof.analysis.stats import (
    COVERAGE,
    DRAWS,
    LEAST,
    Drawn,
    DrawnRounds,
    Figure,
    Over,
    drawn_rounds,
    figure,
    interval_of_logs,
    paired_ratio,
)


def middle_of(mine: PerRound, coverage: float = COVERAGE) -> Figure | None:
    """ns a call and its interval: over the processes where several took the rounds, else over rounds."""
    if not mine.took:
        return figure(list(mine.values()), coverage)
    return over_logs([log(ns) for ns in process_medians(mine) if ns > 0], coverage, "processes")


def ratio(baseline: PerRound, candidate: PerRound) -> Figure | None:
    """baseline / candidate: over pairs of processes where there are several, else over rounds (`paired_ratio`)."""
    if not baseline.took or not candidate.took:
        return paired_ratio(baseline, candidate)
    return over_pairs(pair_logs(baseline, candidate))


def pair_logs(baseline: PerRound, candidate: PerRound) -> list[float]:
    """The median logarithm of a round's ratio, of each pair of processes that shared rounds enough (`stats.LEAST`).

    With fewer rounds to every pair all count: an interval over processes needs none within.
    """
    logs = [
        [log(baseline[n] / candidate[n]) for n in numbers if baseline[n] > 0 and candidate[n] > 0]
        for numbers in _turns(baseline, candidate)
    ]
    return [median(one) for one in logs if one]


def process_medians(mine: PerRound) -> list[float]:
    """ns a call of each process, by the same rule."""
    return [median(mine[n] for n in numbers) for numbers in _turns(mine)]


def _turns(*series: PerRound) -> list[list[int]]:
    """The rounds that all of them share, by the processes that took them."""
    rounds: dict[tuple[int, ...], list[int]] = {}
    for number in sorted(set.intersection(*(one.keys() & one.took.keys() for one in series))):
        rounds.setdefault(tuple(one.took[number] for one in series), []).append(number)
    return [numbers for numbers in rounds.values() if len(numbers) >= LEAST] or list(rounds.values())


def over_pairs(logs: Sequence[float], coverage: float = COVERAGE) -> Figure | None:
    """The ratio and its interval over pairs of processes, `n` of them; no interval for one, None for none."""
    return over_logs(logs, coverage, "pairs of processes")


def over_logs(logs: Sequence[float], coverage: float, over: Over) -> Figure | None:
    """The geometric mean and Student's t about it, from logarithms; no interval for one, None for none."""
    if not logs:
        return None
    middle = fmean(logs)
    if len(logs) < 2:
        return Figure(exp(middle), None, None, 1, over)
    found = interval_of_logs(middle, stdev(logs) / sqrt(len(logs)), len(logs) - 1, coverage)
    return Figure(*found, len(logs), over)


def drawn(series: Mapping[str, PerRound], *, seed: int = 0, draws: int = DRAWS) -> DrawnRounds:
    """`stats.drawn_rounds`, or over processes: then a draw of all series at once is of the t distribution whose every
    sum and difference has Student's interval (the medians' covariance over the turns, K - 1 degrees of freedom).

    Errors: ValueError where they share no round.
    """
    if not all(one.took for one in series.values()):
        return drawn_rounds(series, seed=seed, draws=draws)
    turns = _turns(*series.values())
    if not turns:
        raise ValueError("the series share no round")
    medians = np.array([[median(one[n] for n in numbers) for one in series.values()] for numbers in turns])
    k, dice = len(turns), np.random.default_rng(seed)
    off = medians - medians.mean(axis=0)
    noise = dice.standard_normal((draws, k)) @ off / sqrt(k * max(1, k - 1))
    noise *= np.sqrt(max(1, k - 1) / dice.chisquare(max(1, k - 1), (draws, 1)))
    values = np.exp(np.log(medians).mean(axis=0)) if (medians > 0).all() else medians.mean(axis=0)
    return DrawnRounds(
        {name: Drawn(float(values[i]), values[i] + noise[:, i]) for i, name in enumerate(series)}, k, "processes"
    )
