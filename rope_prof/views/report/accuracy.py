"""Section 6 of a report: measured error against tolerance."""

from __future__ import annotations

from collections.abc import Sequence

from rope_prof.analysis.run.rows import Row
from rope_prof.views.blocks.model import Block, Cell, Table, Tone, Words, cells
from rope_prof.views.blocks.overview import Overview
from rope_prof.views.report.data import ReportData
from rope_prof.views.words.figures import error
from rope_prof.views.words.labels import side_label


def accuracy(data: ReportData, view: Overview | None) -> tuple[Block, ...]:
    """Every path's largest error, what is allowed, and how many outputs are rounded right; the main case open."""
    rows = [row for row in data.rows if row.rank == 0 and row.accuracy is not None]
    if not rows:
        return ()
    wrong = sum(row.accuracy is not None and row.accuracy.wrong for row in rows)
    said = f"{len(rows)} keys held against the float64 oracle on the very input that was timed: {wrong} wrong."
    main = [row for row in rows if view is not None and row.case == view.case]
    other = [row for row in rows if row not in main]
    tables = [
        _accuracy_table(part, title, data.rows, folded=folded)
        for part, title, folded in (
            (main, main[0].case.words if main else "", False),
            (other, f"{len(other)} keys of the other cases", True),
        )
        if part
    ]
    operation = data.run.operation
    note = (
        f"Tolerance: twice the {operation.baseline} chain's own largest error on that input; a NaN is wrong. Errors "
        f"are absolute, over {' and '.join(operation.outputs) or 'all outputs'}."
    )
    return (Words(text=said, tone="bad" if wrong else ""), *tables, Words(text=note, tone="muted"))


def _accuracy_table(part: Sequence[Row], title: str, rows: Sequence[Row], *, folded: bool) -> Table:
    body = []
    for row in part:
        found = row.accuracy
        assert found is not None
        tone: Tone = "bad" if found.wrong else ""
        figures = (
            Cell(text=error(found.max_error), tone=tone),
            error(found.limit),
            f"{100 * found.rounded_share:.3f} %",
            f"{found.nans:,}",
            found.dtype,
            Cell(text="WRONG" if found.wrong else "within", tone=tone),
        )
        body.append(cells(*((row.case.words,) if folded else ()), side_label(row, rows), *figures))
    head = ("path · mode", "max error", "tolerance", "rounded right", "NaN", "dtype", "")
    first = 2 if folded else 1
    return Table(
        title=title,
        head=("case", *head) if folded else head,
        rows=tuple(body),
        right=frozenset(range(first, first + 4)),
        folded=folded,
    )
