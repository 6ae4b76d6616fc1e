"""Several ranks, processes or sessions in one file: told apart, or withheld by name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rope_prof.analysis.trace.analyze import Analysis, analyze
from rope_prof.io.trace.read import read_trace
from tests.builders import call, kernel, trace

SPANS = {0: 40, 1: 60, 2: 25}


def merged(tmp_path: Path, gpu: list[Any], host: list[Any], *, device: list[int] | None = None) -> Analysis:
    """A rank a pid: 20 kernels each, the ranks 37 µs apart, with the same correlations."""
    events: list[dict[str, Any]] = []
    for r, (card, process) in enumerate(zip(gpu, host, strict=True)):
        number = 0 if device is None else device[r]
        for i in range(20):
            at = 1000.5 + 100 * i + 37 * r
            made = {"ph": "X", "cat": "cuda_runtime", "name": "cudaLaunchKernel", "pid": process, "tid": 83}
            events.append(made | {"ts": at, "dur": 2.5, "args": {"correlation": i + 1}})
            args = {"device": number, "stream": 7, "correlation": i + 1}
            ran = {"ph": "X", "cat": "kernel", "name": f"k{r}", "pid": card, "tid": 7}
            events.append(ran | {"ts": at + 10, "dur": SPANS[r], "args": args})
        marked = {"ph": "X", "cat": "user_annotation", "name": f"rank{r}_step", "pid": process, "tid": 83}
        events.append(marked | {"ts": 990.5 + r, "dur": 2200})
    events.append({"ph": "i", "s": "g", "name": "Record Window End", "pid": "", "tid": "", "ts": 5000.5})
    path = tmp_path / "merged.json"
    path.write_text(json.dumps({"schemaVersion": 1, "traceEvents": events}))
    return analyze(read_trace(path))


@pytest.mark.parametrize(
    ("gpu", "host"),
    [
        (["[TP00] 0", "[TP01] 0"], ["[TP00] 83", "[TP01] 83"]),
        (["rank0 0", "rank1 0", "rank2 0"], ["rank0 83", "rank1 83", "rank2 83"]),
        (["node-a 0", "node-b 0"], ["node-a 83", "node-b 83"]),
        ([1000000, 2000000], [1000083, 2000083]),
    ],
)
def test_ranks_of_one_device_number_are_told_apart(tmp_path: Path, gpu: list[Any], host: list[Any]) -> None:
    found = merged(tmp_path, gpu, host)
    assert [use.kernels for use in found.devices] == [20] * len(gpu)
    for use in found.devices:
        rank = next(k for k, card in enumerate(gpu) if str(card) in use.device)
        assert use.busy_ns == 20 * SPANS[rank] * 1000
        assert use.span_ns == (19 * 100 + SPANS[rank]) * 1000
    assert {use.name: use.kernels for use in found.ranges} == {f"rank{r}_step": 20 for r in range(len(gpu))}
    assert [f.code for f in found.integrity.findings] == ["merged_ranks"]
    assert found.integrity.verdict == "suspect"


@pytest.mark.parametrize("device", [[0, 0], [0, 1]])
def test_what_cannot_be_told_apart_is_withheld_by_name(tmp_path: Path, device: list[int]) -> None:
    found = merged(tmp_path, device, [83, 84], device=device)
    assert "merged_processes" in [f.code for f in found.integrity.findings]
    assert all(use.idle_share is None for use in found.devices)


def test_two_sessions_of_one_process() -> None:
    """The numbers begin anew: each event goes to the last launch of its number before it."""
    first = [
        kernel(100 * k + 10, 100 * k + 40, launched=(100 * k, 100 * k + 5), correlation=k + 1) for k in range(1, 20)
    ]
    second = [
        kernel(90_000 + 100 * k, 90_030 + 100 * k, launched=(89_990 + 100 * k, 89_995 + 100 * k), correlation=k + 1)
        for k in range(1, 20)
    ]
    found = analyze(trace(first, second))
    assert {f.code: f.count for f in found.integrity.findings} == {"merged_sessions": 19}
    assert found.devices[0].idle_share is None


def test_kernels_of_two_processes_at_one_time_under_one_number() -> None:
    rows = [
        kernel(100 * k + r, 100 * k + 60 + r, launched=(100 * k - 20, 100 * k - 10), correlation=k, process=5 + r)
        for k in range(1, 20)
        for r in range(2)
    ]
    for one in rows:
        one.rows["gpu"][0]["process"] = one.rows["calls"][0]["process"]
    found = analyze(trace(rows, format="nsys", window_end=None))
    assert "merged_processes" in [f.code for f in found.integrity.findings]
    assert found.devices[0].idle_share is None


def test_a_process_without_gpu_work_changes_nothing() -> None:
    rows = [kernel(100 * k, 100 * k + 60, launched=(100 * k - 20, 100 * k - 10), correlation=k) for k in range(1, 9)]
    other = [call("cudaMalloc", 100 * k, 100 * k + 5, process=77) for k in range(1, 9)]
    assert analyze(trace(rows, other)).integrity.findings == ()
