"""A value beside its difference to the chosen baseline, in words. The one home of how a difference is written."""

from __future__ import annotations

from collections.abc import Callable

from rope_prof.units import MISSING, duration, significant

#: Beyond this growth a factor reads better than a percentage.
_FACTOR_FROM = 1.0


def change(value: float | None, base: float | None) -> float | None:
    """value / base - 1: -0.9 is nine tenths less. None without both, or where the base is nothing or negative."""
    if value is None or base is None or base <= 0:
        return None
    return value / base - 1


def difference(value: float | None, base: float | None) -> str:
    """`−94 %`, `+12 %`, `3.2x as much`, `±0 %`; empty where there is no change to give."""
    found = change(value, base)
    if found is None:
        return ""
    if found > _FACTOR_FROM:
        return f"{significant(1 + found)}x as much"
    percent = 100 * found
    if abs(percent) < 0.05:
        return "±0 %"
    # never "-100 %" of what is still there
    digits = 0 if abs(percent) >= 1 and abs(percent) < 99 else 1
    return f"{'−' if percent < 0 else '+'}{abs(percent):.{digits}f} %"


def beside(value: float | None, base: float | None, text: Callable[[float | None], str] = duration) -> str:
    """`20.4 µs (−94 %)`: the value and its difference to the baseline; the value alone where there is none."""
    words = difference(value, base)
    written = MISSING if value is None else text(value)
    return f"{written} ({words})" if words else written
