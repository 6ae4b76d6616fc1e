"""Section 3 of a report: one call of each path on one scale; before and after for a file, every case for the page."""

from __future__ import annotations

from collections.abc import Sequence

from rope_prof.analysis.run.rows import Row
from rope_prof.units import ratio
from rope_prof.views.blocks.model import Block, Picture, Words
from rope_prof.views.blocks.overview import Overview
from rope_prof.views.report.data import Captured, ReportData
from rope_prof.views.timeline.captions import doubt_words, unprofiled_panel
from rope_prof.views.timeline.picture import Panel, timeline_drawing
from rope_prof.views.words.labels import side_label
from rope_prof.views.words.trust import ON_CPU

#: What a picture of the unprofiled clock is made of.
CLOCK = (
    "Order and length of each event are those of the profiled call; its gaps, and the host's calls in them, are scaled "
    "so that the call takes its unprofiled time, unless its line says that it is drawn as profiled."
)


def timelines(data: ReportData, view: Overview | None) -> tuple[Block, ...]:
    """The picture of baseline and candidate, and one figure a case with every captured side."""
    if view is None:
        return ()
    rows = {row.key: row for row in data.rows}
    found = [(rows[name], one) for name, one in data.captured.items() if one.timeline is not None and name in rows]
    if not found:
        return ()
    chosen = [s.row.key for s in (view.baseline, view.candidate) if s is not None]
    both = [(row, one) for row, one in found if row.key in chosen]
    blocks: list[Block] = []
    if both:
        both.sort(key=lambda pair: chosen.index(pair[0].key))
        title = f"Before and after on one scale, gaps as unprofiled, {view.case.words}"
        blocks.append(
            Picture(
                name="before-after",
                drawing=timeline_drawing([_panel(row, one, data) for row, one in both], title, "before-after"),
                caption=_caption(both, data),
            )
        )
    for case in sorted(dict.fromkeys(row.case for row in data.rows), key=lambda case: case != view.case):
        mine = [(row, one) for row, one in found if row.case == case and row.rank == 0]
        if mine:
            title = f"{case.words}, gaps as unprofiled"
            drawing = timeline_drawing([_panel(row, one, data) for row, one in mine], title, case.name)
            blocks.append(
                Picture(
                    name=case.name,
                    drawing=drawing,
                    title=title,
                    caption=_caption(mine, data),
                    folded=True,
                    where="page",
                )
            )
    lost = [f"{side_label(one.facts.key, data.rows)}: {one.reason}" for one in data.captured.values() if one.reason]
    return (*blocks, *(Words(text=text, tone="muted") for text in lost))


def _panel(row: Row, one: Captured, data: ReportData) -> Panel:
    assert one.timeline is not None
    return unprofiled_panel(side_label(row, data.rows), one.timeline, row, one.which)


def _caption(found: Sequence[tuple[Row, Captured]], data: ReportData) -> str:
    """Which call of each side, on which clock it is drawn, and what follows from that."""
    sides = [f"{side_label(row, data.rows)}: {one.which} (stretched {ratio(row.inflation)})" for row, one in found]
    text = (
        f"{'; '.join(sides)}: the one of median period. {CLOCK} Zero is each call's first device event; the pale band "
        "ends where the next call begins; "
    )
    text += "numbers in the shade are bubbles in µs. "
    text += doubt_words([_panel(row, one, data) for row, one in found])
    if data.run.machine.device == "cpu":
        text += ON_CPU
    return text.strip()
