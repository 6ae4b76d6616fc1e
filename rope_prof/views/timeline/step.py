"""A profiled step, one of its layers or one rope call, laid out: heading, facts, and how far to believe the bubbles.

Takes what `analysis.requests.steps` found; divides nothing but what a heading says.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import polars as pl

from rope_prof.analysis.requests.steps import StepCalls
from rope_prof.analysis.run.rows import raw_trusted
from rope_prof.analysis.stats import Figure
from rope_prof.analysis.trace.calls import call_events
from rope_prof.model.trace import Trace
from rope_prof.units import duration
from rope_prof.views.draw.svg import Drawing
from rope_prof.views.timeline.captions import doubt_words, panel_facts
from rope_prof.views.timeline.layout import lay_out, median_call
from rope_prof.views.timeline.picture import Panel, timeline_drawing
from rope_prof.views.words.trust import ON_CPU

#: What a viewer may look at: value of an address -> the word for it.
PART_WORDS = {"step": "whole step", "layer": "one layer", "rope": "one rope call"}
PART_TITLES = {"step": "One step", "layer": "One layer", "rope": "One rope call"}


def usual_step(calls: StepCalls) -> int | None:
    """The step of median period; None where none ran anything."""
    return median_call(calls.steps)


def part_name(part: str, layer: int) -> str:
    """`layer 3`, `rope call of layer 3`."""
    return {"step": "a step", "layer": f"layer {layer}"}.get(part, f"rope call of layer {layer}")


def step_panel(
    path: str, calls: StepCalls, row: dict[str, Any], trace: Trace, gaps: pl.DataFrame | None, step_ns: Figure | None
) -> Panel:
    """The panel of `row`, one of `calls`; `step_ns` is the unprofiled step of that path, `gaps` those of its device.

    Errors: ValueError for a row without device events.
    """
    timeline = lay_out(row, call_events(trace, row), gaps)
    unprofiled = None if step_ns is None else step_ns.median
    inflation = calls.inflation(unprofiled)
    words = "no unprofiled step" if unprofiled is None else f"unprofiled step {duration(unprofiled)}"
    facts = panel_facts(str(row["range"]), timeline, words, inflation)
    return Panel(label=path, facts=facts, timeline=timeline, trusted=raw_trusted(inflation))


def layer_drawing(panels: Sequence[Panel], part: str, layer: int, phase: str) -> Iterator[Drawing]:
    """The panels of a layer or a rope call on one scale; a whole step has too many spans to be drawn."""
    if panels and part != "step":
        paths = " and ".join(panel.label for panel in panels)
        title = f"{part_name(part, layer).capitalize()}, {phase}: {paths} on one scale, as profiled"
        yield timeline_drawing(panels, title, f"{part}-{phase}")


def step_caption(panels: Sequence[Panel], part: str, layer: int) -> str:
    """What the picture shows, and what the profiler does to it."""
    if not panels:
        return ""
    text = (
        f"As the profiler saw it: {part_name(part, layer)} of each path, zero is its first device event. Launches and "
        "bubbles are stretched, since the profiler slows the host down, so that request times are measured without it. "
    )
    on_cpu = any(lane.label == "operators" for panel in panels for lane in panel.timeline.lanes)
    text += f"{ON_CPU} " if on_cpu else "Kernels are timed by the device itself. "
    text += doubt_words(panels)
    return text.strip()
