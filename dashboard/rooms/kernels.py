"""Where does device time go? Kernels of each path: picture and table."""

import streamlit as st

from rope_prof.dashboard import loading, shell, view
from rope_prof.views.captions import kernel_panel, kernel_table
from rope_prof.views.figures import kernels_figure

seen = shell.seen()
captured = view.captured(seen.folder.run, seen.case)
if not captured:
    shell.stop(f"No trace of case {seen.case} in run {seen.name}; choose another case, or record it again.")
with st.container(horizontal=True, vertical_alignment="center", key="rp-bar"):
    facts = shell.side_chooser(captured)
shell.notes()
keys = [f.key for f in captured]
tables = []
with shell.guarded():
    for f in facts:
        one = loading.account(seen.folder, f)
        if one is not None and one.reason is None:
            tables.append((view.side_label(f.key, keys), one.kernels, one.calls))
if not tables:
    shell.stop(
        f"Case {seen.case} in run {seen.name} has no calls to show: its trace is gone or empty; record it again."
    )
figure = kernels_figure(
    [kernel_panel(label, table, calls) for label, table, calls in tables],
    seen.palette,
    f"{seen.name} · {seen.case}",
)
st.plotly_chart(figure, theme=None, config=shell.PLOT, key="kernels")
st.dataframe(
    kernel_table([(label, table) for label, table, _ in tables]),
    hide_index=True,
    width="stretch",
    column_config={
        "share": st.column_config.ProgressColumn("share of the path", format="percent", min_value=0, max_value=1),
        "a call": st.column_config.NumberColumn(format="%.4g"),
        "µs a call": st.column_config.NumberColumn(format="%.3f"),
        "µs each": st.column_config.NumberColumn("µs each, median", format="%.3f"),
        "kernel": st.column_config.TextColumn(width="large"),
    },
)
