"""Traces that are no run's: read, judged and laid out once, kept for all sessions; uploads lie in a folder of ours."""

from __future__ import annotations

import shutil
import tempfile
import threading
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import BinaryIO, Final

import streamlit as st

from rope_prof.analysis.chains.chains import Chains, chains
from rope_prof.analysis.diff.diff import TraceDiff, trace_diff
from rope_prof.analysis.diff.side import common_range, trace_side
from rope_prof.analysis.trace.analyze import Analysis, accounted, analyze
from rope_prof.io.trace.cache import worth_caching
from rope_prof.io.trace.formats import FORMATS, SUFFIXES
from rope_prof.io.trace.perfetto import check_opens
from rope_prof.io.trace.read import read_trace
from rope_prof.model.trace import Trace
from rope_prof.opened.pictures import made_trace
from rope_prof.serve.server import Server, open_path, site
from rope_prof.views.timeline.scene import Scene, scene

_KEEP: Final = 4


@dataclass(frozen=True, slots=True)
class Opened:
    """One trace with its account."""

    trace: Trace
    analysis: Analysis


@dataclass(frozen=True, slots=True)
class Kept:
    """An uploaded file on disk; its folder goes with this record."""

    folder: tempfile.TemporaryDirectory[str]
    path: Path


def _stamp(path: Path) -> int:
    return path.stat().st_mtime_ns if path.exists() else 0


def opened(path: Path) -> Opened:
    """The trace in `path`, judged. Errors: TraceError."""
    return _opened(str(path), _stamp(path))


@st.cache_resource(max_entries=_KEEP, show_spinner=False)
def _opened(path: str, stamp_ns: int) -> Opened:  # noqa: ARG001 - part of the key
    trace = accounted(read_trace(Path(path), cache=worth_caching(Path(path))))
    return Opened(trace, analyze(trace))


def lanes(path: Path, found: Opened) -> Scene:
    """Its timeline. Errors: ValueError where it holds no span."""
    return _lanes(str(path), _stamp(path), found)


@st.cache_resource(max_entries=_KEEP, show_spinner=False)
def _lanes(path: str, stamp_ns: int, _found: Opened) -> Scene:  # noqa: ARG001 - the key
    return scene(_found.trace)


def worth_fusing(path: Path, found: Opened) -> Chains:
    """Its chains of small kernels."""
    return _chains(str(path), _stamp(path), found)


@st.cache_resource(max_entries=_KEEP, show_spinner=False)
def _chains(path: str, stamp_ns: int, _found: Opened) -> Chains:  # noqa: ARG001 - the key
    return chains(_found.trace, withheld=_found.analysis.integrity.reason)


def held(before: Path, after: Path, names: tuple[str | None, str | None], *, anyway: bool) -> TraceDiff:
    """Those ranges (None: the whole device) of two files against each other.

    Errors: UsageError for a range that launched nothing, NotComparableError for other devices unless `anyway`.
    """
    return _held(str(before), _stamp(before), str(after), _stamp(after), names, anyway)


@st.cache_resource(max_entries=_KEEP, show_spinner=False)
def _held(
    before: str, before_ns: int, after: str, after_ns: int, names: tuple[str | None, str | None], anyway: bool
) -> TraceDiff:
    traces = _opened(before, before_ns).trace, _opened(after, after_ns).trace
    sides = [trace_side(trace, name) for trace, name in zip(traces, names, strict=True)]
    return trace_diff(*sides, anyway=anyway)


def shared_range(before: Path, after: Path) -> str | None:
    """The range that both files hold more than once, with the most busy time; None where there is none."""
    return common_range(opened(before).analysis.ranges, opened(after).analysis.ranges)


def upload(file_id: str, name: str, file: BinaryIO) -> Path:
    """Where the uploaded file lies on disk; its name is ours, but for an end that is known."""
    return _kept(file_id, next((end for end in SUFFIXES if name.endswith(end)), ".gz"), file).path


@st.cache_resource(max_entries=_KEEP, show_spinner=False)
def _kept(file_id: str, end: str, _file: BinaryIO) -> Kept:  # noqa: ARG001 - the key
    folder = tempfile.TemporaryDirectory(prefix="rope_prof-upload-")
    path = Path(folder.name) / f"upload{end}"
    _file.seek(0)
    with path.open("wb") as out:
        shutil.copyfileobj(_file, out, 1 << 20)
    return Kept(folder, path)


def perfetto_address(path: Path, trace: Trace) -> str:
    """Where the offline Perfetto UI shows that file. Errors: UnavailableError, TraceError."""
    server, name = _perfetto(str(path), _stamp(path), trace.format)
    return f"{server.address}{open_path(name)}"


@st.cache_resource(max_entries=_KEEP, show_spinner=False)
def _perfetto(path: str, stamp_ns: int, kind: str) -> tuple[Server, str]:  # noqa: ARG001 - part of the key
    file = Path(path)
    if FORMATS[kind].drawn:
        name = f"{file.name}.pftrace"
        server = Server(site([], made={name: partial(made_trace, file)}))
    else:
        check_opens(file)
        name = file.name
        server = Server(site([file]))
    threading.Thread(target=server.serve_forever, daemon=True, name="rope_prof-perfetto").start()
    return server, name
