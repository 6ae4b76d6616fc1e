"""Blocks as a piece of HTML for a notebook's output: tables, sentences, pictures. It asks for nothing, runs nothing.

A notebook's own page stands around it, which may be light or dark: colours of text are left to it, a picture brings
its ground. Every text is escaped.
"""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from rope_prof.views.blocks.model import Block, Bullets, Cell, Code, Picture, Table, Tone, Words
from rope_prof.views.draw.palette import LIGHT
from rope_prof.views.draw.svg import svg_file
from rope_prof.views.words.names import shown

_TONES: dict[Tone, str] = {
    "bad": f"color:{LIGHT.warn}",
    "muted": "opacity:.65",
    "strong": "font-weight:bold",
    "doubt": "font-style:italic",
}


def fragment(title: str, blocks: Iterable[Block]) -> str:
    """`title` in bold and the blocks under it."""
    body = "\n".join(map(_block, blocks))
    return f'<div class="rope-prof"><p><b>{_text(title)}</b></p>\n{body}\n</div>'


def _block(block: Block) -> str:
    if isinstance(block, Table):
        return _table(block)
    if isinstance(block, Picture):
        words = f"<figcaption>{_text(block.caption)}</figcaption>" if block.caption else ""
        return f'<figure style="margin:0;overflow-x:auto">{svg_file(block.drawing, LIGHT)}{words}</figure>'
    if isinstance(block, Words):
        return f"<p{_style(block.tone)}>{_text(block.text)}</p>"
    if isinstance(block, Bullets):
        items = "".join(f"<li>{_text(item)}</li>" for item in block.items)
        return f'<ul style="opacity:.65">{items}</ul>' if items else ""
    if isinstance(block, Code):
        return "".join(f"<pre>{_text(line)}</pre>" for line in block.lines)
    raise TypeError(f"no HTML for {type(block).__name__}")


def _table(table: Table) -> str:
    sides = ["right" if k in table.right else "left" for k in range(len(table.head))]
    head = "".join(f'<th style="text-align:{s}">{_text(h)}</th>' for h, s in zip(table.head, sides, strict=True))
    rows = "".join(
        f"<tr>{''.join(_cell(cell, side) for cell, side in zip(row, sides, strict=True))}</tr>" for row in table.rows
    )
    caption = f'<caption style="text-align:left;font-weight:bold">{_text(table.title)}</caption>' if table.title else ""
    note = f'<p style="opacity:.65">{_text(table.note)}</p>' if table.note else ""
    return f"<table>{caption}<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>{note}"


def _cell(cell: Cell, side: str) -> str:
    small = f" <small>{_text(cell.small)}</small>" if cell.small else ""
    tone = _TONES.get(cell.tone)
    return f'<td style="text-align:{side}{f";{tone}" if tone else ""}">{_text(cell.text)}{small}</td>'


def _style(tone: Tone) -> str:
    return f' style="{_TONES[tone]}"' if tone in _TONES else ""


def _text(value: str) -> str:
    return escape(shown(value), quote=True)
