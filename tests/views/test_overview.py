"""What the overview says of bubbles that are not to be trusted."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from rope_prof.analysis.run.rows import Row, summary
from rope_prof.opened.run import open_run
from rope_prof.views.blocks.overview import Overview, cards, headline, lost_words, overview
from rope_prof.views.blocks.overview_tables import calls_picture, payoff_table, sides_table, table
from rope_prof.views.draw.palette import LIGHT
from rope_prof.views.draw.svg import Rect
from rope_prof.views.page.blocks import blocks
from rope_prof.views.page.blocks import cards as drawn_cards
from rope_prof.views.words.losses import Loss, defeats, verdicts
from tests.runs import facts, run, samples


def seen(**fused: float | bool) -> Overview:
    rounds = samples(unfused_eager=[300e3 + k for k in range(8)], fused_eager=[37e3 + k for k in range(8)])
    rows = summary(run(facts(), facts("fused")), rounds, {})

    def known(row: Row) -> Row:
        busy = replace(row, busy_ns=30e3, kernels_per_call=1.0, inflation=1.0, bubbles_agree=True)
        found = replace(busy, bubble_corrected_ns=7e3, bubble_by_replay_ns=7e3)
        return replace(found, **fused) if row.path == "fused" else found  # type: ignore[arg-type]

    return overview(tuple(known(row) for row in rows), rows[0].case.name)


def test_a_corrected_bubble_that_its_cross_check_denies_is_marked_and_told() -> None:
    found = seen(bubble_corrected_ns=-4810.0, bubble_by_replay_ns=962.0, bubbles_agree=False)
    assert "<b>-4.81 µs ≠</b>" in drawn_cards(cards(found))
    assert "<span>7.00 µs</span>" in drawn_cards(cards(found)), "the baseline's stands"
    drawn = blocks([*calls_picture(found), sides_table(found)], LIGHT)
    assert drawn.count(">-13 % ≠<") == 1
    assert ">962 ns<" in drawn
    assert "≠: the cross-check by graph replay disagrees." in drawn
    denied = [text for text in found.doubts if text.startswith("≠")]
    assert len(denied) == 1
    assert "fused · eager -4.81 µs corrected, 962 ns by replay" in denied[0]
    assert "unfused" not in denied[0]
    assert table(found)["bubbles_agree"].to_list() == [True, False]


def test_a_bubble_that_agrees_or_has_no_cross_check_carries_no_mark() -> None:
    for found in (seen(), seen(bubbles_agree=None, bubble_by_replay_ns=None)):  # type: ignore[arg-type]
        assert "≠" not in drawn_cards(cards(found)) + str(sides_table(found)) + "".join(found.doubts)


def test_a_call_that_the_profiler_shortens_is_not_said_to_be_stretched() -> None:
    text = "".join(seen(inflation=0.4).doubts)
    assert "far less time under the profiler" in text
    assert "fused · eager 0.400x" in text
    assert "stretches" not in text
    assert "stretches a call over 1.5x (fused · eager 2.00x)" in "".join(seen(inflation=2.0).doubts)


def test_on_a_cpu_what_was_measured_is_the_answer_whatever_is_chosen() -> None:
    rounds = samples(unfused_eager=[300e3 + k for k in range(8)], unfused_compile=[100e3 + k for k in range(8)])
    rows = summary(run(facts(), facts(mode="compile")), rounds, {})
    case = rows[0].case.name
    for device, found in (("cpu", "3.00x"), ("cuda", None)):
        answer = headline(overview(rows, case, device, wanted=lambda row: row.mode == "eager"))
        assert (None if answer is None else answer.factor) == found


def test_the_sentence_of_losses_is_of_the_path_asked_for_and_counts_on_the_others() -> None:
    lost = [Loss("unfused · compile", "fused · compile", count) for count in (1, 64)]
    operation = seen().case.operation
    assert defeats(lost, (1, 64), operation) == ("fused · compile loses to unfused · compile at every size",)
    own = defeats(lost[:1], (1, 64), operation)
    assert own == ("fused · compile loses to unfused · compile at 1 token",)
    view = replace(seen(), losses=("than unfused · compile: fused · compile at 1 token",), own=own)
    assert lost_words(view) == "fused · compile loses to unfused · compile at 1 token."
    other = replace(view, own=(), others_lose=True)
    assert lost_words(other) == "fused is slower at no measured token count; other paths are: below."
    assert lost_words(seen()) == "No measured token count is slower."


def shipped_view(folder: Path, case: str) -> Overview:
    """The overview of a case of a run that ships, as the page makes it."""
    opened = open_run(folder)
    pairs = verdicts(opened.folder.run, opened.folder.samples)
    return overview(opened.rows, case, pairs=pairs, headlines=opened.headlines)


def test_the_second_sentence_of_the_shipped_run_is_where_its_path_loses(repository: Path) -> None:
    view = shipped_view(repository / "traces/h100-ernie28b", "28b-tp1-n973-bf16-image")
    assert lost_words(view).startswith("fused · compile loses to unfused · compile at every size.")


def test_a_path_slower_by_the_median_is_undecided_and_every_other_path_is_named(repository: Path) -> None:
    """Where an interval reaches beyond 1 nothing is for sure; what servers run was left out as the fourth."""
    undecided = shipped_view(repository / "traces/h200-column-amax", "h4096-n64-bf16")
    assert lost_words(undecided) == (
        "No measured token count is for sure slower. Undecided: fused · compile against unfused · eager at 64 tokens."
    )
    view = shipped_view(repository / "traces/h200-mrope-kv", "28b-tp1-n973-bf16-cachesame-nhd-page16-image")
    assert lost_words(view) == "fused is slower at no measured token count; other paths are: below."
    answer = headline(view)
    assert answer is not None and "served 63.1 µs (graph)." in answer.detail


def test_bars_are_to_scale_where_nothing_was_captured_and_empty_columns_are_left_out(repository: Path) -> None:
    """A sweep is timed alone: its bars were six equal slivers, 487 and 5.27 µs long, above columns of dashes."""
    rows = open_run(repository / "traces/h200-sweep").rows
    found = overview(rows, "28b-tp1-n1024-bf16-image")
    (picture,) = calls_picture(found)
    bars = {shape.title: shape.width for shape in picture.drawing.shapes if isinstance(shape, Rect) and shape.title}
    assert len(bars) == len(found.sides) == 6
    walls = [side.row.wall_ns.median for side in found.sides if side.row.wall_ns]
    assert [width / max(bars.values()) for width in bars.values()] == pytest.approx([w / max(walls) for w in walls])
    assert sides_table(found).head == ("path · mode", "µs a call", "to baseline")
    (pays,) = payoff_table(found)
    assert pays.wraps
