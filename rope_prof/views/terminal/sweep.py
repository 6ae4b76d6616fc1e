"""A run over many cases as few tables: µs a call, speedup over the chain in the same mode, share of the roofline."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from rope_prof.units import MISSING
from rope_prof.views.words.sweep import cell, families

if TYPE_CHECKING:
    from rich.table import Table


def sweep_tables(frame: pl.DataFrame) -> list[Table]:
    """One table per model, TP, dtype, prompt and L2 state: a row per token count, a column per path and mode."""
    return [_table(title, rows) for title, rows in families(frame)]


def _table(title: str, rows: pl.DataFrame) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    sides = list(dict.fromkeys(rows.select("path", "mode").iter_rows()))
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    table.collapse_padding = True
    table.add_column("tokens", justify="right", no_wrap=True)
    for path, mode in sides:
        table.add_column(Text(f"{path}\n{mode}"), justify="right", no_wrap=True)
    cells = {(row["tokens"], row["path"], row["mode"]): cell(row) for row in rows.iter_rows(named=True)}
    for tokens in rows["tokens"].unique().sort():
        shown = (cells.get((tokens, *side), MISSING) for side in sides)
        table.add_row(f"{tokens:,}", *(Text(one, style="red" if "▼" in one else "") for one in shown))
    return table
