from __future__ import annotations

import re

import polars as pl

from rope_prof.analysis.trace.analyze import analyze
from rope_prof.analysis.trace.calls import (
    around,
    as_cpu,
    busy_frame,
    call_events,
    call_frame,
    numbered,
    recorded_on_cpu,
)
from rope_prof.analysis.trace.ranges import outermost
from tests.builders import graph, kernel, op, range_, trace


def test_kernels_belong_to_the_range_of_their_launch_not_of_their_time() -> None:
    held = trace(
        range_("a#0", 0, 50),
        range_("a#1", 50, 100),
        kernel(200, 210, launched=(10, 12)),
        kernel(215, 230, launched=(49, 52)),
        kernel(300, 310, launched=(50, 55)),
        kernel(400, 410, launched=(60, 65), thread=2),
    )
    rows = call_frame(held, r"a#\d+").select(
        "range", "call", "kernels", "kernel_ns", "busy_ns", "inner_gap_ns", "period_ns"
    )
    assert rows.rows() == [("a#0", 0, 2, 25, 25, 5, 100), ("a#1", 1, 1, 10, 10, 0, None)]


def test_nested_ranges_are_inclusive_and_overlap_counts_once() -> None:
    held = trace(
        range_("outer", 0, 100),
        range_("inner", 10, 20),
        kernel(200, 230, launched=(5, 6)),
        kernel(220, 250, launched=(15, 16), stream=9),
        graph((30, 40), (260, 270), (280, 290)),
    )
    uses = {use.name: use for use in analyze(held).ranges}
    assert (uses["outer"].kernels, uses["outer"].busy_ns, uses["outer"].kernel_ns) == (4, 70, 80)
    assert uses["outer"].idle_by_cause_ns == {"queued": 10, "in_graph": 10}
    assert uses["inner"].kernels == 1


def test_what_holds_a_launch_is_of_its_thread_and_the_one_that_began_last_is_the_last() -> None:
    ranges = trace(
        range_("inner", 10, 30), range_("outer", 10, 50), range_("over", 0, 20), range_("aside", 0, 99, thread=2)
    ).ranges
    at = {"launch_process": ranges["process"][0], "launch_thread": ranges["thread"][0]}
    for instant, names in ((20, ["outer", "inner"]), (19, ["over", "outer", "inner"]), (50, []), (None, [])):
        assert around(ranges, at | {"launch_start_ns": instant})["name"].to_list() == names
    opened = ranges.with_columns(dur_ns=pl.when(pl.col("name") != "inner").then("dur_ns"))
    assert around(opened, at | {"launch_start_ns": 40})["name"].to_list() == ["inner", "outer"]  # open: longest


def test_the_outermost_of_one_thread_are_those_beside_another_thread() -> None:
    spans = ((0, 10), (2, 8), (2, 10), (5, 12), (12, 20), (12, 20), (15, 16))
    one = trace(*(range_(f"r{k}", *span) for k, span in enumerate(spans))).ranges
    two = trace(*(range_(f"r{k}", *span) for k, span in enumerate(spans)), range_("aside", 1, 99, thread=2)).ranges
    alone = outermost(numbered(one))["range"].to_list()
    assert alone == ["r0", "r3", "r4"]
    assert outermost(numbered(two)).filter(pl.col("range") != "aside")["range"].to_list() == alone
    opened = numbered(one).with_columns(host_end_ns=pl.when(pl.col("range") != "r3").then("host_end_ns"))
    assert outermost(opened)["range"].to_list() == ["r0", "r3"]
    assert outermost(opened.clear()).height == 0


def test_a_call_without_kernels_stays() -> None:
    (row,) = call_frame(trace(range_("a", 0, 50), kernel(0, 5)), "a").rows(named=True)
    assert (row["kernels"], row["device"], row["first_start_ns"]) == (0, None, None)


def test_an_open_range_reaches_to_the_end() -> None:
    held = trace(range_("a", 0, None), kernel(200, 210, launched=(150, 160)))
    assert call_frame(held, "a")["kernels"].to_list() == [1]


def test_a_call_marked_twice_counts_once() -> None:
    held = trace(range_("a", 0, 9), range_("a", 0, 9, kind="nvtx"), kernel(20, 30, launched=(1, 2)))
    assert call_frame(held, re.compile("a")).height == 1
    assert call_frame(held, "a", kind="nvtx").height == 1


def test_call_events_carry_their_launch() -> None:
    held = trace(range_("a", 0, 50), kernel(200, 210, launched=(10, 12)), kernel(100, 110, launched=(60, 61)))
    (row,) = call_frame(held, "a").rows(named=True)
    events = call_events(held, row)
    assert events.select("start_ns", "launch_name", "launch_start_ns").rows() == [(200, "cudaLaunchKernel", 10)]


def test_leaves_of_a_cpu_trace_are_its_kernels() -> None:
    held = trace(
        range_("a", 0, 100),
        op("outer", 10, 60),
        op("leaf", 12, 20),
        op("leaf", 20, 30),
        op("alone", 70, 80),
        metadata={"device": "cpu"},
    )
    assert recorded_on_cpu(held)
    assert as_cpu(held).gpu["name"].to_list() == ["leaf", "leaf", "alone"]
    (use,) = analyze(held).devices
    assert (use.device, use.kernels, use.busy_ns, use.idle_ns) == ("cpu", 3, 28, 40)
    assert use.idle_by_cause_ns == {"host_late": 40}
    assert analyze(held).ranges[0].kernels == 3


def test_a_trace_without_gpu_that_does_not_say_cpu_is_unusable() -> None:
    held = trace(op("leaf", 12, 20))
    assert analyze(held).integrity.verdict == "unusable"
    assert analyze(held, device="cpu").devices[0].kernels == 1


def test_on_a_cpu_a_collective_of_gloo_is_its_range_and_not_the_operator_that_enqueues_it() -> None:
    held = trace(
        op("aten::mm", 0, 50),
        op("c10d::allreduce_", 50, 60),
        range_("gloo:all_reduce", 52, 400, thread=9),
        op("aten::add", 400, 410),
    )
    gpu = as_cpu(held).gpu
    assert gpu["name"].to_list() == ["aten::mm", "gloo:all_reduce", "aten::add"]
    assert gpu["collective"].to_list() == [None, "all_reduce", None]
    assert gpu["stream"].to_list() == [1, 9, 1]


def test_what_a_call_adds_is_its_busy_time_but_for_what_overlaps_the_ones_before() -> None:
    ranges = [range_(f"a#{k}", 20 * k, 20 * k + 10) for k in range(4)]
    first, alone = kernel(100, 110, launched=(1, 2)), kernel(130, 134, launched=(41, 42))
    apart = trace(*ranges, alone, first, kernel(110, 116, launched=(21, 22)))
    assert busy_frame(apart, r"a#\d+")["added_ns"].to_list() == [10, 6, 4, None]
    overlapping = trace(*ranges, alone, first, kernel(108, 116, launched=(21, 22)))
    assert busy_frame(overlapping, r"a#\d+")["added_ns"].to_list() == [10, 6, 4, None]
    elsewhere = trace(*ranges, alone, first, kernel(108, 116, launched=(21, 22), device="1"))
    assert busy_frame(elsewhere, r"a#\d+")["added_ns"].to_list() == [10, 8, 4, None]
