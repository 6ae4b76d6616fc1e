"""Charts as drawings: bars on one scale, gap lengths. Draws figures, computes none."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rope_prof.units import significant
from rope_prof.views.draw.scale import decades, log_scale, round_values
from rope_prof.views.draw.svg import Drawing, Line, Rect, Shape, Text, fitted, text_width

WIDTH = 1180.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One bar: `parts` (role, value, title) from the left; `note` stands behind it. Negative parts are not drawn.

    `inside`: a word for each part, written on it where it has the room. `head`: the label heads the rows below.
    """

    label: str
    parts: tuple[tuple[str, float, str], ...]
    note: str = ""
    title: str = ""
    inside: tuple[str, ...] = ()
    head: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class BarChart:
    """Bars on one linear scale from zero; `legend`: (role, words) of what the parts mean."""

    rows: tuple[Bar, ...]
    unit: str
    title: str
    legend: tuple[tuple[str, str], ...] = ()

    @property
    def drawing(self) -> Drawing:
        """It as a still picture."""
        return bars(self.rows, self.unit, self.title, self.legend)


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
    for value in round_values(most):
        at = left + value * scale
        shapes.append(Line(points=((at, top), (at, bottom)), role="rule"))
        shapes.append(Text(x=at, y=bottom + 16, text=f"{value:,.10g}", role="muted", anchor="middle"))
    for index, row in enumerate(rows):
        shapes += _bar(row, top + 30 * index, left, scale)
    shapes.append(Text(x=(left + WIDTH - note) / 2, y=bottom + 34, text=unit, role="muted", anchor="middle"))
    return Drawing(width=WIDTH, height=bottom + 42, title=title, shapes=tuple(shapes))


def _bar(row: Bar, y: float, left: float, scale: float) -> Iterator[Shape]:
    label = fitted(row.label, left - 14, 13, bold=row.head)
    yield Text(x=left - 10, y=y + 19.5, text=label, size=13, anchor="end", bold=row.head, title=row.title)
    x = left
    for (role, value, title), word in zip(row.parts, row.inside or ("",) * len(row.parts), strict=True):
        if value > 0:
            width = max(value * scale, 0.8)
            yield Rect(x=x, y=y + 4, width=width, height=22, role=role, title=title)
            if x > left:
                yield Line(points=((x, y + 4), (x, y + 26)), role="paper")
            if word and text_width(word) + 8 <= width:
                yield Text(x=x + width / 2, y=y + 19.5, text=word, anchor="middle", title=title)
            x += value * scale
    yield Text(x=x + 8, y=y + 19.5, text=row.note, role="muted")


@dataclass(frozen=True, slots=True, kw_only=True)
class Histogram:
    """Counts in bins of equal width on a log scale; `edges` has one more than `counts`."""

    label: str
    counts: tuple[int, ...]
    note: str = ""
    role: str = "bubble"


@dataclass(frozen=True, slots=True, kw_only=True)
class HistogramChart:
    """Counts of each row in the same bins, `edges_us` apart."""

    rows: tuple[Histogram, ...]
    edges_us: tuple[float, ...]
    unit: str
    title: str

    @property
    def drawing(self) -> Drawing:
        """It as a still picture."""
        return histograms(self.rows, self.edges_us, self.unit, self.title)


def histograms(rows: Sequence[Histogram], edges_us: Sequence[float], unit: str, title: str) -> Drawing:
    """One row of columns each, on one log scale; the tallest column of a row fills it."""
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
                        x=x + 0.5, y=base - height, width=x_of(high) - x - 1, height=height, role=row.role, title=words
                    )
                )
    shapes.append(Text(x=(left + WIDTH - 190) / 2, y=bottom + 34, text=unit, role="muted", anchor="middle"))
    return Drawing(width=WIDTH, height=bottom + 42, title=title, shapes=tuple(shapes))
