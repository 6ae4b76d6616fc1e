"""Bubbles as blocks: what is stretched is grey, differences to the baseline, names whole, links where asked."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rope_prof.analysis.run.rows import summary
from rope_prof.analysis.trace.idle import Idle
from rope_prof.views.blocks.bubbles import (
    Bubbles,
    HeldBubbles,
    account_frame,
    account_table,
    bubble_blocks,
    causes_figure,
    lean,
    lengths_figure,
    parts_figure,
    profiled_table,
    worst_table,
)
from rope_prof.views.blocks.overview import OverviewSide
from rope_prof.views.draw.palette import LIGHT
from rope_prof.views.draw.svg import Rect, svg_file
from tests.runs import facts, run, samples

GAP = {
    "call": 3,
    "gap_dur_ns": 9000,
    "cause": "host_late, launch",
    "before": "<b>one</b>",
    "after": "two",
    "launch_name": "cudaLaunchKernel",
    "launch_thread": 7,
    "operator": None,
    "range": "mine",
}


def side(label: str, inflation: float | None, causes: tuple[tuple[str, float, float], ...]) -> Bubbles:
    (plain,) = summary(run(facts(label)), samples(), {})
    row = replace(plain, inflation=inflation, bubble_corrected_ns=500.0)
    total = sum(ns for _, ns, _ in causes)
    account = Idle(calls=2, gaps=3, idle_ns=total, causes=causes, lengths_ns=(9000, 100, 100), worst=(GAP,))
    return Bubbles(side=OverviewSide(label=label, row=row), idle=account)


SOUND = side("fused", 1.1, (("launch", 300.0, 0.75), ("sync", 100.0, 0.25)))
GREY = side("unfused", 2.5, (("host_late", 3000.0, 0.75), ("launch", 1000.0, 0.25)))


def boxes(figure: object) -> list[Rect]:
    return [s for s in figure.drawing.shapes if isinstance(s, Rect) and s.title]  # type: ignore[attr-defined]


def test_a_bar_is_the_whole_idle_time_in_the_colours_of_the_causes_or_grey() -> None:
    grey, same, launch, sync = boxes(causes_figure([GREY, SOUND], "run · case"))
    assert (grey.role, same.role) == ("unsure_fill", "unsure_fill")
    assert (launch.role, sync.role) == ("cause-launch", "cause-sync")
    assert grey.width + same.width == pytest.approx(launch.width + sync.width)
    assert launch.width == pytest.approx(3 * sync.width)
    text = svg_file(causes_figure([GREY, SOUND], "run · case").drawing, LIGHT)
    assert LIGHT.causes["sync"] in text
    assert "host late 75 %" in text, "a grey part says its cause"
    assert {box.role for box in boxes(lengths_figure([GREY], "x"))} == {"unsure"}
    assert {box.role for box in boxes(lengths_figure([SOUND], "x"))} == {"bubble"}


def test_what_is_stretched_is_said() -> None:
    assert lean([SOUND]) == ""
    assert "stretches unfused over 1.5x" in lean([GREY, SOUND])
    assert "odd was not timed without the profiler" in lean([side("odd", None, ())])
    held_up = side("busy", 0.5, ())
    assert not held_up.trusted
    assert "captured, busy took under 1/1.5 of the unprofiled time" in lean([held_up, SOUND])
    assert "stretches" not in lean([held_up])


def test_the_account_gives_the_difference_to_the_baseline_but_not_of_itself() -> None:
    table = profiled_table([GREY, SOUND], HeldBubbles(label="unfused", bubbles=GREY))
    rows = {row[0].text: row[1:] for row in table.rows}
    assert [cell.text for cell in rows["launch, profiled"]] == ["1.00 µs", "300 ns (−70 %)"]
    assert [cell.tone for cell in rows["launch, profiled"]] == ["muted", ""]
    assert [cell.text for cell in rows["sync, profiled"]] == ["0 ns", "100 ns"]
    assert [cell.tone for cell in rows["inflation by the profiler"]] == ["bad", ""]
    frame = account_frame([GREY, SOUND], HeldBubbles(label="unfused", bubbles=GREY))
    assert frame["change to unfused"].to_list() == [None, None, pytest.approx(-0.7), None]
    assert frame["trusted"].to_list() == [False, False, True, True]


def test_what_no_profiler_stretches_comes_first_and_to_scale() -> None:
    sides = [
        replace(one, side=replace(one.side, row=replace(one.side.row, bubble_host_ns=host, bubble_queue_ns=queue)))
        for one, host, queue in ((GREY, 400.0, 100.0), (SOUND, 90.0, -10.0))
    ]
    (figure,) = parts_figure(sides, "x")
    host, queue, other = boxes(figure)
    assert [box.role for box in (host, queue, other)] == ["cause-host_late", "cause-queued", "cause-host_late"]
    assert host.width == pytest.approx(4 * queue.width) == pytest.approx(other.width * 400 / 90)
    first, second, third, *_ = bubble_blocks(sides, "x")
    assert (first, second, third) == (figure, account_table(sides), profiled_table(sides))
    told = [row[0].text for row in account_table(sides).rows]
    assert told == ["bubble, unprofiled", "of it by the host", "of it in the queue", "bubble, share of that call"]
    assert not [cell for row in account_table(sides).rows for cell in row if cell.tone]
    assert (
        list(
            parts_figure(
                [replace(SOUND, side=replace(SOUND.side, row=replace(SOUND.side.row, bubble_corrected_ns=None)))], "x"
            )
        )
        == []
    )


def test_the_longest_gaps_keep_names_whole_and_lead_where_they_are_told_to() -> None:
    (row,) = worst_table([GREY], lambda one, gap: f"timeline?call={gap['call']}&of={one.label}").rows
    assert [cell.text for cell in row] == [
        *("unfused", "3", "9.00", "host late, launch", "<b>one</b>", "two", "cudaLaunchKernel", "7", "mine"),
    ]
    assert {cell.link for cell in row} == {"", "timeline?call=3&of=unfused"}
    assert row[2].tone == "muted"
    assert {cell.link for cell in worst_table([GREY]).rows[0]} == {""}


def test_a_side_without_a_gap_is_nothing_and_no_side_with_one_is_refused() -> None:
    none = replace(SOUND, idle=None)
    assert [cell.text for cell in profiled_table([none]).rows[-1]] == ["idle, profiled", "0 ns"]
    with pytest.raises(ValueError, match="no side has a gap"):
        causes_figure([none], "x")
    with pytest.raises(ValueError, match="no side has a gap"):
        lengths_figure([none], "x")
