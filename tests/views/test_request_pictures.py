"""Stacked parts and the picture of the prediction: what is drawn is what was measured, to scale."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from rope_prof.analysis.requests.requests import MODES, LogitsAgreement, Prediction, RequestRow, StepParts, step_times
from rope_prof.analysis.requests.what_if import WhatIf
from rope_prof.analysis.stats import Figure
from rope_prof.model.end_to_end import EndToEnd
from rope_prof.views.blocks.model import Bullets, Cell, Table, Words
from rope_prof.views.blocks.requests import request_frame, request_headline
from rope_prof.views.draw.palette import DARK, LIGHT
from rope_prof.views.draw.requests import prediction_chart, request_chart, steps_chart
from rope_prof.views.draw.svg import Drawing, Line, Marker, Rect, Text
from rope_prof.views.page.blocks import blocks, hero
from rope_prof.views.words.requests import agree
from tests.analysis.test_end_to_end import facts

MS = 1e6
EVIL = "<b>_x_ :smile:"
WHOLE = facts(rounds=12)


def figure(median: float, spread: float = 0.0) -> Figure:
    return Figure(median, median - spread, median + spread, 12)


def row(path: str, mode: str = "eager", *, prefill: float = 100, token: float = 50, gain: float | None = 0.2) -> Any:
    saved = None if gain is None else figure(gain, 0.01)
    return RequestRow(
        path=path,
        mode=mode,
        status="measured",
        reason=None,
        prefill_ns=figure(prefill * MS),
        token_ns=figure(token * MS),
        request_ns=figure((prefill + 10 * token) * MS),
        prefill_gain=saved,
        token_gain=saved,
        request_gain=saved,
    )


PARTS = StepParts(
    steps=2,
    layers=4,
    rope_calls=4,
    rope_kernels=100,
    other_kernels=200,
    span_ns=20_000_000,
    rope_busy_ns=2_000_000,
    rope_bubble_ns=4_000_000,
    other_busy_ns=6_000_000,
    other_bubble_ns=8_000_000,
)


def bar_widths(drawing: Drawing) -> dict[str, float]:
    """Role -> the width of its first bar (a swatch of the legend is 12 pixels wide)."""
    found: dict[str, float] = {}
    for shape in drawing.shapes:
        if isinstance(shape, Rect) and shape.width != 12:
            found.setdefault(shape.role, shape.width)
    return found


def told(rows: list[Any], of: EndToEnd = WHOLE) -> str:
    return hero(request_headline(of, rows))


def words(drawing: Drawing) -> str:
    return " | ".join(shape.text for shape in drawing.shapes if isinstance(shape, Text))


def test_a_request_is_drawn_as_its_two_parts_on_one_scale() -> None:
    chart = request_chart([row("unfused", gain=None), row("fused", token=40)], tokens=10)
    assert chart is not None
    drawing = chart.drawing
    widths = bar_widths(drawing)
    assert widths["path3"] == pytest.approx(5 * widths["path0"], rel=0.02)
    assert "500 ms, saves 20.0% [19.0%, 21.0%]" in words(drawing)
    assert "600 ms" in words(drawing)


def test_what_was_not_timed_or_is_wrong_has_no_bar() -> None:
    missing = replace(row("fused"), token_ns=None, request_ns=None)
    wrong = replace(row("per-token"), status="wrong")
    assert request_chart([missing, wrong], tokens=10) is None


def test_the_four_parts_of_a_step_add_up_and_the_profiler_is_named() -> None:
    rows = [row("unfused", token=6)]
    chart = steps_chart({("unfused", "decode"): PARTS}, step_times(rows))
    assert chart is not None
    drawing = chart.drawing
    widths = bar_widths(drawing)
    assert list(widths) == ["kernel", "bubble", "kernel_fill", "bubble_fill"]
    assert [widths[role] / widths["kernel"] for role in widths] == pytest.approx([1, 2, 3, 4], rel=0.02)
    said = words(drawing)
    assert "10.0 ms profiled (mean of 2), 6.00 ms unprofiled" in said
    assert said.count("stretched by the profiler") == 2
    assert steps_chart({}, {}) is None


def test_phases_stand_together_so_that_paths_are_compared() -> None:
    steps = {(path, phase): PARTS for path in ("unfused", "fused") for phase in ("prefill", "decode")}
    chart = steps_chart(steps, {})
    assert chart is not None
    drawing = chart.drawing
    labels = [text for text in words(drawing).split(" | ") if " · " in text]
    assert labels == ["unfused · prefill", "fused · prefill", "unfused · decode", "fused · decode"]


def predicted(saved_ms: float) -> Prediction:
    bound = WhatIf(
        step_ns=50 * MS, lo_ns=10 * MS, hi_ns=12 * MS, inflation=1.4, launches_per_call=25, steps=4, left_out=0
    )
    saved = figure(saved_ms / 50, 0.01)
    return Prediction(phase="decode", path="fused", bound=bound, saved=saved, saved_ns=saved_ms * MS)


def test_the_outcome_is_marked_inside_or_outside_the_prediction() -> None:
    for saved, held in ((11.0, True), (13.0, False)):
        chart = prediction_chart([predicted(saved)])
        assert chart is not None
        drawing = chart.drawing
        (mark,) = (s for s in drawing.shapes if isinstance(s, Marker) and s.title)
        (range_,) = (s for s in drawing.shapes if isinstance(s, Rect) and s.role == "bubble" and s.title)
        assert (range_.x <= mark.x <= range_.x + range_.width) is held
        assert mark.role == ("ink" if held else "warn")
        (whisker,) = (s for s in drawing.shapes if isinstance(s, Line) and s.role == mark.role)
        ms = (range_.width) / 2  # pixels of one
        assert [x - mark.x for x, _ in whisker.points] == pytest.approx([-ms / 2, ms / 2]), "1 % of 50 ms each way"
        assert ("as predicted" in words(drawing)) is held
    assert prediction_chart([]) is None


def test_a_loss_is_drawn_left_of_zero() -> None:
    chart = prediction_chart([predicted(-5.0)])
    assert chart is not None
    (mark,) = (s for s in chart.drawing.shapes if isinstance(s, Marker) and s.title)
    steps = [s for s in chart.drawing.shapes if isinstance(s, Rect) and s.role == "rule" and s.height == 22]
    assert mark.x < min(step.x for step in steps)


def test_the_headline_is_the_best_fused_path_and_says_what_is_left_under_graphs() -> None:
    rows = [row("stock", gain=0.5), row("unfused", gain=None), row("per-token", gain=0.1), row("fused", gain=0.2)]
    text = told([*rows, row("fused", "graph", gain=0.12)])
    assert "12.0<span>%</span>" in text
    assert "saved with fused in every layer, under CUDA graphs" in text
    assert "Against the unfused chain: 12.0% [11.0%, 13.0%], decode eager 20.0%" in text
    over = [replace(row("fused", mode, gain=0.2), request_over_stock=Figure(0.09, 0.08, 0.1, 9)) for mode in MODES]
    beside = told(over)
    assert "9.0<span>%</span>" in beside
    assert "Against stock: 9.0% [8.0%, 10.0%]" in beside
    assert "Against the unfused chain, as served: under CUDA graphs 20.0%" in beside
    assert "CUDA graphs were not measured" in told(rows)
    assert "No fused path was measured" in told(rows[:2])


@pytest.mark.parametrize(
    ("gain", "said"), [(-0.2, "slower"), (0.005, "no detectable difference"), (0.2, "of a request’s time saved with")]
)
def test_the_headline_has_a_verdict(gain: float, said: str) -> None:
    assert said in told([row("fused", gain=gain)])


def test_the_headline_says_where_rounds_were_too_few() -> None:
    few = replace(row("fused"), request_gain=Figure(0.2, None, None, 3))
    assert "too few rounds for an interval" in told([few])


def test_outputs_that_differ_are_named() -> None:
    fine = LogitsAgreement(
        path="fused", rms=0.05, allowed=0.1, tokens=3, same_tokens=3, margin=None, graph_same_tokens=None,
        graph_margin=None, graph_rms=None,
    )  # fmt: skip
    assert agree([fine]).startswith("Outputs agree")
    assert agree([fine, replace(fine, path="other", rms=0.2)]).endswith("explains: other.")
    assert agree([]) == "Outputs were not compared."


def test_blocks_keep_every_name_letter_for_letter() -> None:
    cell = Cell(text=EVIL, tone="bad", small="a\x1bb")
    table = Table(head=(EVIL, "ms"), rows=((cell, Cell(text="1")),), right=frozenset({1}), title=EVIL, folded=True)
    chart = request_chart([row(EVIL)], tokens=10)
    assert chart is not None
    text = blocks([Words(text=EVIL), Bullets(items=(EVIL,)), Bullets(items=()), table], LIGHT)
    assert "<b>_x_" not in text
    assert text.count("&lt;b&gt;_x_ :smile:") == 5
    assert "\x1b" not in text
    assert text.count("<ul") == 1
    assert "&lt;b&gt;" in told([row(EVIL)])


def test_a_table_of_nothing_keeps_its_columns() -> None:
    frame = request_frame([replace(row("fused"), request_ns=None, request_gain=None)])
    assert frame["request_ms"].to_list() == [None]
    assert frame["token_ms"].to_list() == [50.0]
    assert request_frame([]).columns == frame.columns


def test_the_pale_kernel_is_seen_on_its_ground_and_told_from_the_strong_one() -> None:
    for palette in (LIGHT, DARK):
        assert len({palette.kernel, palette.kernel_fill, palette.bubble, palette.bubble_fill, palette.paper}) == 5
