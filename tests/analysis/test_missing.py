"""Which launches without a record are lost ones: small traces, each with the one thing that tells."""

from __future__ import annotations

from typing import Any

import pytest

from rope_prof.analysis.trace.analyze import analyze
from rope_prof.model.trace import Finding
from tests.builders import Drawn, call, kernel, sync, trace

US = 1000
LOST = {"missing_kernels", "missing_kernels_start"}


def findings(*drawn: Drawn | list[Drawn], **facts: Any) -> dict[str, Finding]:
    return {found.code: found for found in analyze(trace(*drawn, **facts)).integrity.findings}


def row(count: int, *, lost: range = range(0), by: str = "cudaLaunchKernel", **more: Any) -> list[Drawn]:
    """A launch every 50 µs, a kernel of 30 µs 10 µs later; of those in `lost` the launch alone."""
    drawn = []
    for k in range(count):
        at = 50 * US * k
        if k in lost:
            drawn.append(call(by, at, at + 2 * US, correlation=k + 1))
        else:
            span, launched = (at + 10 * US, at + 40 * US), (at, at + 2 * US)
            drawn.append(kernel(*span, launched=launched, correlation=k + 1, by=by, **more))
    return drawn


@pytest.mark.parametrize(
    ("by", "kind"),
    [
        ("cudaLaunchKernel", "kernel"),
        ("cudaMemcpyAsync", "memcpy"),
        ("cudaMemcpy2DAsync", "memcpy"),
        ("cuMemcpyHtoDAsync_v2", "memcpy"),
        ("cudaMemsetAsync", "memset"),
        ("hipMemcpyWithStream", "memcpy"),
        ("hipExtModuleLaunchKernel", "kernel"),
        ("urEnqueueKernelLaunch", "kernel"),
        ("urEnqueueUSMMemcpy", "memcpy"),
        ("zeCommandListAppendMemoryCopy", "memcpy"),
        ("mtLaunchSomethingNew", "kernel"),  # of no known name: most calls of it have a record
    ],
)
@pytest.mark.parametrize("lost", [range(20, 30), range(7), range(31, 32)])
def test_lost_records_are_found_behind_whatever_call(by: str, kind: str, lost: range) -> None:
    found = findings(row(60, lost=lost, by=by, kind=kind))
    assert sum(found[code].count for code in LOST & found.keys()) == len(lost)
    assert "record again" in next(found[code] for code in LOST & found.keys()).do


def test_a_copy_or_set_that_came_back_at_once_moved_nothing() -> None:
    """cuDNN sets workspaces of no bytes: real traces hold hundreds of such calls, and no record of them."""
    held = row(20, by="cudaMemsetAsync", kind="memset")
    quick = [call("cudaMemsetAsync", 50 * US * k + 5 * US, 50 * US * k + 5900, correlation=900 + k) for k in range(9)]
    found = findings(held, quick)
    assert {code: one.count for code, one in found.items()} == {"empty_moves": 9}
    slow = [call("cudaMemsetAsync", 50 * US * k + 5 * US, 50 * US * k + 6 * US, correlation=900 + k) for k in range(9)]
    assert findings(held, slow)["missing_kernels"].count == 9


def test_calls_of_a_name_that_is_never_recorded_prove_nothing() -> None:
    idle = [call("cudaMemsetAsync", 50 * US * k + 5 * US, 50 * US * k + 6 * US, correlation=900 + k) for k in range(9)]
    assert findings(row(20), idle) == {}


def test_the_events_that_prove_a_loss_are_named() -> None:
    lost = findings(row(60, lost=range(20, 30)))["missing_kernels"]
    assert [(one["kind"], one["name"], one["start_ns"]) for one in lost.events] == [
        ("host", "cudaLaunchKernel", 50 * US * k) for k in (20, 21, 22)
    ]
    assert "10 cudaLaunchKernel" in lost.detail


def test_launches_before_a_synchronisation_that_came_back_have_run() -> None:
    tail = row(60, lost=range(50, 60))
    assert findings(tail)["launches_after_last_record"].count == 10
    waited = sync(3000 * US, 3010 * US)
    assert findings(tail, waited)["missing_kernels"].count == 10
    still_open = findings(
        tail, sync(2990 * US, 3010 * US), call("cudaLaunchKernel", 3020 * US, 3021 * US, correlation=99)
    )
    assert still_open["missing_kernels"].count == 10
    assert still_open["launches_after_last_record"].count == 1


def test_launches_that_an_idle_device_had_time_for_have_run() -> None:
    tail = row(60, lost=range(50, 60))
    assert findings(tail, window_end_ns=2600 * US)["launches_after_last_record"].count == 10
    assert findings(tail, window_end_ns=9000 * US)["missing_kernels"].count == 10


def test_a_stray_event_on_another_stream_excuses_no_launch() -> None:
    stray = kernel(2990 * US, 3050 * US, stream=9)
    assert findings(row(60, lost=range(20, 40)), stray)["missing_kernels"].count == 20
    early = kernel(15 * US, 16 * US, stream=9, launched=(US, 2 * US))
    assert findings(row(60, lost=range(20, 40)), stray, early)["missing_kernels"].count == 20


def test_events_without_a_correlation_explain_as_many_launches_as_they_are() -> None:
    bare = [k for k in range(60) if k % 6 == 5]
    drawn = [one for k, one in enumerate(row(60)) if k not in bare]
    drawn += [call("hipExtLaunchKernel", 50 * US * k, 50 * US * k + US, correlation=k + 1) for k in bare]
    loose = [kernel(50 * US * k + 10 * US, 50 * US * k + 40 * US, stream=3) for k in bare]
    for one in loose:
        one.rows["gpu"][0]["correlation"] = None
    found = findings(drawn, loose)
    assert found.keys() == {"kernels_without_launch", "unmatched_launches"}
    assert found["unmatched_launches"].count == 10
    found = findings(drawn, loose[:4])
    assert (found["unmatched_launches"].count, found["missing_kernels"].count) == (4, 5)
    assert found["launches_after_last_record"].count == 1


def test_a_driver_call_inside_the_runtime_call_that_has_the_record_is_the_same_launch() -> None:
    inner = [call("cuLaunchKernel", 50 * US * k + 500, 50 * US * k + US, correlation=500 + k) for k in range(20)]
    assert findings(row(20), inner) == {}
