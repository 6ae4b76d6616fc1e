"""`record --nsight`: the tools looked for before anything is recorded, and run after it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from rope_prof.errors import UnavailableError, UsageError

if TYPE_CHECKING:
    from rope_prof.record.nsight.tools import Tool


def asked_tools(words: list[str], nsys: Path | None, ncu: Path | None, kind: str) -> tuple[Tool, ...]:
    """The tools of `--nsight WORD...`, found now, so that a missing one is told before minutes of recording.

    Errors: UsageError for an unknown word, or a program named without its use; UnavailableError for a CPU and for a
    tool that is missing.
    """
    for word in words:
        if word not in {"systems", "compute"}:
            raise UsageError(f"unknown --nsight {word!r}; expected 'systems' or 'compute'")
    for option, given, use in (("--nsys", nsys, "systems"), ("--ncu", ncu, "compute")):
        if given is not None and use not in words:
            raise UsageError(f"{option} names a program for --nsight {use}; give that too")
    if words and kind != "cuda":
        raise UnavailableError(
            f"--nsight {words[0]} needs an NVIDIA GPU and this records on the CPU: leave it out; see `rope_prof doctor`"
        )
    from rope_prof.record.nsight.tools import find

    found = []
    if "systems" in words:
        found.append(find("systems", nsys))
    if "compute" in words:
        found.append(find("compute", ncu))
    return tuple(found)


def run_tools(folder: Path, tools: tuple[Tool, ...], device: str) -> str | None:
    """Run each tool on the run in `folder`; the sentence of the first that failed. What is recorded stays."""
    from rope_prof.record.nsight.nsight import record_nsight
    from rope_prof.record.nsight.tools import PROGRAM, NsightError

    failed: str | None = None
    for tool in tools:
        _say(f"running under {PROGRAM[tool.which]} {tool.version}")
        try:
            record_nsight(folder, tool, device)
        except NsightError as error:
            failed = failed or str(error)
    return failed


def _say(text: str) -> None:
    typer.echo(text, err=True)
