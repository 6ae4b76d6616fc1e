"""Laws of chains: planted ones are found to the kernel, the interval holds the planted truth, order is nothing."""

from __future__ import annotations

import random
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rope_prof.analysis.chains.chains import Chains, chains
from rope_prof.analysis.chains.saving import FUSED_LAUNCH_NS
from rope_prof.model.trace import GPU_EVENTS, HOST_CALLS, RANGES, empty

sys.path.insert(0, str(Path(__file__).parent))
from tests.analysis.machine import Machine

ROPE = ("gather", "cat", "copy", *("mul",) * 4, "sub", "add", "stack", *("mul",) * 4, "sub", "add", "stack")


def _model(seed: int, layers: int = 24, others: int = 12, **how: Any) -> tuple[Machine, list[int]]:
    """Layers of a model: random small kernels, a matrix product, the planted chain, attention. Planted starts."""
    rng = random.Random(seed)
    machine = Machine(rng, **how)
    planted = []
    for _ in range(layers):
        for _ in range(rng.randrange(3, 12)):
            machine.run(f"other_{rng.randrange(others)}")
        machine.run("nvjet_gemm", 40_000)
        planted.append(machine.run(ROPE[0]))
        for name in ROPE[1:]:
            machine.run(name)
        machine.run("flash_fwd", 60_000)
    return machine, planted


@settings(max_examples=25)
@given(st.integers(0, 10**6), st.integers(10, 30), st.integers(500, 30_000))
def test_the_planted_chain_ranks_first_at_its_boundaries(seed: int, layers: int, launch_ns: int) -> None:
    machine, planted = _model(seed, layers, launch_ns=launch_ns)
    found = chains(machine.trace())
    first = found.chains[0]
    assert (first.names, first.calls, first.kernels) == (ROPE, layers, len(ROPE))
    assert found.calls.filter(pl.col("rank") == 1)["first_start_ns"].to_list() == planted


@pytest.mark.parametrize("seed", range(8))
def test_without_heavy_kernels_around_it_the_chain_is_found_too(seed: int) -> None:
    rng = random.Random(seed)
    machine = Machine(rng)
    planted = []
    for _ in range(30):
        for _ in range(rng.randrange(2, 9)):
            machine.run(f"other_{rng.randrange(9)}")
        planted.append(machine.run(ROPE[0]))
        for name in ROPE[1:]:
            machine.run(name)
    found = chains(machine.trace())
    assert found.chains[0].names == ROPE
    assert found.calls.filter(pl.col("rank") == 1)["first_start_ns"].to_list() == planted


def _figures(found: Chains) -> tuple[Any, ...]:
    return found.chains, found.calls.rows()


@pytest.mark.parametrize("seed", range(4))
def test_row_order_is_nothing(seed: int) -> None:
    trace = _model(seed)[0].trace()
    shuffled = replace(
        trace,
        gpu=trace.gpu.sample(fraction=1.0, shuffle=True, seed=seed),
        calls=trace.calls.sample(fraction=1.0, shuffle=True, seed=seed + 1),
    )
    assert _figures(chains(trace)) == _figures(chains(shuffled))


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("names", [2, 6, 40])
def test_no_chain_in_a_random_sequence(seed: int, names: int) -> None:
    rng = random.Random(seed)
    machine = Machine(rng)
    for _ in range(1500):
        machine.run(f"k{rng.randrange(names)}")
    assert chains(machine.trace()).chains == ()


@pytest.mark.parametrize("launch_ns", [500, 2_000, 8_000, 25_000])
@pytest.mark.parametrize("fused_ns", [2_500, 12_000, 30_000])
def test_the_interval_holds_what_fusing_really_saves(launch_ns: int, fused_ns: int) -> None:
    """The same machine runs the model once with the chain and once with one kernel in its place."""
    before, _ = _model(3, launch_ns=launch_ns, kernel_ns=2_000)
    after = Machine(random.Random(3), launch_ns=launch_ns)
    for event in before.gpu:
        if event["name"] == ROPE[0]:
            after.run("fused", fused_ns)
        elif event["name"] not in ROPE:
            after.run(event["name"], event["dur_ns"])
    span = [max(e["start_ns"] + e["dur_ns"] for e in m.gpu) - m.gpu[0]["start_ns"] for m in (before, after)]
    saving = chains(before.trace()).chains[0].saving
    assert saving is not None
    slack = 24 * launch_ns // 2  # the two runs draw different jitter
    assert saving.lo_ns - slack <= span[0] - span[1] <= saving.hi_ns + slack
    assert saving.lo_ns <= saving.hi_ns
    assert (saving.lo_ns < 0) == (24 * launch_ns < FUSED_LAUNCH_NS), "one launch dearer than all that it replaces"
    assert saving.hi_share == pytest.approx(saving.hi_ns / span[0])


def test_the_interval_is_narrow_where_the_host_is_the_limit() -> None:
    saving = chains(_model(1, launch_ns=25_000)[0].trace()).chains[0].saving
    assert saving is not None
    assert saving.lo_ns > 0.75 * saving.hi_ns


