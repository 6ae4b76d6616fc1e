from __future__ import annotations

from typing import Any

import pytest

from rope_prof.analysis.trace.analyze import analyze
from tests.builders import Drawn, call, graph, kernel, overhead, range_, trace

DAY = 86_400 * 10**9
GOOD = [kernel(100 * k, 100 * k + 50, launched=(100 * k - 30, 100 * k - 20)) for k in range(1, 6)]


def found(*drawn: Drawn | list[Drawn], **facts: Any) -> tuple[str, dict[str, int]]:
    judged = analyze(trace(*drawn, **facts)).integrity
    return judged.verdict, {finding.code: finding.count for finding in judged.findings}


def test_nothing_to_say_of_a_sound_trace() -> None:
    assert found(GOOD) == ("sound", {})


@pytest.mark.parametrize(
    ("more", "code"),
    [
        (kernel(700, 700 + 9 * 10**15, launched=(650, 660)), "impossible_duration"),
        (kernel(700 + 3 * DAY, 710 + 3 * DAY, launched=(650, 660)), "impossible_time"),
        (kernel(700, 690, launched=(650, 660)), "negative_duration"),
        (kernel(700, 710, launched=(750, 760)), "kernel_before_launch"),
        (call("cudaLaunchKernel", 210, 220, correlation=9999), "missing_kernels"),
        (call("cuLaunchKernelEx", 20, 30, correlation=9999), "missing_kernels_start"),
        (overhead(150, 400), "profiler_overhead"),
    ],
)
def test_what_makes_a_trace_suspect(more: Drawn, code: str) -> None:
    verdict, codes = found(GOOD, more)
    assert verdict == "suspect"
    assert code in codes
    answer = analyze(trace(GOOD, more))
    assert answer.devices[0].idle_share is None
    assert code.replace("_", " ") in (answer.devices[0].reason or "")
    assert answer.devices[0].kernels >= 5


@pytest.mark.parametrize(
    ("more", "code"),
    [
        (call("cudaLaunchKernel", 900, 910, correlation=9999), "launches_after_last_record"),
        (kernel(700, 710), "kernels_without_launch"),
        (kernel(700, 700, launched=(650, 660)), "zero_duration"),
        (kernel(520, 530, launched=(440, 450)), "stream_overlap"),
        (range_("a", 0, None), "unclosed_ranges"),
    ],
)
def test_what_only_informs(more: Drawn, code: str) -> None:
    assert found(GOOD, more) == ("sound", {code: 1})


@pytest.mark.parametrize("name", ["Command Buffer Full", "Lazy Function Loading", "Driver Compiler"])
def test_what_the_driver_does_by_itself_is_no_overhead_of_the_profiler(name: str) -> None:
    record = overhead(150, 400, name=name)
    assert found(GOOD, record) == ("sound", {})
    assert analyze(trace(GOOD, record)).devices == analyze(trace(GOOD)).devices


def test_a_record_that_is_there_twice_is_no_launch_overlap() -> None:
    twice = [kernel(700, 750, launched=(650, 660), correlation=77), kernel(700, 750, correlation=77)]
    assert found(GOOD, twice) == ("suspect", {"duplicate_events": 1})
    other = [kernel(700, 750, launched=(650, 660), correlation=77), kernel(700, 750, correlation=77, stream=9)]
    assert found(GOOD, other) == ("sound", {})
    nodes = graph((560, 570), (600, 610), (600, 610), correlation=78)  # two of one name in one microsecond
    assert found(GOOD, nodes) == ("sound", {"stream_overlap": 1})


def _row(count: int, first: int = 1) -> list[Drawn]:
    return [kernel(100 * k, 100 * k + 50, launched=(100 * k - 30, 100 * k - 20)) for k in range(first, first + count)]


