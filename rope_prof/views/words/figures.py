"""Figures as a report writes them: errors, and intervals in words."""

from __future__ import annotations

from rope_prof.analysis.stats import Figure
from rope_prof.units import MISSING, significant

#: Tables longer than this are folded; losing cells beyond it are counted.
LONG = 14


def error(value: float | None) -> str:
    """`0.0078`: two digits."""
    return MISSING if value is None else f"{value:.2g}"


def between(found: Figure | None, scale: float = 1.0) -> str:
    """`60.1 to 65.0`; nothing without an interval."""
    if found is None or found.lo is None or found.hi is None:
        return ""
    return f"{significant(found.lo / scale)} to {significant(found.hi / scale)}"
