"""Drawings: escaped, inside their picture, the same shapes on both grounds and in both formats."""

from __future__ import annotations

import io
from itertools import pairwise
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from rope_prof.io.font import picture_font
from rope_prof.views.draw.charts import Bar, BarChart, BarMark, Histogram, HistogramChart
from rope_prof.views.draw.lines import Axes, LineChart, Point, Series
from rope_prof.views.draw.palette import DARK, LIGHT
from rope_prof.views.draw.png import SCALE, indexed, png
from rope_prof.views.draw.svg import (
    MARGIN,
    Drawing,
    Line,
    Marker,
    Rect,
    Shape,
    Text,
    TimeAxis,
    fitted,
    placed,
    svg_file,
    svg_inline,
    text_width,
)
from rope_prof.views.timeline.picture import nice_ticks

AXIS = TimeAxis(lo=0, hi=1000, x0=100, x1=300, y0=0, y1=50)
quick = settings(max_examples=60)


def drawing(*shapes: Shape, title: str = "t") -> Drawing:
    return Drawing(width=320, height=60, title=title, shapes=shapes, axis=AXIS, name="n")


@quick
@given(st.text(max_size=40))
def test_any_text_gives_a_well_formed_file_that_shows_it(text: str) -> None:
    made = drawing(Text(x=5, y=20, text=text), Rect(y=1, height=5, role="kernel", title=text, time=(0, 10)), title=text)
    for body in (svg_file(made, LIGHT), svg_inline(made)):
        root = ElementTree.fromstring(body)
        assert "".join(root.itertext()).count("\x00") == 0
        assert not list(root.iter("script"))


@quick
@given(st.integers(-5000, 5000), st.integers(0, 5000))
def test_what_has_a_time_stays_within_the_axis(start: int, length: int) -> None:
    time = (start, start + length)
    shapes = (
        Rect(y=1, height=5, role="kernel", time=time),
        Text(y=4, text="12.3", time=time),
        Line(points=((0, 1), (0, 9)), role="rule", time=time),
    )
    for shape in placed(drawing(*shapes)):
        if isinstance(shape, Rect):
            assert 100 - 1e-6 <= shape.x <= shape.x + shape.width <= 300 + 1e-6
        elif isinstance(shape, Text):
            half = text_width(shape.text, shape.size) / 2
            assert shape.x - half >= 100
            assert shape.x + half <= 300
        elif isinstance(shape, Line):
            assert all(100 - 1e-6 <= x <= 300 + 1e-6 for x, _ in shape.points)


@quick
@given(st.text(max_size=60), st.floats(0, 400))
def test_a_fitted_text_has_the_room_or_is_an_ellipsis(text: str, room: float) -> None:
    short = fitted(text, room)
    assert text_width(short) <= room or short in {"…", ""}
    assert short == text or "…" in short


@quick
@given(st.floats(-1e6, 1e6), st.floats(1e-3, 1e6))
def test_ticks_are_few_round_and_inside(low: float, width: float) -> None:
    ticks = nice_ticks(low, low + width)
    assert 1 <= len(ticks) <= 11
    step = width / 10
    assert all(low - step * 1e-6 <= t <= low + width + step * 1e-6 for t in ticks)


def test_png_and_svg_hold_the_same_shapes() -> None:
    made = drawing(
        Rect(x=10, y=10, width=50, height=20, role="kernel"),
        Rect(y=32, height=10, role="bubble", time=(0, 500)),
        Marker(x=200, y=20, role="path1", shape="diamond"),
        Line(points=((0, 55), (320, 55)), role="ink", width=2, dash=True),
    )
    for palette in (LIGHT, DARK):
        with Image.open(io.BytesIO(png(made, palette, picture_font()))) as image:
            assert image.size == ((320 + 2 * MARGIN) * SCALE, (60 + 2 * MARGIN) * SCALE)
            pixels = image.convert("RGB")

            places = {(30, 20): "kernel", (150, 37): "bubble", (250, 37): "paper", (-8, -8): "paper"}
            for (x, y), role in places.items():
                found = pixels.getpixel((int((x + MARGIN) * SCALE), int((y + MARGIN) * SCALE)))
                assert isinstance(found, tuple)
                assert f"#{bytes(found).hex()}" == getattr(palette, role)
        text = svg_file(made, palette)
        assert palette.kernel in text
        assert palette.paper in text


def test_a_png_has_its_letters() -> None:
    blank, lettered = (
        png(drawing(Text(x=10, y=30, text=text, size=20)), LIGHT, picture_font()) for text in ("", "12.3 µs → × ▼")
    )
    with Image.open(io.BytesIO(lettered)) as image, Image.open(io.BytesIO(blank)) as empty:
        assert sum(image.convert("L").histogram()[:100]) > 400
        assert sum(empty.convert("L").histogram()[:100]) == 0


def test_a_picture_in_256_colours_has_those_of_areas_exactly_and_those_of_edges_nearly() -> None:
    areas = np.random.default_rng(0).integers(0, 256, (60, 3), np.uint8)
    share = np.linspace(0, 1, 200)[:, np.newaxis]
    edges = np.concatenate([a * share + b * (1 - share) for a, b in (areas[:2], areas[2:4], areas[4:6])])
    edges = edges.astype(np.uint8)
    colours = np.concatenate([np.repeat(areas, 100, axis=0), edges])[np.newaxis]
    for wanted in (colours, areas[np.newaxis], areas[np.newaxis, :1]):
        image = indexed(Image.fromarray(wanted))
        off = np.abs(np.asarray(image.convert("RGB")).astype(int) - wanted)
        assert image.mode == "P"
        assert off[:, :6000].max() == 0
        assert off.max() <= 8


