"""A roofline as a drawing: bytes moved to the right, bytes a second upwards, both logarithmic. Computes no figure.

Paths are told apart by marker and shade as in `views.draw.lines`. A filled mark is what ran on the device, a hollow one
the whole call; the line between them is the time in which the device waited.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rope_prof.model.frozen import Frozen
from rope_prof.units import GIGA, MEGA, gigabytes_per_s, microseconds
from rope_prof.views.draw.lines import MARKS, WIDTH
from rope_prof.views.draw.scale import Scale, log_scale, log_ticks
from rope_prof.views.draw.svg import Drawing, Line, Marker, Shape, Text, fitted, text_width

HEIGHT = 430.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 66.0, 236.0, 18.0, 52.0


class Spot(Frozen, kw_only=True):
    """One path or kernel: bytes a second while it runs, and of the whole call (`whole_per_s`) where that is known.

    `tag` stands beside the whole call's mark, at its left where `left`, so that two that lie together can be read.
    """

    moved: float
    per_s: float | None
    whole_per_s: float | None = None
    shade: int = 0
    tag: str = ""
    left: bool = False
    title: str = ""


class Roof(Frozen, kw_only=True):
    """The bounds: `flat` (label, bytes a second), `launches` (label, ns of one launch), `passes` (title, bytes, rate).

    A `launches` line is where bytes over that time lie.
    """

    flat: tuple[tuple[str, float], ...] = ()
    launches: tuple[tuple[str, float], ...] = ()
    passes: tuple[tuple[str, float, float], ...] = ()


class RooflineChart(Frozen, kw_only=True):
    """Spots under a roof; `labels`: (name, shade) of what the spots are."""

    spots: tuple[Spot, ...]
    labels: tuple[tuple[str, int], ...]
    roof: Roof
    title: str

    @property
    def drawing(self) -> Drawing:
        """It still, with the list of the labels at the right. Errors: ValueError for no spot."""
        rates = [rate for spot in self.spots for rate in (spot.per_s, spot.whole_per_s) if rate]
        if not rates:
            raise ValueError("a roofline without a point; expected at least one")
        moved = [spot.moved for spot in self.spots] + [at for _, at, _ in self.roof.passes]
        flat = max((rate for _, rate in self.roof.flat), default=0.0)
        ridges = [flat * ns / GIGA for _, ns in self.roof.launches if flat]
        low, high = min([*moved, *ridges]) / 1.8, max([*moved, *ridges]) * 1.8
        top = max([*rates, flat, *(rate for _, _, rate in self.roof.passes)]) * 1.5
        bottom = HEIGHT - _BOTTOM
        x_of = log_scale(low / MEGA, high / MEGA, _LEFT, WIDTH - _RIGHT)
        y_of = log_scale(min(rates) / 1.8e9, top / GIGA, bottom, _TOP)
        shapes: list[Shape] = [
            *_grid((low / MEGA, high / MEGA), (min(rates) / 1.8e9, top / GIGA), x_of, y_of, bottom),
            *_bounds(self.roof, (low, high), x_of, y_of),
        ]
        for spot in self.spots:
            shapes += _spot(spot, x_of, y_of)
        shapes += _list(self.labels, self.roof, whole=any(spot.whole_per_s for spot in self.spots))
        return Drawing(width=WIDTH, height=HEIGHT, title=self.title, shapes=tuple(shapes))


def _grid(xs: tuple[float, float], ys: tuple[float, float], x_of: Scale, y_of: Scale, bottom: float) -> Iterator[Shape]:
    for value in log_ticks(*ys):
        y = y_of(value)
        yield Line(points=((_LEFT, y), (WIDTH - _RIGHT, y)), role="rule")
        yield Text(x=_LEFT - 8, y=y + 4, text=f"{value:,.6g}", role="muted", anchor="end")
    for value in log_ticks(*xs):
        x = x_of(value)
        yield Line(points=((x, _TOP), (x, bottom)), role="rule")
        yield Text(x=x, y=bottom + 18, text=f"{value:,.6g}", role="muted", anchor="middle")
    middle = (_LEFT + WIDTH - _RIGHT) / 2
    yield Text(x=middle, y=HEIGHT - 8, text="bytes moved, MB (logarithmic)", role="muted", anchor="middle")
    yield Text(x=0, y=_TOP - 6, text="GB/s (logarithmic)", role="muted")


def _bounds(roof: Roof, ends: tuple[float, float], x_of: Scale, y_of: Scale) -> Iterator[Shape]:
    for label, rate in roof.flat:
        y = y_of(rate / GIGA)
        yield Line(points=((x_of(ends[0] / MEGA), y), (x_of(ends[1] / MEGA), y)), role="kernel", width=1.6)
        yield Text(x=WIDTH - _RIGHT - 6, y=y - 6, text=f"{label}, {gigabytes_per_s(rate)} GB/s", anchor="end")
    for label, ns in roof.launches:
        yield from _launch(label, ns, ends, x_of, y_of)
    for title, at, rate in roof.passes:
        yield from _cross(x_of(at / MEGA), y_of(rate / GIGA), title)


def _launch(label: str, ns: float, ends: tuple[float, float], x_of: Scale, y_of: Scale) -> Iterator[Shape]:
    """Bytes over the time of one launch, cut at the picture's edges; its name beside the upper end."""
    (x1, y1), (x2, y2) = ((x_of(at / MEGA), y_of(at / ns)) for at in ends)  # bytes over ns is GB/s
    slope = (y2 - y1) / (x2 - x1)
    if y1 > y_of.start:
        x1, y1 = x1 + (y_of.start - y1) / slope, y_of.start
    if y2 < y_of.end:
        x2, y2 = x2 + (y_of.end - y2) / slope, y_of.end
    if x1 >= x2:
        return
    yield Line(points=((x1, y1), (x2, y2)), role="launch", width=1.6)
    text = f"{label}, {microseconds(ns)} µs"
    room = WIDTH - _RIGHT - x2 > text_width(text) + 20
    yield Text(x=x2 + 8 if room else x2 - 4, y=y2 + (12 if room else 34), text=text, anchor="start" if room else "end")


