"""The table of a run, one a case. Draws what `analysis.run.rows` computed, no arithmetic."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby

from rope_prof.analysis.run.rows import Row
from rope_prof.analysis.stats import Figure
from rope_prof.model.frozen import Frozen
from rope_prof.model.run import Run
from rope_prof.units import MISSING, ends, microseconds, ratio
from rope_prof.views.blocks.model import Cell, Table, Tone, cells
from rope_prof.views.words.figures import error
from rope_prof.views.words.labels import apart, told
from rope_prof.views.words.machine import machine_facts
from rope_prof.views.words.trust import DENIED

_TONES: dict[str, Tone] = {"measured": "", "wrong": "bad", "failed": "bad"}


class Column(Frozen):
    """A column of the table: its head, the text of a row's cell, and whether that text is doubtful."""

    head: str
    text: Callable[[Row], str]
    doubtful: Callable[[Row], bool] = lambda _: False
    right: bool = True


def median(found: Figure | None) -> str:
    """`20.4`, in µs."""
    return microseconds(found.median if found else None)


def _raw(row: Row) -> str:
    """A raw bubble whose capture is unlike the unprofiled calls carries a `?`."""
    distrusted = row.inflation is not None and not row.raw_trusted and row.bubble_raw_ns is not None
    return microseconds(row.bubble_raw_ns) + ("?" if distrusted else "")


#: Behind the path; a column without any figure is left out. The corrected bubble is that of the host, wall less device
#: time, and that of the queue, device time less busy. A corrected bubble that its cross-check denies carries a ≠.
COLUMNS = (
    Column("kernels", lambda row: MISSING if row.kernels_per_call is None else f"{row.kernels_per_call:g}"),
    Column("busy µs", lambda row: microseconds(row.busy_ns)),
    Column("bubble raw", _raw, doubtful=lambda row: not row.raw_trusted),
    Column(
        "corrected",
        lambda row: microseconds(row.bubble_corrected_ns) + (DENIED if row.bubbles_agree is False else ""),
    ),
    Column("= host", lambda row: microseconds(row.bubble_host_ns)),
    Column("+ queue", lambda row: microseconds(row.bubble_queue_ns)),
    Column("wall µs", lambda row: median(row.wall_ns)),
    Column("[95 %]", lambda row: interval(row.wall_ns), right=False),
    Column("device µs", lambda row: median(row.device_ns)),
    Column("inflation", lambda row: ratio(row.inflation)),
    Column("light", lambda row: ratio(row.light_inflation)),
    Column("speedup", lambda row: ratio(row.speedup)),
    Column("max error", lambda row: error(row.max_error)),
)


def run_tables(rows: Sequence[Row]) -> list[Table]:
    """One table per case, its name on top."""
    return [_case_table(case.words, list(group)) for case, group in groupby(rows, key=lambda row: row.case)]


def _case_table(title: str, rows: Sequence[Row]) -> Table:
    used = [one for one in COLUMNS if any(one.text(row) not in {MISSING, ""} for row in rows)]
    differ = apart(rows)
    return Table(
        title=title,
        head=("path", *(one.head for one in used)),
        rows=tuple((_path(row, differ), *(_cell(one, row) for one in used)) for row in rows),
        right=frozenset(k for k, one in enumerate(used, 1) if one.right),
    )


def _path(row: Row, differ: tuple[bool, bool]) -> Cell:
    status = "" if row.status == "measured" else f" ({row.status})"
    return Cell(text=f"{row.path} {row.mode}{told(row, differ)}{status}", tone=_TONES.get(row.status, "muted"))


def _cell(one: Column, row: Row) -> Cell:
    return Cell(text=one.text(row), tone="muted" if one.doubtful(row) else _TONES.get(row.status, "muted"))


def machine_table(run: Run, *more: tuple[str, str], title: str = "") -> Table:
    """What it was recorded on, a fact a row; `more` facts behind those of the run."""
    rows = tuple(cells(*pair) for pair in (*machine_facts(run).items(), *more))
    return Table(title=title, head=("", ""), rows=rows)


def interval(figure: Figure | None) -> str:
    """`[20.1, 20.6]` in µs."""
    return "" if figure is None else ends(figure.lo, figure.hi)
