"""Counters of kernels -> rows of calls: sums, weighted shares, and nothing where a kernel lacks a figure."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rope_prof.analysis.run.counters import call_counters, counters_of
from rope_prof.model.nsight import Compute, KernelCounters, LeastBytes, ToolRecording

RECORDING = ToolRecording(version="2025.3", options=())


def kernel(ns: float | None = 10.0, key: str = "a", **more: object) -> KernelCounters:
    known: dict[str, object] = {"dram_read_bytes": 60.0, "dram_write_bytes": 40.0, "l2_bytes": 300.0}
    return KernelCounters(key=key, name="k", duration_ns=ns, **(known | more))  # type: ignore[arg-type]


def compute(*kernels: KernelCounters, least: int = 100) -> Compute:
    return Compute(recording=RECORDING, kernels=kernels, least=(LeastBytes(key="a", least_bytes=least),))


def test_bytes_add_up_beside_the_least() -> None:
    (row,) = call_counters(compute(kernel(), kernel(), kernel(key="b")))
    assert (row.kernels, row.dram_bytes, row.l2_bytes, row.duration_ns) == (2, 200, 600, 20)
    assert (row.excess, row.l2_excess) == (2.0, 6.0)


def test_a_missing_figure_is_none_for_the_call_and_never_zero() -> None:
    (row,) = call_counters(compute(kernel(), kernel(l2_bytes=None, dram_percent=3.0)))
    assert row.l2_bytes is None and row.l2_excess is None and row.dram_percent is None
    assert row.dram_bytes == 200
    (none,) = call_counters(compute())
    assert none.kernels == 0 and none.dram_bytes is None and none.stalls == ()


def test_a_key_that_was_not_run_has_no_row() -> None:
    found = counters_of(compute(kernel(), kernel()), "a")
    assert found is not None and found.kernels == 2
    assert counters_of(compute(), "a") is counters_of(compute(kernel()), "b") is counters_of(None, "a") is None


def test_shares_weigh_by_time() -> None:
    (row,) = call_counters(compute(kernel(10, dram_percent=10.0), kernel(30, dram_percent=50.0)))
    assert row.dram_percent == pytest.approx(40.0)


def test_stalls_are_shares_of_a_warps_cycles() -> None:
    stalls = {"long_scoreboard": 6.0, "wait": 1.0, "selected": 1.0}
    (row,) = call_counters(compute(kernel(stalls=stalls)))
    assert row.stalls == (("long_scoreboard", 0.75), ("wait", 0.125))


SHARES = st.floats(0, 100)
TIMES = st.floats(1, 1e6)


@given(st.lists(st.tuples(TIMES, SHARES), min_size=1, max_size=8))
def test_a_weighted_share_lies_between_its_parts_and_is_order_free(parts: list[tuple[float, float]]) -> None:
    kernels = [kernel(ns, sm_percent=share) for ns, share in parts]
    (row,) = call_counters(compute(*kernels))
    (other,) = call_counters(compute(*reversed(kernels)))
    shares = [share for _, share in parts]
    assert row.sm_percent is not None
    assert min(shares) - 1e-6 <= row.sm_percent <= max(shares) + 1e-6
    assert other.sm_percent == pytest.approx(row.sm_percent)