def _cross(x: float, y: float, title: str = "") -> Iterator[Shape]:
    """The mark of a pass over the bytes, unlike that of any path."""
    for dx, dy in ((6.0, 0.0), (0.0, 6.0)):
        yield Line(points=((x - dx, y - dy), (x + dx, y + dy)), role="kernel", width=2.5)
    yield Marker(x=x, y=y, role="kernel", size=1.5, title=title)


def _spot(spot: Spot, x_of: Scale, y_of: Scale) -> Iterator[Shape]:
    x, role, shape = x_of(spot.moved / MEGA), f"path{spot.shade}", MARKS[spot.shade % len(MARKS)]
    if spot.per_s and spot.whole_per_s:
        ends = ((x, y_of(spot.per_s / GIGA)), (x, y_of(spot.whole_per_s / GIGA)))
        yield Line(points=ends, role="bubble", width=2)
    if spot.tag and (spot.whole_per_s or spot.per_s):
        yield _tag(spot, x, y_of((spot.whole_per_s or spot.per_s or 0.0) / GIGA))
    for rate, hollow in ((spot.whole_per_s, True), (spot.per_s, False)):
        if rate:
            y = y_of(rate / GIGA)
            yield Marker(x=x, y=y, role=role, shape=shape, hollow=hollow, size=5, title=spot.title)


def _tag(spot: Spot, x: float, y: float) -> Text:
    side = (x - 9, "end") if spot.left else (x + 9, "start")
    return Text(x=side[0], y=y + 4, text=spot.tag, role="muted", size=11, anchor=side[1])


def _list(labels: Sequence[tuple[str, int]], roof: Roof, *, whole: bool) -> Iterator[Shape]:
    """What each mark and line is, at the right."""
    x, y = WIDTH - _RIGHT + 24, _TOP + 6
    for name, shade in labels:
        yield Marker(x=x, y=y, role=f"path{shade}", shape=MARKS[shade % len(MARKS)], size=5)
        yield Text(x=x + 14, y=y + 4, text=fitted(name, _RIGHT - 44), title=name)
        y += 21
    y += 10
    words = [("path1", False, "filled: while kernels run"), ("path1", True, "hollow: the whole call")] if whole else []
    for role, hollow, text in words:
        yield Marker(x=x, y=y, role=role, size=5, hollow=hollow)
        yield Text(x=x + 14, y=y + 4, text=text, role="muted")
        y += 21
    if whole:
        yield Line(points=((x, y - 7), (x, y + 7)), role="bubble", width=2)
        yield Text(x=x + 14, y=y + 4, text="between: the device waits", role="muted")
        y += 21
    if roof.passes:
        yield from _cross(x, y)
        yield Text(x=x + 14, y=y + 4, text="one pass over the bytes", role="muted")
