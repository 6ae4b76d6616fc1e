"""A value beside its difference to the chosen baseline, in words. The one home of how a difference is written."""

from __future__ import annotations

from rope_prof.units import duration, significant

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


def points(value: float | None, base: float | None) -> str:
    """`+22 pp`, `−0.4 pp`, `±0 pp`: a share in percent against another, in percentage points; empty without both."""
    if value is None or base is None:
        return ""
    apart = value - base
    if abs(apart) < 0.05:
        return "±0 pp"
    return f"{'−' if apart < 0 else '+'}{abs(apart):.{0 if abs(apart) >= 10 else 1}f} pp"


def more(value: int | None, base: int | None) -> str:
    """`+46`, `−9`, `±0`: a small count against another; empty without both."""
    if value is None or base is None:
        return ""
    apart = value - base
    return f"{'−' if apart < 0 else '+' if apart else '±'}{abs(apart)}"


def bracketed(text: str, words: str) -> str:
    """`text (words)`; the text alone where there are no words."""
    return f"{text} ({words})" if words else text


def beside(value: float | None, base: float | None) -> str:
    """`20.4 µs (−94 %)`: the value and its difference to the baseline; the value alone where there is none."""
    return bracketed(duration(value), difference(value, base))
