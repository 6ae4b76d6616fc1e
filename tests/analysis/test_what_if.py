"""The replay of a profiled step, and what it predicts: laws of two queues, on drawn traces."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rope_prof.analysis.requests.what_if import Pieces, about_replay, host_pieces, replay, what_if
from rope_prof.analysis.stats import Figure
from rope_prof.errors import TraceError
from rope_prof.model.trace import Trace
from tests.builders import Drawn, kernel, range_, sync, trace

#: Host ns between launches of the profile.
EACH = 10


def step(
    *, kernel_ns: int, rope: int = 5, others: int = 5, steps: int = 4, waits: bool = False, away_in: int | None = None
) -> Trace:
    """Steps of `others` launches and one rope call of `rope` launches, one launch every 10 ns, 4 ns each.

    In the rope of step `away_in` the host does nothing for 100 ns.
    """
    drawn: list[Drawn] = []
    now, device = 0, 0

    def launch() -> None:
        nonlocal now, device
        begin = max(device, now + 4)
        device = begin + kernel_ns
        drawn.append(kernel(begin, device, launched=(now, now + 4)))
        now += EACH

    for k in range(steps):
        start = now
        for _ in range(others):
            launch()
        rope_start = now
        for _ in range(rope):
            launch()
        now += 100 if k == away_in else 0
        drawn.append(range_(f"unfused.decode.rope#{k}", rope_start, now))
        if waits:
            end = max(now, device)
            drawn.append(sync(now, end))
            now = end
        drawn.append(range_(f"unfused.decode.step#{k}", start, now))
    return trace(drawn)


def exactly(ns: float) -> Figure:
    return Figure(ns, None, None, 1)


def profiled_ns(drawn: Trace) -> float:
    """Of one step."""
    steps = host_pieces(drawn, "unfused", "decode")
    return replay(steps[0].ns, steps[0])


def test_the_replay_of_an_unchanged_step_takes_as_long_as_the_step() -> None:
    assert profiled_ns(step(kernel_ns=2)) == 10 * EACH, "the host sets the pace"
    drawn = step(kernel_ns=100, steps=1)
    assert profiled_ns(drawn) == (drawn.gpu["start_ns"] + drawn.gpu["dur_ns"]).max(), "the device does"


def test_a_host_that_drifts_changes_no_share_where_it_sets_the_pace() -> None:
    drawn = step(kernel_ns=1)
    sure = what_if(drawn, "unfused", "decode", step_ns=exactly(90))
    unsure = what_if(drawn, "unfused", "decode", step_ns=Figure(90, 80, 95, 9))
    assert (unsure.lo_ns, unsure.hi_ns) == pytest.approx((sure.lo_ns, sure.hi_ns), rel=0.01)


def test_an_uncertain_step_time_widens_the_prediction_where_the_device_takes_its_part() -> None:
    drawn = step(kernel_ns=9)
    sure = what_if(drawn, "unfused", "decode", step_ns=exactly(110))
    unsure = what_if(drawn, "unfused", "decode", step_ns=Figure(110, 97, 140, 9))
    assert unsure.lo_ns < sure.lo_ns <= sure.hi_ns <= unsure.hi_ns


def test_a_profiled_step_that_was_disturbed_is_left_out_and_counted() -> None:
    """The host was away for as long as a whole step, within the rope."""
    clean = what_if(step(kernel_ns=1), "unfused", "decode", step_ns=exactly(90))
    found = what_if(step(kernel_ns=1, away_in=2), "unfused", "decode", step_ns=exactly(90))
    assert (found.steps, found.left_out) == (3, 1)
    assert (clean.steps, clean.left_out) == (4, 0)
    assert (found.lo_ns, found.hi_ns) == (clean.lo_ns, clean.hi_ns)


def test_where_the_host_sets_the_pace_the_rope_s_host_time_is_saved() -> None:
    found = what_if(step(kernel_ns=1), "unfused", "decode", step_ns=exactly(100))
    assert found.inflation == pytest.approx(1, abs=0.02)
    assert found.hi_ns == pytest.approx(50, rel=0.02)
    assert found.lo_ns == pytest.approx(40, rel=0.02), "one of five launches is left"
    assert found.launches_per_call == 5
    assert found.contains(45)
    assert not found.contains(55)


def test_where_the_device_sets_the_pace_only_kernel_time_is_saved() -> None:
    drawn = step(kernel_ns=100)
    found = what_if(drawn, "unfused", "decode", step_ns=exactly(profiled_ns(drawn)))
    assert found.hi_ns == pytest.approx(500, rel=0.02), "five kernels of 100 ns, not their launches too"


def test_no_saving_exceeds_the_step_and_fewer_launches_save_less() -> None:
    for rope in (1, 3, 8):
        for kernel_ns in (1, 9, 30):
            drawn = step(kernel_ns=kernel_ns, rope=rope, waits=True)
            found = what_if(drawn, "unfused", "decode", step_ns=exactly(profiled_ns(drawn)))
            assert 0 <= found.lo_ns <= found.hi_ns <= found.step_ns


def test_a_wait_for_the_device_counts_as_waiting_not_as_host_time() -> None:
    """Every step ends when the device is done: the saving is kernels, though the host sits in the call."""
    drawn = step(kernel_ns=100, waits=True)
    found = what_if(drawn, "unfused", "decode", step_ns=exactly(profiled_ns(drawn)))
    assert found.hi_ns == pytest.approx(500, rel=0.05)


def test_a_stretched_profile_predicts_the_unprofiled_saving() -> None:
    """The profiler doubled every host interval: half the profiled rope time is the truth, by both corrections."""
    found = what_if(step(kernel_ns=1), "unfused", "decode", step_ns=exactly(50))
    assert found.inflation == pytest.approx(2, rel=0.02)
    assert found.lo_ns == pytest.approx(20, rel=0.05)
    assert found.hi_ns == pytest.approx(25, rel=0.05)


def test_the_two_corrections_bracket_an_uneven_profiler() -> None:
    """The more events a stretch holds, the more the profiler adds to it: a share alone would call the rope too dear."""
    even = what_if(step(kernel_ns=1, rope=5, others=5), "unfused", "decode", step_ns=exactly(60))
    assert even.lo_ns < even.hi_ns
    assert even.width == pytest.approx((even.hi_ns - even.lo_ns) / 60)


def test_steps_that_no_correction_explains_are_refused() -> None:
    with pytest.raises(TraceError, match="cannot be brought to the unprofiled"):
        what_if(step(kernel_ns=100), "unfused", "decode", step_ns=exactly(10))


def test_a_trace_without_such_steps_is_refused() -> None:
    with pytest.raises(TraceError, match="holds 0 steps and 0 rope calls of 'fused'"):
        what_if(step(kernel_ns=1), "fused", "decode", step_ns=exactly(100))
    bare = trace(range_("unfused.decode.step#0", 0, 10), range_("unfused.decode.rope#0", 2, 4))
    with pytest.raises(TraceError, match="launched nothing on a GPU"):
        what_if(bare, "unfused", "decode", step_ns=exactly(100))


@given(st.data())
def test_a_stretch_at_a_time_is_a_step_at_a_time(data: st.DataObject) -> None:
    count = data.draw(st.integers(1, 40))
    drawn = [
        np.array(data.draw(st.lists(st.sampled_from(values), min_size=count, max_size=count)), float)
        for values in ([0, 1, 7.3, 500], [0, 0, 3, 90.1, 4000])
    ]
    waits = np.array(data.draw(st.lists(st.booleans(), min_size=count, max_size=count)))
    none = np.zeros(count)
    pieces = Pieces(drawn[0], none, waits & False, waits, drawn[1], none, 0.0)
    exact = replay(drawn[0], pieces)
    assert about_replay(drawn[0], pieces) == pytest.approx(exact, rel=1e-12)
