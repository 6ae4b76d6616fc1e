"""Blocks as HTML, the one writer of every page. Every text is escaped; a page's own kind says what it does otherwise.

Plain markup without script; classes name meanings (a tone, `r` for figures), which each page's sheet draws.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from html import escape

from rope_prof.views.blocks.model import Block, Bullets, Cell, Code, Picture, Table, Tone, Words
from rope_prof.views.words.names import shown


def text(value: str) -> str:
    """That text letter for letter; control characters become visible."""
    return escape(shown(value), quote=True)


def heading(title: str) -> str:
    """What stands over a table or picture; nothing without a title."""
    return f"<h3>{text(title)}</h3>" if title else ""


class Writer(ABC):
    """Writes blocks for one kind of page. `linked`: what stands behind a link's address; None: links lead nowhere."""

    linked: str | None = ""

    def blocks(self, found: Iterable[Block]) -> str:
        """Those blocks one after the other."""
        return "\n".join(map(self._block, found))

    @abstractmethod
    def name(self, name: str) -> str:
        """A name from a file, short where it is long, and whole for who asks."""

    @abstractmethod
    def figure(self, figure: Picture) -> str:
        """A drawing with its caption."""

    def _block(self, block: Block) -> str:
        if isinstance(block, Words):
            return f"<p{_class(block.tone)}>{text(block.text)}</p>"
        if isinstance(block, Bullets):
            items = "".join(f"<li>{text(item)}</li>" for item in block.items)
            return _under(block, f"<ul>{items}</ul>") if block.items else ""
        if isinstance(block, Code):
            return "".join(f"<pre>{text(line)}</pre>" for line in block.lines)
        return _under(block, self.table(block) if isinstance(block, Table) else self.figure(block))

    def table(self, table: Table) -> str:
        """A table in a frame of its own, which scrolls where the page is narrow, and its note."""
        heads = (text(" ".join(name.split("\n"))) for name in table.head)  # a terminal breaks them there
        head = "".join(f"<th{_class('', k in table.right)}>{name}</th>" for k, name in enumerate(heads))
        rows = "".join(
            f"<tr>{''.join(self._cell(cell, right=k in table.right) for k, cell in enumerate(row))}</tr>"
            for row in table.rows
        )
        grid = f"<thead><tr>{head}</tr></thead><tbody>{rows}</tbody>" if any(table.head) else f"<tbody>{rows}</tbody>"
        note = f'<p class="muted">{text(table.note)}</p>' if table.note else ""
        return f'<div class="wide{" wraps" if table.wraps else ""}"><table>{grid}</table></div>{note}'

    def _cell(self, cell: Cell, *, right: bool) -> str:
        inside = self.name(cell.text) if cell.name else text(cell.text)
        if cell.link and self.linked is not None:
            inside = f'<a href="{escape(cell.link, quote=True)}"{self.linked}>{inside}</a>'
        small = f"<small>{text(cell.small)}</small>" if cell.small else ""
        return f"<td{_class(cell.tone, right)}>{inside}{small}</td>"


def _under(block: Bullets | Table | Picture, body: str) -> str:
    if block.folded:
        return f"<details><summary>{text(block.title)}</summary>{body}</details>"
    return f"{heading(block.title)}{body}"


def _class(tone: Tone, right: bool = False) -> str:
    names = " ".join(filter(None, (tone, "r" if right else "")))
    return f' class="{names}"' if names else ""
