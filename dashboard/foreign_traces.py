"""Traces that are no run's: read, judged and laid out once, kept for all sessions."""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final

from rope_prof.dashboard.kept import forget, kept

from rope_prof.analysis.chains.chains import Chains, chains
from rope_prof.analysis.diff.diff import TraceDiff, trace_diff
from rope_prof.analysis.diff.side import common_range, trace_side
from rope_prof.analysis.fixes.fix import Fixes
from rope_prof.analysis.fixes.fixes import fixes, timed
from rope_prof.analysis.trace.analyze import Analysis, accounted, analyze
from rope_prof.analysis.trace.replays import own_named
from rope_prof.io.layout import NATIVE_SUFFIX
from rope_prof.io.run.nsight import counters_beside
from rope_prof.io.trace.cache import worth_caching
from rope_prof.io.trace.formats import FORMATS
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


@kept(_KEEP)
def opened(path: Path) -> Opened:
    """The trace in `path`, judged. Errors: TraceError."""
    trace = own_named(accounted(read_trace(path, cache=worth_caching(path))))
    return Opened(trace, analyze(trace))


@kept(_KEEP)
def lanes(path: Path, device: str | None = None) -> Scene:
    """Its timeline, of that device alone where it is given. Errors: TraceError; ValueError where it holds no span."""
    return scene(opened(path).trace, device)


def side_lanes(path: Path, device: str) -> Scene:
    """The timeline of that device of it. Errors: TraceError; ValueError where it holds no span."""
    return lanes(path, device if opened(path).trace.gpu["device"].n_unique() > 1 else None)


@kept(_KEEP)
def worth_fusing(path: Path) -> Chains:
    """Its chains of small kernels. Errors: TraceError."""
    found = opened(path)
    return chains(found.trace, withheld=found.analysis.integrity.reason)


@kept(_KEEP)
def to_fix(path: Path) -> Fixes:
    """What to fix in it first. Errors: TraceError, RunError."""
    found = opened(path)
    chained = worth_fusing(path) if timed(found.trace, found.analysis) else None
    return fixes(found.trace, found.analysis, chained, counters_beside(path))


@kept(_KEEP)
def held(
    before: Path, after: Path, names: tuple[str | None, str | None], labels: tuple[str, str], *, anyway: bool
) -> TraceDiff:
    """Those ranges (None: the whole device) of two files, known as `labels`, against each other.

    Errors: UsageError for a range that launched nothing, NotComparableError for other devices unless `anyway`.
    """
    traces = [replace(opened(path).trace, source=label) for path, label in zip((before, after), labels, strict=True)]
    sides = [trace_side(trace, name) for trace, name in zip(traces, names, strict=True)]
    return trace_diff(*sides, anyway=anyway)


def shared_range(before: Path, after: Path) -> str | None:
    """The range that both files hold more than once, with the most busy time; None where there is none."""
    return common_range(opened(before).analysis.ranges, opened(after).analysis.ranges)


def forget_file(path: Path) -> None:
    """Let go of all that was made of that file."""
    for function in (opened, lanes, worth_fusing, to_fix):
        forget(function, path)


def perfetto_address(path: Path, trace: Trace) -> str:
    """Where the offline Perfetto UI shows that file. Errors: UnavailableError, TraceError."""
    server, name = _perfetto(path, trace.format)
    return f"{server.address}{open_path(name)}"


def _ended(made: tuple[Server, str]) -> None:
    made[0].shutdown()
    made[0].server_close()


@kept(_KEEP, release=_ended)
def _perfetto(file: Path, kind: str) -> tuple[Server, str]:
    if FORMATS[kind].drawn:
        name = f"{file.name}{NATIVE_SUFFIX}"
        server = Server(site([], made={name: partial(made_trace, file)}))
    else:
        check_opens(file)
        name = file.name
        server = Server(site([file]))
    threading.Thread(target=server.serve_forever, daemon=True, name="rope_prof-perfetto").start()
    return server, name
