"""When did it change? The recordings kept under a name: medians with intervals, and where a level changed."""

import streamlit as st
from rope_prof.dashboard.drawing import draw

from rope_prof.analysis.comparison.changes import histories
from rope_prof.dashboard import shell, view
from rope_prof.io.run.baselines import Baselines
from rope_prof.views.blocks.history import history_answer, history_blocks
from rope_prof.views.blocks.model import Block, Picture

seen = shell.seen()
store = Baselines()
with shell.guarded():
    names = store.names()
if not names:
    shell.notes()
    shell.stop(
        f"No baseline in {store.address}. Keep a run under a name with “python -m rope_prof baseline set main RUN”."
    )
name = view.choose(st.query_params.get("kept"), list(names), "baseline", names[0])
shell.note(name.note)
with shell.guarded():
    by_title = {f"{one.operation} on {one.device}": one for one in histories(store.all(name.value))}
of = view.choose(st.query_params.get("of"), list(by_title), "operation and device", next(reversed(by_title)))
shell.note(of.note)
with st.container(horizontal=True, vertical_alignment="center", key="rp-bar"):
    shell.pick("kept", "Baseline", list(names), name.value, width=240, drop=("of",))
    shell.pick("of", "Operation and device", list(by_title), of.value, width=340)
shell.notes()
found = by_title[of.value]
shell.title(history_answer(found))
changes, *rest = history_blocks(found)
charts = [block for block in rest if isinstance(block, Picture)]
signed = f"{name.value} · {of.value}"
draw(charts[:1], signed, f"history-{name.value}-{of.value}")
folds: dict[str, list[Block]] = {
    "Changes of level": [changes],
    "Other keys": [*charts[1:]],
    "Figures and recordings": [block for block in rest if not isinstance(block, Picture)],
}
for title, blocks in folds.items():
    with shell.fold(title):
        draw(blocks, signed, f"history-{name.value}-{of.value}-{title}")
