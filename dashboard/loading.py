"""Runs and traces, read once: frozen records kept for all sessions, keyed by path and modification time.

Streamlit leaves arguments whose name starts with `_` out of a cache's key.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import polars as pl
import streamlit as st

from rope_prof.analysis.comparison.compare import Verdict, compare
from rope_prof.analysis.comparison.sides import NotComparableError, Side
from rope_prof.analysis.run.ceilings import Ceilings, ceilings, roofline
from rope_prof.analysis.run.decomposition import Decomposition, decompose
from rope_prof.analysis.run.rows import CaptureFigures, Row, call_pattern, figures, require_whole, summary
from rope_prof.analysis.trace.analyze import accounted
from rope_prof.analysis.trace.calls import call_frame
from rope_prof.commands.open import case_traces
from rope_prof.dashboard import allowed_files
from rope_prof.errors import RopeProfError
from rope_prof.io.run.folder import RunFolder, find_runs, read_run, shipped_runs
from rope_prof.io.trace.read import read_trace
from rope_prof.model.run import Case, Key, KeyFacts
from rope_prof.model.trace import Trace
from rope_prof.serve.server import Server, site
from rope_prof.views.report.data import Captured, captured

_KEEP = 64


@dataclass(frozen=True, slots=True)
class Capture:
    """One key's trace with the frame of its calls."""

    trace: Trace
    calls: pl.DataFrame


#: The shipped run that opens where none is asked for.
DEFAULT_RUN = "h100-ernie28b"
#: The shipped run over many token counts, models and TP.
SWEEP_RUN = "h200-sweep"


def asked_run(arguments: Sequence[str] | None = None) -> Path | None:
    """The folder after `--run` on the command line of the app; None where there is none."""
    words = sys.argv[1:] if arguments is None else list(arguments)
    for word, following in pairwise(words):
        if word == "--run":
            return Path(following)
    return None


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


def _stamp(path: Path) -> int:
    return path.stat().st_mtime_ns if path.exists() else 0


def run(folder: Path) -> RunFolder:
    """The run in `folder`. Errors: RunError."""
    return _run(str(folder), _stamp(folder / "run.json"))


@st.cache_resource(max_entries=_KEEP, show_spinner=False)
def _run(folder: str, stamp_ns: int) -> RunFolder:  # noqa: ARG001 - part of the key
    return read_run(Path(folder))


def capture(folder: RunFolder, facts: KeyFacts) -> Capture | None:
    """The trace of that key; None where it has none or the file is gone. Errors: TraceError."""
    path = folder.trace_path(facts.key.name)
    return None if path is None else _capture(str(path), _stamp(path), facts.key.name)


@st.cache_resource(max_entries=_KEEP, show_spinner=False)
def _capture(path: str, stamp_ns: int, key_name: str) -> Capture:
    trace = _trace(path, stamp_ns)
    return Capture(trace, call_frame(trace, call_pattern(key_name), kind="record_function"))


@st.cache_resource(max_entries=_KEEP, show_spinner=False)
def _trace(path: str, stamp_ns: int) -> Trace:  # noqa: ARG001 - part of the key
    return accounted(read_trace(Path(path)))


def rows(folder: RunFolder) -> tuple[Row, ...]:
    """The table of the run, as `show` prints it."""
    return _rows(str(folder.path), _stamp(folder.path / "run.json"), folder)


@st.cache_resource(max_entries=_KEEP, show_spinner=False)
def _rows(path: str, stamp_ns: int, _folder: RunFolder) -> tuple[Row, ...]:  # noqa: ARG001 - the key
    return summary(_folder.run, _folder.samples, capture_figures(_folder))


def capture_figures(folder: RunFolder) -> dict[str, CaptureFigures]:
    """Key -> what its trace says. Errors: TraceError; RunError for a part of a trace."""
    return _capture_figures(str(folder.path), _stamp(folder.path / "run.json"), folder)


@st.cache_resource(max_entries=_KEEP, show_spinner=False)
def _capture_figures(path: str, stamp_ns: int, _folder: RunFolder) -> dict[str, CaptureFigures]:  # noqa: ARG001 - the key
    captures: dict[str, CaptureFigures] = {}
    for facts in _folder.run.keys:
        file = _folder.trace_path(facts.key.name)
        if file is not None:
            trace = _trace(str(file), _stamp(file))
            captures[facts.key.name] = figures(trace, facts.key)
            require_whole(trace, captures[facts.key.name], facts)
    return captures


def decomposed(folder: RunFolder, base: Key, cand: Key) -> Decomposition | None:
    """Where the time goes that `cand` saves of `base`; None where a side is not ranked, timed or captured."""
    return _decomposed(str(folder.path), _stamp(folder.path / "run.json"), base.name, cand.name, folder, base, cand)


