"""Bounds on what may grow: `wall>3%`, and whether a verdict keeps one. A bound passes only what was judged.

Knows verdicts; what a command makes of one that could not be judged (an exit code, an option) the command knows.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Literal

from rope_prof.analysis.comparison.compare import ALL_METRICS, Verdict
from rope_prof.errors import UsageError
from rope_prof.model.frozen import Frozen

#: `undecided`: the interval holds the bound, or there is nothing to judge by.
Held = Literal["holds", "fails", "undecided"]
Checked = tuple["Gate", Verdict, Held]

_GATE = re.compile(rf"\s*({'|'.join(ALL_METRICS)})\s*>\s*(\d+(?:\.\d+)?)\s*%\s*", re.ASCII)


class Gate(Frozen):
    """`wall>3%`: the candidate may not take over 3 % more wall time than the baseline."""

    metric: str
    percent: float

    def check(self, verdict: Verdict) -> Held:
        """fails: the whole interval of the growth lies beyond the bound; undecided: it holds the bound, or is none.

        Where one verdict of many is no more than chance would give (`Verdict.chance`), nothing fails by it.
        """
        ratio = verdict.ratio
        if verdict.word == "UNKNOWN" or ratio is None or not ratio.lo or not ratio.hi:
            return "undecided"
        bound = 1 + self.percent / 100
        if 1 / ratio.hi > bound:
            return "undecided" if verdict.chance else "fails"
        return "holds" if 1 / ratio.lo <= bound else "undecided"


def gate(text: str) -> Gate:
    """Errors: UsageError for anything but METRIC>PERCENT%."""
    found = _GATE.fullmatch(text)
    if found is None:
        raise UsageError(
            f"cannot read --fail-on {text!r}; expected METRIC>PERCENT%, as 'wall>3%', with a metric of "
            f"{', '.join(ALL_METRICS)}"
        )
    return Gate(found[1], float(found[2]))


def check(gates: Sequence[Gate], verdicts: Iterable[Verdict]) -> list[Checked]:
    """Every bound against every verdict of its metric; keys that neither side's device can time are under no bound."""
    listed = list(verdicts)
    return [(g, v, g.check(v)) for g in gates for v in listed if v.metric == g.metric and not v.untimed]
