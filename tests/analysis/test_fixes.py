"""What to fix first: each loss is found with its bound, its place and nothing else."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import pytest

from rope_prof.analysis.chains.chains import chains
from rope_prof.analysis.fixes.fix import Fix, Fixes, ranked
from rope_prof.analysis.fixes.fixes import fixes
from rope_prof.analysis.trace.analyze import analyze
from rope_prof.model.nsight import KernelCounters
from rope_prof.model.trace import Trace
from tests.builders import Drawn, call, graph, kernel, op, python, range_, trace

US = 1000


def found(*drawn: Drawn | Iterable[Drawn], **facts: object) -> Fixes:
    return of(trace(*drawn, **facts))


def of(held: Trace) -> Fixes:
    answer = analyze(held)
    return fixes(held, answer, chains(held, withheld=answer.integrity.reason))


def one(*drawn: Drawn | Iterable[Drawn], kind: str, **facts: object) -> Fix:
    (fix,) = (fix for fix in found(*drawn, **facts).fixes if fix.kind == kind)
    return fix


def late(calls: int, each: int) -> list[Drawn]:
    """`calls` ranges of `each` kernels of 5 µs, launched every 20 µs: 15 µs of each gap is the host's."""
    drawn = []
    for number in range(calls):
        zero = number * each * 20 * US
        drawn.append(range_(f"layer#{number}", zero, zero + each * 20 * US))
        for k in range(each):
            at = zero + k * 20 * US
            drawn.append(kernel(at + 3 * US, at + 8 * US, launched=(at, at + 2 * US), name=f"k{k}"))
    return drawn


def test_late_launches_are_counted_by_the_range_that_holds_them() -> None:
    fix = one(*late(8, 5), kind="launches")
    assert (fix.within, fix.times, fix.count, fix.each) == ("layer#*", 8, 39, 39 / 8)
    assert fix.hi_ns == 39 * 15 * US
    assert fix.lo_ns == 39 * 13 * US - 8 * 20 * US  # what a node and the launches of 8 graphs leave
    assert fix.place.dur_ns == 15 * US


def test_a_long_stop_of_the_host_is_no_late_launch() -> None:
    stop = 5000 * US
    more = kernel(stop + 3 * US, stop + 8 * US, launched=(stop, stop + 2 * US), name="after")
    load = op("dataloader", 900 * US, stop + 10 * US)
    answer = {fix.kind: fix for fix in found(*late(8, 5), more, load).fixes}
    assert answer["launches"].count == 39
    stopped = answer["host"]
    assert (stopped.count, stopped.hi_ns) == (1, stop + 3 * US - (39 * 20 + 8) * US)
    assert (stopped.lo_ns, stopped.place.event, stopped.place.operator) == (0, "after", "dataloader")


def test_what_keeps_a_graph_waiting_is_not_mended_by_a_graph() -> None:
    drawn = [graph((t * US, (t + 5) * US), ((t + 6) * US, (t + 20) * US), correlation=900 + t) for t in (0, 50, 100)]
    assert {fix.kind for fix in found(*drawn).fixes} == {"host"}


def test_copies_that_run_alone_are_told_by_their_way() -> None:
    copy = {"kind": "memcpy", "name": "Memcpy HtoD (Pageable -> Device)"}
    fix = one(
        kernel(0, 100 * US),
        kernel(50 * US, 300 * US, stream=9, **copy),  # type: ignore[arg-type]
        kernel(300 * US, 310 * US),
        kernel(20 * US, 30 * US, stream=9, kind="memcpy", name="Memcpy DtoH (Device -> Pinned)"),
        kind="copies",
    )
    assert (fix.subject, fix.count, fix.hi_ns, fix.lo_ns) == ("HtoD pageable", 1, 200 * US, 0)


def test_one_loss_of_two_devices_is_said_once_with_the_larger_bound() -> None:
    copy = {"kind": "memcpy", "name": "Memcpy HtoD (Pinned -> Device)"}
    drawn = [kernel(0, end, device=device, **copy) for device, end in (("0", 80 * US), ("1", 90 * US))]  # type: ignore[arg-type]
    fix = one(*drawn, kind="copies")
    assert (fix.devices, fix.hi_ns) == (("1", "0"), 90 * US)


def test_two_losses_of_one_device_stay_two_though_they_read_alike() -> None:
    def fix(device: str, each: float) -> Fix:
        made = one(kernel(0, 80 * US, kind="memcpy", name="Memcpy DtoD"), kind="copies")
        return replace(made, kind="chain", subject="k", each=each, devices=(device,))

    found = ranked([fix("0", 2), fix("0", 2), fix("1", 2), fix("1", 3)])
    assert [(each.devices, each.each) for each in found] == [(("0", "1"), 2), (("0",), 2), (("1",), 3)]


def test_a_wait_names_the_call_the_operator_and_the_range() -> None:
    fix = one(
        range_("step", 0, 400 * US),
        kernel(10 * US, 100 * US, launched=(1 * US, 2 * US)),
        op("aten::item", 20 * US, 250 * US),
        op("aten::_local_scalar_dense", 21 * US, 249 * US),
        call("cudaStreamSynchronize", 22 * US, 240 * US),
        kernel(260 * US, 300 * US, launched=(255 * US, 256 * US)),
        kind="wait",
    )
    assert (fix.subject, fix.count, fix.hi_ns) == ("aten::item (cudaStreamSynchronize)", 1, 140 * US)
    assert (fix.place.operator, fix.place.range, fix.place.event) == ("aten::item", "step", "cudaStreamSynchronize")


