"""Section 5 of a report: the tables of `show` over the swept axis, each with its lines; what loses is marked."""

from __future__ import annotations

from rope_prof.analysis.run.sweep import sweep as swept
from rope_prof.views.blocks.model import Block, Words, charted
from rope_prof.views.blocks.sweep import family_table
from rope_prof.views.draw.sweep import TIMES, HeldWalls, sweep_charts
from rope_prof.views.report.data import ReportData
from rope_prof.views.words.sweep import MARKS, cell_note, families


def sweep(data: ReportData) -> tuple[Block, ...]:
    """A table and a picture a family of cases that has more than one value of the swept axis, the first one open."""
    operation, blocks = data.run.operation, list[Block]()
    frame = swept([row for row in data.rows if row.rank == 0])
    paths = frame["path"].unique(maintain_order=True).to_list() if frame.height else []
    for title, rows in families(frame, operation):
        if rows[operation.swept].n_unique() < 2:
            continue
        folded, caption = bool(blocks), f"{title}. {MARKS}"
        blocks.append(family_table(title, rows, operation, folded=folded))
        chart = sweep_charts(title, rows, operation, paths, HeldWalls()).get(TIMES)
        if chart is not None:
            drawn = f"{title}, drawn" if folded else ""
            name = f"sweep-{len(blocks)}"
            blocks.append(charted(chart, name, title=drawn, caption=caption, folded=folded, where="page"))
    return (*blocks, Words(text=f"A{cell_note(operation)[1:]}.", tone="muted")) if blocks else ()
