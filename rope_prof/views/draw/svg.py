"""A picture as a list of shapes, and the SVG of it: for a file with colours of its own, or for a page that has them.

Knows shapes, roles and one time axis; knows no run, no trace, no file. A role is the name of a colour of the palette,
so that one drawing serves light and dark. Texts are escaped here and nowhere else; control characters become visible.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from html import escape
from typing import Any, ClassVar

from rope_prof.model.frozen import Frozen
from rope_prof.views.draw.palette import Palette
from rope_prof.views.words.names import ends, shown

FONT = "'Source Sans 3', 'Source Sans Pro', 'Segoe UI', system-ui, 'Helvetica Neue', Arial, sans-serif"
#: Spans narrower than this are drawn this wide, in pixels: a kernel of 1 µs in a call of 1 ms is still seen.
LEAST_WIDTH = 0.8
#: Empty pixels around a drawing in a file of its own.
MARGIN = 14.0
#: Begins the role that is the colour of a cause of idle time.
CAUSE = "cause-"

Span = tuple[float, float]


class TimeAxis(Frozen, kw_only=True):
    """Time in ns, `lo` at pixel `x0` and `hi` at `x1`; what carries a time lies between `y0` and `y1`."""

    lo: float
    hi: float
    x0: float
    x1: float
    y0: float
    y1: float

    def at(self, ns: float) -> float:
        """The pixel of that instant, outside the picture too."""
        return self.x0 + (ns - self.lo) / (self.hi - self.lo) * (self.x1 - self.x0)


class Rect(Frozen, kw_only=True):
    """A filled box. With `time` its x and width follow the axis of its drawing."""

    codes: ClassVar = ("role",)
    y: float
    height: float
    role: str
    x: float = 0.0
    width: float = 0.0
    title: str = ""
    radius: float = 0.0
    time: Span | None = None


class Line(Frozen, kw_only=True):
    """A stroke through all `points`; with `time` it runs from its start to its end, its first y to its last."""

    codes: ClassVar = ("role",)
    points: tuple[tuple[float, float], ...]
    role: str
    width: float = 1.0
    dash: bool = False
    time: Span | None = None


class Text(Frozen, kw_only=True):
    """One line of text; `y` is its baseline. With `time` it stands in the middle of that span where it has the room."""

    codes: ClassVar = ("role", "anchor")
    y: float
    text: str
    role: str = "ink"
    x: float = 0.0
    size: float = 12.0
    anchor: str = "start"
    bold: bool = False
    title: str = ""
    time: Span | None = None


class Marker(Frozen, kw_only=True):
    """A point of a chart: `shape` is circle, square, diamond or triangle; hollow ones have paper inside."""

    codes: ClassVar = ("role", "shape")
    x: float
    y: float
    role: str
    shape: str = "circle"
    size: float = 4.0
    hollow: bool = False
    title: str = ""


Shape = Rect | Line | Text | Marker


class Drawing(Frozen, kw_only=True):
    """Shapes from the back to the front on `width` x `height` pixels. `ticks` are replaced where a page zooms."""

    codes: ClassVar = ("name",)
    width: float
    height: float
    title: str
    shapes: tuple[Shape, ...]
    ticks: tuple[Shape, ...] = ()
    axis: TimeAxis | None = None
    name: str = ""


_NARROW, _WIDE = frozenset("iljtfr.,:;'|!()[]{}·- "), frozenset("mwMW@%→…ODGQ")


def text_width(text: str, size: float = 12.0, *, bold: bool = False) -> float:
    """About how wide that text is: kept on the safe side, since the font is the reader's."""
    units = sum(0.37 if c in _NARROW else 0.94 if c in _WIDE else 0.68 if c.isupper() else 0.61 for c in text)
    return units * size * (1.06 if bold else 1.0)


def fitted(text: str, room: float, size: float = 12.0, *, bold: bool = False) -> str:
    """`text`, or as much of its two ends as `room` holds."""
    if text_width(text, size, bold=bold) <= room:
        return text
    for keep in range(len(text) - 1, 3, -1):
        short = ends(text, keep)
        if text_width(short, size, bold=bold) <= room:
            return short
    return "…" if text else ""


def placed(drawing: Drawing) -> Iterator[Shape]:
    """All shapes at pixels inside the picture, those of the axis cut at its ends; texts without room are left out."""
    yield from drawing.ticks
    for shape in drawing.shapes:
        timed = getattr(shape, "time", None)
        if timed is None or drawing.axis is None:
            yield shape
            continue
        found = _on_axis(shape, drawing.axis)
        if found is not None:
            yield found


