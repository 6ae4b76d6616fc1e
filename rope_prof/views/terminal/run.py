"""The table of a run for people. Draws what `analysis.run.rows` computed, no arithmetic."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from rope_prof.analysis.run.rows import Row
from rope_prof.model.run import Case
from rope_prof.units import MISSING, microseconds, ratio, significant
from rope_prof.views.words.labels import case_words

if TYPE_CHECKING:
    from rich.table import Table

    from rope_prof.analysis.stats import Figure


_COLUMNS = (
    ("path", "left"),
    ("kernels", "right"),
    ("busy µs", "right"),
    ("bubble raw", "right"),
    ("corrected", "right"),
    ("wall µs", "right"),
    ("[95 %]", "left"),
    ("device µs", "right"),
    ("inflation", "right"),
    ("light", "right"),
    ("speedup", "right"),
    ("max error", "right"),
)


#: The column that is greyed where the capture is unlike the unprofiled calls.
_RAW = next(i for i, (name, _) in enumerate(_COLUMNS) if name == "bubble raw")


def run_tables(rows: Sequence[Row]) -> list[Table]:
    """One rich table per case, its name on top; columns without any figure are left out."""
    return [_case_table(case, list(group)) for case, group in groupby(rows, key=lambda row: row.case)]


def _case_table(case: Case, rows: Sequence[Row]) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    both, ranked = len({row.l2 for row in rows}) > 1, len({row.rank for row in rows}) > 1
    cells = [row_cells(row, l2=both, rank=ranked) for row in rows]
    shown = [i for i in range(len(_COLUMNS)) if any(line[i] not in {MISSING, ""} for line in cells)]
    table = Table(
        title=Text(case_words(case)),
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        collapse_padding=True,
    )
    for i in shown:
        name, side = _COLUMNS[i]
        table.add_column(name, justify="right" if side == "right" else "left", no_wrap=i > 0)
    for line, row in zip(cells, rows, strict=True):
        style = {"wrong": "red", "failed": "red", "measured": ""}.get(row.status, "dim")
        grey = {_RAW: "bright_black"} if not row.raw_trusted else {}
        table.add_row(*(Text(line[i], style=grey.get(i, "")) for i in shown), style=style)
    return table


def row_cells(row: Row, *, l2: bool = False, rank: bool = False) -> tuple[str, ...]:
    """The cells of one key, in the order of the columns; its L2 state and its rank where these tell keys apart.

    A raw bubble whose capture is unlike the unprofiled calls carries a `?`, a corrected one that its cross-check denies
    a `≠`.
    """
    distrusted = row.inflation is not None and not row.raw_trusted
    raw = microseconds(row.bubble_raw_ns)
    return (
        f"{row.path} {row.mode}"
        + (f" {row.l2}" if l2 else "")
        + (f", rank {row.rank}" if rank else "")
        + (f" ({row.status})" if row.status != "measured" else ""),
        MISSING if row.kernels_per_call is None else f"{row.kernels_per_call:g}",
        microseconds(row.busy_ns),
        f"{raw}?" if distrusted and raw != MISSING else raw,
        microseconds(row.bubble_corrected_ns) + ("≠" if row.bubbles_agree is False else ""),
        microseconds(row.wall_ns.median) if row.wall_ns else MISSING,
        interval(row.wall_ns),
        microseconds(row.device_ns.median) if row.device_ns else MISSING,
        ratio(row.inflation),
        ratio(row.light_inflation),
        ratio(row.speedup),
        MISSING if row.max_error is None else f"{row.max_error:.2g}",
    )


def interval(figure: Figure | None) -> str:
    """`[20.1, 20.6]` in µs."""
    if figure is None or figure.lo is None or figure.hi is None:
        return ""
    return f"[{significant(figure.lo / 1e3)}, {significant(figure.hi / 1e3)}]"
