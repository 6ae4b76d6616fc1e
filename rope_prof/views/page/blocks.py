"""Blocks on a page of the dashboard: what stands inside `wrap` follows the viewer's palette.

It paints at once and follows the viewer's ground by `currentColor`; the colours of meanings are custom properties.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable
from html import escape

from rope_prof.views.blocks.model import Block, Card, Headline, Picture, Words
from rope_prof.views.draw.charts import BarChart
from rope_prof.views.draw.palette import Palette
from rope_prof.views.draw.svg import MARGIN, Drawing, Marker, Rect, lines_of, placed, svg_file
from rope_prof.views.page.writer import Writer, text
from rope_prof.views.words.names import short_name

#: Longer names are shortened, with all of it where the mouse is over them.
NAME_LENGTH = 44
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
    big = f'<div class="rp-big {found.tone}">{text(number)}<span>{text(unit)}</span></div>' if number else ""
    lines = "".join(f'<p class="{one.tone}">{text(one.text)}</p>' for one in more)
    return f'<div class="rp-hero">{big}<div><h1>{text(found.words)}</h1>{lines}<p>{text(found.detail)}</p></div></div>'


def cards(found: Iterable[Card]) -> str:
    """Figures before -> after."""
    each = "".join(
        f'<div class="rp-card"><h3>{text(card.title)}</h3>'
        f'<div class="rp-pair"><span>{text(card.before)}</span><i>→</i><b>{text(card.after)}</b></div>'
        f"<p>{text(card.note)}</p></div>"
        for card in found
    )
    return f'<div class="rp-cards">{each}</div>' if each else ""


def key(words: str) -> str:
    """A quiet line."""
    return f'<p class="muted">{text(words)}</p>' if words else ""


def blocks(found: Iterable[Block], palette: Palette) -> str:
    """Those blocks one after the other."""
    return _PageWriter(palette).blocks(found)


class _PageWriter(Writer):
    def __init__(self, palette: Palette) -> None:
        self.palette = palette

    def name(self, name: str) -> str:
        if len(name) <= NAME_LENGTH:
            return text(name)
        return f'<span title="{text(name)}">{text(short_name(name, NAME_LENGTH))}</span>'

    def figure(self, figure: Picture) -> str:
        drawn = hovered(figure.drawing, self.palette)
        if isinstance(figure.chart, BarChart):
            narrow = hovered(figure.chart.narrow, self.palette)
            drawn = f'<div class="rp-wide">{drawn}</div><div class="rp-narrow">{narrow}</div>'
        return f"{drawn}{key(figure.caption)}"


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
