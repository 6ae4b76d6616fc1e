"""The parts of a difference between two traces in words, and a change with its sign."""

from __future__ import annotations

from fractions import Fraction
from typing import Final

from rope_prof.analysis.diff.diff import DiffTerm, TraceDiff
from rope_prof.units import duration
from rope_prof.views.words.causes import IDLE_WORDS

PARTS: Final = {"kernels": "kernel time", "copies": "copies", "overlap": "work beside each other"}


def term_words(term: DiffTerm) -> str:
    """`kernel time`, `idle waiting for the host's launch`."""
    return PARTS[term.part] if term.cause is None else IDLE_WORDS.get(term.cause, f"idle, {term.cause}")


def of_each(diff: TraceDiff) -> str:
    """What a figure of one side is of: ` a call`; nothing where whole devices are held against each other."""
    return "" if diff.whole else " a call"


def ends_of(diff: TraceDiff) -> tuple[str, str]:
    """What the waterfall begins and ends with: a call of each side, or all of it."""
    return ("all before", "all after") if diff.whole else ("a call before", "a call after")


def signed(ns: Fraction) -> str:
    """`+1.20 µs`, `−1.20 µs`; zero has no sign."""
    return duration(0) if not ns else f"{'+' if ns > 0 else '−'}{duration(abs(float(ns)))}"
