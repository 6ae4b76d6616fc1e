"""Medians with intervals that assume no distribution. Plain numbers in, plain numbers out.

Times of GPU calls are skewed and have outliers, so the centre is the median and its interval comes from order
statistics: for n independent samples the number below the true median is Binomial(n, 1/2), so the interval from the
k-th smallest to the k-th largest covers it with probability 1 - 2 P(B < k). The widest k that keeps at least the asked
coverage is taken, so the coverage is never below it. Source: David and Nagaraja, Order Statistics, 3rd edition,
section 7.1; the same as the `binomial` interval of R's quantileCI. Under six samples no such interval exists at 95 %.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import comb
from statistics import median as _median

COVERAGE = 0.95


@dataclass(frozen=True, slots=True)
class Figure:
    """A median of `n` samples; `lo` and `hi` bound the true median with 95 % coverage, None under six samples."""

    median: float
    lo: float | None
    hi: float | None
    n: int


def figure(samples: Sequence[float], coverage: float = COVERAGE) -> Figure | None:
    """Median and interval of `samples`; None where there are none."""
    if not samples:
        return None
    ranked = sorted(samples)
    rank = _rank(len(ranked), coverage)
    lo, hi = (ranked[rank - 1], ranked[-rank]) if rank else (None, None)
    return Figure(float(_median(ranked)), lo, hi, len(ranked))


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
