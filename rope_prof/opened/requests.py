"""Whole requests of an opened run: what was timed, what the profiled steps say, the layers to draw."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from threading import RLock

import msgspec

from rope_prof.analysis.requests.requests import (
    BASELINE,
    LogitsAgreement,
    Prediction,
    RequestRow,
    StepParts,
    agreements,
    prediction,
    request_rows,
    step_parts,
    step_times,
)
from rope_prof.analysis.requests.steps import step_calls
from rope_prof.analysis.run.noise import noise
from rope_prof.analysis.stats import Figure
from rope_prof.analysis.trace.analyze import accounted
from rope_prof.analysis.trace.gaps import device_gaps
from rope_prof.errors import TraceError
from rope_prof.io.kept import place
from rope_prof.io.run.requests import SAMPLES_FILE, EndToEndFolder
from rope_prof.io.trace.read import read_trace
from rope_prof.model.end_to_end import EndToEnd
from rope_prof.model.frozen import Frozen
from rope_prof.model.trace import Trace
from rope_prof.views.report.data import WholeRequests
from rope_prof.views.timeline.picture import Panel
from rope_prof.views.timeline.step import step_panel, usual_step

#: The path whose effect on a request is predicted from the baseline's profile.
PREDICTED = "fused"


class Profiles(Frozen, kw_only=True):
    """What all profiles of a run say: the parts of each step, what is predicted of it, why one is missing."""

    steps: Mapping[tuple[str, str], StepParts]
    predicted: tuple[Prediction, ...]
    doubts: tuple[str, ...]


class OpenedRequests:
    """The whole requests of one run, on demand and once; each profile is read once. May be shared by threads.

    `keep`: what the profiles say goes into the user's cache and comes from there; `read` keeps nothing itself.
    """

    def __init__(
        self, folder: EndToEndFolder, read: Callable[[Path], Trace] = read_trace, *, keep: bool = False
    ) -> None:
        self.folder = folder
        self._keep = keep
        self._lock = RLock()
        self._read = cache(read)
        self._profiles: Profiles | None = None
        self.rows: tuple[RequestRow, ...] = request_rows(folder.facts, folder.samples)
        self.agreed: tuple[LogitsAgreement, ...] = agreements(folder.facts)
        self.noise: Mapping[str, Figure] = noise(folder.samples)

    @property
    def facts(self) -> EndToEnd:
        """What was recorded of them."""
        return self.folder.facts

    @property
    def traces(self) -> dict[tuple[str, str], Path]:
        """(path, phase) -> the profile that is there, in the order of the run."""
        every = [(one.path, phase) for one in self.facts.paths for phase in one.traces or {}]
        return {key: path for key in every if (path := self.folder.trace_path(*key)) is not None}

    @property
    def profiles(self) -> Profiles:
        """What the profiles say. Errors: TraceError."""
        with self._lock:
            if self._profiles is None:
                traces = self.traces
                words = [msgspec.json.encode(self.facts), list(traces)]  # a doubt may name a file by its path
                every = [self.folder.path / SAMPLES_FILE, *traces.values()]
                if not self._keep or self._read.cache_info().currsize:  # what was read may be of other bytes
                    self._profiles = self._profiled()
                else:
                    with place([Profiles, *words, *every], every).asked(Profiles) as kept:
                        self._profiles = kept.value or kept.give(self._profiled())
            return self._profiles

    def _profiled(self) -> Profiles:
        steps: dict[tuple[str, str], StepParts] = {}
        predicted: list[Prediction] = []
        doubts: list[str] = []
        for one in self.facts.paths:
            for phase in one.traces or {}:
                path = self.folder.trace_path(one.path, phase)
                if path is None:
                    doubts.append(f"the profile of {phase} of {one.path} is gone from the folder")
                    continue
                trace = self._read(path)
                parts = step_parts(trace, one.path, phase)
                if parts is not None:
                    steps[one.path, phase] = parts
                if one.path == BASELINE and self.facts.machine.device == "cuda":
                    try:
                        outcome = prediction(self.folder.samples, trace, phase, PREDICTED)
                    except TraceError as error:
                        doubts.append(str(error))
                    else:
                        predicted += [outcome] if outcome else []
        return Profiles(steps=steps, predicted=tuple(predicted), doubts=tuple(doubts))

    def whole(self) -> WholeRequests:
        """All of it, with the layer to draw, for a report. Errors: TraceError."""
        with self._lock:
            found = self.profiles
            return WholeRequests(
                facts=self.facts,
                rows=self.rows,
                agreed=self.agreed,
                steps=found.steps,
                predicted=found.predicted,
                doubts=found.doubts,
                noise=self.noise,
                layers=self._layers(),
            )

    def _layers(self) -> dict[str, tuple[int, tuple[Panel, ...]]]:
        """Phase -> the layer in the middle of the step of median period, of every profiled path that has it."""
        times, layer = step_times(self.rows), self.facts.model.layers // 2
        panels: dict[str, list[Panel]] = {}
        for (name, phase), path in self.traces.items():
            trace = accounted(self._read(path))
            calls = step_calls(trace, name, phase)
            step = usual_step(calls)
            row = None if step is None else calls.call("layer", step, layer)
            if row is not None:
                gaps = None if row["device"] is None else device_gaps(trace, row["device"])
                with suppress(ValueError):  # it ran nothing on the device
                    panel = step_panel(name, calls, row, trace, gaps, times.get((name, phase)))
                    panels.setdefault(phase, []).append(panel)
        return {phase: (layer, tuple(drawn)) for phase, drawn in panels.items()}
