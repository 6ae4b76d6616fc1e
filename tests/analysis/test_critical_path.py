"""The critical path, and the law of a chain's interval: it holds what a simulated machine really saves."""

from __future__ import annotations

import random
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rope_prof.analysis.chains.chains import Chain, chains
from rope_prof.analysis.chains.critical_path import critical_paths
from rope_prof.analysis.chains.events import device_events, launched_events
from rope_prof.analysis.chains.saving import launch_latency

sys.path.insert(0, str(Path(__file__).parent))
from tests.analysis.machine import Machine

NAMES = tuple(f"small{i}" for i in range(10))
Step = tuple[Any, ...]

#: A layer: the matrix product before the chain, the host's own time behind it, whether the host then waits.
LAYERS = st.lists(
    st.tuples(st.sampled_from([2_000, 60_000, 200_000, 600_000]), st.sampled_from([0, 50_000, 300_000]), st.booleans()),
    min_size=1,
    max_size=4,
)


def _steps(regimes: list[tuple[int, int, bool]], layers: int, length: int, kernel_ns: int) -> list[Step]:
    """One regime after the other, then all of them in turn."""
    steps: list[Step] = []
    for i in range(layers):
        gemm, python, wait = regimes[i * len(regimes) // layers if i < layers // 2 else i % len(regimes)]
        steps += [("run", "gemm", gemm), ("run", "flash_a", 5_000), ("chain", length, kernel_ns)]
        steps += [("run", "flash_b", 20_000), ("python", python), *([("wait",)] if wait else [])]
    return steps


def _played(steps: list[Step], launch_ns: int, fused: str | None = None) -> Machine:
    """The machine behind the steps; `fused` is the end of the interval whose assumptions its one kernel has."""
    machine = Machine(random.Random(0), launch_ns, steady=True)
    call = min(3000, launch_ns)
    for what, *how in steps:
        if what == "run":
            machine.run(*how)
        elif what == "python":
            machine.host += how[0]
        elif what == "wait":
            machine.wait()
        elif fused is None:
            for name in NAMES[: how[0]]:
                machine.run(name, how[1])
        else:
            slow = fused == "lo"
            cost = (max(20_000, call) if slow else call) + launch_ns - call
            machine.run("fused", how[1] * (how[0] if slow else 1), launch_ns=cost)
    return machine


def _chain(machine: Machine) -> Chain:
    return next(chain for chain in chains(machine.trace()).chains if chain.names[0] == NAMES[0])


@settings(max_examples=60)
@given(
    LAYERS,
    st.sampled_from([6, 15, 30]),
    st.sampled_from([3, 6, 10]),
    st.sampled_from([1_500, 3_000, 8_000]),
    st.sampled_from([2_000, 8_000, 25_000]),
)
def test_the_interval_holds_what_is_saved_whatever_the_limit_and_where_it_changes(
    regimes: list[tuple[int, int, bool]], layers: int, length: int, kernel_ns: int, launch_ns: int
) -> None:
    steps = _steps(regimes, layers, length, kernel_ns)
    before = _played(steps, launch_ns)
    chain = _chain(before)
    assert (len(chain.names), chain.calls) == (length, layers)
    least, most = (before.span() - _played(steps, launch_ns, end).span() for end in ("lo", "hi"))
    assert chain.saving is not None
    assert chain.saving.lo_ns <= least
    assert chain.saving.hi_ns >= most


def test_a_lead_that_the_host_gains_early_is_used_late() -> None:
    """Behind a long product the GPU is the limit, behind the host's own time the host: the sum of minima is too low."""
    long, short = ("run", "gemm", 100_000), ("run", "gemm2", 2_000)
    turn = [long, ("chain", 10, 3_000), ("run", "flash_a", 20_000), ("python", 250_000)]
    steps = [*turn, short, ("chain", 10, 3_000), ("run", "flash_b", 20_000)] * 30
    before = _played(steps, 8_000)
    found = chains(before.trace())
    saving = found.chains[0].saving
    assert saving is not None
    most = before.span() - _played(steps, 8_000, "hi").span()
    assert found.calls.filter(rank=1)["saving_hi_ns"].sum() < most <= saving.hi_ns
    assert saving.hi_ns < 1.05 * most


def test_one_launch_dearer_than_all_that_it_replaces_loses_and_the_interval_says_so() -> None:
    """Three launches of 4 µs replaced by one of 20, where the host is the limit."""
    steps = [("run", "gemm", 2_000), ("chain", 3, 1_500), ("run", "flash_a", 2_000)] * 100
    before = _played(steps, 4_000)
    saving = _chain(before).saving
    assert saving is not None
    least = before.span() - _played(steps, 4_000, "lo").span()
    assert saving.lo_ns <= least < 0 < saving.hi_ns
    assert saving.lo_ns > 1.3 * least
    assert saving.lo_share < 0


def test_where_the_gpu_is_the_limit_bubbles_of_the_host_are_worth_nothing() -> None:
    machine = _played([("run", "gemm", 600_000), ("chain", 10, 3_000), ("run", "flash_a", 5_000)] * 30, 8_000)
    saving = _chain(machine).saving
    assert saving is not None
    assert saving.lo_ns == 0
    assert saving.hi_ns <= 30 * 9 * 3_000 + 2 * 10 * 8_000


def test_a_chain_beside_the_critical_path_saves_nothing() -> None:
    """Two streams that never meet: only the first call, which delays the first product's launch, can end it sooner."""
    machine = Machine(random.Random(0), 8_000, steady=True)
    for _ in range(30):
        for name in ("a", "b", "c", "d"):
            machine.run(name, stream=13)
        machine.run("gemm", 200_000)
    (chain,) = chains(machine.trace()).chains
    assert chain.saving is not None
    assert 0 <= chain.saving.lo_ns <= chain.saving.hi_ns <= 3 * 8_000


def _paths(machine: Machine) -> Any:
    trace = machine.trace()
    events = device_events(trace, launched_events(trace))
    return events, critical_paths(trace, events, launch_latency(events))


def test_it_turns_at_a_wait_and_runs_on_the_gpu_before() -> None:
    machine = Machine(random.Random(0), 8_000, steady=True)
    for _ in range(5):
        machine.run("long", 90_000)
    machine.wait()
    late = [machine.run("short", 1_000) for _ in range(4)]
    events, (path,) = _paths(machine)
    on = {int(start) for start in events.start[path.events]}
    assert on == {event["start_ns"] for event in machine.gpu if event["name"] == "long"} | {late[-1]}


@pytest.mark.parametrize("wait_ns", [0, 10_000])
def test_an_event_that_waits_for_another_stream_leads_there(wait_ns: int) -> None:
    machine = Machine(random.Random(0), 2_000, steady=True)
    for _ in range(4):
        machine.run("compute", 50_000)
        machine.join(9, 7)
        machine.run("nccl", 40_000 + wait_ns, stream=9)
        machine.join(7, 9)
    assert _paths(machine)[1][0].events.all()
