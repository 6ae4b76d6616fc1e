"""Where a recording lies where no folder is named, and what a person wants of it next."""

from __future__ import annotations

import re
from pathlib import Path

from rope_prof.model.run import Run


def default_folder(run: Run) -> Path:
    """`./traces/<date>-<device>-<name>`."""
    return Path("traces") / f"{run.created[:10]}-{slug(run.machine.device_name)}-{run.name}"


def slug(text: str) -> str:
    """Lower case letters and digits, joined by single dashes, at most 24 characters."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:24].strip("-") or "device"


def next_commands(folder: Path) -> tuple[str, str, str]:
    """The three commands that a person wants after a recording."""
    return (
        f"python -m rope_prof dashboard {folder}    # look at it",
        f"python -m rope_prof open {folder}    # the traces in Perfetto, offline",
        f"python -m rope_prof show {folder} --json    # the table for a script",
    )
