"""May the figures of a run be compared with another run's? One line, from what the run holds."""

from __future__ import annotations

from rope_prof.analysis.comparison.apart import LEAST_ANCHORS, MARGIN
from rope_prof.analysis.run.series import repeats
from rope_prof.model.run import Run


def comparable_line(run: Run) -> str:
    """The answer: by reference calls, or not at all; K processes of a run share what tells it from the next."""
    of = repeats(run)
    over = f", which are over {of} processes of one host and hour" if of > 1 else ""
    groups = {(facts.key.case, facts.key.rank) for facts in run.keys}
    counts = [sum((c.case, c.rank, c.status) == (*group, "measured") for c in run.ceilings) for group in groups]
    if counts and min(counts) >= LEAST_ANCHORS:
        least, most = min(counts), max(counts)
        calls = f"{least}" if least == most else f"{least} to {most}"
        return (
            f"figures differ from another run's by more than their intervals{over}: `compare` counts only what is "
            f"beyond {MARGIN:g} times the difference of both runs' reference calls ({calls} a case); paths of this run "
            "need no such margin"
        )
    return (
        "figures are not to be compared with another run's: no reference calls say how far runs of the same code "
        "differ; paths of this run may be compared"
    )
