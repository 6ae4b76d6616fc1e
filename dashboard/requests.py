"""Whole requests of a run: read, judged and laid out once, kept for all sessions by path and modification time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import streamlit as st

from rope_prof.analysis.requests.requests import Agreement, Prediction, RequestRow, StepParts, agreements, request_rows
from rope_prof.analysis.requests.steps import StepCalls, step_calls
from rope_prof.analysis.run.noise import noise
from rope_prof.analysis.stats import Figure
from rope_prof.analysis.trace.analyze import accounted
from rope_prof.commands.model import profiled
from rope_prof.dashboard import loading, timelines
from rope_prof.io.run.folder import RunFolder, shipped_runs
from rope_prof.io.run.requests import FACTS_FILE, SAMPLES_FILE, EndToEndFolder, read_end_to_end
from rope_prof.io.trace.read import read_trace
from rope_prof.model.trace import Trace
from rope_prof.views.timeline.picture import Panel
from rope_prof.views.timeline.scene import Scene, scene
from rope_prof.views.timeline.step import step_panel
from rope_prof.views.timeline.window import Side

_KEEP = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Whole:
    """What the files of whole requests say without a profile."""

    folder: EndToEndFolder
    rows: tuple[RequestRow, ...]
    agreed: tuple[Agreement, ...]
    noise: Mapping[str, Figure]


@dataclass(frozen=True, slots=True, kw_only=True)
class Profiles:
    """What all profiles of a run say."""

    steps: Mapping[tuple[str, str], StepParts]
    predicted: tuple[Prediction, ...]
    doubts: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """One profile, ready to be drawn."""

    trace: Trace
    calls: StepCalls
    lanes: Scene


def _stamp(path: Path) -> int:
    return path.stat().st_mtime_ns if path.exists() else 0


def _stamps(folder: Path) -> tuple[int, ...]:
    return tuple(_stamp(folder / name) for name in (FACTS_FILE, SAMPLES_FILE))


def shipped(named: Mapping[str, Path]) -> str | None:
    """The shipped run with whole requests among those that the viewer can choose; None where it is not there."""
    wanted = shipped_runs().resolve() / loading.DEFAULT_RUN
    return next((n for n, path in named.items() if path == wanted and (path / FACTS_FILE).is_file()), None)


def whole(folder: RunFolder) -> Whole | None:
    """The whole requests of that run; None where it measured none. Errors: RunError."""
    return _whole(str(folder.path), _stamps(folder.path))


@st.cache_resource(max_entries=_KEEP, show_spinner=False)
def _whole(folder: str, stamps_ns: tuple[int, ...]) -> Whole | None:  # noqa: ARG001 - part of the key
    found = read_end_to_end(Path(folder))
    if found is None:
        return None
    return Whole(
        folder=found,
        rows=request_rows(found.facts, found.samples),
        agreed=agreements(found.facts),
        noise=noise(found.samples),
    )


def traces(found: Whole) -> dict[tuple[str, str], Path]:
    """(path, phase) -> the profile that is there, in the order of the run."""
    every = [(one.path, phase) for one in found.folder.facts.paths for phase in one.traces or {}]
    return {key: path for key in every if (path := found.folder.trace_path(*key)) is not None}


def profiles(found: Whole) -> Profiles:
    """The parts of each profiled step, predictions and doubts. Errors: TraceError."""
    stamps = tuple((str(path), _stamp(path)) for path in traces(found).values())
    return _profiles(str(found.folder.path), _stamps(found.folder.path), stamps, found)


@st.cache_resource(max_entries=_KEEP, show_spinner=False)
def _profiles(
    folder: str,  # noqa: ARG001 - the key
    stamps_ns: tuple[int, ...],  # noqa: ARG001 - the key
    traces_ns: tuple[tuple[str, int], ...],  # noqa: ARG001 - the key
    _found: Whole,
) -> Profiles:
    steps, predicted, doubts = profiled(_found.folder, lambda path: _trace(str(path), _stamp(path)))
    return Profiles(steps=steps, predicted=tuple(predicted), doubts=tuple(doubts))


@st.cache_resource(max_entries=_KEEP, show_spinner=False)
def _trace(path: str, stamp_ns: int) -> Trace:  # noqa: ARG001 - part of the key
    return accounted(read_trace(Path(path)))


def profile(path: Path, name: str, phase: str) -> Profile:
    """The profile of `name` in `phase` that lies at `path`. Errors: TraceError; ValueError for one without a span."""
    return _profile(str(path), _stamp(path), name, phase)


@st.cache_resource(max_entries=_KEEP, show_spinner=False)
def _profile(path: str, stamp_ns: int, name: str, phase: str) -> Profile:
    trace = _trace(path, stamp_ns)
    return Profile(trace=trace, calls=step_calls(trace, name, phase), lanes=scene(trace))


@dataclass(frozen=True, slots=True)
class Asked:
    """The part of a step that is looked at: `step`, `layer` or `rope`, and of which step and layer."""

    part: str
    step: int
    layer: int


def side(name: str, found: Profile, asked: Asked, step_ns: Figure | None) -> tuple[Panel, Side] | None:
    """That part of a profile, laid out and as a side of the timeline; None where the profile has no such call.

    Errors: ValueError where it ran nothing on the device.
    """
    row = found.calls.call(asked.part, asked.step, asked.layer)
    if row is None:
        return None
    gaps = found.lanes.gaps.filter(pl.col("device") == row["device"]).drop("device")
    panel = step_panel(name, found.calls, row, found.trace, gaps, step_ns)
    times = timelines.call_times(loading.Capture(found.trace, found.calls.of(asked.part, asked.step)))
    return panel, timelines.call_side(panel, name, name, found.lanes, times, row)
