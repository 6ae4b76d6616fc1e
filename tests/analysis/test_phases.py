"""Steps of serving engines: the phase and batch size of each name, and what such steps cost."""

from __future__ import annotations

import pytest

from rope_prof.analysis.trace.analyze import Analysis, analyze
from rope_prof.analysis.trace.phases import phase_of
from rope_prof.model.trace import Finding
from rope_prof.views.blocks.trace import phase_table
from tests.builders import kernel, range_, sync, trace


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("step[DECODE bs=31]", ("decode", 31)),
        ("step[EXTEND bs=4 toks=4096]", ("prefill", 4)),
        ("step[MIXED bs=9 c=1 g=8 c_sq=5 forward_id=12]", ("mixed", 9)),
        ("step[VERIFY bs=2]", ("verify", 2)),
        ("execute_context_3(120)_generation_0(0)", ("prefill", 3)),
        ("execute_512_context_1(sq505sk505sqsq1sqsk1)_generation_7(sq7sk90sqsq7sqsk90)", ("mixed", 8)),
        ("execute_context_0(0)_generation_16(16)", ("decode", 16)),
        ("[Executor] _forward_step 12: 1 ctx reqs, 7 gen reqs", ("mixed", 8)),
        ("step[DECODE bs=31] (cut)", None),
        ("my step[DECODE bs=31]", None),
        ("ProfilerStep#3", None),
        (None, None),
    ],
)
def test_a_name_says_its_phase_and_batch_size(name: str | None, wanted: tuple[str, int] | None) -> None:
    assert phase_of(name) == wanted


def served(**facts: object) -> Analysis:
    """A prefill of 300 ns of work, then three decodes of two kernels, one every 200 ns."""
    drawn = [range_("step[EXTEND bs=4 toks=9]", 0, 90), kernel(10, 310, launched=(5, 6))]
    for number in range(3):
        at = 400 + 200 * number
        drawn += [
            range_("step[DECODE bs=31]", at, at + 150),
            kernel(at + 10, at + 50, launched=(at + 1, at + 2)),
            sync(at + 51, at + 59),
            kernel(at + 70, at + 100, launched=(at + 60, at + 61)),
        ]
    return analyze(trace(drawn, range_("scheduler", 0, 2_000), **facts))


def test_steps_are_summed_by_phase_and_batch_size() -> None:
    prefill, decode = sorted(served().phases, key=lambda use: use.steps)
    assert (prefill.phase, prefill.batch, prefill.steps, prefill.busy_ns, prefill.span_ns) == (
        "prefill",
        4,
        1,
        300,
        300,
    )
    assert prefill.period_ns == 400
    assert (decode.phase, decode.batch, decode.steps, decode.kernels) == ("decode", 31, 3, 2)
    assert (decode.busy_ns, decode.span_ns, decode.period_ns) == (70, 90, 200)
    assert decode.idle_by_cause_ns == {"host_late": 6, "launch": 30, "sync": 24}


def test_a_range_pattern_hides_no_step() -> None:
    drawn = trace(range_("step[DECODE bs=1]", 0, 9), kernel(2, 5, launched=(0, 1)), range_("other", 0, 9))
    assert len(analyze(drawn, range_pattern="other").phases) == 1


def test_a_trace_without_steps_of_an_engine_has_none() -> None:
    assert analyze(trace(range_("ProfilerStep#1", 0, 9), kernel(2, 5, launched=(0, 1)))).phases == ()


def test_times_are_withheld_with_the_shares() -> None:
    doubted = served(findings=(Finding(code="damaged_events", detail="cannot be read"),))
    assert {(use.busy_ns, use.span_ns, use.period_ns) for use in doubted.phases} == {(None, None, None)}
    assert all("damaged events" in (use.reason or "") for use in doubted.phases)


def test_they_are_a_table() -> None:
    table = phase_table(served().phases)
    assert [cell.text for cell in table.rows[0]][:6] == ["prefill, 4", "1", "1", "300 ns", "300 ns", "400 ns"]
    assert [cell.text for cell in table.rows[1]] == [
        *("decode, 31", "3", "2", "70.0 ns", "90.0 ns", "200 ns"),
        "launch 10.0 ns, sync 8.00 ns",
    ]
