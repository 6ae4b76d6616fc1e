"""Steps of serving engines as ranges: grouped by phase and batch size, and picked by their own name."""

from __future__ import annotations

import polars as pl
import pytest

from rope_prof.analysis.trace.analyze import analyze
from rope_prof.analysis.trace.calls import families
from rope_prof.model.trace import Trace
from tests.builders import kernel, range_, trace

NAMES = {
    "SGLang": (
        ["step[DECODE bs=31]", "step[DECODE bs=31]", "step[DECODE bs=4]"],
        ["step[DECODE bs=31]"] * 2 + ["step[DECODE bs=4]"],
    ),
    "SGLang's prefill": (
        ["step[EXTEND bs=4 toks=4096]", "step[EXTEND bs=4 toks=17]"],
        ["step[EXTEND bs=4 toks=*]"] * 2,
    ),
    "vLLM": (
        [
            "execute_7_context_1(sq128sk256)_generation_9(sq1sk30)",
            "execute_8_context_1(sq64sk64)_generation_9(sq1sk31)",
        ],
        ["execute_*_context_1_generation_9"] * 2,
    ),
    "an older vLLM": (
        ["execute_context_3(120)_generation_2(50)", "execute_context_3(7)_generation_2(51)"],
        ["execute_*_context_3_generation_2"] * 2,
    ),
    "TensorRT-LLM": (
        ["[Executor] _forward_step 12: 1 ctx reqs, 7 gen reqs", "[Executor] _forward_step 13: 1 ctx reqs, 7 gen reqs"],
        ["[Executor] _forward_step *: 1 ctx reqs, 7 gen reqs"] * 2,
    ),
}


@pytest.mark.parametrize("engine", NAMES)
def test_steps_are_grouped_by_phase_and_batch(engine: str) -> None:
    names, wanted = NAMES[engine]
    assert families(pl.Series(names)).to_list() == wanted


def test_one_step_alone_keeps_its_whole_name() -> None:
    assert families(pl.Series(["step[EXTEND bs=4 toks=17]"])).to_list() == ["step[EXTEND bs=4 toks=17]"]


def steps(*names: str) -> Trace:
    drawn = []
    for number, name in enumerate(names):
        at = 1_000 * number
        drawn += [range_(name, at, at + 900), kernel(at + 200, at + 300, launched=(at + 10, at + 20))]
    return trace(drawn)


def picked(text: str, *names: str) -> list[str]:
    return [use.name for use in analyze(steps(*names), range_pattern=text).ranges]


def test_a_name_is_taken_as_it_stands_though_it_is_a_pattern_too() -> None:
    names = ("step[DECODE bs=31]", "step[DECODE bs=3]", "stepD")
    assert picked("step[DECODE bs=31]", *names) == ["step[DECODE bs=31]"]
    assert picked("step[DECODE bs=3", *names) == ["step[DECODE bs=31]", "step[DECODE bs=3]"], "no pattern: its letters"
    assert picked("step.DECODE", *names) == ["step[DECODE bs=31]", "step[DECODE bs=3]"]


def test_a_family_is_a_name() -> None:
    names = ("step[EXTEND bs=4 toks=9]", "step[EXTEND bs=4 toks=8]", "step[EXTEND bs=5 toks=8]")
    assert picked("step[EXTEND bs=4 toks=*]", *names) == ["step[EXTEND bs=4 toks=*]"]
