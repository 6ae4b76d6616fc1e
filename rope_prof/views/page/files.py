"""What a page gives away as files: a table as CSV or Markdown, a drawing as SVG or PNG. Names letter for letter."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

import polars as pl

from rope_prof.units import MISSING
from rope_prof.views.blocks.model import Table
from rope_prof.views.draw.palette import Palette
from rope_prof.views.draw.png import png
from rope_prof.views.draw.svg import Drawing, svg_file
from rope_prof.views.words.markdown import md

#: How a formula begins, in one spreadsheet or another, behind what is not seen; as `re` and polars both read it.
_FORMULA: Final = "^[\\s\x01-\x1f\ufeff]*[=+\\-@\t\r|%]"


def csv_of(table: pl.DataFrame) -> bytes:
    """Comma-separated, one head line, UTF-8; nested columns are left out.

    A name that a spreadsheet would take for a formula has an apostrophe in front, by which it shows it as text.
    """
    flat = [_no_formula(name, kind) for name, kind in table.schema.items() if not kind.is_nested()]
    return table.select(flat).write_csv().encode("utf-8")


def _no_formula(name: str, kind: pl.DataType) -> pl.Expr:
    column = pl.col(name).alias(f"'{name}" if re.match(_FORMULA, name) else name)
    if kind not in (pl.String, pl.Categorical, pl.Enum):
        return column
    text = column.cast(pl.String)
    return pl.when(text.str.contains(_FORMULA)).then("'" + text).otherwise(text).alias(column.meta.output_name())


def frame_of(table: Table) -> pl.DataFrame:
    """That table as a frame of texts, for a viewer who sorts and scrolls."""
    texts = ([cell.text for cell in row] for row in table.rows)
    return pl.DataFrame(texts, schema=dict.fromkeys(table.head, pl.String), orient="row")


def markdown_of(title: str, table: pl.DataFrame, lines: Sequence[str] = ()) -> bytes:
    """A heading, sentences, one table: whatever the names hold, Markdown shows it and does nothing with it."""
    parts = [f"# {md(title)}", *(md(line) for line in lines if line)]
    if table.width:
        head = f"| {' | '.join(md(name) for name in table.columns)} |"
        rule = f"|{'|'.join('---:' if kind.is_numeric() else '---' for kind in table.dtypes)}|"
        rows = [f"| {' | '.join(md(_cell(value)) for value in row)} |" for row in table.iter_rows()]
        parts.append("\n".join((head, rule, *rows)))
    return ("\n\n".join(parts) + "\n").encode("utf-8")


def _cell(value: object) -> str:
    if value is None:
        return MISSING
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def svg_of(drawing: Drawing, palette: Palette) -> bytes:
    """On the palette's ground; it needs nothing else."""
    return svg_file(drawing, palette).encode("utf-8")


def png_of(drawing: Drawing, palette: Palette, font: bytes) -> bytes:
    """The same in pixels."""
    return png(drawing, palette, font)
