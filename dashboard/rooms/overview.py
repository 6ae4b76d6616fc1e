"""Did it help? One look: speedup, kernels, bubbles, accuracy, where it loses, machine."""

import streamlit as st

from rope_prof.dashboard import loading, shell
from rope_prof.views import panels
from rope_prof.views.overview import overview

seen = shell.seen()
with shell.guarded():
    found = overview(loading.rows(seen.folder), seen.case, seen.folder.run.machine.device)
run = seen.folder.run
st.html(
    panels.wrap(
        seen.palette,
        panels.case_line(found, run.machine),
        panels.headline(found),
        panels.cards(found),
        '<div class="rp-two">',
        panels.bars(found),
        panels.payoff(found),
        "</div>",
        panels.doubts(found),
        panels.machine(run),
    )
)
