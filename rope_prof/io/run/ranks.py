"""One recording of several ranks on disk: a run folder a rank while it is made, one run folder when it is gathered.

    <run>/ranks/r<k>/...          what rank k has written: a run folder that reads by itself at any moment
    <run>/ranks/r<k>/ended.json   how it ended, where it did not end whole
    <run>/run.json, samples.parquet, *.r<k>.trace.json.gz     all ranks together

Gathering may happen at any time and by several processes at once: each writes the same files, whole. The ranks'
own folders go once every rank is whole.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import polars as pl

from rope_prof.errors import RunError
from rope_prof.io.atomic import write_atomic
from rope_prof.io.layout import RANKS_FOLDER, SAMPLES_FILE, TRACE_SUFFIX
from rope_prof.io.run.folder import RunFolder, is_run, read_run, write_run
from rope_prof.model.run import KeyFacts, Run

_ENDED: Final = "ended.json"
_EARLY: Final = "ended early ({})"
#: What a rank says that was not the first to go.
STOPPED: Final = "stopped with the others"


@dataclass(frozen=True, slots=True, kw_only=True)
class Gathered:
    """What became of the ranks: `lost` names those that did not end whole, each with its reason."""

    size: int
    lost: Mapping[int, str]
    folder: Path

    def sentence(self) -> str | None:
        """The one line on what is missing; None where nothing is."""
        if not self.lost:
            return None
        stopped = [rank for rank, why in self.lost.items() if why == _EARLY.format(STOPPED)]
        first = {rank: why for rank, why in sorted(self.lost.items()) if rank not in stopped} or self.lost
        said = "; ".join(f"rank {rank} of {self.size} {why}" for rank, why in sorted(first.items()))
        if stopped and first is not self.lost:
            said += f" and {len(stopped)} other{'s were' if len(stopped) > 1 else ' was'} stopped"
        return f"{said}: what the ranks have measured is kept in {str(self.folder)!r}; record anew for the rest"


def rank_folder(folder: Path, rank: int) -> Path:
    """Where rank `rank` of the run in `folder` writes."""
    return folder / RANKS_FOLDER / f"r{rank}"


def write_ended(folder: Path, rank: int, why: str) -> None:
    """Say how rank `rank` ended before it was whole. Errors: RunError."""
    text = json.dumps({"why": why})
    write_atomic(rank_folder(folder, rank) / _ENDED, lambda part: part.write_text(text))


def ended(folder: Path, rank: int) -> str | None:
    """How rank `rank` ended before it was whole; None where it did not say."""
    try:
        return str(json.loads((rank_folder(folder, rank) / _ENDED).read_text())["why"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def gather(folder: Path, size: int) -> Gathered:
    """Put together what `size` ranks have written so far. Errors: RunError where none has written, or a full disk."""
    parts: dict[int, RunFolder] = {}
    lost: dict[int, str] = {}
    for rank in range(size):
        try:
            parts[rank] = read_run(rank_folder(folder, rank))
        except RunError:
            lost[rank] = _why(folder, rank)
            continue
        if not parts[rank].run.complete:
            lost[rank] = _why(folder, rank)
    if not parts:
        raise RunError(f"none of {size} ranks has written to {str(folder)!r}; see what each of them said, record again")
    run = _together(parts, lost)
    for part in parts.values():
        for trace in part.path.glob(f"*{TRACE_SUFFIX}"):
            _linked(trace, folder / trace.name)
    samples = pl.concat([part.samples for part in parts.values()])
    write_atomic(folder / SAMPLES_FILE, lambda out: samples.write_parquet(out))
    write_run(folder, run)
    if not lost:
        shutil.rmtree(folder / RANKS_FOLDER, ignore_errors=True)
    return Gathered(size=size, lost=lost, folder=folder)


def is_taken(folder: Path) -> bool:
    """Whether `folder` holds a run, or ranks of one."""
    return is_run(folder) or (folder / RANKS_FOLDER).exists()


def _why(folder: Path, rank: int) -> str:
    said = ended(folder, rank)
    return "died" if said is None else _EARLY.format(said)


def _together(parts: Mapping[int, RunFolder], lost: Mapping[int, str]) -> Run:
    """The first rank's run with everybody's keys: in the order of the plan, of each key in the order of the ranks."""
    first = next(iter(parts.values())).run
    placed = [
        (place, rank, _told(facts, lost.get(rank), rank))
        for rank, part in parts.items()
        for place, facts in enumerate(part.run.keys)
    ]
    keys = tuple(facts for _, _, facts in sorted(placed, key=lambda one: one[:2]))
    ceilings = tuple(ceiling for part in parts.values() for ceiling in part.run.ceilings)
    return replace(first, keys=keys, ceilings=ceilings, complete=not lost)


def _told(facts: KeyFacts, why: str | None, rank: int) -> KeyFacts:
    """A key that a lost rank left open says so."""
    if why is None or facts.status != "pending":
        return facts
    return replace(facts, status="failed", reason=f"rank {rank} {why} before this key was done")


def _linked(source: Path, target: Path) -> None:
    """The same file under another name; a copy where the file system has no links."""
    with contextlib.suppress(FileExistsError):
        try:
            os.link(source, target)
        except FileExistsError:
            raise
        except OSError:
            write_atomic(target, lambda part: shutil.copyfile(source, part))
