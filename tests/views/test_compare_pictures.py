"""Verdicts drawn: every ratio on one log axis, every word told by mark and text, what differs said first."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rope_prof.analysis.comparison.compare import Verdict, judged
from rope_prof.analysis.comparison.sides import Difference, Side
from rope_prof.analysis.run.differences import Unlike
from rope_prof.analysis.stats import Figure
from rope_prof.views.blocks.compare import difference_blocks, tally_table, verdict_frame, verdict_table
from rope_prof.views.draw.compare import MOST, ForestChart
from rope_prof.views.draw.palette import DARK, LIGHT
from rope_prof.views.draw.scale import log_ticks
from rope_prof.views.draw.svg import Drawing, Line, Marker, Rect, Text, svg_file
from rope_prof.views.page.blocks import blocks
from rope_prof.views.page.files import frame_of
from rope_prof.views.terminal.writer import plain_table
from rope_prof.views.words.comparison import Comparison, tally
from tests.runs import CASE, facts, key, run, samples


def verdict(ratio: Figure | None, metric: str = "wall", path: str = "fused", reason: str | None = None) -> Verdict:
    word, why = judged(ratio)
    return Verdict(
        case=CASE,
        base=key("unfused").name,
        cand=key(path).name,
        metric=metric,
        word=word,
        ratio=ratio,
        reason=reason or why,
        before=100_000.0,
        after=None if ratio is None else 100_000.0 / ratio.median,
    )


FASTER, SLOWER = verdict(Figure(10.0, 9.0, 11.0, 60)), verdict(Figure(0.5, 0.4, 0.6, 60))
SAME, OPEN = verdict(Figure(1.0, 0.99, 1.01, 60)), verdict(Figure(1.0, 0.8, 1.2, 60))
FEW, NONE = verdict(Figure(2.0, None, None, 3)), verdict(None, reason="fused eager is wrong")


def marks(made: Drawing) -> list[Marker]:
    return [shape for shape in made.shapes if isinstance(shape, Marker)]


def texts(made: Drawing) -> list[str]:
    return [shape.text for shape in made.shapes if isinstance(shape, Text)]


def compared(*verdicts: Verdict) -> Comparison:
    side = Side(label="'r'", run=run(facts()), samples=samples())
    return Comparison(typed=("<b>r", "s"), base=side, cand=side, paired=True, command="c", verdicts=verdicts)


def forest(*found: Verdict) -> Drawing:
    return ForestChart(verdicts=found, title="t").drawing


def test_every_word_has_a_mark_of_its_own_and_its_text() -> None:
    made = forest(FASTER, SLOWER, SAME, OPEN, FEW, NONE)
    looks = [(mark.role, mark.shape, mark.hollow) for mark in marks(made)]
    assert looks[:4] == [
        ("ink", "circle", False),
        ("warn", "triangle", False),
        ("muted", "square", False),
        ("unsure", "diamond", True),
    ]
    assert len(looks) == 5, "without a ratio there is no mark"
    said = texts(made)
    assert {"FASTER", "SLOWER", "SAME", "UNDECIDED", "UNKNOWN", "fused eager is wrong"} <= set(said)
    assert "100 µs → 10.0 µs (−90 %)" in said
    ElementTree.fromstring(svg_file(made, DARK))


def test_a_ratio_and_its_inverse_lie_as_far_from_one_and_the_band_holds_two_percent() -> None:
    made = forest(verdict(Figure(4.0, 3.0, 5.0, 60)), verdict(Figure(0.25, 0.2, 0.33, 60)))
    up, down = (mark.x for mark in marks(made))
    (band,) = (shape for shape in made.shapes if isinstance(shape, Rect))
    one = next(s.points[0][0] for s in made.shapes if isinstance(s, Line) and s.role == "muted")
    assert up - one == pytest.approx(one - down)
    assert band.x < one < band.x + band.width
    same = forest(verdict(Figure(1.02, 0.98, 1.02, 60)))
    (band,) = (shape for shape in same.shapes if isinstance(shape, Rect))
    assert marks(same)[0].x == pytest.approx(band.x + band.width)


def test_rows_say_what_they_do_not_share() -> None:
    assert "64 tokens" in texts(forest(FASTER))
    both = texts(forest(FASTER, verdict(Figure(2.0, 1.9, 2.1, 60), metric="device", path="per-token")))
    assert "64 tokens · fused eager cold · wall" in both
    assert "64 tokens · per-token eager cold · device" in both


@settings(max_examples=50)
@given(st.lists(st.tuples(st.floats(1e-3, 1e3), st.floats(1, 3), st.floats(1, 3)), min_size=1, max_size=6))
def test_nothing_is_drawn_outside_the_axis(ratios: list[tuple[float, float, float]]) -> None:
    made = forest(*(verdict(Figure(m, m / below, m * above, 60)) for m, below, above in ratios))
    words = next(s.x for s in made.shapes if isinstance(s, Text) and s.text == "verdict")
    for shape in made.shapes:
        if isinstance(shape, Line):
            assert all(0 <= x < words and 0 <= y <= made.height for x, y in shape.points)
        if isinstance(shape, Marker):
            assert 0 < shape.x < words


def test_a_picture_holds_so_many_rows_and_needs_one() -> None:
    assert len(marks(forest(*[FASTER] * (MOST + 5)))) == MOST
    with pytest.raises(ValueError, match="no verdict"):
        forest()


@given(st.floats(0.01, 100), st.floats(1.02, 1000))
def test_ticks_lie_in_the_range_and_are_few(low: float, factor: float) -> None:
    found = log_ticks(low, low * factor)
    assert 1 <= len(found) <= 16
    assert all(low * 0.98 <= tick <= low * factor * 1.02 for tick in found)
    assert all(a < b for a, b in pairwise(found))


def test_the_axis_of_a_tall_picture_is_named_at_both_ends() -> None:
    assert texts(forest(*[FASTER] * 3)).count("1") == 1
    assert texts(forest(*[FASTER] * 30)).count("1") == 2


def test_the_table_of_the_page_is_that_of_the_command() -> None:
    found = compared(FASTER, FEW, NONE)
    table = verdict_table(found)
    assert frame_of(table).columns == list(table.head)
    printed = [re.split(r"\s{2,}", line) for line in plain_table(table)]
    assert [[cell for cell in row if cell] for row in frame_of(table).rows()] == printed[1:]
    frame = verdict_frame(found)
    assert frame["ratio"].to_list() == [10.0, 2.0, None]
    assert frame["ratio_lo"].to_list() == [9.0, None, None]
    assert frame["reason"][2] == "fused eager is wrong"
    assert tally(found) == [("wall", [("FASTER", 1), ("UNKNOWN", 2)])]
    assert verdict_frame(compared()).height == 0


def test_panels_escape_names_and_count_words() -> None:
    page = blocks([tally_table(compared(FASTER, SLOWER, SAME))], LIGHT)
    assert "&lt;b&gt;r" in page
    assert "<b>r" not in page
    assert "<td>wall</td><td>1 FASTER</td><td>1 SLOWER</td><td>1 SAME</td>" in page


def differences_panel(base: str, cand: str, must: Sequence[Difference], rest: Sequence[Unlike], *, one: bool) -> str:
    return blocks(difference_blocks(base, cand, must, rest, one=one), LIGHT)


def test_what_differs_begins_with_what_must_be_alike() -> None:
    must = [Difference("device", ("<A>",), ("B",)), Difference("tokens", ("1", "64"), ("64",))]
    rest = [Unlike("device", "<A>", "B"), *(Unlike(f"setting {k}", None, k) for k in range(9))]
    page = differences_panel("<run>", "other", must, rest, one=False)
    assert page.index("device") < page.index("tokens") < page.index("setting 0")
    assert page.count('bad">device</td>') == 1, "it is not told twice"
    assert "&lt;run&gt;" in page
    assert "&lt;A&gt;" in page
    assert "<summary>4 more</summary>" in page
    assert "Nothing: machine" in differences_panel("a", "b", [], [], one=False)
    assert "the same rounds, in which the ratios are paired" in differences_panel("a", "a", [], [], one=True)
