"""The page's account of bubbles: causes, lengths, the worst gaps with what stands on both sides of each."""

from __future__ import annotations

from rope_prof.analysis.trace.idle import idle
from rope_prof.views.blocks.bubbles import Bubbles, bubble_blocks, lean
from rope_prof.views.blocks.model import Block, Words
from rope_prof.views.blocks.overview import Overview
from rope_prof.views.report.data import ReportData


def bubbles(data: ReportData, view: Overview | None) -> tuple[Block, ...]:
    """Of the main case's captured sides."""
    if view is None:
        return ()
    found = []
    for side in view.sides:
        one = data.captured.get(side.row.key)
        account = None if one is None else idle(one.gaps, one.calls)
        if account is not None:
            found.append(Bubbles(side=side, idle=account))
    if not found:
        return ()
    words = f"{view.case.words}, all captured calls. {lean(found)}"
    return (Words(text=words.strip()), *bubble_blocks(found, view.case.words))
