from __future__ import annotations

from typing import Any

import pytest

from rope_prof.analysis.analyze import analyze
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
    assert code in (answer.devices[0].reason or "")
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


def test_a_graph_is_one_launch_and_sound() -> None:
    assert found(GOOD, graph((560, 570), (600, 610), (611, 620))) == ("sound", {})
