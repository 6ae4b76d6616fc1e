"""Numbers as people read them: nanoseconds, bytes, ratios, shares, counts. The one place where a unit is chosen."""

from __future__ import annotations

#: What stands where there is no figure.
MISSING = "–"

#: Nanoseconds of a unit of time, and bytes of a decimal one.
US = 1e3
MS = 1e6
SECOND = 1e9
MEGA = 1e6
GIGA = 1e9
_TIMES = ((SECOND, "s"), (MS, "ms"), (US, "µs"), (1.0, "ns"))
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
    return MISSING if ns is None else _in_largest(ns, _TIMES)


def _in_largest(value: float, units: tuple[tuple[float, str], ...]) -> str:
    """`value` in the first of those units, the largest first, of which it has one; in the last where it has none."""
    scale, unit = next((one for one in units if abs(value) >= one[0]), units[-1])
    return f"{significant(value / scale)} {unit}"


def between(lo_ns: float, hi_ns: float) -> str:
    """`24.8–35.1 µs`: the unit once where both have it; one figure where both read alike; `-3 to 5 µs` below zero."""
    lo, hi = duration(lo_ns), duration(hi_ns)
    (low, unit), (_, other) = lo.split(" "), hi.split(" ")
    return lo if lo == hi else f"{low if unit == other else lo}{span(lo_ns)}{hi}"


def span(lo: float) -> str:
    """What stands between two ends: a dash beside the sign of a number below zero reads as one more."""
    return "–" if lo >= 0 else " to "


def microseconds(ns: float | None) -> str:
    """`1,234` or `12.3`: microseconds without the unit, for a column whose head names it."""
    return MISSING if ns is None else significant(ns / US)


def milliseconds(ns: float | None) -> str:
    """The same in milliseconds."""
    return MISSING if ns is None else significant(ns / MS)


def in_us(ns: float | None) -> float | None:
    """Nanoseconds as a number of microseconds, for an axis or a column of figures."""
    return None if ns is None else ns / US


def ends(lo_ns: float | None, hi_ns: float | None, scale: float = US) -> str:
    """`[20.1, 20.6]`: an interval in the unit of `scale`; nothing without one."""
    return "" if lo_ns is None or hi_ns is None else f"[{significant(lo_ns / scale)}, {significant(hi_ns / scale)}]"


def size(count: float | None) -> str:
    """`150 MiB`: binary units."""
    return MISSING if count is None else _in_largest(count, _SIZES)


def mebibytes(count: float | None) -> str:
    """`12.3`: MiB without the unit."""
    return MISSING if count is None else significant(count / (1 << 20))


def megabytes(count: float | None) -> str:
    """`12.3`: decimal MB without the unit, as bandwidths count them."""
    return MISSING if not count else significant(count / MEGA)


def gigabytes_per_s(bytes_per_s: float | None) -> str:
    """`3,013`: decimal GB/s without the unit."""
    return MISSING if bytes_per_s is None else significant(bytes_per_s / GIGA)


def ratio(value: float | None) -> str:
    """`5.43x`."""
    return MISSING if value is None else f"{significant(value)}x"


def percent(share: float | None, digits: int = 0) -> str:
    """`12 %`, or with digits behind the point."""
    return MISSING if share is None else f"{100 * share:.{digits}f} %"


def number(value: float | None) -> str:
    """`25`, `1,234`, `2.333`: a count or a mean of counts, in four digits."""
    return MISSING if value is None else f"{value:,.4g}"


def counted(count: float, noun: str) -> str:
    """`1 token`, `8,192 tokens`."""
    return f"{number(count) if isinstance(count, float) else f'{count:,}'} {noun if count == 1 else f'{noun}s'}"


def whole(count: int | None) -> str:
    """`8,192`: a count."""
    return MISSING if count is None else f"{count:,}"


def zoom_text(window: tuple[float, float]) -> str:
    """`-12.5~340.2`: a window in µs, as the address holds it, to the nanosecond."""
    return "~".join(f"{ns / US:.3f}".rstrip("0").rstrip(".") for ns in window)
