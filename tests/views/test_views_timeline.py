"""Laws of the timeline's layout, then a drawing or two."""

from __future__ import annotations

import re

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rope_prof.analysis.trace.analyze import accounted
from rope_prof.analysis.trace.calls import call_events, call_frame
from rope_prof.analysis.trace.gaps import device_gaps
from rope_prof.model.trace import Trace
from rope_prof.views.timeline.layout import CallTimeline, call_options, lay_out, median_call
from tests.builders import kernel, op, range_, trace

NAME = re.compile(r"c#\d+")


def laid(drawn: Trace, number: int = 0) -> CallTimeline:
    calls = call_frame(drawn, NAME)
    call = calls.row(number, named=True)
    gaps = None if call["device"] is None else device_gaps(drawn, call["device"])
    return lay_out(call, call_events(drawn, call), gaps)


def two_calls() -> Trace:
    return trace(
        range_("c#0", 0, 100),
        kernel(20, 30, launched=(5, 10)),
        kernel(44, 60, launched=(35, 40), registers=32, grid="8x1x1"),
        range_("c#1", 100, 200),
        kernel(120, 140, launched=(110, 115)),
    )


def test_zero_is_the_first_device_event_and_the_window_ends_with_the_next_calls() -> None:
    found = laid(two_calls())
    kernels = found.spans.filter(pl.col("role") == "kernel")
    assert kernels.select("start_ns", "dur_ns").rows() == [(0, 10), (24, 16)]
    assert found.spans.filter(pl.col("role") == "launch")["start_ns"].to_list() == [-15, 15]
    assert (found.lead_ns, found.end_ns, found.next_call) == (-15, 100, True)
    assert found.bubbles.select("start_ns", "dur_ns").rows() == [(10, 14), (40, 60)]
    assert found.bubbles["cause"].to_list() == ["launch, host_late", "host_late, launch"]  # the longer first
    assert kernels["queue_ns"].to_list() == [10, 4]
    assert [lane.label for lane in found.lanes] == ["launches", "stream 7"]


def test_the_last_call_has_no_period_and_ends_with_itself() -> None:
    found = laid(two_calls(), 1)
    assert (found.end_ns, found.bubble_ns, found.next_call) == (20, 0, False)


spans = st.lists(st.tuples(st.integers(0, 400), st.integers(1, 60), st.sampled_from([7, 9])), min_size=1, max_size=12)


def drawn_call(found: list[tuple[int, int, int]]) -> Trace:
    events = [
        kernel(1000 + start, 1000 + start + length, stream=stream, correlation=i + 1, launched=(10 + i, 11 + i))
        for i, (start, length, stream) in enumerate(found)
    ]
    following = [range_("c#1", 600, 700), kernel(2000, 2010, launched=(610, 620), correlation=99)]
    return trace(range_("c#0", 0, 500), *events, *following)


@settings(max_examples=40)
@given(spans)
def test_busy_and_bubbles_are_the_window(found: list[tuple[int, int, int]]) -> None:
    drawn = drawn_call(found)
    picture = laid(drawn)
    assert picture.busy_ns + picture.bubble_ns == picture.end_ns
    covered = {at for start, length, _ in found for at in range(start, start + length)}
    first, end = min(covered), min(covered) + picture.end_ns
    assert picture.bubble_ns == sum(at not in covered for at in range(first, end))
    call = call_frame(drawn, NAME).row(0, named=True)
    assert picture.busy_ns == call["busy_ns"]


@settings(max_examples=40)
@given(spans)
def test_no_two_spans_of_a_lane_overlap_and_none_is_lost(found: list[tuple[int, int, int]]) -> None:
    picture = laid(drawn_call(found))
    assert picture.spans.filter(pl.col("role") == "kernel").height == len(found)
    for lane in picture.spans.partition_by("lane"):
        ordered = lane.sort("start_ns")
        ends = ordered["start_ns"] + ordered["dur_ns"]
        assert (ordered["start_ns"][1:] >= ends[:-1]).all()
    assert picture.spans["lane"].max() == len(picture.lanes) - 1


def test_a_call_without_device_events_has_no_zero() -> None:
    drawn = trace(range_("c#0", 0, 10), kernel(50, 60, launched=(40, 41)))
    with pytest.raises(ValueError, match="call 0 ran nothing on the device"):
        laid(drawn)


def test_a_leaf_operator_of_a_cpu_trace_is_drawn_once_without_a_launch() -> None:
    own = {"device": "cpu"}
    drawn = accounted(trace(range_("c#0", 0, 90), op("a", 0, 50), op("b", 10, 40), op("c", 60, 80), own=own))
    found = laid(drawn)
    assert found.spans["role"].to_list() == ["kernel", "kernel"]
    assert [lane.label for lane in found.lanes] == ["operators"]
    assert found.bubbles.select("start_ns", "dur_ns").rows() == [(30, 20)]


def test_the_median_call_is_the_lower_middle_period_and_comes_first() -> None:
    frame = pl.DataFrame(
        {"call": [0, 1, 2, 3, 4], "first_start_ns": [1, 2, 3, 4, None], "period_ns": [40, 10, 30, None, None]}
    )
    assert median_call(frame) == 2
    assert median_call(frame.filter(pl.col("call") == 3)) == 3
    assert median_call(frame.filter(pl.col("call") == 4)) is None
    assert call_options([frame, frame.head(2)]) == ["median", "0", "1", "2", "3", "4"]
