"""Blocks on a terminal, by rich. Texts are letter for letter: a name may look like markup."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.table import Table as RichTable
from rich.text import Text

from rope_prof.views.blocks.model import Block, Bullets, Cell, Picture, Table, Tone, Words
from rope_prof.views.words.names import shown

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

#: A name is not broken below this many cells; where figures need the room, a longer one is.
NAME_WIDTH = 12
_WIDEST = 1000
_STYLES: dict[Tone, str] = {"bad": "red", "good": "green", "muted": "dim", "strong": "bold", "doubt": "yellow"}


def printed(console: Console, blocks: Iterable[Block]) -> None:
    """Write those blocks one under the other; pictures are left out. In a file a table is as wide as it needs."""
    width, free = console.width, console.options.update(max_width=_WIDEST)
    for block in blocks:
        for one in renderables(block):
            if isinstance(one, RichTable) and not console.is_terminal:
                console.width = max(width, console.measure(one, options=free).maximum)
            console.print(one, markup=False, highlight=False)
            console.width = width


def renderables(block: Block) -> Sequence[RenderableType]:
    """What rich prints for that block."""
    if isinstance(block, Table):
        return [rich_table(block)]
    if isinstance(block, Words):
        return [Text("\n".join(map(shown, block.text.split("\n"))), style=_STYLES.get(block.tone, ""))]
    if isinstance(block, Bullets):
        head = [Text(shown(block.title), style="bold")] if block.title else []
        return [*head, *(Text(shown(item), style="dim") for item in block.items)]
    return [] if isinstance(block, Picture) else [Text(shown(line)) for line in block.lines]


def plain_table(block: Table) -> list[str]:
    """The lines of a table whose columns are two blanks apart, whatever the terminal's width: for logs and `grep`."""
    rows = [block.head, *([shown(cell.text) for cell in row] for row in block.rows)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    sides = [str.rjust if k in block.right else str.ljust for k in range(len(widths))]
    return [
        "  ".join(side(text, width) for side, text, width in zip(sides, row, widths, strict=True)).rstrip()
        for row in rows
    ]


def rich_table(block: Table) -> RichTable:
    """Columns of figures stay whole; the first column, and those of names, are broken where the terminal is narrow."""
    table = RichTable(
        title=Text(shown(block.title)),
        title_justify="left",
        title_style="bold",
        box=SIMPLE_HEAD,
        pad_edge=False,
        padding=(0, 1, 0, block.apart - 1),
    )
    for k, head in enumerate(block.head):
        column = [row[k] for row in block.rows]
        side, folds = "right" if k in block.right else "left", k == 0 or any(cell.name for cell in column)
        if folds:
            least = max(len(head), *(min(cell_len(cell.text), NAME_WIDTH) for cell in column), 0)
            table.add_column(Text(head), justify=side, overflow="fold", min_width=least)  # type: ignore[arg-type]
        else:
            table.add_column(Text(head), justify=side, overflow="ellipsis", no_wrap=True)  # type: ignore[arg-type]
    for number, row in enumerate(block.rows):
        if number in block.breaks:
            table.add_section()
        table.add_row(*map(_cell, row))
    if block.note:
        table.caption, table.caption_justify = Text("\n".join(map(shown, block.note.split("\n")))), "left"
    return table


def _cell(cell: Cell) -> Text:
    small = f" {cell.small}" if cell.small else ""
    return Text("\n".join(map(shown, f"{cell.text}{small}".split("\n"))), style=_STYLES.get(cell.tone, ""))
