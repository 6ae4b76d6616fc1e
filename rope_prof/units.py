"""Numbers as people read them: nanoseconds, bytes, ratios. The one place where a unit is chosen."""

from __future__ import annotations

#: What stands where there is no figure.
MISSING = "–"

_TIMES = ((1e9, "s"), (1e6, "ms"), (1e3, "µs"), (1.0, "ns"))
_SIZES = ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"), (1, "B"))


def significant(value: float, digits: int = 3) -> str:
    """At least `digits` significant digits, thousands apart, no exponent: 12.3, 0.0123, 1,234."""
    magnitude = abs(value)
    if magnitude == 0:
        return "0"
    decimals = 0
    while magnitude < 10 ** (digits - 1) and decimals < 12:
        magnitude *= 10
        decimals += 1
    return f"{value:,.{decimals}f}"


def duration(ns: float | None) -> str:
    """`12.3 µs`: the largest unit that leaves at least one whole; negative values keep their sign."""
    if ns is None:
        return MISSING
    for scale, unit in _TIMES:
        if abs(ns) >= scale:
            return f"{significant(ns / scale)} {unit}"
    return f"{significant(ns)} ns"


def between(lo_ns: float, hi_ns: float) -> str:
    """`24.8–35.1 µs`: the unit once where both have it; one figure where both read alike."""
    lo, hi = duration(lo_ns), duration(hi_ns)
    (low, unit), (_, other) = lo.split(" "), hi.split(" ")
    return lo if lo == hi else f"{low}–{hi}" if unit == other else f"{lo}–{hi}"


def microseconds(ns: float | None) -> str:
    """`1,234` or `12.3`: microseconds without the unit, for a column whose head names it."""
    return MISSING if ns is None else significant(ns / 1e3)


def size(count: float | None) -> str:
    """`150 MiB`: binary units."""
    if count is None:
        return MISSING
    for scale, unit in _SIZES:
        if abs(count) >= scale:
            return f"{significant(count / scale)} {unit}"
    return f"{significant(count)} B"


def ratio(value: float | None) -> str:
    """`5.43x`."""
    return MISSING if value is None else f"{significant(value)}x"
