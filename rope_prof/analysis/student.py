"""Student's t: its tail and its quantile. The home of every interval and probability over few processes.

mpmath's regularised incomplete beta function I_x(a, b), by P(T < -t) = I_x(f/2, 1/2) / 2 with x = f / (f + t^2).
Source: Abramowitz and Stegun, 26.7.1. mpmath is small and comes with torch; the tests hold both against scipy.
"""

from __future__ import annotations

from functools import lru_cache
from math import inf
from threading import RLock
from typing import Final

#: The precision of mpmath is the process's, and its functions raise it while they work.
_ALONE: Final = RLock()
_BITS: Final = 53
#: Below it the tail is a half less what lies near zero: x is so near 1 there that its digits are lost.
_NEAR_ZERO = 0.5


@lru_cache(maxsize=4096)
def tail(t: float, freedom: float) -> float:
    """The probability of a value below -`t`, of a t that is not negative."""
    if t == inf:
        return 0.0
    squared = float(t) ** 2
    if t < _NEAR_ZERO:
        return 0.5 - _beta(0.5, freedom / 2, squared / (freedom + squared)) / 2
    return _beta(freedom / 2, 0.5, freedom / (freedom + squared)) / 2


def _beta(a: float, b: float, x: float) -> float:
    from mpmath import betainc, workprec

    with _ALONE, workprec(_BITS):
        return float(betainc(a, b, 0, x, regularized=True))


@lru_cache(maxsize=256)
def quantile(probability: float, freedom: float) -> float:
    """The value below which the share `probability` lies, which is above a half and below 1."""
    from mpmath import findroot, workprec

    left, above = 1 - probability, 1.0
    while tail(above, freedom) > left:
        above *= 2
    below = above / 2 if above > 1 else 0.0
    with _ALONE, workprec(_BITS):
        return float(findroot(lambda t: tail(t, freedom) / left - 1, (below, above), solver="illinois", tol=1e-24))
