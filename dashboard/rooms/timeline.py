"""What happened? One call of each path under the other, on one time scale."""

import streamlit as st

from rope_prof.analysis.summary import INFLATION_LIMIT
from rope_prof.dashboard import loading, shell, view
from rope_prof.views import panels
from rope_prof.views.captions import call_caption, legend_of, panel
from rope_prof.views.figures import timeline_figure
from rope_prof.views.timeline import call_options, median_call

seen = shell.seen()
captured = view.captured(seen.folder.run, seen.case)
if not captured:
    shell.stop(f"No trace of case {seen.case} in run {seen.name}; choose another case, or record it again.")
with st.container(horizontal=True, vertical_alignment="center", key="rp-bar"):
    facts = shell.side_chooser(captured)
    with shell.guarded():
        captures = {f.key.name: loading.capture(seen.folder, f) for f in facts}
        rows = {row.key: row for row in loading.rows(seen.folder)}
    options = call_options([c.calls for c in captures.values() if c is not None])
    asked = view.choose(st.query_params.get("call"), options, "call", view.MEDIAN)
    shell.note(asked.note)
    call = shell.pick("call", "Call", options, asked.value, width=170, text=view.call_label)
view.remember(st.query_params, {"call": call})
shell.notes()
drawn, missing = [], []
keys = [f.key for f in captured]
for f in facts:
    capture = captures[f.key.name]
    number = None if capture is None else median_call(capture.calls) if call == view.MEDIAN else int(call)
    label = view.side_label(f.key, keys)
    if capture is None:
        missing.append(f"{label}: its trace is gone; restore {f.trace} or record the run again.")
        continue
    if number is None or number not in capture.calls["call"]:
        missing.append(f"{label}: no such call in its trace.")
        continue
    try:
        drawn.append(panel(label, loading.timeline(capture, number), rows[f.key.name]))
    except ValueError as error:
        missing.append(f"{label}: {error}.")
if drawn:
    st.html(panels.wrap(seen.palette, panels.legend(legend_of(drawn))))
    figure = timeline_figure(drawn, seen.palette, f"{seen.name} · {seen.case}")
    st.plotly_chart(figure, theme=None, config=shell.PLOT, key="timeline")
shell.caption(call_caption(drawn, INFLATION_LIMIT), *missing)