def _on_axis(shape: Shape, axis: TimeAxis) -> Shape | None:
    time = getattr(shape, "time")  # noqa: B009 - a mark has none
    start, end = axis.at(time[0]), axis.at(time[1])
    if isinstance(shape, Line):
        return replace(shape, points=_clipped((start, shape.points[0][1]), (end, shape.points[-1][1]), axis))
    lo, hi = max(start, axis.x0), min(max(end, start + LEAST_WIDTH), axis.x1)
    if hi <= lo:
        return None
    if isinstance(shape, Text):
        room = text_width(shape.text, shape.size, bold=shape.bold) + 4
        return replace(shape, x=(lo + hi) / 2, anchor="middle") if hi - lo >= room else None
    return replace(shape, x=lo, width=hi - lo) if isinstance(shape, Rect) else shape


def _clipped(start: tuple[float, float], end: tuple[float, float], axis: TimeAxis) -> tuple[tuple[float, float], ...]:
    """A stroke cut where it leaves the picture at the left or right; nothing where it is outside altogether."""
    if start[0] > end[0]:
        start, end = end, start
    (x1, y1), (x2, y2) = start, end
    if x2 < axis.x0 or x1 > axis.x1:
        return ()
    slope = (y2 - y1) / (x2 - x1) if x2 > x1 else 0.0
    left, right = max(x1, axis.x0), min(x2, axis.x1)
    return ((left, y1 + slope * (left - x1)), (right, y1 + slope * (right - x1) if x2 > x1 else y2))


def text_of(text: str) -> str:
    """That text in XML, letter for letter."""
    return escape(shown(text), quote=True)


def lines_of(text: str) -> str:
    """The same for a text of several lines, as a title is."""
    return "\n".join(map(text_of, text.split("\n")))


def number(value: float) -> str:
    """Two decimals at most: a hundredth of a pixel, or of a nanosecond, is enough."""
    return f"{value:.2f}".rstrip("0").rstrip(".") if value == value else "0"


def svg_file(drawing: Drawing, palette: Palette) -> str:
    """The drawing as a file of its own on the palette's ground; it needs nothing else and asks for nothing."""
    width, height = number(drawing.width + 2 * MARGIN), number(drawing.height + 2 * MARGIN)
    edge = number(-MARGIN)
    body = "\n".join(_element(shape, palette) for shape in placed(drawing))
    box = f'width="{width}" height="{height}" viewBox="{edge} {edge} {width} {height}"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" {box} '
        f'role="img" font-family="{escape(FONT, quote=True)}">\n<title>{text_of(drawing.title)}</title>\n'
        f'<rect x="{edge}" y="{edge}" width="{width}" height="{height}" fill="{palette.paper}"/>\n{body}\n</svg>\n'
    )


def svg_inline(drawing: Drawing) -> str:
    """The drawing for a page whose style sheet has a class for each role: `f-kernel` fills, `s-kernel` strokes.

    With an axis, what carries a time has it in `data-a` and `data-b`, so that a script can zoom.
    """
    width, height = number(drawing.width), number(drawing.height)
    head = f'<svg viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img"'
    title = f"<title>{text_of(drawing.title)}</title>"
    ticks = "".join(_element(shape, None) for shape in drawing.ticks)
    if drawing.axis is None:
        return f"{head}>{title}{''.join(_element(shape, None) for shape in drawing.shapes)}</svg>"
    axis, name = drawing.axis, text_of(drawing.name)
    clip = f"clip-{re.sub(r'[^A-Za-z0-9-]', '_', drawing.name)}"
    facts = " ".join(f'data-{key}="{number(getattr(axis, key))}"' for key in ("lo", "hi", "x0", "x1", "y0", "y1"))
    box = f'x="{number(axis.x0)}" y="0" width="{number(axis.x1 - axis.x0)}" height="{height}"'
    still = "".join(_element(s, None) for s in drawing.shapes if getattr(s, "time", None) is None)
    moving = "".join(_timed(s, axis) for s in drawing.shapes if getattr(s, "time", None) is not None)
    return (
        f'{head} tabindex="0" data-zoom="{name}" {facts}>{title}<clipPath id="{clip}"><rect {box}/></clipPath>'
        f'<g class="ticks">{ticks}</g>{still}<g clip-path="url(#{clip})">{moving}</g></svg>'
    )


