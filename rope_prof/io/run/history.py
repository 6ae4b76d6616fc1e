"""Runs that were kept for comparisons to come: one file a kind of machine in the user's own cache folder, bounded.

Written whole to a temporary name and renamed; the oldest go first. A file that cannot be read, or is not of this
version, holds nothing; where the folder cannot be written nothing is kept.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from rope_prof.errors import RunError
from rope_prof.io.atomic import write_atomic
from rope_prof.io.damaged import DAMAGED
from rope_prof.io.store import user_cache
from rope_prof.model.frozen import decodable
from rope_prof.model.history import KeptRun, machine_kind
from rope_prof.model.run import Machine

#: Runs that are kept of one kind of machine.
MOST_RUNS: Final = 60
VERSION: Final = 1


class _File(msgspec.Struct, frozen=True):
    version: int
    machine: str
    runs: tuple[KeptRun, ...]


def history_folder() -> Path:
    """Where all of them are kept."""
    return user_cache() / "history"


def history_file(machine: Machine) -> Path:
    """Where runs of machines like this one are kept."""
    name = hashlib.sha256(machine_kind(machine).encode()).hexdigest()[:16]
    return history_folder() / f"{name}.json"


def kept_runs(machine: Machine) -> tuple[KeptRun, ...]:
    """The runs of machines like this one, the oldest first."""
    with suppress(OSError, *DAMAGED):
        found = msgspec.json.decode(history_file(machine).read_bytes(), type=decodable(_File))
        if found.version == VERSION and found.machine == machine_kind(machine):
            return found.runs
    return ()


def keep(machine: Machine, run: KeptRun) -> None:
    """Put `run` in the place of the same recording's earlier state, or at the end."""
    before: Sequence[KeptRun] = [one for one in kept_runs(machine) if one.created != run.created]
    whole = _File(VERSION, machine_kind(machine), (*before, run)[-MOST_RUNS:])
    with suppress(RunError, OSError):
        write_atomic(history_file(machine), lambda part: part.write_bytes(msgspec.json.encode(whole)))
