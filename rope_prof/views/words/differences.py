"""The parts of a difference between two traces in words, and a change with its sign."""

from __future__ import annotations

from fractions import Fraction
from typing import Final

from rope_prof.analysis.diff.diff import DiffTerm
from rope_prof.units import duration
from rope_prof.views.words.causes import IDLE_WORDS

PARTS: Final = {"kernels": "kernel time", "copies": "copies", "overlap": "work beside each other"}


def term_words(term: DiffTerm) -> str:
    """`kernel time`, `idle waiting for the host's launch`."""
    return PARTS[term.part] if term.cause is None else IDLE_WORDS.get(term.cause, f"idle, {term.cause}")


def signed(ns: Fraction) -> str:
    """`+1.20 µs`, `−1.20 µs`; zero has no sign."""
    return duration(0) if not ns else f"{'+' if ns > 0 else '−'}{duration(abs(float(ns)))}"
