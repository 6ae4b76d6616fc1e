"""The chain tables say what was found, letter for letter, and nothing that was withheld."""

from __future__ import annotations

import random
import sys
from io import StringIO
from pathlib import Path

from rich.console import Console

from rope_prof.analysis.chains import Chains, chains
from rope_prof.views.chain_tables import chain_tables

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from builders import kernel, trace


def _found(withheld: str | None = None, name: str = "[bold]mul[/bold]") -> Chains:
    rng = random.Random(0)
    drawn, at = [], 0
    for _ in range(20):
        for each in (name, "sub", "add", f"gemm{rng.randrange(3)}"):
            drawn.append(kernel(at + 900, at + 2900, name=each, launched=(at, at + 700), correlation=at + 1))
            at += 8000
    return chains(trace(*drawn), withheld=withheld)


def _text(found: Chains, width: int = 100) -> str:
    console = Console(file=StringIO(), width=width)
    for table in chain_tables(found):
        console.print(table)
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


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
    assert "–0." not in text


def test_control_characters_are_made_visible() -> None:
    text = _text(_found(name="mul\x1b[31m"))
    assert "\x1b" not in text
    assert "mul\\x1b[31m" in text


def test_no_chain_is_said() -> None:
    assert "no sequence" in _text(chains(trace(kernel(0, 10), kernel(14, 20))))


def test_it_fits_a_narrow_terminal() -> None:
    assert all(len(line) <= 80 for line in _text(_found(), width=80).splitlines())
