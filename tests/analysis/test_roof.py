"""Under the roof: bytes over time, the higher floor, and a peak only where the counters agree on one."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rope_prof.analysis.run.ceilings import Ceilings, Measured
from rope_prof.analysis.run.roofline import kernel_roofs, of_keys, pass_point, path_roofs, peak_per_s
from rope_prof.analysis.run.rows import Row, summary
from rope_prof.analysis.stats import Figure
from rope_prof.model.nsight import Compute, KernelCounters, ToolRecording
from rope_prof.model.run import Ceiling
from tests.runs import CASE, facts, run, samples


def figure(ns: float) -> Figure:
    return Figure(median=ns, lo=None, hi=None, n=1)


def row(path: str = "fused", mode: str = "eager", **more: object) -> Row:
    (plain,) = summary(run(facts(path, mode)), samples(), {})
    told = {"bytes_moved": 1_000_000, "busy_ns": 500.0, "wall_ns": figure(2000.0)}
    return replace(plain, **(told | more))  # type: ignore[arg-type]


def limits(**more: object) -> Ceilings:
    told = {"copy_bytes_per_s": 4e12, "in_place_ns": 400.0, "empty_launch_ns": 1000.0, "graph_node_ns": 100.0}
    return Ceilings(case=CASE, l2="cold", methods={}, **(told | more))  # type: ignore[arg-type]


def test_bytes_over_the_kernels_and_over_the_whole_call() -> None:
    (found,) = path_roofs([row()], limits())
    assert found.busy_per_s == pytest.approx(2e12)
    assert found.wall_per_s == pytest.approx(5e11)
    assert found.copy_share == pytest.approx(0.5)
    assert found.floor is not None
    assert found.floor.share == pytest.approx(0.5)


def test_the_higher_floor_bounds_a_call() -> None:
    eager, graph = path_roofs([row(), row(mode="graph")], limits())
    assert (eager.bound, graph.bound) == ("launch", "bytes")
    (unknown,) = path_roofs([row()], limits(in_place_ns=None))
    assert unknown.bound is None


def test_what_nobody_counted_is_none_and_never_nought() -> None:
    (compiled,) = path_roofs([row(mode="compile")], limits())
    assert (compiled.bytes_moved, compiled.busy_per_s, compiled.wall_per_s, compiled.copy_share) == (None,) * 4
    (plain,) = path_roofs([row(bytes_moved=None)], limits())
    assert plain.busy_per_s is None
    (idle,) = path_roofs([row(busy_ns=None, wall_ns=None)], limits(copy_bytes_per_s=None))
    assert (idle.busy_per_s, idle.wall_per_s, idle.copy_share, idle.floor) == (None,) * 4


def test_the_pass_stands_at_its_own_bytes_by_the_best_way() -> None:
    assert pass_point(limits()) is None
    ways = tuple(
        Measured(
            ceiling=Ceiling(name="in_place", case=CASE, method=method, bytes_moved=2_000_000, status="measured"),
            clock="device",
            ns=figure(ns),
            best=best,
        )
        for method, ns, best in (("slow", 900.0, False), ("fast", 500.0, True))
    )
    assert pass_point(limits(measured=ways)) == (2_000_000, pytest.approx(4e12))


def kernel(
    read: float | None, ns: float | None = 1000.0, percent: float | None = None, **more: object
) -> KernelCounters:
    told = {"key": "k", "name": "n", "dram_write_bytes": 0.0}
    return KernelCounters(
        **(told | {"dram_read_bytes": read, "duration_ns": ns, "dram_percent": percent} | more)  # type: ignore[arg-type]
    )


def test_a_kernel_stands_where_its_counters_put_it() -> None:
    kernels = [kernel(3e6, dram_write_bytes=1e6, l2_bytes=9e6), kernel(None), kernel(0.0), kernel(1e6, None)]
    (found,) = kernel_roofs(kernels, "dram")
    assert (found.bytes_moved, found.bytes_per_s) == (4e6, pytest.approx(4e12))
    (of_l2,) = kernel_roofs(kernels, "l2")
    assert (of_l2.bytes_moved, of_l2.bytes_per_s) == (9e6, pytest.approx(9e12))


@given(st.lists(st.floats(1.0, 100.0), min_size=1, max_size=20), st.floats(1e11, 1e13))
def test_the_peak_is_found_again_from_bytes_and_shares(percents: list[float], peak: float) -> None:
    kernels = [kernel(peak * share / 100 * 1e-6, percent=share) for share in percents]
    assert peak_per_s(kernel_roofs(kernels, "dram")) == pytest.approx(peak)


def test_no_peak_where_the_kernels_do_not_agree_or_use_too_little() -> None:
    apart = [kernel(1e6, percent=50.0), kernel(1e6, percent=60.0)]
    assert peak_per_s(kernel_roofs(apart, "dram")) is None
    assert peak_per_s(kernel_roofs([kernel(1e6, percent=0.4)], "dram")) is None
    assert peak_per_s([]) is None


def test_kernels_of_keys_keep_the_order_of_their_launch() -> None:
    kernels = tuple(replace(kernel(float(k)), key=key) for k, key in enumerate("abca"))
    compute = Compute(recording=ToolRecording(version="1", options=()), kernels=kernels)
    assert [k.dram_read_bytes for k in of_keys(compute, ["a", "c"])] == [0.0, 2.0, 3.0]
