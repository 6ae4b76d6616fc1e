"""Ranges that recording cut: they own their work and are no call."""

from __future__ import annotations

from rope_prof.analysis.trace.analyze import Analysis, analyze
from tests.builders import Drawn, call, kernel, range_, trace


def steps(*drawn: Drawn) -> Analysis:
    """Three steps of 100 with a kernel of 40 in each, and what is drawn beside them."""
    work = [kernel(100 * k + 50, 100 * k + 90, launched=(100 * k + 20, 100 * k + 25)) for k in range(3)]
    marks = [range_(f"step#{k}", 100 * k, 100 * k + 99) for k in range(3)]
    last = call("cudaDeviceSynchronize", 290, 299)
    return analyze(trace(work, marks, last, *drawn))


def test_a_range_that_outlives_its_step_to_the_end_is_no_call() -> None:
    whole = [range_("forward", 100 * k + 10, 100 * k + 60) for k in range(2)]
    found = steps(*whole, range_("forward", 210, 320))
    uses = {use.name: use for use in found.ranges}
    assert (uses["step#*"].calls, uses["forward"].calls, uses["forward"].kernels) == (3, 2, 3)
    assert [(f.code, f.count, f.events[0]["name"]) for f in found.integrity.findings] == [
        ("unclosed_ranges", 1, "forward")
    ]
    assert found.integrity.verdict == "sound"


def test_a_range_that_is_open_alone_has_no_length() -> None:
    for end in (None, 320):
        (use,) = (use for use in steps(range_("epoch", 210, end)).ranges if use.name == "epoch")
        assert (use.calls, use.kernels, use.us_per_call) == (0, 1, None)
        assert use.reason == "open when recording ended: no call of it is whole"


def test_whole_ranges_stay_calls() -> None:
    nested = range_("step#2.attention", 210, 299)  # ends with its step
    around = range_("epoch", -5, 400)  # holds all steps
    later = range_("across", 150, 280)  # crosses a step, as no stack does, and ends before the thread does
    other = range_("worker", 210, 900, thread=2)  # on a thread of its own
    found = steps(nested, around, later, other)
    assert not found.integrity.findings
    assert {use.name: use.calls for use in found.ranges} == {
        "step#*": 3,
        "step#2.attention": 1,
        "epoch": 1,
        "across": 2 - 1,
    }
