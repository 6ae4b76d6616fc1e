"""Student's t: its tail and its quantile. The home of every interval and probability over few processes.

mpmath's regularised incomplete beta function I_x(a, b), by P(T < -t) = I_x(f/2, 1/2) / 2 with x = f / (f + t^2).
Source: Abramowitz and Stegun, 26.7.1. mpmath is small and comes with torch; the tests hold both against scipy.
"""

from __future__ import annotations

from functools import lru_cache
from math import inf

#: Below it the tail is a half less what lies near zero: x is so near 1 there that its digits are lost.
_NEAR_ZERO = 0.5


@lru_cache(maxsize=4096)
def tail(t: float, freedom: float) -> float:
    """The probability of a value below -`t`, of a t that is not negative."""
    from mpmath import betainc

    if t == inf:
        return 0.0
    squared = float(t) ** 2
    if t < _NEAR_ZERO:
        return 0.5 - float(betainc(0.5, freedom / 2, 0, squared / (freedom + squared), regularized=True)) / 2
    return float(betainc(freedom / 2, 0.5, 0, freedom / (freedom + squared), regularized=True)) / 2


@lru_cache(maxsize=256)
def quantile(probability: float, freedom: float) -> float:
    """The value below which the share `probability` lies, which is above a half and below 1."""
    from mpmath import findroot

    left, above = 1 - probability, 1.0
    while tail(above, freedom) > left:
        above *= 2
    below = above / 2 if above > 1 else 0.0
    return float(findroot(lambda t: tail(t, freedom) / left - 1, (below, above), solver="illinois", tol=1e-24))
