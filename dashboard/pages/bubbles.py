"""Why was it idle? Causes by share, how long the gaps are, and the longest with the host call responsible."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

import streamlit as st
from rope_prof.dashboard.drawing import draw

from rope_prof.analysis.trace.idle import around, whole_gaps
from rope_prof.dashboard import baseline, captures, downloads, shell, view
from rope_prof.units import zoom_text
from rope_prof.views.blocks import bubbles as bubble_blocks
from rope_prof.views.blocks.model import Words
from rope_prof.views.draw.stack import stacked
from rope_prof.views.words.trust import ON_CPU

_ROWS = (
    "A row’s call and length lead to the timeline, at that call and that gap. Kernel after: the one whose launch ended "
    "the gap; launched by, thread and inside: that launch, its host thread, and the operator or range in which it was "
    "made."
)

seen = shell.seen()
captured = shell.captured(seen)
with st.container(horizontal=True, vertical_alignment="center", key="rp-bar"):
    facts = shell.side_chooser(captured)
    giving = st.container(horizontal=True, horizontal_alignment="right")
with shell.guarded():
    base = baseline.guarded_chosen(seen)
    told, missing = captures.of_sides(seen, facts, [f.key for f in captured])
    found = {name: captures.bubbles(*pair) for name, pair in told.items()}
    held = captures.held(base)
shell.notes()
shell.title(bubble_blocks.bubble_answer(list(found.values())))
if not found:
    shell.stop(f"{seen.words} in run {seen.name} has no calls to show: its trace is gone or empty; record it again.")
keys = {f.key.name: f.key for f in captured}


def timeline(one: bubble_blocks.Bubbles, gap: Mapping[str, Any]) -> str:
    """The address of the timeline of that gap: its path alone, the call that it lies in, and the gap all over."""
    key = keys[one.side.row.key]
    there = {"path": key.path, "mode": key.mode, "l2": key.l2, "call": str(gap["call"])}
    return f"timeline?{urlencode(st.query_params.to_dict() | there | {view.ZOOM: zoom_text(around(gap))})}"


sides = list(found.values())
name = f"{seen.name} · {seen.words}"
told_of = [ON_CPU if seen.folder.run.machine.device == "cpu" else "", *missing]
told_of.append("" if base is None or base.caveat is None else base.caveat)
words = [bubble_blocks.lean(sides), *told_of]
parts = list(bubble_blocks.parts_figure(sides, name))
draw([replace(one, caption="") for one in parts], name, "parts")
shell.caption(*told_of)
with shell.fold("A call of each path, in figures"):
    draw([bubble_blocks.account_table(sides, held), *(Words(text=one.caption) for one in parts)], name, "account")
if any(one.idle is not None for one in sides):
    causes = bubble_blocks.causes_figure(sides, name)
    with shell.fold("Idle time by cause, under the profiler"):
        draw([replace(causes, title=""), bubble_blocks.profiled_table(sides, held)], name, "causes")
        shell.caption(bubble_blocks.lean(sides))
    with shell.fold("How long the gaps are, as profiled"):
        draw([replace(bubble_blocks.lengths_figure(sides, name), title="")], name, "lengths")
    with shell.fold("The longest gaps, as profiled"):
        draw([replace(bubble_blocks.worst_table(sides, timeline), title="")], name, "worst")
        shell.caption(_ROWS)
    without = [one.label for one in sides if one.idle is None]
    shell.caption(f"No gap at all: {', '.join(without)}." if without else "")
else:
    shell.caption(
        "No gap in any of the captured calls: the device was never idle between their events.",
        bubble_blocks.lean(sides),
    )
with giving:
    stem = "-".join((seen.name.replace("/", "-"), seen.case, "bubbles"))
    downloads.offer(
        seen,
        "bubbles",
        drawing=(
            (lambda: stacked(bubble_blocks.bubble_drawings(sides, name), stem))
            if any(one.idle is not None for one in sides)
            else None
        ),
        table=lambda: bubble_blocks.gap_frame(
            {one.label: (whole_gaps(told[key][1].gaps), one.trusted) for key, one in found.items()}
        ),
        markdown=(
            "Table, Markdown",
            downloads.as_markdown(stem, lambda: bubble_blocks.account_frame(sides, held), [w for w in words if w]),
        ),
        traces=downloads.traces_of(seen, facts),
    )
