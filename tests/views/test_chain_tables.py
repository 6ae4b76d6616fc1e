"""The chain tables say what was found, letter for letter, and nothing that was withheld."""

from __future__ import annotations

import random
from dataclasses import replace

from rope_prof.analysis.chains.chains import Chains, chains
from rope_prof.analysis.chains.floor import Bandwidth
from rope_prof.analysis.chains.saving import HI_ASSUMES, LO_ASSUMES
from rope_prof.units import between, duration
from rope_prof.views.blocks.chains import chain_blocks
from tests.builders import kernel, range_, trace
from tests.on_terminal import on_terminal


def _found(withheld: str | None = None, name: str = "[bold]mul[/bold]", steps: int = 0) -> Chains:
    rng = random.Random(0)
    drawn, at = [], 0
    for _ in range(20):
        for each in (name, "sub", "add", f"gemm{rng.randrange(3)}"):
            drawn.append(kernel(at + 900, at + 2900, name=each, launched=(at, at + 700), correlation=at + 1))
            at += 8000
    drawn += [range_(f"ProfilerStep#{k}", at * k // 5, at * (k + 1) // 5) for k in range(steps)]
    return chains(trace(*drawn), withheld=withheld)


def _text(found: Chains, width: int = 100) -> str:
    return on_terminal(chain_blocks(found), width)


def test_kernels_calls_and_the_interval_are_shown() -> None:
    found = _found()
    (only,) = found.chains
    assert only.saving is not None
    text = _text(found)
    assert "[bold]mul[/bold]" in text
    row = next(line for line in text.splitlines() if line.lstrip().startswith("1 "))
    assert " 3 " in row and " 20 " in row
    assert f"{100 * only.saving.hi_share:.1f}" in row


def test_a_withheld_saving_shows_its_reason_and_no_figure() -> None:
    text = _text(_found("half of the kernels are missing"))
    assert "savings withheld: half of the kernels are missing" in text
    assert LO_ASSUMES not in " ".join(text.split())
    assert "–0." not in text


def test_control_characters_are_made_visible() -> None:
    text = _text(_found(name="mul\x1b[31m"))
    assert "\x1b" not in text
    assert "mul\\x1b[31m" in text


def test_no_chain_is_said() -> None:
    assert "no sequence" in _text(chains(trace(kernel(0, 10), kernel(14, 20))))


def test_it_fits_a_narrow_terminal() -> None:
    assert all(len(line) <= 80 for line in _text(_found(steps=5), width=80).splitlines())


def test_both_ends_say_what_they_rest_on() -> None:
    text = " ".join(_text(_found(), width=80).split())
    assert f"saves from: {LO_ASSUMES} to: {HI_ASSUMES}" in text


def test_what_it_comes_to_in_a_step_is_shown() -> None:
    found = _found(steps=5)
    (only,) = found.chains
    assert only.saving is not None and only.bubble_ns_per_step == only.bubble_ns / 5
    assert (only.saving.lo_ns_per_step, only.saving.hi_ns_per_step) == (only.saving.lo_ns / 5, only.saving.hi_ns / 5)
    lines = _text(found, width=80).splitlines()
    row = lines[next(k for k, line in enumerate(lines) if "saves a step" in line) + 2]
    saved = between(only.saving.lo_ns / 5, only.saving.hi_ns / 5)
    assert row.split() == ["1", "12.0", *duration(only.bubble_ns / 5).split(), *saved.split(), "–"]


def test_the_byte_floor_of_a_call_stands_with_its_bandwidth() -> None:
    found = _found()
    floored = replace(found.chains[0], floor_ns=12_345, floor_reason=None)
    speed = Bandwidth(bytes_a_ns=3987.6, source="the fastest copy")
    text = _text(replace(found, chains=(floored,), bandwidths={"0": speed}), width=80)
    assert "12.3 µs" in text
    assert "byte floor at 3,988 GB/s: the fastest copy" in text
