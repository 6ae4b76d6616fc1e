"""What every room shares: header, choosers, notes, errors.

Names from files go through `st.html` escaped, never through Markdown.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any, NoReturn

import streamlit as st

from rope_prof.dashboard import loading, view
from rope_prof.errors import RopeProfError
from rope_prof.io.run_folder import RunFolder
from rope_prof.model.run import KeyFacts
from rope_prof.views.palette import Palette, palette

_HERE = Path(__file__).parent
ROOMS = {
    "overview": "Overview",
    "timeline": "Timeline",
    "kernels": "Kernels",
    "any_trace": "Any trace",
    "perfetto": "Perfetto",
}
PLOT = {"displaylogo": False, "scrollZoom": True, "modeBarButtonsToRemove": ["select2d", "lasso2d", "autoScale2d"]}


@dataclass(frozen=True, slots=True)
class Seen:
    """What is looked at: the run, its name, the case, and the colours of the viewer's ground."""

    name: str
    folder: RunFolder
    case: str
    palette: Palette


def pages() -> dict[str, Any]:
    """The rooms, found by path beside this file."""
    return {
        name: st.Page(str(_HERE / "rooms" / f"{name}.py"), title=title, url_path=name, default=name == "overview")
        for name, title in ROOMS.items()
    }


def style() -> None:
    """The sheet of the whole dashboard."""
    st.html(f"<style>{(_HERE / 'style.css').read_text(encoding='utf-8')}</style>")


def header(rooms: dict[str, Any]) -> Seen:
    """Word mark, rooms, and the choosers of run and case; stops with one sentence where there is nothing to show."""
    with st.container(horizontal=True, vertical_alignment="center", key="rp-head"):
        st.html('<span class="rp-mark">rope<i>_</i>prof</span>', width="content")
        for page in rooms.values():
            st.page_link(page, query_params=dict(st.query_params))
        places = st.container(horizontal=True, horizontal_alignment="right", key="rp-choose")
    named = loading.runs()
    if not named:
        stop(
            "There is no run to show. Record one with “python -m rope_prof record”, or name a run folder: "
            "“python -m rope_prof dashboard RUN”."
        )
    with places:
        name = _run_chooser(named)
    with guarded():
        folder = loading.run(named[name])
    if not folder.run.keys:
        stop(f"Run {name} holds no keys; record it again.")
    with places:
        case = _case_chooser(folder)
    view.remember(st.query_params, {"run": name, "case": case})
    return Seen(name, folder, case, palette(st.context.theme.type))


def _run_chooser(named: dict[str, Path]) -> str:
    chosen = view.choose(st.query_params.get("run"), list(named), "run", loading.default_run(named))
    note(chosen.note)
    return pick("run", "Run", list(named), chosen.value, width=250, drop=("case", "sides", "call"))


def _case_chooser(folder: RunFolder) -> str:
    options = view.cases(folder.run)
    chosen = view.choose(st.query_params.get("case"), options, "case", view.default_case(folder.run))
    note(chosen.note)
    return pick("case", "Case", options, chosen.value, width=250, drop=("call",))


def pick(
    name: str,
    label: str,
    options: Sequence[str],
    value: str,
    *,
    width: int,
    drop: Sequence[str] = (),
    text: Callable[[str], str] = str,
) -> str:
    """A chooser that shows the address's value of `name` and writes it there when it is changed."""
    key = f"pick-{name}"
    st.session_state[key] = value

    def write() -> None:
        for other in drop:
            st.query_params.pop(other, None)
        st.query_params[name] = st.session_state[key]

    st.selectbox(label, options, key=key, on_change=write, format_func=text, label_visibility="collapsed", width=width)
    return value


def side_chooser(facts: Sequence[KeyFacts]) -> list[KeyFacts]:
    """The captured keys that the viewer wants to see; the eager ones at first."""
    options = {view.side(f.key): f for f in facts}
    keys = [f.key for f in facts]
    chosen, unknown = view.choose_sides(st.query_params.get("sides"), list(options), view.default_sides(facts))
    note(unknown)
    st.session_state["pick-sides"] = list(chosen)

    def write() -> None:
        wanted = st.session_state["pick-sides"]
        st.query_params["sides"] = ",".join(name for name in options if name in wanted)

    st.pills(
        "Paths",
        list(options),
        selection_mode="multi",
        key="pick-sides",
        on_change=write,
        format_func=lambda name: view.side_label(options[name].key, keys),
        label_visibility="collapsed",
    )
    view.remember(st.query_params, {"sides": ",".join(chosen)})
    return [options[name] for name in chosen]


def note(sentence: str | None) -> None:
    """A quiet line on what was not as asked."""
    if sentence:
        st.session_state.setdefault("notes", []).append(sentence)


def notes() -> None:
    """Draw what was noted in this pass."""
    for sentence in st.session_state.pop("notes", []):
        st.html(f'<p class="rp-note" role="status">{escape(sentence)}</p>')


def title(text: str, about: str) -> None:
    """A room's question and what it shows."""
    st.html(f'<div class="rp-title"><h1>{escape(text)}</h1><p>{escape(about)}</p></div>')


def caption(*sentences: str) -> None:
    """The lines under a picture."""
    st.html("".join(f'<p class="rp-caption">{escape(sentence)}</p>' for sentence in sentences if sentence))


def stop(sentence: str) -> NoReturn:
    """One sentence in place of the page."""
    notes()
    st.html(f'<div class="rp-stop" role="alert">{escape(sentence)}</div>')
    st.stop()
    raise AssertionError("st.stop returned")


@contextmanager
def guarded() -> Iterator[None]:
    """Turns an error that a user can cure into its sentence; anything else is a bug and shows itself."""
    try:
        yield
    except RopeProfError as error:
        stop(str(error))


def seen() -> Seen:
    """What `app.py` put down for the room."""
    found: Seen = st.session_state["seen"]
    return found
