"""Two traces compared, as a page of its own: the answer, what must be known of it, and all tables behind it."""

from __future__ import annotations

from rope_prof.analysis.diff.diff import TraceDiff
from rope_prof.views.blocks.model import Report, Section
from rope_prof.views.blocks.trace_diff import diff_blocks
from rope_prof.views.draw.svg import Drawing


def diff_report(diff: TraceDiff, names: tuple[str, str], aligned: Drawing | None) -> Report:
    """`names` of the two files; `aligned`: one call of each side, drawn."""
    title = " → ".join(names)
    section = Section(key="difference", number=1, title="What changed", blocks=diff_blocks(diff, names, aligned))
    return Report(source=title, title=title, kicker="two traces compared", headline=None, cards=(), sections=(section,))
