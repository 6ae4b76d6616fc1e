"""What does Perfetto show? Every path of the case on one timeline, in the offline UI, inside the page."""

import streamlit as st

from rope_prof.dashboard import comparing, loading, shell, view
from rope_prof.io.layout import NATIVE_SUFFIX
from rope_prof.serve.server import embed_path, open_path

seen = shell.seen()
captured = shell.captured(seen)
shell.title("One call of each path, with bubbles named by their cause: drag to sum them.")
with shell.guarded():
    server = loading.perfetto(seen.folder)
name = f"{seen.case}{NATIVE_SUFFIX}"
facts: dict[tuple[str, str, str], str] = {(f.key.path, f.key.mode, f.key.l2): f.key.name for f in captured}
bases = view.bases(seen.folder.run, seen.case, {})
compared = [
    facts[side.path, side.mode, l2]
    for side in comparing.defaults(seen, bases)
    for l2 in seen.view.l2[:1]
    if (side.path, side.mode, l2) in facts
]
sides = compared if len(compared) == len(set(compared)) == 2 else ()
with st.container(horizontal=True, vertical_alignment="center", key="rp-bar"):
    st.link_button("Open in a window of its own", f"{server.address}{open_path(name, sides)}")
shell.notes()
st.iframe(f"{server.address}{embed_path(name, sides)}", height=820)
with shell.fold("What it opens on, and where it is served from"):
    shell.caption(
        "Call k of every path starts at one instant; the view opens on one call of each, with the two sides pinned "
        "that the page Compare holds against each other.",
        f"Served from {server.address} on this machine; nothing leaves it. Over ssh forward that port too.",
    )
