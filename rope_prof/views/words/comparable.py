"""May the figures of a run be compared with another run's? One line, from what the run holds."""

from __future__ import annotations

from rope_prof.analysis.comparison.apart import LEAST_ANCHORS, MARGIN
from rope_prof.model.run import Run


def comparable_line(run: Run) -> str:
    """The answer: over processes, by reference calls, or not at all."""
    repeats = run.settings.get("repeats")
    if isinstance(repeats, int) and repeats > 1:
        return (
            f"figures may be compared with another run's of as many processes: {repeats} fresh ones a path, intervals "
            "over processes"
        )
    groups = {(facts.key.case, facts.key.rank) for facts in run.keys}
    counts = [sum((c.case, c.rank, c.status) == (*group, "measured") for c in run.ceilings) for group in groups]
    if counts and min(counts) >= LEAST_ANCHORS:
        least, most = min(counts), max(counts)
        calls = f"{least}" if least == most else f"{least} to {most}"
        return (
            f"figures differ from another run's by more than their intervals: `compare` counts only what is beyond "
            f"{MARGIN:g} times the difference of both runs' reference calls ({calls} a case); paths of this run need "
            "no such margin"
        )
    return (
        "figures are not to be compared with another run's: no reference calls say how far runs of the same code "
        "differ; paths of this run may be compared"
    )