def test_a_byte_floor_lowers_the_upper_end() -> None:
    trace = _model(1, launch_ns=500)[0].trace()
    unknown, known = chains(trace), chains(trace, floors_ns={ROPE: 20_000})
    assert unknown.chains[0].floor_ns is None
    assert known.chains[0].floor_ns == 20_000
    assert unknown.chains[0].saving is not None and known.chains[0].saving is not None
    assert known.chains[0].saving.hi_ns < unknown.chains[0].saving.hi_ns


def test_kernels_bubbles_and_calls_are_sums_over_the_planted_calls() -> None:
    machine, planted = _model(5)
    first = chains(machine.trace()).chains[0]
    rows = sorted(machine.gpu, key=lambda event: event["start_ns"])
    kernel = bubble = 0
    for start in planted:
        at = next(i for i, event in enumerate(rows) if event["start_ns"] == start)
        call = rows[at : at + len(ROPE)]
        kernel += sum(event["dur_ns"] for event in call)
        ends = [event["start_ns"] + event["dur_ns"] for event in call]
        bubble += sum(b["start_ns"] - end for b, end in zip(call[1:], ends, strict=False))
    assert (first.kernel_ns, first.busy_ns, first.bubble_ns) == (kernel, kernel, bubble)
    assert 0 < first.launch_bound_ns <= bubble


def test_steps_divide_where_the_trace_names_them() -> None:
    machine, _ = _model(5)
    ranges = pl.DataFrame({"name": [f"ProfilerStep#{i}" for i in range(4)] + ["rope"]}).match_to_schema(
        RANGES, missing_columns="insert"
    )
    assert chains(machine.trace()).chains[0].kernels_per_step is None
    assert chains(machine.trace(ranges=ranges)).chains[0].kernels_per_step == len(ROPE) * 24 / 4


def test_a_withheld_saving_gives_its_reason_and_keeps_the_sums() -> None:
    trace = _model(5)[0].trace()
    given, withheld = chains(trace).chains[0], chains(trace, withheld="half of the kernels are missing").chains[0]
    assert withheld.saving is None
    assert withheld.reason == "half of the kernels are missing"
    assert (withheld.names, withheld.kernel_ns) == (given.names, given.kernel_ns)


def test_without_launches_nothing_is_proved() -> None:
    trace = _model(5)[0].trace()
    first = chains(replace(trace, calls=empty(HOST_CALLS))).chains[0]
    assert first.names == ROPE
    assert first.linked_calls == 0
    assert first.saving is not None
    assert first.saving.lo_ns == 0


def test_a_wait_of_the_host_ends_a_chain() -> None:
    machine = Machine(random.Random(0))
    for _ in range(30):
        for name in ROPE[:6]:
            machine.run(name)
        machine.wait()
        for name in ROPE[6:]:
            machine.run(name)
        machine.run("gemm", 40_000)
    assert {chain.names for chain in chains(machine.trace()).chains} == {ROPE[:6], ROPE[6:]}


def test_chains_of_two_threads_and_streams_do_not_mix() -> None:
    machine = Machine(random.Random(0))
    for _ in range(30):
        for a, b in zip(("a", "b", "c", "d"), ("v", "w", "x", "y"), strict=True):
            machine.run(a, thread=1)
            machine.run(b, thread=2, stream=13)
        machine.run("gemm", 40_000, thread=1)
        machine.run("gemm", 40_000, thread=2, stream=13)
    assert {chain.names for chain in chains(machine.trace()).chains} == {("a", "b", "c", "d"), ("v", "w", "x", "y")}


def test_copies_to_the_host_end_a_chain_and_copies_within_the_device_do_not() -> None:
    machine = Machine(random.Random(0))
    for _ in range(30):
        machine.run("a")
        machine.run("Memcpy DtoD (Device -> Device)", kind="memcpy")
        machine.run("b")
        machine.run("Memcpy DtoH (Device -> Pinned)", kind="memcpy")
    (only,) = chains(machine.trace()).chains
    assert (only.events, only.kernels) == (3, 2)


def test_a_trace_without_gpu_events_has_no_chains() -> None:
    trace = replace(_model(5)[0].trace(), gpu=empty(GPU_EVENTS))
    assert chains(trace).chains == ()
    assert chains(trace).calls.height == 0


def test_one_loop_of_200_000_kernels_gives_its_turn() -> None:
    words = np.tile(np.array([f"k{i}" for i in range(25)]), 8000)
    size = words.size
    gpu = pl.DataFrame(
        {"kind": "kernel", "name": words, "device": "0", "stream": 7, "dur_ns": 2000}
        | {"start_ns": np.arange(size) * 3000, "correlation": np.arange(size)}
    ).match_to_schema(GPU_EVENTS, missing_columns="insert", integer_cast="upcast")
    trace = replace(_model(5, 2)[0].trace(), gpu=gpu)
    (only,) = chains(trace).chains
    assert (only.kernels, only.calls) == (25, 8000)
