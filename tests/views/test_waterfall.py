"""The waterfall's law: every term starts where the last one ended, and the last one ends at what is left."""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rope_prof.views.draw.palette import DARK, LIGHT
from rope_prof.views.draw.svg import Rect, Text, svg_file
from rope_prof.views.draw.waterfall import Waterfall, explanation, waterfall
from rope_prof.views.page.blocks import picture as image


@dataclass(frozen=True)
class Term:
    name: str
    saved_ns: float
    lo: float | None = None
    hi: float | None = None
    how: str = "measured"


def drawn(*saved: float, before: float = 300e3, floor: float | None = 3e3, residual: float | None = None) -> Waterfall:
    names = ("host bubbles", "traffic", "inefficiency", "device gaps")
    return Waterfall(
        before="unfused · eager",
        before_ns=before,
        after="fused · eager",
        after_ns=before - sum(saved) - (residual or 0.0),
        terms=[Term(name, ns) for name, ns in zip(names, saved, strict=False)],
        residual=None if residual is None else Term("residual", residual),
        floor_ns=floor,
    )


#: A term of nothing has no bar.
TERMS = st.floats(-20e3, 60e3).filter(lambda ns: abs(ns) > 1)


@given(st.lists(TERMS, min_size=1, max_size=4), TERMS)
def test_the_bars_are_on_one_scale_and_each_begins_where_the_last_ended(saved: list[float], residual: float) -> None:
    found = drawn(*saved, residual=residual)
    boxes = [shape for shape in waterfall(found).drawing.shapes if isinstance(shape, Rect)]
    assert len(boxes) == len(saved) + 4
    scale = boxes[0].width / found.before_ns
    zero, at = boxes[0].x, found.before_ns
    for box, ns in zip(boxes[1:], [*saved, residual], strict=False):
        ends = sorted((zero + at * scale, zero + (at - ns) * scale))
        assert box.x == pytest.approx(ends[0], abs=0.1)
        assert box.width == pytest.approx(max(ends[1] - ends[0], 0.8), abs=0.1)
        at -= ns
    assert at == pytest.approx(found.after_ns, abs=1)


def test_a_term_that_adds_time_says_so_and_an_interval_is_written_as_a_change() -> None:
    picture = waterfall(drawn(280e3, -4e3)).drawing
    words = [shape.text for shape in picture.shapes if isinstance(shape, Text)]
    assert "traffic added" in words
    assert "+4.00 µs" in words
    assert "host bubbles removed" in words
    term = Term("traffic", 10e3, 9e3, 11e3)
    one = Waterfall(before="a", before_ns=30e3, after="b", after_ns=20e3, terms=[term])
    words = [shape.text for shape in waterfall(one).drawing.shapes if isinstance(shape, Text)]
    assert "−10.0 µs  [−11.0, −9.00]" in words
    assert "floor" not in words


def test_all_of_it_lies_inside_the_picture_and_its_words_do_not_meet() -> None:
    picture = waterfall(drawn(200e3, 60e3, -30e3, 20e3, residual=-40e3)).drawing
    for shape in picture.shapes:
        if isinstance(shape, Rect):
            assert 0 <= shape.x <= shape.x + shape.width <= picture.width
        if isinstance(shape, Text):
            assert 0 <= shape.y <= picture.height


def test_the_image_on_the_page_is_the_drawing_and_holds_no_markup_of_a_name() -> None:
    evil = '"><img src=x onerror=alert(1)>'
    picture = waterfall(
        Waterfall(before=evil, before_ns=30e3, after="b", after_ns=20e3, terms=[Term("busy", 10e3)])
    ).drawing
    for palette in (LIGHT, DARK):
        text = image(svg_file(picture, palette), picture.title)
        assert evil not in text
        data = re.search(r"base64,([^\"]+)", text)
        assert data is not None
        assert base64.b64decode(data[1]).decode("utf-8") == svg_file(picture, palette)


@dataclass(frozen=True)
class Said:
    residual: Term | None
    closes: bool = True
    reason: str | None = None


def test_terms_that_add_up_still_say_which_of_them_rest_on_the_profiler() -> None:
    whole = explanation(Said(Term("residual", 1.0)))
    assert "On each side busy time and gaps add up to its device time within 5%." in whole
    assert "it and device gaps rest on the profiler's timestamps" in whole
    assert "leaves the residual as it is" in whole
    open_ = explanation(Said(Term("residual", 90.0), closes=False, reason="the residual is 30 %"))
    assert "They do not add up: the residual is 30 %." in open_
    assert "within 5%" not in open_
    assert explanation(Said(None, reason="no graph")) == "No graph."
