"""The rule of causes, one drawing per line of it, and the laws over random traces."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from rope_prof.analysis.trace.analyze import analyze, gap_table
from rope_prof.analysis.trace.gaps import CAUSES, device_gaps
from rope_prof.model.trace import Trace
from tests.builders import Drawn, graph, kernel, node, overhead, range_, sync, trace

FIRST = kernel(0, 100, launched=(-20, -10))


def split(*drawn: Any) -> list[tuple[int, int, str]]:
    return device_gaps(trace(*drawn), "0").select("start_ns", "dur_ns", "cause").rows()


def test_a_launch_in_time_is_queued() -> None:
    assert split(FIRST, kernel(140, 150, launched=(90, 95))) == [(100, 40, "queued")]


def test_a_late_launch_is_the_hosts_then_the_launchs() -> None:
    assert split(FIRST, kernel(140, 150, launched=(120, 130))) == [(100, 20, "host_late"), (120, 20, "launch")]


def test_a_launch_at_the_very_start_of_the_gap_is_launch() -> None:
    assert split(FIRST, kernel(140, 150, launched=(100, 110))) == [(100, 40, "launch")]


def test_no_launch_in_the_file_is_unknown() -> None:
    assert split(FIRST, kernel(140, 150)) == [(100, 40, "unknown")]


def test_between_kernels_of_one_graph_launch() -> None:
    assert split(FIRST, graph((50, 60), (100, 110), (115, 120))) == [(110, 5, "in_graph")]
    assert split(graph((-9, -5), (0, 10)), graph((-4, -2), (15, 20), correlation=901)) == [(10, 5, "queued")]


def test_a_graph_without_its_launch_is_unknown_first() -> None:
    assert split(kernel(0, 10, correlation=5), kernel(12, 20, correlation=5)) == [(10, 2, "unknown")]


def test_idle_behind_a_graphs_host_and_event_nodes_is_theirs() -> None:
    replay = graph((-9, -5), (0, 10), (30, 40), (45, 50))
    assert split(replay, node(12, 27, correlation=900)) == [(10, 20, "host_node"), (40, 5, "in_graph")]
    event = node(11, 11, kind="event_node", correlation=900)
    assert split(replay, event) == [(10, 20, "event_node"), (40, 5, "in_graph")]
    assert split(replay, event, node(12, 27, correlation=900))[0] == (10, 20, "host_node")
    # one that ended before the gap, or is of another launch and stream, keeps nothing waiting
    assert {cause for *_, cause in split(replay, node(2, 8, correlation=900))} == {"in_graph"}
    assert {cause for *_, cause in split(replay, node(12, 27, correlation=901, stream=8))} == {"in_graph"}


def test_a_stream_waits_for_the_host_node_that_a_graph_ends_with() -> None:
    after = kernel(90, 95, launched=(20, 25))
    replay = graph((-9, -5), (0, 10))
    assert split(replay, after) == [(10, 10, "host_late"), (20, 70, "launch")]
    assert split(replay, node(12, 80, correlation=900), after) == [(10, 10, "host_late"), (20, 70, "host_node")]
    assert split(replay, node(12, 15, correlation=900), after)[1] == (20, 70, "launch")


def test_sync_and_profiler_before_the_launch() -> None:
    late = kernel(200, 210, launched=(180, 190))
    assert split(FIRST, late, sync(110, 130), overhead(120, 150)) == [
        (100, 10, "host_late"),
        (110, 20, "sync"),
        (130, 20, "profiler"),
        (150, 30, "host_late"),
        (180, 20, "launch"),
    ]


def test_the_queue_is_empty_after_a_blocking_copy_whichever_way_it_goes() -> None:
    copy = kernel(20, 60, launched=(10, 70), by="cudaMemcpy", kind="memcpy", name="Memcpy HtoD (Pageable -> Device)")
    late = kernel(200, 210, launched=(180, 190))
    assert split(copy, late) == [(60, 120, "sync"), (180, 20, "launch")]
    queued = kernel(20, 60, launched=(10, 15), by="cudaMemcpyAsync", kind="memcpy", name="Memcpy HtoD")
    assert split(queued, late) == [(60, 120, "host_late"), (180, 20, "launch")]


def test_sync_of_another_thread_does_not_count() -> None:
    assert split(FIRST, kernel(140, 150, launched=(120, 130)), sync(100, 120, thread=2))[0] == (100, 20, "host_late")


def test_streams_name_others_first_then_copies_then_the_edges() -> None:
    drawn = trace(
        kernel(0, 10, stream=1, launched=(-9, -8)),
        kernel(5, 20, stream=2, launched=(-7, -6)),
        kernel(22, 30, stream=2, kind="memcpy", name="copy", launched=(-5, -4)),
        kernel(40, 50, stream=1, launched=(35, 36)),
        kernel(60, 70, stream=2, launched=(-3, -2)),
    )
    one, two = analyze(drawn).devices[0].streams
    assert one.idle_by_cause_ns == {
        "other_stream": 10 + 10,
        "copy": 8,
        "window_edge": 10,
        "host_late": 2 + 5,
        "launch": 5,
    }
    assert two.idle_by_cause_ns == {"other_stream": 5 + 10, "queued": 2 + 10 + 10}
    assert two.busy_ns + sum(two.idle_by_cause_ns.values()) == 70


@st.composite
def traces(draw: st.DrawFn) -> list[Drawn]:
    drawn: list[Drawn] = []
    for k in range(draw(st.integers(1, 12))):
        start, length = draw(st.integers(0, 200)), draw(st.integers(0, 30))
        launched = draw(st.none() | st.tuples(st.integers(-50, 250), st.integers(0, 20)))
        options = {
            "stream": draw(st.integers(1, 3)),
            "kind": draw(st.sampled_from(["kernel", "memcpy", "memset"])),
            "device": draw(st.sampled_from("01")),
            "correlation": draw(st.sampled_from([k + 1, k + 1, 77])),
            "thread": draw(st.integers(1, 2)),
            "launched": launched and (launched[0], sum(launched)),
        }
        drawn.append(kernel(start, start + length, **options))
    for make in (sync, overhead):
        for start, length in draw(st.lists(st.tuples(st.integers(-20, 220), st.integers(0, 40)), max_size=3)):
            drawn.append(make(start, start + length))
    for start, length in draw(st.lists(st.tuples(st.integers(-50, 220), st.integers(0, 90)), max_size=3)):
        drawn.append(range_(draw(st.sampled_from(["a", "b#1", "b#2"])), start, start + length))
    return drawn


@settings(max_examples=25)
@given(traces(), st.randoms(use_true_random=False))
def test_the_account_closes_in_any_order(drawn: list[Drawn], rng: Any) -> None:
    held = trace(*drawn)
    answer = analyze(held)
    for use in answer.devices:
        assert use.busy_ns + use.idle_ns == use.span_ns
        assert sum(use.idle_by_cause_ns.values()) == use.idle_ns
        pieces = device_gaps(held, use.device)
        by_cause = dict(pieces.group_by("cause").agg(pl.col("dur_ns").sum()).iter_rows())
        assert by_cause == use.idle_by_cause_ns
        for stream in use.streams:
            assert stream.busy_ns + sum(stream.idle_by_cause_ns.values()) == use.span_ns
            assert set(stream.idle_by_cause_ns) <= set(CAUSES)
    for one in answer.ranges:
        assert sum(one.idle_by_cause_ns.values()) == one.idle_ns
    mixed = list(drawn)
    rng.shuffle(mixed)
    again = analyze(trace(*mixed))
    assert [replace_streams(use) for use in again.devices] == [replace_streams(use) for use in answer.devices]
    assert again.ranges == answer.ranges


def replace_streams(use: Any) -> Any:
    return replace(use, streams=tuple(sorted(use.streams, key=lambda s: s.stream)))


def test_gap_table_names_the_innermost_range() -> None:
    late = kernel(140, 150, launched=(120, 130))
    held: Trace = trace(range_("outer", -30, 300), range_("inner", 110, 140), FIRST, late)
    assert gap_table(held).select("device", "cause", "range").rows() == [
        ("0", "host_late", "inner"),
        ("0", "launch", "inner"),
    ]
