"""Charts as drawings: lines over two log scales, bars on one scale, gap lengths. Draws figures, computes none.

Paths are told apart by marker and shade, modes by solid, dashed or dotted lines and by the label at the line's end: a
hue always says what a stretch of time is (`views.palette`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rope_prof.units import significant
from rope_prof.views.svg import Drawing, Line, Mark, Rect, Shape, Text, fitted, text_width

WIDTH = 1180.0
MARKS = ("circle", "square", "diamond", "triangle")


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One measurement; `lo` and `hi` are the ends of its interval, `bad` marks one that loses."""

    x: float
    y: float
    lo: float | None = None
    hi: float | None = None
    bad: bool = False
    title: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """One line of a chart: `shade` and `mark` say which path, `dash` and `hollow` which mode."""

    label: str
    points: tuple[Point, ...]
    shade: int
    mark: int
    dash: bool = False
    hollow: bool = False


def log_chart(series: Sequence[Series], x_label: str, y_label: str, title: str) -> Drawing:
    """Both axes logarithmic, fit to the data, intervals as whiskers; labels at the right, none over another."""
    points = [p for one in series for p in one.points]
    xs = [p.x for p in points]
    ys = [v for p in points for v in (p.y, p.lo or p.y, p.hi or p.y) if v > 0]
    left, right, top, bottom, height = 62.0, 210.0, 14.0, 52.0, 420.0
    x_of = _log(min(xs), max(xs), left + 14, WIDTH - right - 14)
    y_of = _log(min(ys), max(ys), height - bottom - 10, top + 10)
    shapes: list[Shape] = []
    for value in _decades(min(ys), max(ys)):
        y = y_of(value)
        shapes.append(Line(points=((left, y), (WIDTH - right, y)), role="rule"))
        shapes.append(Text(x=left - 8, y=y + 4, text=significant(value, 1), role="muted", anchor="end"))
    used = -math.inf
    for value in sorted(set(xs)):
        x, text = x_of(value), f"{value:,.6g}"
        shapes.append(Line(points=((x, top), (x, height - bottom)), role="rule"))
        if x - text_width(text) / 2 > used + 4:
            shapes.append(Text(x=x, y=height - bottom + 18, text=text, role="muted", anchor="middle"))
            used = x + text_width(text) / 2
    shapes.append(Text(x=(left + WIDTH - right) / 2, y=height - 10, text=x_label, role="muted", anchor="middle"))
    shapes.append(Text(x=0, y=top - 2, text=y_label, role="muted"))
    ends: list[tuple[float, Series]] = []
    for one in series:
        way = tuple((x_of(p.x), y_of(p.y)) for p in one.points)
        role = f"path{one.shade}"
        shapes.append(Line(points=way, role=role, width=1.6, dash=one.dash))
        for p, (x, y) in zip(one.points, way, strict=True):
            if p.lo and p.hi:
                shapes.append(Line(points=((x, y_of(p.lo)), (x, y_of(p.hi))), role=role, width=1.2))
            ink = "warn" if p.bad else role
            shapes.append(Mark(x=x, y=y, role=ink, shape=MARKS[one.mark % 4], hollow=one.hollow, title=p.title))
        ends.append((way[-1][1], one))
    shapes += _end_labels(ends, WIDTH - right + 10, top, height - bottom)
    return Drawing(width=WIDTH, height=height, title=title, shapes=tuple(shapes))


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
        role = f"path{one.shade}"
        yield Line(points=((x - 10, y), (x, place)), role="rule")
        yield Mark(x=x + 8, y=place, role=role, shape=MARKS[one.mark % 4], hollow=one.hollow)
        yield Text(x=x + 20, y=place + 4, text=fitted(one.label, 175), title=one.label)


def _log(low: float, high: float, start: float, end: float) -> _Scale:
    a, b = math.log(low), math.log(high)
    return _Scale(a - 0.5 if a == b else a, b + 0.5 if a == b else b, start, end)


@dataclass(frozen=True, slots=True)
class _Scale:
    """log(value) from `low` to `high` on pixels from `start` to `end`."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        at = (math.log(value) - self.low) / (self.high - self.low)
        return self.start + at * (self.end - self.start)


def _decades(low: float, high: float) -> list[float]:
    """1, 10, 100, ... within the range, with 2 and 5 where there are few."""
    exponents = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    found = [10.0**e for e in exponents if low * 0.99 <= 10.0**e <= high * 1.01]
    if len(found) > 2:
        return found
    return [m * 10.0**e for e in exponents for m in (1, 2, 5) if low * 0.99 <= m * 10.0**e <= high * 1.01]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One bar: `parts` (role, value, title) from the left; `note` stands behind it. Negative parts are not drawn."""

    label: str
    parts: tuple[tuple[str, float, str], ...]
    note: str = ""
    title: str = ""


