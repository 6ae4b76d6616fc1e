"""Why the rounds of a key ended, and that a recording did before its plan: the one home of that wording."""

from __future__ import annotations

from typing import Final

from rope_prof.model.run import Stopped

#: Of a recording of calls or of whole requests that was interrupted.
CUT: Final = "stopped before its end"


def stopped_words(found: Stopped) -> str:
    """`precision of 1.00% reached after 30 rounds: the interval of its ratio to the baseline is 0.93% wide`."""
    of = "its median" if found.of == "median" else "its ratio to the baseline"
    figures = "too few rounds for an interval"
    if found.width is not None:
        figures = f"the interval of {of} is {found.width:.2%} wide"
    if found.why == "precision":
        return f"precision of {found.asked or 0:.2%} reached after {found.rounds} rounds: {figures}"
    if found.why == "budget":
        return f"budget of {found.asked or 0:.3g} s for its case spent after {found.rounds} rounds: {figures}"
    return f"all {found.rounds} rounds done: {figures}"