def line_chart(series: list[Series], *, log: bool | None = True) -> Drawing:
    return LineChart(series=tuple(series), axes=Axes(x="x", y="y", log=log), title="t").drawing


def test_charts_draw_every_point_and_mark_what_loses() -> None:
    points = tuple(Point(x=10**k, y=5 * 3**k, lo=4 * 3**k, hi=6 * 3**k, bad=k == 2) for k in range(5))
    series = [Series(label=f"s{i}", points=points, shade=i, mark=i) for i in range(3)]
    made = line_chart(series)
    marks = [s for s in made.shapes if isinstance(s, Marker)]
    assert len(marks) == 3 * 5 + 3
    assert sum(mark.role == "warn" for mark in marks) == 3
    labels = sorted(s.y for s in made.shapes if isinstance(s, Text) and s.text.startswith("s"))
    assert all(b - a >= 16 for a, b in pairwise(labels))
    assert all(0 <= mark.x <= made.width and 0 <= mark.y <= made.height for mark in marks)


@pytest.mark.parametrize("points", [(Point(x=1, y=3),), (Point(x=1, y=3), Point(x=64, y=3))])
def test_a_chart_of_one_point_or_a_level_line_is_drawn(points: tuple[Point, ...]) -> None:
    made = line_chart([Series(label="one", points=points, shade=0, mark=0)])
    ElementTree.fromstring(svg_file(made, LIGHT))


def test_what_loses_and_what_is_unsure_carry_their_sign() -> None:
    points = (Point(x=1, y=3), Point(x=8, y=3, bad=True), Point(x=64, y=3, unsure=True))
    made = line_chart([Series(label="one", points=points)])
    signs = [s.text for s in made.shapes if isinstance(s, Text) and s.text in {"▼", "?"}]
    assert signs == ["▼", "?"]


def test_an_axis_is_logarithmic_where_its_values_span_a_decade() -> None:
    def levels(values: tuple[float, ...]) -> list[float]:
        series = [Series(label="one", points=tuple(Point(x=10.0**k, y=y) for k, y in enumerate(values)))]
        made = line_chart(series, log=None)
        return [s.y for s in made.shapes if isinstance(s, Marker)][: len(values)]

    low, middle, high = levels((1.0, 10.0, 100.0))
    assert low - middle == pytest.approx(middle - high)
    low, middle, high = levels((30.0, 60.0, 90.0))
    assert low - middle == pytest.approx(middle - high)
    with pytest.raises(ValueError, match="without a point"):
        line_chart([], log=None)


def test_a_bound_is_a_line_without_marks() -> None:
    points = (Point(x=1, y=3), Point(x=64, y=30))
    made = line_chart([Series(label="floor", points=points, bound=True)])
    assert not [s for s in made.shapes if isinstance(s, Marker)]
    assert [s for s in made.shapes if isinstance(s, Line) and s.role == "kernel" and len(s.points) == 2]


def test_bars_share_one_scale() -> None:
    rows = (
        Bar(label="a", parts=(("kernel", 10.0, ""), ("bubble", 30.0, ""))),
        Bar(label="b", parts=(("kernel", 20.0, ""),)),
    )
    boxes = [s for s in BarChart(rows=rows, unit="µs", title="t").drawing.shapes if isinstance(s, Rect)]
    assert boxes[1].width == pytest.approx(3 * boxes[0].width)
    assert boxes[2].width == pytest.approx(2 * boxes[0].width)
    assert boxes[1].x == pytest.approx(boxes[0].x + boxes[0].width)


def test_a_mark_stands_at_its_value_left_of_zero_too() -> None:
    bar = Bar(label="a", parts=(("kernel", 40.0, ""),), mark=BarMark(value=-10.0, lo=-20.0, hi=0.0, bad=True))
    made = BarChart(rows=(bar,), unit="µs", title="t").drawing
    (box,) = (s for s in made.shapes if isinstance(s, Rect))
    (mark,) = (s for s in made.shapes if isinstance(s, Marker))
    (whisker,) = (s for s in made.shapes if isinstance(s, Line) and s.role == "warn")
    assert box.x - mark.x == pytest.approx(box.width / 4)
    assert [x - mark.x for x, _ in whisker.points] == pytest.approx([-box.width / 4, box.width / 4])


def test_a_histogram_counts_once() -> None:
    row = Histogram(label="a", counts=(0, 3, 1))
    made = HistogramChart(rows=(row,), edges_us=(1.0, 10.0, 100.0, 1000.0), unit="µs", title="t").drawing
    boxes = [s for s in made.shapes if isinstance(s, Rect)]
    assert len(boxes) == 2
    assert boxes[0].title.startswith("3 gaps of 10.0 to 100")


@quick
@given(st.floats(1e-3, 1e6), st.floats(0, 1e6), st.integers(0, 60))
def test_the_numbers_of_an_axis_stand_apart_however_little_room_there_is(most: float, least: float, note: int) -> None:
    """On a narrow page seven numbers of four digits were one."""
    part = ("kernel", most, "")
    bars = (Bar(label="a", parts=(part,), note="n" * note), Bar(label="b", parts=(part,), start=-least))
    chart = BarChart(rows=bars, unit="ms", title="t")
    for drawn in (chart.drawing, chart.narrow):
        numbers = [s for s in drawn.shapes if isinstance(s, Text) and s.anchor == "middle" and s.text != "ms"]
        assert "0" in [number.text for number in numbers]
        for one, other in pairwise(numbers):
            assert other.x - one.x > (text_width(one.text) + text_width(other.text)) / 2
