"""Two runs: what their rounds say of a ratio, and how far runs of the *same* code differ on such machines. Pure.

A run is one process on one host at one time, and its rounds cannot see what the next run will find other: clocks,
caches, where buffers lie, who else is on the host. By their rounds alone two runs of identical code were called FASTER
or SLOWER in 40 to 90 % of keys. So a difference between two runs counts only beyond what identical code shows:

- *reference calls*: the ceilings of a case (copies, passes, launches, graph nodes) are the same code in every run,
  timed in the very rounds of the case. As far as they differ between the two runs, so far may a path that nobody
  changed. A chain of many launches sums what one shows, and the two runs are one draw of many: `MARGIN` times the
  largest difference of any of them counts, by the clock. Of 248 verdicts on identical code in three pairs of runs of
  H200s that this repository recorded, the rounds alone call 126 FASTER or SLOWER, this rule none.
Runs of several processes a side say how far processes of one host and hour differ (`over_processes`), not what the next
hour brings: between two of them the same counts.

Within one process there is one thing that its rounds cannot see: a graph is captured once, and captures of the same
calls differ, presumably by where their buffers lie (`captures`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import exp, log

import polars as pl

from rope_prof.analysis.comparison.family import t_interval
from rope_prof.analysis.stats import COVERAGE, Figure
from rope_prof.model.frozen import Frozen
from rope_prof.model.run import Key, Run

#: So many times the largest difference of the reference calls may be that of a path.
MARGIN = 2.0
#: Fewer reference calls that both runs timed say nothing of a machine.
LEAST_ANCHORS = 3


#: Two captures of the same calls in one process: their ratio was seen to scatter by 0.13 % around 1 (H200, 48 pairs),
#: while rounds alone bound it to 0.13 to 0.2 %, and held it in 67 to 78 %. So much wider they held 70 of 72.
CAPTURES = 1.0025


class Between(Frozen):
    """Runs of the same code differ by up to `factor` (at least 1) either way; `how` that is known."""

    factor: float
    how: str

    @property
    def share(self) -> float:
        """0.08: 8 %."""
        return self.factor - 1


def larger(*found: Between | None) -> Between | None:
    """The one with the largest factor; None where nothing is known."""
    return max((one for one in found if one is not None), key=lambda one: one.factor, default=None)


def anchors(base: Run, ours: pl.DataFrame, cand: Run, theirs: pl.DataFrame, key: Key, clock: str) -> Between | None:
    """By the reference calls of that key's case and rank which both runs timed; None where they are too few."""
    names = [
        {c.key_name for c in run.ceilings if (c.case, c.rank, c.status) == (key.case, key.rank, "measured")}
        for run in (base, cand)
    ]
    before, after = (_medians(samples, names[0] & names[1], clock) for samples in (ours, theirs))
    apart = [abs(log(before[name] / after[name])) for name in before.keys() & after.keys()]
    if len(apart) < LEAST_ANCHORS:
        return None
    return Between(exp(MARGIN * max(apart)), f"{MARGIN:g} times the largest difference of their reference calls")


def _medians(samples: pl.DataFrame, names: set[str], clock: str) -> dict[str, float]:
    mine = samples.filter(
        pl.col("key").is_in(sorted(names)), pl.col("clock") == clock, pl.col("calls") > 0, pl.col("ns") > 0
    )
    per_call = mine.group_by("key").agg((pl.col("ns") / pl.col("calls")).median())
    return {name: value for name, value in per_call.iter_rows() if value}


def captures(*keys: Key) -> Between | None:
    """How far captures of one graph differ, where one of these keys is replayed from one; None where none is."""
    if any(key.mode == "graph" for key in keys):
        return Between(CAPTURES, "captures of the same calls in one process")
    return None


def widened(ratio: Figure, between: Between | None) -> Figure:
    """That ratio with what runs of the same code differ by in its interval; without an interval where none knows."""
    if between is None or ratio.lo is None or ratio.hi is None:
        return replace(ratio, lo=None, hi=None)
    return replace(ratio, lo=ratio.lo / between.factor, hi=ratio.hi * between.factor)


def over_processes(ours: Sequence[float], theirs: Sequence[float]) -> Figure | None:
    """The ratio of the medians (ns a call) of each side's processes, its interval over processes.

    Student's t on their logarithms, `n` the processes of the smaller side; None where a side has under two.
    """
    found = t_interval(ours, theirs, COVERAGE)
    return None if found is None else Figure(*found, min(len(ours), len(theirs)), "processes")