@pytest.mark.parametrize("inside", [2, 3, 4, 30])
def test_a_stretched_kernel_that_swallows_its_followers_is_no_launch_overlap(inside: int) -> None:
    long = kernel(650, 700 + 100 * inside, launched=(610, 620), name="stretched")
    verdict, codes = found(GOOD, long, _row(inside, 7), _row(3, 9 + inside))
    if inside < 4:
        assert verdict == "sound"
    else:
        assert (verdict, codes["impossible_overlap"]) == ("suspect", 1)


def test_a_graphs_nodes_may_lie_inside_each_other() -> None:
    spans = [(600, 2000), *((610 + 20 * k, 620 + 20 * k) for k in range(20))]
    long, *small = graph((560, 570), *spans)
    long.rows["gpu"][0]["name"] = "long"
    assert found(GOOD, long, small) == ("sound", {"stream_overlap": 20})


def test_a_capture_takes_in_other_threads_and_reaches_back_to_the_files_start() -> None:
    backward = call("cudaLaunchKernel", 210, 211, thread=5, correlation=9998)
    capture = [call("cudaStreamBeginCapture", 201, 202), call("cudaStreamEndCapture", 220, 221)]
    assert found(GOOD, capture, backward) == ("sound", {"captured_launches": 1})
    assert found(GOOD, capture[1], backward) == ("sound", {"captured_launches": 1})
    elsewhere = [call("cudaLaunchKernel", 210, 211, process=5, correlation=9998)]
    assert found(GOOD, capture, elsewhere)[0] == "suspect"


def test_launches_behind_a_queue_that_outlives_the_window_ran_after_it() -> None:
    """Stream 7 works through its queue to the window's end; copies of stream 9 are launched and done meanwhile."""
    queue = [kernel(100 * k, 100 * k + 100, launched=(10 * k - 5, 10 * k)) for k in range(1, 10)]
    behind = [call("cudaLaunchKernel", 10 * k - 5, 10 * k, correlation=5000 + k) for k in range(12, 30)]
    copies = [kernel(400, 410, launched=(390, 395), stream=9, kind="memcpy")]
    assert found(queue, behind, copies) == ("sound", {"launches_after_last_record": 18})
    before = [kernel(100 * k, 100 * k + 100) for k in range(1, 10)]  # all of them launched before the window
    assert found(before, behind) == ("sound", {"kernels_without_launch": 9, "launches_after_last_record": 18})
    drained = [kernel(2000, 2010, launched=(1900, 1905), stream=9, kind="memcpy")]
    assert found(queue, behind, drained) == ("suspect", {"missing_kernels": 18})


def test_launches_inside_a_capture_have_no_kernel() -> None:
    capture = [
        call("cudaStreamBeginCapture", 201, 202),
        call("cudaLaunchKernel", 205, 206, correlation=9998),
        call("cudaStreamEndCapture", 220, 221),
    ]
    assert found(GOOD, capture) == ("sound", {"captured_launches": 1})
    assert found(GOOD, capture, call("cudaLaunchKernel", 230, 231, correlation=9999))[1]["missing_kernels"] == 1


def test_no_window_end_keeps_the_shares() -> None:
    answer = analyze(trace(GOOD, window_end=False))
    assert [f.code for f in answer.integrity.findings] == ["no_window_end"]
    assert answer.integrity.verdict == "suspect"
    assert answer.devices[0].idle_share == 200 / 450


def test_one_wait_on_work_outside_is_told() -> None:
    waiting = kernel(1_000_000, 1_000_010, launched=(560, 570), kind="memcpy", name="copy")
    verdict, codes = found(GOOD, waiting)
    assert verdict == "suspect"
    assert codes == {"one_wait": 1}
    orphan = kernel(1_000_000, 1_000_010, kind="memcpy", name="copy")
    details = [f.detail for f in analyze(trace(GOOD, orphan)).integrity.findings if f.code == "one_wait"]
    assert "its launch is not there" in details[0]


def test_a_graph_is_one_launch_and_sound() -> None:
    assert found(GOOD, graph((560, 570), (600, 610), (611, 620))) == ("sound", {})
