"""Which case of a run stands for it where only one is shown."""

from __future__ import annotations

from rope_prof.model.run import Case, Run

#: The request of the pull request that this package answers: the case that is shown first where a run has it.
USUAL_TOKENS = 973


def main_case(run: Run) -> Case | None:
    """The case with the most captured keys; of those the one nearest to the usual request. None without keys."""
    cases = {f.key.case for f in run.keys if f.key.rank == 0}
    caught = {case: sum(f.trace is not None for f in run.keys if f.key.case == case) for case in cases}
    order = {f.key.case: i for i, f in reversed(list(enumerate(run.keys)))}
    return min(cases, key=lambda c: (-caught[c], abs(c.swept - USUAL_TOKENS), order[c]), default=None)
