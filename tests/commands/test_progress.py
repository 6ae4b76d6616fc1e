"""The bar of a recording: lines where there is no terminal, and nothing left open behind it."""

from __future__ import annotations

from pathlib import Path

import pytest

from rope_prof.commands.progress import RichProgress


def test_without_a_terminal_it_says_a_line_where_the_work_changes_and_closes_what_it_opened(
    capfd: pytest.CaptureFixture[str],
) -> None:
    before = _opened()
    with RichProgress() as bar:
        bar.total(3)
        bar.step("timing a, round 1 of 2", 1)
        bar.step("timing a, round 2 of 2", 1)
        bar.step("capturing a")
    assert capfd.readouterr().err.split("\n")[:2] == ["timing a", "capturing a"]
    assert _opened() == before


def _opened() -> int:
    """How many files this process holds open, where the system says."""
    folder = Path("/proc/self/fd")
    return len(list(folder.iterdir())) if folder.is_dir() else 0
