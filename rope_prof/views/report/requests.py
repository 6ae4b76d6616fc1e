"""Section 7 of a report: whole requests, and one layer of a profiled step."""

from __future__ import annotations

from collections.abc import Iterator

from rope_prof.analysis.requests.requests import step_times
from rope_prof.views.blocks import requests as blocks
from rope_prof.views.blocks.model import Block, Bullets, Picture, Words
from rope_prof.views.report.data import WholeRequests
from rope_prof.views.timeline.step import layer_drawing, step_caption
from rope_prof.views.words.requests import end_to_end_notes, headline, layer_lines, prediction_lines


def requests(found: WholeRequests | None) -> tuple[Block, ...]:
    """Nothing where the run measured no whole requests."""
    if found is None:
        return ()
    foretold = (*layer_lines(found.per_layer), *prediction_lines(found.predicted))
    lines = (*foretold, *blocks.share_lines(found.steps), *blocks.noise_lines(found.noise))
    notes = (*found.doubts, *end_to_end_notes(found.facts))
    return (
        Words(text=headline(found.facts, found.rows) + "."),
        *blocks.request_picture(found.rows, found.facts.request.decode_tokens),
        blocks.times_table(found.rows),
        *((Bullets(items=lines),) if lines else ()),
        *blocks.prediction_picture(found.predicted),
        *blocks.step_picture(found.steps, step_times(found.rows)),
        *blocks.steps_table(found.steps),
        *_layers(found),
        *blocks.agreement_table(found.agreed),
        *((Bullets(items=notes),) if notes else ()),
    )


def _layers(found: WholeRequests) -> Iterator[Picture]:
    """One layer of a profiled step, each path under the other on one scale."""
    for phase, (layer, panels) in found.layers.items():
        for drawing in layer_drawing(panels, "layer", layer, phase):
            yield Picture(
                name=drawing.name,
                drawing=drawing,
                title=drawing.title,
                caption=step_caption(panels, "layer", layer),
                folded=phase != "decode",
                where="both" if phase == "decode" else "page",
            )
