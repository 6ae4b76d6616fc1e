"""The timeline as a component of Streamlit: mounts it, hands its look to the views, writes it into the address.

The component owns its viewport. What it sends is one state, `look`; a click on a row of the overlaid calls is the
trigger `call`. It lives in a fragment, so that a zoom reruns nothing but itself.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import streamlit as st

from rope_prof.dashboard import shell, view
from rope_prof.units import zoom_text
from rope_prof.views.draw.palette import Palette
from rope_prof.views.timeline.look import look_of
from rope_prof.views.timeline.window import Shown, window

_FOLDER = Path(__file__).parent / "component"
_SCRIPTS = ("data.js", "find.js", "paint.js", "words.js", "flame.js", "memory.js", "input.js", "main.js")


def _text(*names: str) -> str:
    return "\n".join((_FOLDER / name).read_text(encoding="utf-8") for name in names)


_component = st.components.v2.component(
    "rope_prof_timeline", html=_text("timeline.html"), css=_text("timeline.css"), js=_text(*_SCRIPTS)
)


@st.fragment
def timeline(
    shown: Shown, palette: Palette, key: str, on_call: Callable[[int], None] | None = None, zoom_name: str = view.ZOOM
) -> None:
    """Draw `shown` under that `key`, its zoom in the address as `zoom_name`, the rest of its look beside it.

    `on_call` gets the number of a call that was clicked among the overlaid ones.
    """

    def looked() -> None:
        look = look_of(st.session_state[key].get("look"))
        shell.zoomed(zoom_name, view.FIT if look.window is None else zoom_text(look.window))
        shell.looked(zoom_name, look)

    def called() -> None:
        number = st.session_state[key].get("call")
        if on_call is not None and isinstance(number, (int, float)):
            on_call(int(number))

    state: Any = st.session_state.get(key) or {}
    sent = state.get("look")
    data = window(shown, shown.start if sent is None else look_of(sent), palette)
    result = _component(key=key, data=data, on_look_change=looked, on_call_change=called)
    if result.get("call") is not None:
        st.rerun()
