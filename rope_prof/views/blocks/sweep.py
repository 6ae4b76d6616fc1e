"""A run over many cases as few tables: µs a call, speedup over the chain in the same mode, share of the roofline."""

from __future__ import annotations

import polars as pl

from rope_prof.analysis.run.sweep import turning_points
from rope_prof.model.run import OperationFacts
from rope_prof.units import MISSING
from rope_prof.views.blocks.model import Block, Bullets, Cell, Table, Words
from rope_prof.views.words.labels import counts, side
from rope_prof.views.words.sweep import cell, families, turning_words
from rope_prof.views.words.verdicts import SIGNS


def sweep_tables(frame: pl.DataFrame, operation: OperationFacts) -> list[Table]:
    """One table per family of cases and L2 state: a row per swept value, a column per path and mode."""
    return [family_table(title, rows, operation) for title, rows in families(frame, operation)]


def turning_blocks(title: str, rows: pl.DataFrame, operation: OperationFacts) -> tuple[Block, ...]:
    """One family of cases called `title`: where fusing stops to matter, a sentence a path and mode."""
    turns = turning_points(rows, operation).to_dicts()
    if not turns:
        return (Words(text=title, tone="strong"), Words(text="Only the baseline is shown: choose a path beside it."))
    said = (f"{side(turn['path'], turn['mode'])}: {turning_words(turn, operation)}" for turn in turns)
    return (Bullets(items=tuple(said), title=title),)


def family_table(title: str, rows: pl.DataFrame, operation: OperationFacts, *, folded: bool = False) -> Table:
    """One family of cases called `title`; a cell reads as `views.words.sweep.cell_note` says."""
    sides = list(dict.fromkeys(rows.select("path", "mode").iter_rows()))
    texts = {(row[operation.swept], row["path"], row["mode"]): cell(row) for row in rows.iter_rows(named=True)}
    body = tuple(
        (Cell(text=f"{count:,}"), *(_cell(texts.get((count, *one), MISSING)) for one in sides))
        for count in rows[operation.swept].unique().sort()
    )
    head = (counts(operation), *(f"{path}\n{mode}" for path, mode in sides))
    return Table(title=title, head=head, rows=body, right=frozenset(range(len(head))), folded=folded)


def _cell(text: str) -> Cell:
    return Cell(text=text, tone="bad" if SIGNS["SLOWER"] in text else "")
