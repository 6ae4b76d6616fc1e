"""What an interval of baseline / candidate says, in one word. The one rule of compare, sweep, overview and report.

Over 1 the candidate is faster. Knows two numbers; which samples they come from, and why there are none, its callers
know.
"""

from __future__ import annotations

from typing import Literal

Word = Literal["FASTER", "SLOWER", "SAME", "UNDECIDED", "UNKNOWN"]

#: SAME: the whole interval of the ratio lies within this of 1.
SAME_WITHIN = 0.02


def judge(lo: float | None, hi: float | None) -> Word:
    """SAME within 2 % of 1; else FASTER or SLOWER where the interval excludes 1; else UNDECIDED; UNKNOWN without it."""
    if lo is None or hi is None:
        return "UNKNOWN"
    if lo >= 1 - SAME_WITHIN and hi <= 1 + SAME_WITHIN:
        return "SAME"
    return "FASTER" if lo > 1 else "SLOWER" if hi < 1 else "UNDECIDED"
