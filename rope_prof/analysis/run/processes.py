"""Ratios over processes: what K fresh processes of each side say, each pair measured side by side in the same rounds.

Rounds within one process share its allocation, its compiled code, its captured graph: more of them say more of that
process and nothing of the next. So each pair of processes gives one number, the median over its rounds of the logarithm
of their ratio, and the interval is Student's t over these. What meets both sides of a round (the core that both launch
from, who else is on it) is in no ratio: on a busy CPU the ratio of two medians was seen to scatter 30 times as much.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import exp, log, sqrt
from statistics import fmean, median, stdev

import polars as pl

from rope_prof.analysis.stats import COVERAGE, LEAST, Figure, interval_of_logs, paired_ratio
from rope_prof.model.run import Run

PerRound = Mapping[int, float]
#: key -> round -> the process that took it.
Turns = Mapping[str, Mapping[int, int]]


def turns(run: Run, samples: pl.DataFrame) -> Turns:
    """Which process took each round of each key; empty for a run of one process a path, resumed or not."""
    repeats = run.settings.get("repeats")
    if not isinstance(repeats, int) or repeats < 2 or "process" not in samples.columns:
        return {}
    found: dict[str, dict[int, int]] = {}
    known = samples.drop_nulls("process").select("key", "round", "process").unique()
    for key, number, process in known.iter_rows():
        found.setdefault(key, {})[number] = process
    return found


def ratio(
    baseline: PerRound, candidate: PerRound, ours: Mapping[int, int] | None, theirs: Mapping[int, int] | None
) -> Figure | None:
    """baseline / candidate: over the processes of both where there are several, else over rounds (`paired_ratio`)."""
    if not ours or not theirs:
        return paired_ratio(baseline, candidate)
    logs = pair_logs(baseline, candidate, ours, theirs)
    return over_pairs(logs) if len(logs) > 1 else paired_ratio(baseline, candidate)


def pair_logs(
    baseline: PerRound, candidate: PerRound, ours: Mapping[int, int], theirs: Mapping[int, int]
) -> list[float]:
    """The median logarithm of a round's ratio, of each pair of processes that shared rounds enough (`stats.LEAST`).

    With fewer rounds to every pair all count: an interval over processes needs none within.
    """
    rounds: dict[tuple[int, int], list[int]] = {}
    for number in sorted(baseline.keys() & candidate.keys() & ours.keys() & theirs.keys()):
        if baseline[number] > 0 and candidate[number] > 0:
            rounds.setdefault((ours[number], theirs[number]), []).append(number)
    enough = [numbers for numbers in rounds.values() if len(numbers) >= LEAST] or list(rounds.values())
    return [median(log(baseline[n] / candidate[n]) for n in numbers) for numbers in enough]


def over_pairs(logs: list[float], coverage: float = COVERAGE) -> Figure | None:
    """The ratio and its interval over pairs of processes, `n` of them; no interval for one, None for none."""
    if not logs:
        return None
    middle = fmean(logs)
    if len(logs) < 2:
        return Figure(exp(middle), None, None, 1)
    return Figure(*interval_of_logs(middle, stdev(logs) / sqrt(len(logs)), len(logs) - 1, coverage), len(logs))
