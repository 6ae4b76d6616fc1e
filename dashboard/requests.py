"""Whole requests of a run: read, judged and laid out once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import polars as pl
from rope_prof.dashboard.kept import kept

from rope_prof.analysis.requests.per_layer import PerLayer
from rope_prof.analysis.requests.steps import StepCalls, step_calls
from rope_prof.analysis.stats import Figure
from rope_prof.analysis.trace.analyze import accounted
from rope_prof.dashboard import DEFAULT_RUN, loading, timelines
from rope_prof.io.run.folder import RunFolder, shipped_runs
from rope_prof.io.run.requests import FACTS_FILE
from rope_prof.model.trace import Trace
from rope_prof.opened.requests import OpenedRequests
from rope_prof.opened.run import Capture
from rope_prof.views.timeline.picture import Panel
from rope_prof.views.timeline.scene import Scene, scene
from rope_prof.views.timeline.step import step_panel
from rope_prof.views.timeline.window import WindowSide

_KEEP = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """One profile, ready to be drawn."""

    trace: Trace
    calls: StepCalls
    lanes: Scene


def shipped(named: Mapping[str, Path]) -> str | None:
    """The shipped run with whole requests among those that the viewer can choose; None where it is not there."""
    wanted = shipped_runs().resolve() / DEFAULT_RUN
    return next((n for n, path in named.items() if path == wanted and (path / FACTS_FILE).is_file()), None)


def whole(folder: RunFolder) -> OpenedRequests | None:
    """The whole requests of that run; None where it measured none. Errors: RunError."""
    return loading.opened(folder.path).requests


def per_layer(folder: RunFolder) -> tuple[PerLayer, ...]:
    """What the run's calls foretell of them. Errors: RunError."""
    return loading.opened(folder.path).per_layer


@kept(_KEEP)
def profile(path: Path, name: str, phase: str) -> Profile:
    """The profile of `name` in `phase` that lies at `path`. Errors: TraceError; ValueError for one without a span."""
    trace = accounted(loading.trace(path))
    return Profile(trace=trace, calls=step_calls(trace, name, phase), lanes=scene(trace))


@dataclass(frozen=True, slots=True)
class Asked:
    """The part of a step that is looked at: `step`, `layer` or `rope`, and of which step and layer."""

    part: str
    step: int
    layer: int


def side(name: str, found: Profile, asked: Asked, step_ns: Figure | None) -> tuple[Panel, WindowSide] | None:
    """That part of a profile, laid out and as a side of the timeline; None where the profile has no such call.

    Errors: ValueError where it ran nothing on the device.
    """
    row = found.calls.call(asked.part, asked.step, asked.layer)
    if row is None:
        return None
    gaps = found.lanes.gaps.filter(pl.col("device") == row["device"]).drop("device")
    panel = step_panel(name, found.calls, row, found.trace, gaps, step_ns)
    times = timelines.call_times(Capture(found.trace, found.calls.of(asked.part, asked.step)))
    return panel, timelines.call_side(panel, name, name, found.lanes, times, row)
