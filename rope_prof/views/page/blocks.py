"""A report's blocks as HTML of a page of the dashboard. Every text is escaped; needs `overview.wrap` around it."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from rope_prof.views.blocks.model import Block, Bullets, Cell, Code, Picture, Table, Words
from rope_prof.views.draw.palette import Palette
from rope_prof.views.page import overview
from rope_prof.views.words.names import short_name, shown

#: Longer names are shortened, with all of it where the mouse is over them.
NAME_LENGTH = 44
#: How a tone looks; others have no look of their own.
_TONES = {"bad": "rp-warn", "doubt": "rp-unsure"}


def text(value: str) -> str:
    """That text letter for letter; control characters become visible."""
    return escape(shown(value), quote=True)


def heading(title: str) -> str:
    """What stands over a table or picture; nothing without a title."""
    return f'<h3 class="rp-head">{text(title)}</h3>' if title else ""


def key(words: str) -> str:
    """A quiet line."""
    return f'<p class="rp-key">{text(words)}</p>' if words else ""


def blocks(found: Sequence[Block], palette: Palette) -> str:
    """Those blocks one after the other."""
    return "".join(_block(block, palette) for block in found)


def _block(block: Block, palette: Palette) -> str:
    if isinstance(block, Words):
        return key(block.text)
    if isinstance(block, Bullets) and not block.items:
        return ""
    if isinstance(block, Bullets):
        return f'<ul class="rp-doubts">{"".join(f"<li>{text(item)}</li>" for item in block.items)}</ul>'
    if isinstance(block, Code):
        return "".join(f"<pre>{text(line)}</pre>" for line in block.lines)
    if isinstance(block, Table):
        return f"{_under(block.title, _table(block), folded=block.folded)}{key(block.note)}"
    return _figure(block, palette)


def _figure(figure: Picture, palette: Palette) -> str:
    picture = overview.hovered(figure.drawing, palette)
    return f"{_under(figure.title, picture, folded=figure.folded)}{key(figure.caption)}"


def _under(title: str, body: str, *, folded: bool) -> str:
    if folded:
        return f'<details class="rp-fold"><summary>{text(title)}</summary>{body}</details>'
    return f"{heading(title)}{body}"


def _table(table: Table) -> str:
    head = "".join(f"<th{_right(table, k)}>{text(name)}</th>" for k, name in enumerate(table.head))
    rows = "".join(
        f"<tr>{''.join(f'<td{_right(table, k)}>{_cell(cell)}</td>' for k, cell in enumerate(row))}</tr>"
        for row in table.rows
    )
    grid = f"<thead><tr>{head}</tr></thead><tbody>{rows}</tbody>"
    return f'<div class="rp-scroll"><table class="rp-plain">{grid}</table></div>'


def _right(table: Table, column: int) -> str:
    return ' class="rp-r"' if column in table.right else ""


def _cell(cell: Cell) -> str:
    inside = _name(cell.text) if cell.name else text(cell.text)
    if cell.link:
        inside = f'<a href="{escape(cell.link, quote=True)}">{inside}</a>'
    inside += f"<small>{text(cell.small)}</small>" if cell.small else ""
    return f'<span class="{_TONES[cell.tone]}">{inside}</span>' if cell.tone in _TONES else inside


def _name(name: str) -> str:
    if len(name) <= NAME_LENGTH:
        return text(name)
    return f'<span title="{text(name)}">{text(short_name(name, NAME_LENGTH))}</span>'
