"""Idle time of a capture: gaps in their calls, sums that hold, bins that lose no gap."""

from __future__ import annotations

from itertools import pairwise

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rope_prof.analysis.trace.calls import call_frame
from rope_prof.analysis.trace.gaps import device_gaps
from rope_prof.analysis.trace.idle import around, idle, log_bins, placed, told, whole_gaps
from rope_prof.model.trace import Trace
from tests.builders import kernel, op, range_, trace

KEY = "fused.eager.cold.x.r0"


def two_calls() -> Trace:
    """Two calls of two kernels; one kernel of nobody before, one after, one between (a flush of the L2)."""
    return trace(
        range_(f"{KEY}#0", -50, 60, kind="record_function"),
        range_(f"{KEY}#1", 190, 340, kind="record_function"),
        op("aten::cat", 115, 260),
        op("aten::mul", 225, 250),
        kernel(-90, -80, launched=(-99, -95)),
        kernel(0, 100, name="a", launched=(-20, -10)),
        kernel(140, 150, name="b", launched=(40, 50)),
        kernel(160, 170, name="flush", launched=(155, 158)),
        kernel(200, 220, name="c", launched=(195, 198)),
        kernel(300, 310, name="d", launched=(230, 240)),
        kernel(400, 410, launched=(390, 395)),
    )


def gaps_of(drawn: Trace, *, apart: bool) -> pl.DataFrame:
    calls = call_frame(drawn, f"{KEY}#.*", kind="record_function")
    return told(placed(device_gaps(drawn, "0"), calls, apart=apart), drawn)


def test_a_gap_belongs_to_the_call_before_it_until_the_next_one_begins() -> None:
    found = whole_gaps(gaps_of(two_calls(), apart=False))
    assert found.select("gap_start_ns", "gap_dur_ns", "call", "call_start_ns").rows() == [
        (100, 40, 0, 0),
        (150, 10, 0, 0),
        (170, 30, 0, 0),
        (220, 80, 1, 200),
    ]


def test_between_calls_that_stand_apart_nothing_is_theirs() -> None:
    found = whole_gaps(gaps_of(two_calls(), apart=True))
    assert found.select("gap_start_ns", "gap_dur_ns", "call").rows() == [(100, 40, 0), (220, 80, 1)]


def test_the_launch_that_ends_a_gap_is_told_with_its_range_and_innermost_operator() -> None:
    found = whole_gaps(gaps_of(two_calls(), apart=False))
    assert found["range"].to_list() == [f"{KEY}#0", None, f"{KEY}#1", f"{KEY}#1"]
    assert found["operator"].to_list() == [None, "aten::cat", "aten::cat", "aten::mul"]
    bare = trace(kernel(0, 10, launched=(-5, -4)), kernel(20, 30, launched=(12, 14)))
    assert told(device_gaps(bare, "0"), bare).select("range", "operator").rows() == [(None, None)] * 2


def test_causes_add_up_to_the_idle_time_and_the_longest_come_first() -> None:
    gaps = gaps_of(two_calls(), apart=False)
    found = idle(gaps, 2, worst=2)
    assert found is not None
    assert (found.gaps, found.idle_ns, found.lengths_ns) == (4, 80.0, (40, 10, 30, 80))
    assert sum(ns for _, ns, _ in found.causes) == pytest.approx(found.idle_ns)
    assert sum(share for _, _, share in found.causes) == pytest.approx(1)
    assert found.cause_ns("queued") == 20.0
    assert found.cause_ns("sync") == 0.0
    assert [(gap["gap_dur_ns"], gap["cause"]) for gap in found.worst] == [(80, "launch, host_late"), (40, "queued")]


def test_no_gap_is_no_account() -> None:
    gaps = gaps_of(two_calls(), apart=False)
    assert idle(gaps.clear(), 2) is None
    assert idle(gaps, 0) is None


def test_the_window_holds_the_gap_and_a_launch_that_is_near() -> None:
    gap = {"gap_start_ns": 1000, "gap_dur_ns": 30, "call_start_ns": 900, "launch_start_ns": None}
    assert around(gap) == (90.0, 140.0)
    assert around(gap | {"launch_start_ns": 1010}) == (90.0, 140.0)
    assert around(gap | {"launch_start_ns": 960}) == (50.0, 140.0)
    assert around(gap | {"launch_start_ns": 100}) == (90.0, 140.0)


@given(st.lists(st.lists(st.integers(1, 10**9), max_size=20), min_size=1, max_size=3))
def test_every_gap_lies_in_one_bin(lengths: list[list[int]]) -> None:
    edges, counts = log_bins(lengths)
    assert [sum(row) for row in counts] == [len(one) for one in lengths]
    assert all(len(row) == len(edges) - 1 for row in counts)
    ratios = {round(b / a, 6) for a, b in pairwise(edges)}
    assert len(ratios) == 1
