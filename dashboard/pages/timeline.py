"""What happened? One call of each path under the other, on one time scale."""

import polars as pl
import streamlit as st

from rope_prof.dashboard import baseline, downloads, shell, timeline_component, timelines, view
from rope_prof.views.timeline.captions import call_answer, call_caption, call_panel, call_table
from rope_prof.views.timeline.layout import call_options, median_call
from rope_prof.views.timeline.picture import extent, timeline_drawing
from rope_prof.views.timeline.window import Shown
from rope_prof.views.words.labels import side_label

seen = shell.seen()
captured = shell.captured(seen)
with st.container(horizontal=True, vertical_alignment="center", key="rp-bar"):
    facts = shell.side_chooser(captured)
    with shell.guarded():
        captures = {f.key.name: seen.opened.capture(f) for f in facts}
        rows = {row.key: row for row in seen.opened.rows}
    options = call_options([c.calls for c in captures.values() if c is not None])
    asked = view.choose(st.query_params.get("call"), options, "call", view.MEDIAN)
    shell.note(asked.note)
    call = shell.pick("call", "Call", options, asked.value, width=170, text=view.call_label)
    giving = st.container(horizontal=True, horizontal_alignment="right")
view.remember(st.query_params, {"call": call})
with shell.guarded():
    base = baseline.guarded_chosen(seen)
zoom = shell.zoom(view.ZOOM)
start = shell.look(view.ZOOM)
shell.notes()
panels, sides, missing, told = [], [], [], []
keys = [f.key for f in captured]
for f in facts:
    capture = captures[f.key.name]
    number = None if capture is None else median_call(capture.calls) if call == view.MEDIAN else int(call)
    label = side_label(f.key, keys)
    if capture is None:
        missing.append(f"{label}: its trace is gone; restore {f.trace} or record the run again.")
        continue
    if number is None or number not in capture.calls["call"]:
        missing.append(f"{label}: no such call in its trace.")
        continue
    try:
        row_of = rows[f.key.name]
        laid = timelines.call_timeline(seen.folder, f.key.name, number, capture)
        drawn = call_panel(label, laid, row_of, None if base is None else base.of(row_of))
        lanes = timelines.captured_scene(seen.folder, f.key.name, capture)
    except ValueError as error:
        missing.append(f"{label}: {error}.")
        continue
    row = capture.calls.row(by_predicate=pl.col("call") == number, named=True)
    panels.append(drawn)
    told.append((label, row_of))
    sides.append(timelines.call_side(drawn, label, view.side(f.key), lanes, timelines.call_times(capture), row))


def show_call(clicked: int) -> None:
    st.query_params["call"] = str(clicked)


shell.title(call_answer(told))
if sides:
    shown = Shown(
        id="calls",
        sides=tuple(sides),
        fit=extent(panels),
        axis="from each call's first device event, as profiled",
        source=f"{seen.name} · {seen.words}",
        whole="One call, from zero to the next call",
        zoom=zoom,
        start=start,
    )
    timeline_component.timeline(shown, seen.palette, "timeline", show_call)
if panels:
    with giving:
        downloads.offer(
            seen,
            "timeline",
            drawing=lambda: timeline_drawing(panels, f"As profiled: {seen.name} · {seen.words}"),
            table=lambda: call_table(panels),
            lines=[f"{p.label}: {p.facts}" for p in panels],
            traces=downloads.traces_of(seen, facts),
        )
shell.caption(*missing)
with shell.fold("How to read this"):
    shell.caption(call_caption(panels))