def _timed(shape: Shape, axis: TimeAxis) -> str:
    """A shape with a time, placed for the whole axis; one without room is there, but hidden."""
    time: Span = getattr(shape, "time")  # noqa: B009 - a mark has none
    data = f' data-a="{number(time[0])}" data-b="{number(time[1])}"'
    found = _on_axis(shape, axis)
    if isinstance(shape, Line):
        points = ((axis.at(time[0]), shape.points[0][1]), (axis.at(time[1]), shape.points[-1][1]))
        return _line(points, shape, None, data)
    if isinstance(shape, Text):
        room = text_width(shape.text, shape.size, bold=shape.bold) + 4
        hidden = "" if found is not None else ' visibility="hidden"'
        kept = found if isinstance(found, Text) else shape
        return _text(kept, None, f'{data} data-room="{number(room)}"{hidden}', anchor="middle")
    if isinstance(shape, Rect):
        start, end = axis.at(time[0]), axis.at(time[1])
        return _rect(start, max(end - start, LEAST_WIDTH), shape, None, data)
    return ""


def _element(shape: Shape, palette: Palette | None) -> str:
    if isinstance(shape, Rect):
        return _rect(shape.x, shape.width, shape, palette)
    if isinstance(shape, Line):
        return _line(shape.points, shape, palette)
    if isinstance(shape, Text):
        return _text(shape, palette)
    return _mark(shape, palette)


def colour(palette: Palette, role: str) -> str:
    """The colour of a role: a field of the palette, `path0` and so on for the shades of the paths, `cause-sync`."""
    if role.startswith(CAUSE):
        return palette.causes[role.removeprefix(CAUSE)]
    if role.startswith("path"):
        return palette.paths[int(role.removeprefix("path")) % len(palette.paths)]
    found: Any = getattr(palette, role)
    return str(found)


def _paint(palette: Palette | None, role: str, how: str = "fill") -> str:
    return f' class="{how[0]}-{role}"' if palette is None else f' {how}="{colour(palette, role)}"'


def _rect(x: float, width: float, shape: Rect, palette: Palette | None, more: str = "") -> str:
    radius = f' rx="{number(shape.radius)}"' if shape.radius else ""
    start = (
        f'<rect x="{number(x)}" y="{number(shape.y)}" width="{number(width)}" height="{number(shape.height)}"'
        f"{radius}{_paint(palette, shape.role)}{more}"
    )
    return f"{start}><title>{lines_of(shape.title)}</title></rect>" if shape.title else f"{start}/>"


def _line(points: tuple[tuple[float, float], ...], shape: Line, palette: Palette | None, more: str = "") -> str:
    if len(points) < 2:
        return ""
    way = " ".join(f"{number(x)},{number(y)}" for x, y in points)
    dash = ' stroke-dasharray="5 4"' if shape.dash else ""
    return (
        f'<polyline points="{way}" fill="none" stroke-width="{number(shape.width)}"{dash}'
        f"{_paint(palette, shape.role, 'stroke')}{more}/>"
    )


def _text(shape: Text, palette: Palette | None, more: str = "", anchor: str | None = None) -> str:
    where = anchor or shape.anchor
    side = "" if where == "start" else f' text-anchor="{where}"'
    weight = ' font-weight="600"' if shape.bold else ""
    title = f"<title>{lines_of(shape.title)}</title>" if shape.title else ""
    return (
        f'<text x="{number(shape.x)}" y="{number(shape.y)}" font-size="{number(shape.size)}"{side}{weight}'
        f'{_paint(palette, shape.role)}{more} xml:space="preserve">{text_of(shape.text)}{title}</text>'
    )


def mark_points(shape: Marker) -> tuple[tuple[float, float], ...]:
    """The corners of a mark that is no circle."""
    x, y, r = shape.x, shape.y, shape.size
    if shape.shape == "square":
        return ((x - r, y - r), (x + r, y - r), (x + r, y + r), (x - r, y + r))
    if shape.shape == "diamond":
        return ((x, y - 1.3 * r), (x + 1.3 * r, y), (x, y + 1.3 * r), (x - 1.3 * r, y))
    return ((x, y - 1.2 * r), (x + 1.2 * r, y + r), (x - 1.2 * r, y + r))


def _mark(shape: Marker, palette: Palette | None) -> str:
    if palette is None:
        paint = f' class="s-{shape.role} f-{"paper" if shape.hollow else shape.role}" stroke-width="1.6"'
    else:
        inside = palette.paper if shape.hollow else colour(palette, shape.role)
        paint = f' fill="{inside}" stroke="{colour(palette, shape.role)}" stroke-width="1.6"'
    title = f"<title>{lines_of(shape.title)}</title>" if shape.title else ""
    if shape.shape == "circle":
        return f'<circle cx="{number(shape.x)}" cy="{number(shape.y)}" r="{number(shape.size)}"{paint}>{title}</circle>'
    corners = " ".join(f"{number(x)},{number(y)}" for x, y in mark_points(shape))
    return f'<polygon points="{corners}"{paint}>{title}</polygon>'
