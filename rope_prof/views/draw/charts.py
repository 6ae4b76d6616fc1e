"""Charts as drawings: bars on one scale, stacked, as steps or marked; gap lengths. Draws figures, computes none."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from rope_prof.model.frozen import Frozen
from rope_prof.units import significant
from rope_prof.views.draw.scale import Scale, decades, linear_scale, log_scale, round_values
from rope_prof.views.draw.svg import Drawing, Line, Marker, Rect, Shape, Text, fitted, text_width

WIDTH = 1180.0
#: Of the picture for a narrow page, where a wide one's letters would be too small to read.
NARROW = 700.0


class BarMark(Frozen, kw_only=True):
    """A measured value on a bar, with the ends of its interval where it has one; `bad` where it is not as expected."""

    value: float
    lo: float | None = None
    hi: float | None = None
    bad: bool = False

    @property
    def role(self) -> str:
        """Its colour."""
        return "warn" if self.bad else "ink"


class Bar(Frozen, kw_only=True):
    """One bar: `parts` (role, value, title) rightwards from `start`; `note` stands behind it. Negative parts are not
    drawn.

    `inside`: a word for each part, written on it where it has the room. `head`: the label heads the rows below, or is
    of a whole among its terms. `end`: where the next row begins, told by a line to it.
    """

    label: str
    parts: tuple[tuple[str, float, str], ...]
    note: str = ""
    title: str = ""
    inside: tuple[str, ...] = ()
    head: bool = False
    start: float = 0.0
    end: float | None = None
    mark: BarMark | None = None

    @property
    def reach(self) -> float:
        """Where its parts end."""
        return self.start + sum(max(0.0, value) for _, value, _ in self.parts)

    @property
    def values(self) -> tuple[float, ...]:
        """All that the axis must hold."""
        marked = () if self.mark is None else (self.mark.value, self.mark.lo, self.mark.hi)
        return (self.start, self.reach, *(value for value in marked if value is not None))


class BarChart(Frozen, kw_only=True):
    """Bars on one linear scale that holds zero; `legend`: (role, words) of what the parts mean, `marked` the marks."""

    rows: tuple[Bar, ...]
    unit: str
    title: str
    legend: tuple[tuple[str, str], ...] = ()
    marked: str = ""

    @property
    def drawing(self) -> Drawing:
        """It as a still picture: bars under each other, labels at the left, `unit` on the axis."""
        return self._drawn(WIDTH)

    @property
    def narrow(self) -> Drawing:
        """The same for a narrow page."""
        return self._drawn(NARROW)

    def _drawn(self, width: float) -> Drawing:
        labels = (text_width(row.label, 13, bold=row.head) for row in self.rows)
        left = min(width / 3, max(labels, default=0.0) + 16)
        note = max((text_width(row.note) for row in self.rows), default=0.0) + 16
        values = [value for row in self.rows for value in row.values]
        low = min(0.0, *values)
        x_of = linear_scale(low, max(values, default=0.0) or low + 1.0, left, width - note - 8)
        top = 26.0 if self.legend else 4.0
        shapes = list(_legend(self, left))
        bottom = top + 30.0 * len(self.rows)
        for value, text in _numbered(round_values(x_of.high, low), x_of):
            at = x_of(value)
            shapes.append(Line(points=((at, top), (at, bottom)), role="rule"))
            shapes.append(Text(x=at, y=bottom + 16, text=text, role="muted", anchor="middle"))
        for index, row in enumerate(self.rows):
            shapes += _bar(row, top + 30 * index, left, x_of)
        shapes.append(Text(x=(left + width - note) / 2, y=bottom + 34, text=self.unit, role="muted", anchor="middle"))
        return Drawing(width=width, height=bottom + 42, title=self.title, shapes=tuple(shapes))


def _numbered(values: Sequence[float], x_of: Scale) -> list[tuple[float, str]]:
    """Those of the equal steps, zero among them, whose numbers stand apart from each other, with these."""
    texts = [f"{value:,.10g}" for value in values]
    room = x_of(values[-1]) - x_of(values[0])
    every = math.ceil((max(map(text_width, texts)) + 8) * (len(values) - 1) / room) if room > 0 else 1
    return list(zip(values, texts, strict=True))[values.index(0) % every :: every]


def _legend(chart: BarChart, x: float) -> Iterator[Shape]:
    for role, words in chart.legend:
        yield Rect(x=x, y=5, width=12, height=12, role=role, radius=2)
        yield Text(x=x + 18, y=15.5, text=words, role="muted")
        x += text_width(words) + 42
    if chart.marked:
        yield Marker(x=x + 6, y=11, role="ink", shape="diamond", size=5)
        yield Text(x=x + 18, y=15.5, text=chart.marked, role="muted")


def _bar(row: Bar, y: float, left: float, x_of: Scale) -> Iterator[Shape]:
    label = fitted(row.label, left - 14, 13, bold=row.head)
    yield Text(x=left - 10, y=y + 19.5, text=label, size=13, anchor="end", bold=row.head, title=row.title)
    at = row.start
    for (role, value, title), word in zip(row.parts, row.inside or ("",) * len(row.parts), strict=True):
        if value > 0:
            x = x_of(at)
            width = max(x_of(at + value) - x, 0.8)
            yield Rect(x=x, y=y + 4, width=width, height=22, role=role, title=title)
            if at > row.start:
                yield Line(points=((x, y + 4), (x, y + 26)), role="paper")
            if word and text_width(word) + 8 <= width:
                yield Text(x=x + width / 2, y=y + 19.5, text=word, anchor="middle", title=title)
            at += value
    if row.end is not None:
        yield Line(points=((x_of(row.end), y + 26), (x_of(row.end), y + 34)), role="muted")
    if row.mark is not None:
        yield from _mark(row.mark, row.note, y + 15, x_of)
    role = "warn" if row.mark is not None and row.mark.bad else "muted"
    yield Text(x=x_of(max(row.values)) + 8, y=y + 19.5, text=row.note, role=role)


def _mark(mark: BarMark, title: str, y: float, x_of: Scale) -> Iterator[Shape]:
    if mark.lo is not None and mark.hi is not None:
        yield Line(points=((x_of(mark.lo), y), (x_of(mark.hi), y)), role=mark.role, width=1.6)
    yield Marker(x=x_of(mark.value), y=y, role=mark.role, shape="diamond", size=6, title=title)


class Histogram(Frozen, kw_only=True):
    """Counts in bins of equal width on a log scale; `edges` has one more than `counts`."""

    label: str
    counts: tuple[int, ...]
    note: str = ""
    role: str = "bubble"


class HistogramChart(Frozen, kw_only=True):
    """Counts of each row in the same bins, `edges_us` apart."""

    rows: tuple[Histogram, ...]
    edges_us: tuple[float, ...]
    unit: str
    title: str

    @property
    def drawing(self) -> Drawing:
        """It as a still picture: a row of columns each, on one log scale; the tallest column of a row fills it."""
        rows, edges_us = self.rows, self.edges_us
        left = min(300.0, max((text_width(row.label, 13) for row in rows), default=0.0) + 16)
        x_of = log_scale(edges_us[0], edges_us[-1], left, WIDTH - 190)
        shapes: list[Shape] = []
        bottom = 62.0 * len(rows)
        for value in decades(edges_us[0], edges_us[-1]):
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
                            x=x + 0.5,
                            y=base - height,
                            width=x_of(high) - x - 1,
                            height=height,
                            role=row.role,
                            title=words,
                        )
                    )
        shapes.append(Text(x=(left + WIDTH - 190) / 2, y=bottom + 34, text=self.unit, role="muted", anchor="middle"))
        return Drawing(width=WIDTH, height=bottom + 42, title=self.title, shapes=tuple(shapes))
