"""docs/questions.md: every command that it names is one, with the options that it names."""

from __future__ import annotations

import re
from pathlib import Path

from rope_prof.cli import COMMANDS
from rope_prof.cli import command as command_of

PAGE = Path(__file__).resolve().parents[1] / "docs/questions.md"


def test_twenty_questions_name_commands_that_are_there() -> None:
    rows = [line.split(" | ") for line in PAGE.read_text("utf-8").splitlines() if re.match(r"\| \d+ \|", line)]
    assert [int(row[0].strip("| ")) for row in rows] == list(range(1, 21))
    named = [code.split() for row in rows for code in re.findall(r"`([a-z][^`]*)`", row[2]) if "=" not in code]
    assert len(named) >= 18
    for command, *words in named:
        assert command in COMMANDS
        known = {option for one in command_of(command).params for option in one.opts}
        assert {word for word in words if word.startswith("-")} <= known
