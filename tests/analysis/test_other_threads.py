"""A range owns what other threads launch for it while it waits, and nothing of threads that work for themselves."""

from __future__ import annotations

from random import Random

import pytest

from rope_prof.analysis.trace.analyze import analyze
from rope_prof.analysis.trace.ranges import RangeUse
from rope_prof.model.trace import Trace
from tests.builders import Drawn, kernel, op, range_, trace

US = 1000


def launch(at: int, *, thread: int = 1, process: int = 1, took: int = 30) -> Drawn:
    """A launch at `at` µs and its kernel 10 µs later."""
    span = ((at + 10) * US, (at + 10 + took) * US)
    return kernel(
        *span, launched=(at * US, at * US + 500), thread=thread, process=process, correlation=1000 * thread + at
    )


def ranges(drawn: Trace) -> dict[str, RangeUse]:
    return {use.name: use for use in analyze(drawn).ranges}


def step(k: int, *, worker: int = 2, ops: bool = False) -> list[Drawn]:
    at = 3000 * k
    forward = [launch(at + 50 * i) for i in range(10)]
    backward = [launch(at + 1010 + 50 * i, thread=worker, took=40) for i in range(20)]
    parts = [*forward, *backward, range_(f"step#{k}", (at - 5) * US, (at + 2900) * US)]
    parts.append(range_("backward", (at + 1000) * US, (at + 2800) * US))
    if ops:
        parts += [
            op("MulBackward0", (at + 1005 + 50 * i) * US, (at + 1020 + 50 * i) * US, thread=worker, forward_thread=1)
            for i in range(20)
        ]
    return parts


@pytest.mark.parametrize("ops", [False, True])
def test_a_blocked_range_owns_what_the_engine_launches(ops: bool) -> None:
    drawn = trace(*(step(k, ops=ops) for k in range(3)))
    held = ranges(drawn)
    assert (held["step#*"].kernels, held["step#*"].kernel_ns) == (90, 3 * (10 * 30 + 20 * 40) * US)
    assert (held["backward"].kernels, held["backward"].calls) == (60, 3)
    assert analyze(drawn).outside_ranges.kernels == 0


def test_two_engine_threads_work_for_the_one_that_waits() -> None:
    parts = [launch(1010 + 50 * i, thread=2 + i % 2) for i in range(20)]
    engines = [
        op("MulBackward0", (1005 + 50 * i) * US, (1020 + 50 * i) * US, thread=2 + i % 2, forward_thread=1)
        for i in range(20)
    ]
    drawn = trace(parts, engines, range_("backward", 1000 * US, 2800 * US))
    assert ranges(drawn)["backward"].kernels == 20


@pytest.mark.parametrize("seed", range(10))
def test_threads_that_launch_side_by_side_work_for_themselves(seed: int) -> None:
    draw = Random(seed)
    parts = [launch(20 * k + draw.randint(0, 4)) for k in range(100)]
    parts += [launch(20 * k + 10 + draw.randint(0, 4), thread=2) for k in range(100)]
    drawn = trace(parts, range_("step", -5 * US, 2100 * US))
    assert ranges(drawn)["step"].kernels == 100
    assert analyze(drawn).outside_ranges.kernels == 100


def test_a_thread_with_ranges_of_its_own_works_for_itself() -> None:
    drawn = trace(step(0), range_("server", 1000 * US, 2900 * US, thread=2))
    assert (ranges(drawn)["backward"].kernels if "backward" in ranges(drawn) else 0) == 0
    assert ranges(drawn)["server"].kernels == 20


def test_another_process_works_for_itself() -> None:
    parts = [launch(1010 + 50 * i, thread=2, process=9) for i in range(20)]
    assert "backward" not in ranges(trace(parts, range_("backward", 1000 * US, 2800 * US)))


def test_what_no_range_owns_is_counted() -> None:
    drawn = trace(launch(0), launch(100), launch(5000), kernel(9_000_000, 9_000_100), range_("a", -5 * US, 50 * US))
    outside = analyze(drawn).outside_ranges
    assert (outside.kernels, outside.kernel_ns, outside.unlinked) == (2, 60 * US, 1)
    assert analyze(trace(launch(0))).outside_ranges is None


def test_backward_work_is_also_given_to_the_forward_range_that_caused_it() -> None:
    forward = [op("mul", 50 * k * US, (50 * k + 5) * US, sequence=k, forward_thread=0) for k in range(10)]
    again = [op("view", (50 * k + 1) * US, (50 * k + 2) * US, sequence=k, forward_thread=0) for k in range(10)]
    backward = [
        op("MulBackward0", (1000 + 50 * k) * US, (1030 + 50 * k) * US, thread=2, sequence=9 - k, forward_thread=1)
        for k in range(10)
    ]
    parts = [*(launch(50 * k + 2) for k in range(10)), *(launch(1005 + 50 * k, thread=2, took=20) for k in range(10))]
    early, late = range_("early", -5 * US, 149 * US), range_("late", 150 * US - 1, 600 * US)
    held = ranges(trace(forward, again, backward, parts, early, late, range_("backward", 990 * US, 1900 * US)))
    assert (held["early"].kernels, held["early"].backward_kernels, held["early"].backward_kernel_ns) == (3, 3, 60 * US)
    assert (held["late"].kernels, held["late"].backward_kernels) == (7, 7)
    assert (held["backward"].kernels, held["backward"].backward_kernels) == (10, 0)
