"""A run over many cases as few tables: µs a call, speedup over the chain in the same mode, share of the roofline."""

from __future__ import annotations

import polars as pl

from rope_prof.model.run import OperationFacts
from rope_prof.units import MISSING
from rope_prof.views.blocks.model import Cell, Table
from rope_prof.views.words.labels import counts
from rope_prof.views.words.sweep import cell, families
from rope_prof.views.words.verdicts import SIGNS


def sweep_tables(frame: pl.DataFrame, operation: OperationFacts) -> list[Table]:
    """One table per family of cases and L2 state: a row per swept value, a column per path and mode."""
    return [_table(title, rows, operation) for title, rows in families(frame, operation)]


def _table(title: str, rows: pl.DataFrame, operation: OperationFacts) -> Table:
    sides = list(dict.fromkeys(rows.select("path", "mode").iter_rows()))
    texts = {(row[operation.swept], row["path"], row["mode"]): cell(row) for row in rows.iter_rows(named=True)}
    body = tuple(
        (Cell(text=f"{count:,}"), *(_cell(texts.get((count, *side), MISSING)) for side in sides))
        for count in rows[operation.swept].unique().sort()
    )
    head = (counts(operation), *(f"{path}\n{mode}" for path, mode in sides))
    return Table(title=title, head=head, rows=body, right=frozenset(range(len(head))))


def _cell(text: str) -> Cell:
    return Cell(text=text, tone="bad" if SIGNS["SLOWER"] in text else "")