@st.cache_resource(max_entries=_KEEP, show_spinner=False)
def _decomposed(
    path: str,  # noqa: ARG001 - the key
    stamp_ns: int,  # noqa: ARG001 - the key
    base_name: str,  # noqa: ARG001 - the key
    cand_name: str,  # noqa: ARG001 - the key
    _folder: RunFolder,
    _base: Key,
    _cand: Key,
) -> Decomposition | None:
    return decompose(_folder.run, _folder.samples, capture_figures(_folder), _base, _cand)


def limits(folder: RunFolder, case: Case, rank: int) -> Ceilings:
    """What the card of that rank itself did in the rounds of that case."""
    return _limits(str(folder.path), _stamp(folder.path / "run.json"), case.name, rank, folder, case)


@st.cache_resource(max_entries=_KEEP, show_spinner=False)
def _limits(
    path: str,  # noqa: ARG001 - the key
    stamp_ns: int,  # noqa: ARG001 - the key
    case: str,  # noqa: ARG001 - the key
    rank: int,
    _folder: RunFolder,
    _case: Case,
) -> Ceilings:
    return ceilings(_folder.run, _folder.samples, _case, rank)


def floor_ns(folder: RunFolder, row: Row) -> float | None:
    """The least that the card can take for that row's work, as measured in the same run; None where it was not."""
    found = roofline([row], limits(folder, row.case, row.rank))
    return found[0].floor_ns if found else None


def verdicts(folder: RunFolder, base: RunFolder, key: Key) -> dict[str, Verdict]:
    """Key of `folder` -> its wall time against the baseline's path, mode and L2 state in the same case.

    A key that has no partner, or is the baseline itself, is left out.
    """
    stamps = (_stamp(folder.path / "run.json"), _stamp(base.path / "run.json"))
    return _verdicts(str(folder.path), str(base.path), stamps, (key.path, key.mode, key.l2), folder, base)


@st.cache_resource(max_entries=_KEEP, show_spinner=False)
def _verdicts(
    path: str,
    base_path: str,
    stamps_ns: tuple[int, int],  # noqa: ARG001 - part of the key
    side: tuple[str, str, str],
    _folder: RunFolder,
    _base: RunFolder,
) -> dict[str, Verdict]:
    own = path == base_path
    theirs = [f for f in _base.run.keys if (f.key.path, f.key.mode, f.key.l2) == side]
    left = replace(_base.run, keys=tuple(theirs))
    found: dict[str, Verdict] = {}
    for pick in dict.fromkeys((f.key.path, f.key.mode) for f in _folder.run.keys):
        mine = [f for f in _folder.run.keys if (f.key.path, f.key.mode) == pick and f.key.l2 == side[2]]
        if not mine or (own and pick == side[:2]):
            continue
        sides = (
            Side(label="baseline", run=left, samples=_base.samples, path=side[0], mode=side[1]),
            Side(
                label="run",
                run=replace(_folder.run, keys=tuple(mine)),
                samples=_folder.samples,
                path=pick[0],
                mode=pick[1],
            ),
        )
        with suppress(NotComparableError):  # no case of both
            pairs = compare(*sides, paired=own, anyway=True)
            found |= {verdict.cand: verdict for verdict in pairs if verdict.metric == "wall"}
    return found


def account(folder: RunFolder, facts: KeyFacts) -> Captured | None:
    """Kernels, gaps and median call of that key's trace; None where it has none or the file is gone.

    Errors: TraceError.
    """
    found = capture(folder, facts)
    path = folder.trace_path(facts.key.name)
    return None if found is None or path is None else _account(str(path), _stamp(path), found, facts)


@st.cache_resource(max_entries=_KEEP, show_spinner=False)
def _account(path: str, stamp_ns: int, _found: Capture, _facts: KeyFacts) -> Captured:  # noqa: ARG001 - the key
    return captured(_found.trace, _facts)


def perfetto(folder: RunFolder) -> Server:
    """The offline Perfetto UI with every case of that run, on a loopback port of its own. Errors: UnavailableError."""
    return _perfetto(str(folder.path), _stamp(folder.path / "run.json"), folder)


@st.cache_resource(max_entries=4, show_spinner=False)
def _perfetto(path: str, stamp_ns: int, _folder: RunFolder) -> Server:  # noqa: ARG001 - the key
    server = Server(replace(site([], made=case_traces(_folder)), framed=True))
    threading.Thread(target=server.serve_forever, daemon=True, name="rope_prof-perfetto").start()
    return server


def frame(address: str, height: int) -> None:
    """A page of another address inside this one."""
    if hasattr(st, "iframe"):
        st.iframe(address, height=height)
    else:
        st.components.v1.iframe(address, height=height)
