"""Values on pixels, logarithmic or linear, and the round values that an axis names. Knows numbers alone."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rope_prof.model.frozen import Frozen

#: From this ratio of the largest to the smallest on an axis says more where it is logarithmic.
DECADE = 10.0


class Scale(Frozen):
    """Values from `low` to `high` on pixels from `start` to `end`; a logarithmic one holds the logarithms."""

    low: float
    high: float
    start: float
    end: float
    log: bool = True

    def __call__(self, value: float) -> float:
        at = ((math.log(value) if self.log else value) - self.low) / (self.high - self.low)
        return self.start + at * (self.end - self.start)


def log_scale(low: float, high: float, start: float, end: float) -> Scale:
    """Both ends positive; a level line lies in the middle."""
    a, b = math.log(low), math.log(high)
    return Scale(a - 0.5 if a == b else a, b + 0.5 if a == b else b, start, end)


def linear_scale(low: float, high: float, start: float, end: float) -> Scale:
    """The same in equal steps; a level line lies in the middle."""
    return Scale(low - 1 if low == high else low, high + 1 if low == high else high, start, end, log=False)


def spans_a_decade(values: Sequence[float]) -> bool:
    """Whether the largest is ten times the smallest or more; all must be positive."""
    return bool(values) and min(values) > 0 and max(values) >= DECADE * min(values)


def decades(low: float, high: float) -> list[float]:
    """1, 10, 100, ... within the range, with 2 and 5 where there are few."""
    exponents = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    found = [10.0**e for e in exponents if low * 0.99 <= 10.0**e <= high * 1.01]
    if len(found) > 2:
        return found
    return [m * 10.0**e for e in exponents for m in (1, 2, 5) if low * 0.99 <= m * 10.0**e <= high * 1.01]


def log_ticks(low: float, high: float) -> list[float]:
    """`decades`, or equal round steps where the range holds less than three of those."""
    found = decades(low, high)
    if len(found) >= 3:
        return found
    power = 10 ** math.floor(math.log10((high - low) / 4)) if high > low else low
    step = next(m * power for m in (1, 2, 5, 10) if (high - low) / (m * power) <= 6) if high > low else low
    return [k * step for k in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]


def round_values(most: float, low: float = 0.0) -> list[float]:
    """Zero and equal round steps from `low` up to `most`, about six of them."""
    span = most - low
    power = 10 ** math.floor(math.log10(span / 6))
    step = next(m * power for m in (1, 2, 5, 10, 20) if span / (m * power) <= 8)
    return [k * step for k in range(math.ceil(low / step), math.floor(most / step) + 1)]
