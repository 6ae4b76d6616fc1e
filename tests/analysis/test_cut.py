"""A part of a trace tells of its window what the whole trace tells: gaps, causes, calls; and claims no more."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rope_prof.analysis.trace.analyze import analyze, gap_table
from rope_prof.analysis.trace.cut import CUT, Window, call_windows, cut, median_window, timeline
from rope_prof.analysis.trace.launches import launched
from rope_prof.io.trace.read import read_trace
from rope_prof.model.trace import MEMORY, Finding, Trace
from tests.builders import call, graph, kernel, node, op, overhead, python, range_, sync, trace

SHIPPED = sorted((Path(__file__).resolve().parents[2] / "traces").glob("*/unfused.eager.*n64-*.trace.json.gz"))


def steps(count: int, period: int = 1_000, lag: int = 0) -> Trace:
    """Steps of two kernels, a synchronisation and an operator each; the device is `lag` behind the host."""
    drawn = []
    for number in range(count):
        at = number * period
        drawn += [
            range_(f"step#{number}", at, at + 900),
            range_(f"part#{number}", at + 10, at + 400),
            op("aten::mul", at + 15, at + 60),
            kernel(at + lag + 100, at + lag + 300, launched=(at + 20, at + 30), name="a"),
            kernel(at + lag + 420, at + lag + 500, launched=(at + 410, at + 415), name="b"),
            sync(at + 430, at + 880),
        ]
    return trace(drawn, range_("all", -50, count * period), python("loop.py(1): run", -60, count * period + 5))


def window(start: int, end: int) -> Window:
    return Window(start_ns=start, end_ns=end)


@pytest.mark.parametrize("lag", [0, 450, 2_500])
def test_a_call_costs_in_its_cut_what_it_costs_in_the_whole(lag: int) -> None:
    whole = steps(5, lag=lag)
    for number in range(5):
        for name in (f"step#{number}", f"part#{number}"):
            (chosen,) = call_windows(whole, name)
            here = analyze(cut(whole, chosen), range_pattern=name).ranges
            assert here == analyze(whole, range_pattern=name).ranges
            assert [use.calls for use in here] == [1]


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
def test_every_call_of_a_recorded_trace_costs_the_same_in_its_cut(path: Path) -> None:
    whole = read_trace(path)
    name = whole.ranges["name"].sort()[3]
    (chosen,) = call_windows(whole, name)
    part = cut(whole, chosen)
    assert part.gpu.height < whole.gpu.height / 2
    (here,) = (use for use in analyze(part, range_pattern=name).ranges if use.name == name)
    (there,) = analyze(whole, range_pattern=name).ranges
    assert here == there
    assert analyze(part).integrity.verdict == analyze(whole).integrity.verdict


spans = st.tuples(st.integers(0, 400), st.integers(1, 60))


@st.composite
def drawings(draw: st.DrawFn) -> Trace:
    """Kernels on two streams with their launches, syncs and overheads, in any order of time."""
    drawn = []
    for number, (start, length) in enumerate(draw(st.lists(spans, min_size=1, max_size=12))):
        at = draw(st.integers(0, start))
        stream = draw(st.sampled_from((7, 9)))
        drawn.append(kernel(start, start + length, launched=(at, at + 2), stream=stream, correlation=number + 1))
    drawn += [sync(start, start + length) for start, length in draw(st.lists(spans, max_size=3))]
    drawn += [overhead(start, start + length) for start, length in draw(st.lists(spans, max_size=2))]
    return trace(drawn)


@settings(max_examples=60)
@given(drawings(), st.integers(0, 300), st.integers(1, 200))
def test_gaps_between_kept_events_have_the_length_and_cause_that_they_have_in_the_whole(
    whole: Trace, start: int, length: int
) -> None:
    part = cut(whole, window(start, start + length))
    columns = ["start_ns", "dur_ns", "cause", "before", "after"]
    here = gap_table(part).select(columns) if part.gpu.height else pl.DataFrame()
    if not here.height:
        return
    reach = part.gpu.select((pl.col("start_ns") + pl.col("dur_ns")).max()).item()
    there = gap_table(whole).select(columns)
    inside = there.filter((pl.col("start_ns") >= part.gpu["start_ns"].min()) & (pl.col("start_ns") < reach))
    assert here.rows() == inside.rows()


@settings(max_examples=60)
@given(drawings(), st.integers(0, 300), st.integers(1, 200))
def test_what_runs_in_the_window_stays_whole_with_its_launch_and_no_other_launch_stays(
    whole: Trace, start: int, length: int
) -> None:
    part = cut(whole, window(start, start + length))
    touching = whole.gpu.filter((pl.col("start_ns") < start + length) & (pl.col("start_ns") + pl.col("dur_ns") > start))
    assert part.gpu.rows() == touching.rows()
    links = ["name", "start_ns", "correlation", "launch_start_ns", "launch_thread"]
    kept = launched(whole).filter(pl.col("correlation").is_in(touching["correlation"].implode()))
    assert launched(part).select(links).rows() == kept.select(links).rows()
    bare = part.calls.filter(pl.col("correlation").is_not_null())
    assert set(bare["correlation"]) == set(part.gpu["correlation"])


def test_ranges_that_reach_beyond_it_are_clipped_and_say_so() -> None:
    part = cut(steps(3), window(1_000, 1_950))
    spans = {name: (start, start + ns) for name, start, ns in part.ranges.select("name", "start_ns", "dur_ns").rows()}
    assert spans == {"all" + CUT: (1_000, 1_950), "step#1": (1_000, 1_900), "part#1": (1_010, 1_400)}
    assert part.python.select("start_ns", "dur_ns").rows() == [(1_000, 950)]


def test_a_range_of_which_a_part_of_the_work_is_outside_is_no_call() -> None:
    part = cut(steps(3, lag=1_500), window(0, 1_700))
    assert part.gpu["name"].to_list() == ["a"]
    assert part.ranges["name"].to_list()[:3] == ["all" + CUT, "step#0" + CUT, "part#0"]
    assert {use.name for use in analyze(part, range_pattern="step").ranges} == {"step#0" + CUT}


def test_a_range_that_was_never_closed_ends_with_the_part() -> None:
    part = cut(
        trace(range_("open", 0, None), kernel(10, 20, launched=(1, 2)), kernel(90, 99, launched=(3, 4))), window(0, 50)
    )
    assert part.ranges.select("name", "start_ns", "dur_ns").rows() == [("open" + CUT, 0, 50)]


def test_a_whole_trace_is_left_as_it_is() -> None:
    whole = steps(3)
    span = timeline(whole)
    assert span is not None
    part = cut(whole, span)
    assert (part.gpu.rows(), part.findings) == (whole.gpu.rows(), whole.findings)
    assert analyze(part).devices == analyze(whole).devices


def test_what_was_found_in_the_whole_file_is_said_of_its_part() -> None:
    damaged = Finding(code="damaged_events", detail="events cannot be read")
    answer = analyze(
        cut(trace(steps(2).gpu.height * [kernel(0, 5, launched=(0, 1))], findings=(damaged,)), window(0, 3))
    )
    assert {found.code for found in answer.integrity.findings} >= {"damaged_events"}
    assert answer.integrity.verdict == "suspect"
    sound = analyze(cut(steps(3), window(0, 500))).integrity
    assert sound.verdict == "sound"
    assert "cut" in {found.code for found in sound.findings}


def test_a_recording_without_a_gpu_is_cut_by_its_leaf_operators() -> None:
    whole = trace(
        op("leaf", 0, 40), op("outer", 50, 200), op("leaf", 60, 90), op("leaf", 150, 190), metadata={"device": "cpu"}
    )
    part = cut(whole, window(70, 80))
    assert part.ops.select("name", "start_ns", "dur_ns").rows() == [("outer", 60, 30), ("leaf", 60, 30)]
    assert analyze(part).devices[0].kernel_ns == 30


def test_nodes_of_a_kept_graph_launch_stay() -> None:
    whole = trace(graph((0, 5), (10, 20), (40, 60)), node(22, 38, correlation=900), node(500, 510, correlation=4))
    assert cut(whole, window(45, 50)).nodes["start_ns"].to_list() == [22]


def test_allocations_of_the_window_stay() -> None:
    rows = [{"device": "0", "start_ns": at, "bytes": 8} for at in (5, 30, 90)]
    memory = pl.DataFrame([{name: row.get(name) for name in MEMORY} for row in rows], schema=MEMORY)
    whole = trace(kernel(20, 40, launched=(10, 12)), kernel(80, 85, launched=(70, 71)))
    assert cut(replace(whole, memory=memory), window(25, 50)).memory["start_ns"].to_list() == [30]


def test_calls_that_launch_nothing_stay_and_calls_of_work_outside_go() -> None:
    whole = trace(
        kernel(10, 20, launched=(1, 2), correlation=1),
        kernel(300, 310, launched=(12, 13), correlation=2),
        call("cudaEventRecord", 14, 15, correlation=3),
    )
    assert cut(whole, window(0, 100)).calls["correlation"].to_list() == [1, 3]


def test_the_median_call_is_neither_the_cold_first_nor_the_longest() -> None:
    lengths = (900, 100, 120, 500)
    windows = [Window(start_ns=1_000 * n, end_ns=1_000 * n + ns, call=n, calls=4) for n, ns in enumerate(lengths)]
    assert median_window(windows).call == 2