def bars(rows: Sequence[Bar], unit: str, title: str, legend: Sequence[tuple[str, str]] = ()) -> Drawing:
    """Bars under each other on one linear scale from zero, `unit` on the axis; labels at the left."""
    left = min(300.0, max((text_width(row.label, 13) for row in rows), default=0.0) + 16)
    note = max((text_width(row.note) for row in rows), default=0.0) + 16
    most = max((sum(max(0.0, v) for _, v, _ in row.parts) for row in rows), default=0.0) or 1.0
    scale = (WIDTH - left - note - 8) / most
    top = 26.0 if legend else 4.0
    shapes: list[Shape] = []
    x = left
    for role, words in legend:
        shapes.append(Rect(x=x, y=5, width=12, height=12, role=role, radius=2))
        shapes.append(Text(x=x + 18, y=15.5, text=words, role="muted"))
        x += text_width(words) + 42
    bottom = top + 30.0 * len(rows)
    for value in _round_values(most):
        at = left + value * scale
        shapes.append(Line(points=((at, top), (at, bottom)), role="rule"))
        shapes.append(Text(x=at, y=bottom + 16, text=f"{value:,.10g}", role="muted", anchor="middle"))
    for index, row in enumerate(rows):
        shapes += _bar(row, top + 30 * index, left, scale)
    shapes.append(Text(x=(left + WIDTH - note) / 2, y=bottom + 34, text=unit, role="muted", anchor="middle"))
    return Drawing(width=WIDTH, height=bottom + 42, title=title, shapes=tuple(shapes))


def _bar(row: Bar, y: float, left: float, scale: float) -> Iterator[Shape]:
    yield Text(x=left - 10, y=y + 19.5, text=fitted(row.label, left - 14, 13), size=13, anchor="end", title=row.title)
    x = left
    for role, value, title in row.parts:
        if value > 0:
            yield Rect(x=x, y=y + 4, width=max(value * scale, 0.8), height=22, role=role, title=title)
            x += value * scale
    yield Text(x=x + 8, y=y + 19.5, text=row.note, role="muted")


def _round_values(most: float) -> list[float]:
    power = 10 ** math.floor(math.log10(most / 6))
    step = next(m * power for m in (1, 2, 5, 10, 20) if most / (m * power) <= 8)
    return [k * step for k in range(int(most / step) + 1)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Histogram:
    """Counts in bins of equal width on a log scale; `edges` has one more than `counts`."""

    label: str
    counts: tuple[int, ...]
    note: str = ""


def histograms(rows: Sequence[Histogram], edges_us: Sequence[float], unit: str, title: str) -> Drawing:
    """One row of columns each, on one log scale; the tallest column of a row fills it."""
    left = min(300.0, max((text_width(row.label, 13) for row in rows), default=0.0) + 16)
    x_of = _log(edges_us[0], edges_us[-1], left, WIDTH - 190)
    shapes: list[Shape] = []
    bottom = 62.0 * len(rows)
    for value in _decades(edges_us[0], edges_us[-1]):
        x = x_of(value)
        shapes.append(Line(points=((x, 0), (x, bottom)), role="rule"))
        shapes.append(Text(x=x, y=bottom + 16, text=f"{value:,.6g}", role="muted", anchor="middle"))
    for index, row in enumerate(rows):
        base, tallest = 62.0 * index + 56, max(row.counts, default=0) or 1
        shapes.append(Text(x=left - 10, y=base - 20, text=fitted(row.label, left - 14, 13), size=13, anchor="end"))
        shapes.append(Line(points=((left, base), (WIDTH - 190, base)), role="rule"))
        shapes.append(Text(x=WIDTH - 180, y=base - 20, text=row.note, role="muted"))
        for count, low, high in zip(row.counts, edges_us, edges_us[1:], strict=False):
            if count:
                x, height = x_of(low), max(2.0, 46.0 * count / tallest)
                words = f"{count:,} gaps of {significant(low)} to {significant(high)} µs"
                shapes.append(
                    Rect(
                        x=x + 0.5, y=base - height, width=x_of(high) - x - 1, height=height, role="bubble", title=words
                    )
                )
    shapes.append(Text(x=(left + WIDTH - 190) / 2, y=bottom + 34, text=unit, role="muted", anchor="middle"))
    return Drawing(width=WIDTH, height=bottom + 42, title=title, shapes=tuple(shapes))