def test_waits_are_told_apart_by_the_line_that_made_them() -> None:
    drawn: list[Drawn] = [
        kernel(10 * US, 100 * US, launched=(1 * US, 2 * US)),
        python("train.py(9): main", 0, 900 * US),
    ]
    for k in range(2):
        at = 400 * US * k
        drawn += [
            python(f"model\\layer.py({k}): forward", at + 20 * US, at + 251 * US),
            python("nn.Module: Norm_3", at + 20 * US, at + 251 * US),
            python("torch/_tensor.py(7): item", at + 21 * US, at + 250 * US),
            python("contextlib.py(7): inner", at + 21 * US, at + 250 * US),
            call("cudaStreamSynchronize", at + 22 * US, at + 240 * US),
            kernel(at + 260 * US, at + 300 * US, launched=(at + 255 * US, at + 256 * US)),
        ]
    waits = [fix.place for fix in found(*drawn).fixes if fix.kind == "wait"]
    assert {(place.line, place.module) for place in waits} == {
        ("model\\layer.py(0): forward", "Norm_3"),
        ("model\\layer.py(1): forward", "Norm_3"),
    }


def test_only_communication_with_nothing_beside_it_counts() -> None:
    fix = one(
        kernel(0, 60 * US, name="gemm"),
        kernel(40 * US, 100 * US, name="ncclDevKernel_AllReduce", stream=9, collective="allreduce"),
        kind="communication",
    )
    assert (fix.subject, fix.hi_ns) == ("allreduce", 40 * US)


def test_a_grid_smaller_than_the_device_loses_what_its_idle_sms_could_do() -> None:
    facts = {"metadata": {"deviceProperties": [{"id": 0, "numSms": 100}]}}
    drawn = (kernel(0, 40 * US, name="small", grid="5x5x1"), kernel(40 * US, 80 * US, name="full", grid="100x1x1"))
    fix = one(*drawn, kind="grid", **facts)
    assert (fix.subject, fix.each, fix.hi_ns) == ("small", 75, 30 * US)
    assert not [fix for fix in found(*drawn).fixes if fix.kind == "grid"]  # without the count of SMs nobody knows


def test_a_loss_under_a_hundredth_is_none() -> None:
    copy = {"kind": "memcpy", "name": "Memcpy HtoD (Pinned -> Device)"}
    drawn = (kernel(0, 9_905 * US), kernel(9_905 * US, 10_000 * US, **copy))  # type: ignore[arg-type]
    assert found(*drawn).fixes == ()


def test_chains_are_ranked_among_the_others_by_the_middle_of_their_bounds() -> None:
    answer = found(*late(40, 3))
    assert {"chain", "launches"} <= {fix.kind for fix in answer.fixes}
    middles = [fix.lo_ns + fix.hi_ns for fix in answer.fixes]
    assert middles == sorted(middles, reverse=True)
    chain = next(fix for fix in answer.fixes if fix.kind == "chain")
    assert chain.place.event == chain.subject
    assert chain.share >= 0.01


def test_nothing_is_said_of_a_file_that_is_not_to_be_trusted() -> None:
    answer = found(kernel(10, 20, launched=(500_000, 500_010)), kernel(900_000, 900_010, launched=(890_000, 890_001)))
    assert answer.fixes == ()
    assert answer.reason is not None
    assert "kernel before launch" in answer.reason
    assert answer.as_json()["fixes_withheld"] == answer.reason


@pytest.mark.parametrize("shift", [0, -(10**9), 10**15])
def test_a_shifted_clock_changes_no_bound(shift: int) -> None:
    def moved(held: Trace) -> list[tuple[str, int, int]]:
        return [(fix.kind, fix.lo_ns, fix.hi_ns) for fix in of(held).fixes]

    held = trace(*late(8, 5))
    frames = {name: getattr(held, name) for name in ("gpu", "calls", "ranges", "ops")}
    later = {name: frame.with_columns(start_ns=frame["start_ns"] + shift) for name, frame in frames.items()}
    assert moved(
        Trace(format="kineto", source="", overheads=held.overheads, events=1, window_end=True, **later)
    ) == moved(held)


def counted(name: str, warps: float, peak: float) -> KernelCounters:
    return KernelCounters(key="k", name=name, occupancy_percent=warps, dram_percent=peak, l2_percent=5, sm_percent=9)


@pytest.mark.parametrize(
    ("counters", "lost_us"),
    [
        ([("one_kernel", 30.0, 40.0)], 60),
        ([("one_kernel", 30.0, 40.0), ("one_kernel", 70.0, 40.0)], None),  # another launch of it fills the device
        ([("one_kernel", 30.0, 85.0)], None),  # few warps, and yet at the peak of the memory
        ([("kernel", 30.0, 40.0)], None),  # of another kernel, whose name ends alike
    ],
)
def test_few_warps_are_a_loss_where_nothing_is_near_its_peak(
    counters: list[tuple[str, float, float]], lost_us: int | None
) -> None:
    long = kernel(0, 100 * US, name="void ns::one_kernel<int>(int)")
    held = trace(long, kernel(100 * US, 105 * US, name="one_kernel"))
    answer = fixes(held, analyze(held), None, [counted(*one) for one in counters])
    found = [(fix.subject, fix.each, fix.hi_ns) for fix in answer.fixes if fix.kind == "occupancy"]
    assert found == ([] if lost_us is None else [("one_kernel", 30.0, lost_us * US)])
