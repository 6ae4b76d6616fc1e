"""Runs and traces, opened once and kept for all sessions while their files stay."""

from __future__ import annotations

import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

from rope_prof.dashboard.kept import kept

from rope_prof.analysis.comparison.compare import Verdict
from rope_prof.analysis.run.floors import roofline
from rope_prof.analysis.run.rows import Row
from rope_prof.dashboard import DEFAULT_RUN, allowed_files
from rope_prof.errors import RopeProfError
from rope_prof.io.run.folder import RunFolder, find_runs, shipped_runs
from rope_prof.io.trace.read import read_trace
from rope_prof.model.trace import Trace
from rope_prof.opened.pictures import case_traces
from rope_prof.opened.run import OpenedRun, open_run
from rope_prof.opened.walls import wall_verdicts
from rope_prof.serve.server import Server, site
from rope_prof.views.words.losses import chain_keys

_KEEP = 64


#: The shipped run over many token counts, models and TP.
SWEEP_RUN = "h200-sweep"


def asked_run(arguments: Sequence[str] | None = None) -> Path | None:
    """The folder after `--run` on the command line of the app; None where there is none."""
    words = sys.argv[1:] if arguments is None else list(arguments)
    return next((Path(following) for word, following in pairwise(words) if word == "--run"), None)


def runs() -> dict[str, Path]:
    """Name -> folder: the run that was asked for, then those under ./traces, then the shipped ones.

    Folders of one name are told apart by the folder that holds them.
    """
    asked = asked_run()
    folders = [asked] if asked is not None else []
    folders += find_runs([Path("traces")]) + find_runs([shipped_runs()])
    named: dict[str, Path] = {}
    for folder in dict.fromkeys(path.resolve() for path in folders):
        name = folder.name if folder.name not in named else f"{folder.parent.name}/{folder.name}"
        named[name if name not in named else str(folder)] = folder
    return named


def trace_folders() -> dict[str, Path]:
    """Short name -> folder: those that a viewer may open traces of, by `--folder` and by where runs lie."""
    asked = asked_run()
    own = [Path("traces"), shipped_runs(), *([] if asked is None else [asked])]
    return allowed_files.named([*allowed_files.asked_folders(), *own])


def default_run(named: dict[str, Path]) -> str:
    """The run that was asked for; else the shipped one of `record` with its defaults; else the newest."""
    asked = asked_run()
    shipped = shipped_runs().resolve() / DEFAULT_RUN
    if asked is not None:
        return next(name for name, folder in named.items() if folder == asked.resolve())
    return next((name for name, folder in named.items() if folder == shipped), next(iter(named)))


def shipped_sweep(named: dict[str, Path]) -> str | None:
    """The name of the shipped sweep; None where it is not there."""
    return next((name for name, folder in named.items() if folder == shipped_runs().resolve() / SWEEP_RUN), None)


def other_runs(named: dict[str, Path], name: str) -> dict[str, RunFolder]:
    """The runs but `name` that can be read: what a baseline may be taken from. A damaged one is left out."""
    found: dict[str, RunFolder] = {}
    for other, folder in named.items():
        if other != name:
            with suppress(RopeProfError):
                found[other] = run(folder)
    return found


@kept(_KEEP)
def opened(folder: Path) -> OpenedRun:
    """The run in `folder`, one object for all sessions until a file of it changes. Errors: RunError."""
    return open_run(folder, trace, keep=True)


@kept(_KEEP)
def trace(path: Path) -> Trace:
    """The trace in `path`, kept while the file stays. Errors: TraceError."""
    return read_trace(path)


def run(folder: Path) -> RunFolder:
    """The run in `folder`. Errors: RunError."""
    return opened(folder).folder


def floor_ns(folder: RunFolder, row: Row) -> float | None:
    """The least that the card can take for that row's work, as measured in the same run; None where it was not."""
    found = roofline([row], opened(folder.path).limits(row.case, row.rank))
    return found[0].floor_ns if found else None


def chain_verdicts(folder: RunFolder, case: str) -> list[dict[str, Verdict]]:
    """`verdicts` against each side of the chain in that case: what the first answer rests on beside the rows."""
    sides = [(key.path, key.mode, key.l2) for key in chain_keys(folder.run, case)]
    return [verdicts(folder, folder, side) for side in sides]


@kept(_KEEP)
def verdicts(folder: RunFolder, base: RunFolder, side: tuple[str, str, str]) -> dict[str, Verdict]:
    """As of `wall_verdicts`."""
    return wall_verdicts(folder, base, side)


@kept(4)
def perfetto(folder: RunFolder) -> Server:
    """The offline Perfetto UI with every case of that run, on a loopback port of its own. Errors: UnavailableError."""
    server = Server(replace(site([], made=case_traces(opened(folder.path))), framed=True))
    threading.Thread(target=server.serve_forever, daemon=True, name="rope_prof-perfetto").start()
    return server
