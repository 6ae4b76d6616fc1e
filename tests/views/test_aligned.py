"""One call of each of two traces on one scale: zero is its first GPU event, lengths are to scale, nothing is lost."""

from __future__ import annotations

import re

import pytest

from rope_prof.analysis.diff.diff import TraceDiff, trace_diff
from rope_prof.analysis.diff.side import trace_side
from rope_prof.model.trace import Trace
from rope_prof.views.blocks.trace_diff import diff_blocks
from rope_prof.views.draw.palette import LIGHT
from rope_prof.views.draw.svg import CAUSE, Rect, svg_file, svg_inline
from rope_prof.views.timeline.aligned import aligned_drawing, aligned_pair, calls_of, common_window, median_of
from rope_prof.views.timeline.memory import memory_lanes
from rope_prof.views.timeline.scene import scene
from rope_prof.views.timeline.stretch import stretch
from tests.builders import kernel, memory, range_, trace

NAME = "<img src=x>"


def steps(length: int, late: int, kernels: int = 3) -> Trace:
    """Three calls, the second the longest: kernels of `length` that start `late` apart, each launched 50 ns before."""
    drawn = []
    for call in range(3):
        zero = 1_000_000 * call
        drawn.append(range_("step", zero, zero + 900_000))
        for k in range(kernels):
            start = zero + 1000 + k * (late + 10 * (call == 1))
            drawn.append(kernel(start, start + length, name=NAME, launched=(start - 50, start - 30)))
    return trace(drawn)


def pair(before: Trace, after: Trace) -> tuple[TraceDiff, list[Trace]]:
    return trace_diff(trace_side(before, "step"), trace_side(after, "step")), [before, after]


def test_both_begin_at_zero_and_are_drawn_to_scale() -> None:
    diff, traces = pair(steps(100, 400), steps(100, 100))
    sides = aligned_pair(diff, [scene(one) for one in traces], ("a.json", "b.json"))
    assert [(side.call, side.end_ns) for side in sides] == [(2, 900), (2, 300)]
    drawing = aligned_drawing(sides, "t")
    assert drawing.axis is not None
    boxes = [s for s in drawing.shapes if isinstance(s, Rect) and s.role == "kernel" and s.time is not None]
    assert [s.time for s in boxes] == [(0, 100), (400, 500), (800, 900), (0, 100), (100, 200), (200, 300)]
    grounds = [s.time for s in drawing.shapes if isinstance(s, Rect) and s.role == "panel"]
    assert grounds == [(0, 900), (0, 300)]
    idle = [s.time for s in drawing.shapes if isinstance(s, Rect) and s.role.startswith(CAUSE) and s.time is not None]
    assert sum(end - start for start, end in idle) == 900 - 300
    lo, hi = common_window(sides)
    assert lo <= -50 and hi >= 900


def test_a_side_is_one_device_as_its_figures_are() -> None:
    """Two devices at work: the picture, its table and its memory hold the one that was compared."""
    both = trace(
        *(kernel(0, 100, device=device, launched=(-50, -30)) for device in "001"),
        *(memory(-20, 512, 512, 0, device=device) for device in ("0", "1", "cpu")),
    )
    side = trace_side(both, None, "0")
    lanes = scene(both, "0")
    drawn, _ = aligned_pair(trace_diff(side, side), [lanes, lanes], ("a", "b"))
    (line,) = stretch([(drawn.scene, drawn.zero_ns, drawn.zero_ns + drawn.end_ns)]).kernels
    assert line.cells[0] is not None and (line.cells[0].count, line.cells[0].sum_ns) == (2, side.kernel_ns)
    assert {lane.role for lane in lanes.lanes} == {"launch", "kernel"}
    assert {one["label"] for one in memory_lanes(lanes, 0, (-100, 200), 1.0)} == {"memory · device 0", "memory · host"}
    assert scene(both).events["device"].n_unique() == 2


def test_a_whole_device_is_no_call() -> None:
    """No word of a call where nothing was cut into calls."""
    whole = trace_side(steps(100, 400), None)
    words = "".join(map(repr, diff_blocks(trace_diff(whole, trace_side(steps(100, 100), None)), ("a", "b"))))
    assert "all before" in words and "no interval: all of the base at once" in words
    assert not re.search(r"\ba call\b|\b1 call\b|One call", words)


def test_the_median_call_is_drawn_unless_another_is_asked_for() -> None:
    diff, traces = pair(steps(100, 400), steps(100, 100))
    assert (median_of(diff.base), calls_of(diff.base)) == (2, [0, 1, 2])
    sides = aligned_pair(diff, [scene(one) for one in traces], ("a", "b"), (1, None))
    assert (sides[0].call, sides[0].zero_ns, sides[0].end_ns) == (1, 1_001_000, 920)
    assert "call #1 of 3 of step" in sides[0].facts


def test_neighbours_too_short_to_be_told_apart_are_as_high_as_they_are_filled() -> None:
    diff, traces = pair(steps(1, 10, kernels=2000), steps(9, 10, kernels=2000))
    sides = aligned_pair(diff, [scene(one) for one in traces], ("a", "b"))
    drawing = aligned_drawing(sides, "t")
    boxes = [s for s in drawing.shapes if isinstance(s, Rect) and s.role == "kernel" and s.time is not None]
    assert len(boxes) < 2 * 2000
    lows = sorted({round(box.height) for box in boxes if box.time is not None and box.time[1] - box.time[0] > 1})
    assert lows[0] <= 0.3 * 18, "a tenth filled"
    assert lows[-1] >= 0.8 * 18, "nine tenths filled"


@pytest.mark.parametrize("writer", [lambda d: svg_file(d, LIGHT), svg_inline])
def test_names_of_a_file_are_letters(writer: object) -> None:
    diff, traces = pair(steps(100, 400), steps(100, 100))
    drawing = aligned_drawing(aligned_pair(diff, [scene(one) for one in traces], (NAME, NAME)), NAME)
    assert callable(writer)
    text = writer(drawing)
    assert "&lt;img src=x&gt;" in text and NAME not in text
