"""A call on the unprofiled clock: as long as it is unprofiled, its events in order and as long as the profiler saw."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rope_prof.analysis.trace.calls import call_events, call_frame
from rope_prof.analysis.trace.gaps import device_gaps
from rope_prof.views.timeline.layout import CallTimeline, lay_out
from rope_prof.views.timeline.unprofiled import unprofiled
from tests.builders import kernel, range_, trace


def call(*spans: tuple[int, int]) -> CallTimeline:
    """A call of those (gap before, length), each launched 5 ns before its kernel; the next call begins 500 ns on."""
    drawn, at = [range_("c#0", 0, 50_000)], 100
    for gap, length in spans:
        at += gap
        drawn.append(kernel(at, at + length, launched=(at - 5, at - 3), correlation=at))
        at += length
    begin = at + 500
    drawn += [range_("c#1", 60_000, 90_000), kernel(begin, begin + 10, launched=(60_001, 60_003), correlation=1)]
    made = trace(drawn)
    row = call_frame(made, r"c#\d+").row(0, named=True)
    return lay_out(row, call_events(made, row), device_gaps(made, row["device"]))


def device(found: CallTimeline) -> pl.DataFrame:
    return found.spans.filter(pl.col("role") == "kernel")


@settings(deadline=None, max_examples=40)
@given(st.lists(st.tuples(st.integers(1, 900), st.integers(1, 900)), min_size=1, max_size=12), st.floats(0.01, 3))
def test_events_keep_order_and_length_and_the_call_takes_its_time(spans: list[tuple[int, int]], scale: float) -> None:
    one = call(*spans)
    wall = one.busy_ns + scale * one.bubble_ns
    found = unprofiled(one, wall)
    assert found is not None
    assert found.end_ns == pytest.approx(wall, abs=len(spans) + 1)
    assert found.busy_ns == one.busy_ns
    assert device(found)["dur_ns"].to_list() == device(one)["dur_ns"].to_list()
    assert device(found)["start_ns"].is_sorted()
    assert found.bubble_ns == found.end_ns - found.busy_ns
    launches = found.spans.filter(pl.col("role") == "launch")["start_ns"]
    assert launches.is_sorted()
    assert all(launch <= start for launch, start in zip(launches, device(found)["start_ns"], strict=True))


def test_the_same_time_is_the_same_picture() -> None:
    one = call((1, 100), (50, 100))
    found = unprofiled(one, float(one.end_ns))
    assert found is not None
    assert found.spans.equals(one.spans) and found.bubbles.equals(one.bubbles)
    assert (found.lead_ns, found.end_ns) == (one.lead_ns, one.end_ns)


def test_what_no_scale_of_gaps_can_make_is_not_drawn_so() -> None:
    one = call((1, 100), (50, 100))
    assert unprofiled(one, None) is None
    assert unprofiled(one, 150.0) is None, "busier than the unprofiled call is long"
