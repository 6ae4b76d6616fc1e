"""The part of a profiled step that the viewer looks at: its choosers, and each path's side of the timeline.

The address has `phase`, `part` (step, layer or rope call), `layer` and `step`; a part is drawn from its own zero, so
that the same layer of two paths starts together. Another part is shown whole; all else keeps the window.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import streamlit as st

from rope_prof.dashboard import requests, shell, view
from rope_prof.errors import RopeProfError
from rope_prof.views.draw.requests import Times
from rope_prof.views.timeline.layout import call_options
from rope_prof.views.timeline.look import Look
from rope_prof.views.timeline.picture import Panel
from rope_prof.views.timeline.step import PART_WORDS, usual_step
from rope_prof.views.timeline.window import WindowSide

Files = Mapping[tuple[str, str], Path]
_FITS = "step-fits"


@dataclass(frozen=True, slots=True, kw_only=True)
class StepLook:
    """What is looked at: values of the address that exist; `step` is its `median` or a number."""

    phase: str
    part: str
    layer: str
    step: str

    @property
    def id(self) -> str:
        """Changes where an old window means nothing: with the part, and where one is asked to be shown whole."""
        return f"{self.part}/{st.session_state.get(_FITS, 0)}"

    def show_call(self, number: int) -> None:
        """That step, or the layer or rope call of that number, from now on."""
        st.query_params["step" if self.part == "step" else "layer"] = str(number)


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawnSteps:
    """The same part of each profiled path, and why one is missing."""

    panels: tuple[Panel, ...]
    sides: tuple[WindowSide, ...]
    lost: tuple[str, ...]


def opened(files: Files, phase: str) -> tuple[dict[str, requests.Profile], list[str]]:
    """(path -> its profile of that phase, why one cannot be read)."""
    found, lost = {}, []
    for (name, of), path in files.items():
        if of == phase:
            try:
                found[name] = requests.profile(path, name, of)
            except (RopeProfError, ValueError) as error:
                lost.append(f"No timeline of {name}: {error}")
    return found, lost


def chosen_phase(files: Files) -> str:
    """The phase that the address asks for; decode where it says nothing and there is one."""
    phases = _phases(files)
    asked = view.choose(st.query_params.get("phase"), phases, "phase", "decode" if "decode" in phases else phases[0])
    shell.note(asked.note)
    return asked.value


def _phases(files: Files) -> list[str]:
    return list(dict.fromkeys(phase for _, phase in files))


def choosers(files: Files, phase: str, profiles: Mapping[str, requests.Profile]) -> StepLook:
    """Draw the choosers, with what the address asks for."""
    steps = call_options([one.calls.steps for one in profiles.values()])
    step = view.choose(st.query_params.get("step"), steps, "step", view.MEDIAN)
    layers = _layers(profiles, step.value)
    layer = view.choose(st.query_params.get("layer"), layers, "layer", layers[len(layers) // 2])
    part = view.choose(st.query_params.get("part"), list(PART_WORDS), "part", "step")
    for choice in (step, layer, part):
        shell.note(choice.note)
    look = StepLook(phase=phase, part=part.value, layer=layer.value, step=step.value)
    view.remember(st.query_params, {"phase": look.phase, "part": look.part, "layer": look.layer, "step": look.step})
    with st.container(horizontal=True, vertical_alignment="center", key="rp-steps"):
        shell.switch("phase", "Phase", _phases(files), look.phase)
        shell.switch("part", "Part", list(PART_WORDS), look.part, text=PART_WORDS.__getitem__, then=_fit)
        shell.pick("layer", "Layer", layers, look.layer, width=120, text=lambda number: f"layer {number}")
        shell.pick("step", "Step", steps, look.step, width=150, text=_step_label)
    return look


def _layers(profiles: Mapping[str, requests.Profile], step: str) -> list[str]:
    """The layers of that step of the profile with the most."""
    numbers = [(one, _number(one, step)) for one in profiles.values()]
    most = max((one.calls.of("layer", n).height for one, n in numbers if n is not None), default=0)
    return [str(n) for n in range(max(most, 1))]


def _number(found: requests.Profile, step: str) -> int | None:
    return usual_step(found.calls) if step == view.MEDIAN else int(step)


def _step_label(value: str) -> str:
    return "median step" if value == view.MEDIAN else f"step {value}"


def _fit() -> None:
    shell.zoomed(view.STEP_ZOOM, view.FIT)
    shell.looked(view.STEP_ZOOM, Look())
    st.session_state[_FITS] = st.session_state.get(_FITS, 0) + 1


def drawn(look: StepLook, profiles: Mapping[str, requests.Profile], times: Times) -> DrawnSteps:
    """Each profile's side; `times` are the unprofiled steps."""
    panels, sides, lost = [], [], []
    for name, one in profiles.items():
        step = _number(one, look.step)
        try:
            asked = None if step is None else requests.Asked(look.part, step, int(look.layer))
            found = None if asked is None else requests.side(name, one, asked, times.get((name, look.phase)))
        except ValueError as error:
            lost.append(f"{name}: {error}.")
            continue
        if found is None:
            lost.append(f"{name}: its profile holds no such call.")
            continue
        panels.append(found[0])
        sides.append(found[1])
    return DrawnSteps(panels=tuple(panels), sides=tuple(sides), lost=tuple(lost))
