"""Lines over two axes as a drawing: intervals as whiskers, what loses or is unsure marked. Computes no figure.

Paths are told apart by marker and shade, modes by solid or dashed lines, hollow marks and the label at the line's end:
a hue always says what a stretch of time is (`views.draw.palette`). A bound is a thin line without marks.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from rope_prof.model.frozen import Frozen
from rope_prof.units import significant
from rope_prof.views.draw.scale import Scale, decades, linear_scale, log_scale, round_values, spans_a_decade
from rope_prof.views.draw.svg import Drawing, Line, Marker, Shape, Text, fitted, text_width

WIDTH = 1180.0
MARKS = ("circle", "square", "diamond", "triangle")
_LEFT, _RIGHT, _TOP, _BOTTOM = 62.0, 210.0, 14.0, 52.0


class Point(Frozen, kw_only=True):
    """One measurement; `lo` and `hi` are the ends of its interval, `bad` marks one that loses, `unsure` one without.

    `said` stands above the mark.
    """

    x: float
    y: float
    lo: float | None = None
    hi: float | None = None
    bad: bool = False
    unsure: bool = False
    said: str = ""
    title: str = ""

    @property
    def sign(self) -> str:
        """What stands above its mark."""
        return " ".join(filter(None, ("▼" if self.bad else "?" if self.unsure else "", self.said)))


class Series(Frozen, kw_only=True):
    """One line: `shade` and `mark` say which path, `dash` and `hollow` which mode; a `bound` is none of a path."""

    label: str
    points: tuple[Point, ...]
    shade: int = 0
    mark: int = 0
    dash: bool = False
    hollow: bool = False
    bound: bool = False

    @property
    def role(self) -> str:
        """Its colour: the device's own for a bound, else the shade of its path."""
        return "kernel" if self.bound else f"path{self.shade}"


class Axes(Frozen, kw_only=True):
    """Labels with units, and whether both are logarithmic; None: each where its values span a decade."""

    x: str
    y: str
    log: bool | None = None
    height: float = 420.0


class LineChart(Frozen, kw_only=True):
    """Lines over two axes."""

    series: tuple[Series, ...]
    axes: Axes
    title: str

    @property
    def drawing(self) -> Drawing:
        """It still, fit to the data; a linear axis of values begins at zero. Errors: ValueError without a point."""
        xs, ys = _values(self.series)
        bottom = self.axes.height - _BOTTOM
        x_of = _x_scale(xs, log=spans_a_decade(xs) if self.axes.log is None else self.axes.log)
        log_y = spans_a_decade(ys) if self.axes.log is None else self.axes.log
        y_of = (
            log_scale(min(ys), max(ys), bottom - 10, _TOP + 10)
            if log_y
            else linear_scale(0.0, max(ys), bottom, _TOP + 10)
        )
        shapes = [
            *_grid(xs, decades(min(ys), max(ys)) if log_y else round_values(max(ys)), x_of, y_of, bottom),
            Text(
                x=(_LEFT + WIDTH - _RIGHT) / 2, y=self.axes.height - 10, text=self.axes.x, role="muted", anchor="middle"
            ),
            Text(x=0, y=_TOP - 2, text=self.axes.y, role="muted"),
        ]
        for one in self.series:
            shapes += _line(one, x_of, y_of)
        ends = [(y_of(one.points[-1].y), one) for one in self.series if one.points]
        shapes += _end_labels(ends, WIDTH - _RIGHT + 10, _TOP, bottom)
        return Drawing(width=WIDTH, height=self.axes.height, title=self.title, shapes=tuple(shapes))


def _values(series: Sequence[Series]) -> tuple[list[float], list[float]]:
    points = [p for one in series for p in one.points]
    if not points:
        raise ValueError("a chart without a point; expected at least one")
    return [p.x for p in points], [v for p in points for v in (p.y, p.lo or p.y, p.hi or p.y) if v > 0]


def _x_scale(xs: Sequence[float], *, log: bool) -> Scale:
    scale = log_scale if log else linear_scale
    return scale(min(xs), max(xs), _LEFT + 14, WIDTH - _RIGHT - 14)


def _grid(xs: Sequence[float], ys: Sequence[float], x_of: Scale, y_of: Scale, bottom: float) -> Iterator[Shape]:
    for value in ys:
        y = y_of(value)
        yield Line(points=((_LEFT, y), (WIDTH - _RIGHT, y)), role="rule")
        yield Text(x=_LEFT - 8, y=y + 4, text=significant(value, 1), role="muted", anchor="end")
    used = -math.inf
    for value in sorted(set(xs)):
        x, text = x_of(value), f"{value:,.6g}"
        yield Line(points=((x, _TOP), (x, bottom)), role="rule")
        if x - text_width(text) / 2 > used + 4:
            yield Text(x=x, y=bottom + 18, text=text, role="muted", anchor="middle")
            used = x + text_width(text) / 2


def _line(one: Series, x_of: Scale, y_of: Scale) -> Iterator[Shape]:
    way = tuple((x_of(p.x), y_of(p.y)) for p in one.points)
    yield Line(points=way, role=one.role, width=1.2 if one.bound else 1.6, dash=one.dash)
    if one.bound:
        return
    for p, (x, y) in zip(one.points, way, strict=True):
        if p.lo and p.hi:
            yield Line(points=((x, y_of(p.lo)), (x, y_of(p.hi))), role=one.role, width=1.2)
        ink = "warn" if p.bad else one.role
        yield Marker(x=x, y=y, role=ink, shape=MARKS[one.mark % 4], hollow=one.hollow, title=p.title)
        if p.sign:
            yield Text(x=x, y=y - 9, text=p.sign, role=ink, size=11, anchor="middle", bold=True)


def _end_labels(ends: list[tuple[float, Series]], x: float, top: float, bottom: float) -> Iterator[Shape]:
    """Each line's name beside its end, moved apart so that none covers another."""
    step = 17.0
    ordered = sorted(ends, key=lambda end: end[0])
    places: list[float] = []
    for y, _ in ordered:
        places.append(max(y, places[-1] + step if places else top + 6))
    over = places[-1] - bottom if places else 0.0
    if over > 0:
        places = [p - over for p in places]
        for k in range(len(places) - 2, -1, -1):
            places[k] = min(places[k], places[k + 1] - step)
    for (y, one), place in zip(ordered, places, strict=True):
        yield Line(points=((x - 10, y), (x, place)), role="rule")
        if one.bound:
            yield Line(points=((x + 2, place), (x + 14, place)), role=one.role, width=1.2, dash=one.dash)
        else:
            yield Marker(x=x + 8, y=place, role=one.role, shape=MARKS[one.mark % 4], hollow=one.hollow)
        yield Text(x=x + 20, y=place + 4, text=fitted(one.label, 175), title=one.label)
