"""Blocks as HTML of a page of the dashboard. Every text is escaped; what a page shows stands inside `wrap`.

Plain markup without script, so that it paints at once and follows the viewer's ground by `currentColor`; the colours
of meanings come from the palette as inline custom properties.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Sequence
from html import escape

from rope_prof.views.blocks.model import Block, Bullets, Card, Cell, Code, Headline, Picture, Table, Tone, Words
from rope_prof.views.draw.palette import Palette
from rope_prof.views.draw.svg import MARGIN, Drawing, Marker, Rect, lines_of, placed, svg_file
from rope_prof.views.words.names import short_name, shown

#: Longer names are shortened, with all of it where the mouse is over them.
NAME_LENGTH = 44
#: How a tone looks; others have no look of their own.
_TONES: dict[Tone, str] = {"bad": "rp-warn", "doubt": "rp-unsure", "muted": "rp-muted", "strong": "rp-strong"}
_COLOURS = ("kernel", "bubble", "launch", "copy", "warn", "unsure", "muted", "rule", "panel", "ink")


def wrap(palette: Palette, *parts: str) -> str:
    """Those parts as one block that knows the palette."""
    colours = ";".join(f"--rp-{name}:{getattr(palette, name)}" for name in _COLOURS)
    return f'<div class="rp" style="{colours}">{"".join(parts)}</div>'


def kicker(words: str) -> str:
    """The quiet line above a headline."""
    return f'<p class="rp-kicker">{text(words)}</p>'


def hero(found: Headline, *more: Words) -> str:
    """The one number in large letters, its sentence, and what must be said with it."""
    number, unit = found.factor[:-1], found.factor[-1:].replace("x", "×")
    tone = {"bad": " rp-warn", "doubt": " rp-doubt"}.get(found.tone, "")
    big = f'<div class="rp-big{tone}">{text(number)}<span>{text(unit)}</span></div>' if number else ""
    lines = "".join(f'<p class="{"rp-slower" if one.tone == "bad" else ""}">{text(one.text)}</p>' for one in more)
    return f'<div class="rp-hero">{big}<div><h1>{text(found.words)}</h1><p>{text(found.detail)}</p>{lines}</div></div>'


def cards(found: Iterable[Card]) -> str:
    """Figures before -> after."""
    each = "".join(
        f'<div class="rp-card"><h3>{text(card.title)}</h3>'
        f'<div class="rp-pair"><span>{text(card.before)}</span><i>→</i><b>{text(card.after)}</b></div>'
        f"<p>{text(card.note)}</p></div>"
        for card in found
    )
    return f'<div class="rp-cards">{each}</div>' if each else ""


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
        return f'<p class="rp-key {_TONES.get(block.tone, "")}">{text(block.text)}</p>'
    if isinstance(block, Bullets) and not block.items:
        return ""
    if isinstance(block, Bullets):
        items = "".join(f"<li>{text(item)}</li>" for item in block.items)
        return f'{heading(block.title)}<ul class="rp-doubts">{items}</ul>'
    if isinstance(block, Code):
        return "".join(f"<pre>{text(line)}</pre>" for line in block.lines)
    if isinstance(block, Table):
        return f"{_under(block.title, _table(block), folded=block.folded)}{key(block.note)}"
    return _figure(block, palette)


def _figure(figure: Picture, palette: Palette) -> str:
    return f"{_under(figure.title, hovered(figure.drawing, palette), folded=figure.folded)}{key(figure.caption)}"


def picture(svg: str, alt: str) -> str:
    """A drawing as an image inside the page: inline SVG is stripped by the page, an image of it is not."""
    data = b64encode(svg.encode("utf-8")).decode("ascii")
    return f'<img class="rp-picture" alt="{escape(alt, quote=True)}" src="data:image/svg+xml;base64,{data}">'


def hovered(drawing: Drawing, palette: Palette) -> str:
    """The drawing as an image, with the facts of each of its marks and boxes shown where the mouse is over it."""
    width, height = drawing.width + 2 * MARGIN, drawing.height + 2 * MARGIN
    spots = "".join(
        f'<i{_spot(shape, width, height)} title="{lines_of(shape.title)}"></i>'
        for shape in placed(drawing)
        if isinstance(shape, (Marker, Rect)) and shape.title
    )
    return f'<div class="rp-map">{picture(svg_file(drawing, palette), drawing.title)}{spots}</div>'


def _spot(shape: Marker | Rect, width: float, height: float) -> str:
    """Where the mouse finds it: around a mark, on the whole of a box."""
    left, top = 100 * (shape.x + MARGIN) / width, 100 * (shape.y + MARGIN) / height
    if isinstance(shape, Marker):
        return f' style="left:{left:.3f}%;top:{top:.3f}%"'
    sides = f"width:{100 * shape.width / width:.3f}%;height:{100 * shape.height / height:.3f}%"
    return f' class="rp-box" style="left:{left:.3f}%;top:{top:.3f}%;{sides}"'


def _under(title: str, body: str, *, folded: bool) -> str:
    if folded:
        return f'<details class="rp-fold"><summary>{text(title)}</summary>{body}</details>'
    return f"{heading(title)}{body}"


def _table(table: Table) -> str:
    heads = (" ".join(name.split("\n")) for name in table.head)  # a terminal breaks them there
    head = "".join(f"<th{_right(table, k)}>{text(name)}</th>" for k, name in enumerate(heads))
    rows = "".join(
        f"<tr>{''.join(f'<td{_right(table, k)}>{_cell(cell)}</td>' for k, cell in enumerate(row))}</tr>"
        for row in table.rows
    )
    grid = f"<thead><tr>{head}</tr></thead><tbody>{rows}</tbody>" if any(table.head) else f"<tbody>{rows}</tbody>"
    wraps = " rp-wraps" if table.wraps else ""
    return f'<div class="rp-scroll"><table class="rp-plain{wraps}">{grid}</table></div>'


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
