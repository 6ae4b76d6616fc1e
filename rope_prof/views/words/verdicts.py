"""Verdicts as marks before a figure, and what the marks mean. The one home of both."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from rope_prof.analysis.comparison.compare import Verdict
from rope_prof.analysis.stats import Figure
from rope_prof.analysis.verdict import SAME_WITHIN, Word, judge
from rope_prof.units import MISSING, duration, ratio

#: What stands before a ratio of that verdict.
SIGNS: Mapping[Word, str] = MappingProxyType(
    {"FASTER": "", "SLOWER": "▼", "SAME": "≈", "UNDECIDED": "≈", "UNKNOWN": "?"}
)
#: The key to them, of a table or picture.
MEANING = (
    "▼ slower for sure, ≈ no difference shown (the interval holds 1: undecided; or lies within "
    f"{100 * SAME_WITHIN:g} % of it: the same), ? too few rounds or processes"
)


def gain(figure: Figure | None) -> str:
    """`3.89x`, `▼0.91x`: a ratio with the mark of its verdict."""
    return MISSING if figure is None else f"{SIGNS[judge(figure.lo, figure.hi)]}{ratio(figure.median)}"


def value(verdict: Verdict, figure: float | None) -> str:
    """`20.4 µs`, or a count of kernels: one side's figure of that verdict."""
    if verdict.metric != "kernels":
        return duration(figure)
    return MISSING if figure is None else f"{figure:g}"
