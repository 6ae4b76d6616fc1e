"""What every page shares: header, choosers, notes, errors.

Names from files go through `st.html` escaped, never through Markdown.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

import streamlit as st

from rope_prof.dashboard import loading, uploads, view
from rope_prof.errors import RopeProfError
from rope_prof.io.run.folder import RunFolder
from rope_prof.model.run import KeyFacts
from rope_prof.opened.run import OpenedRun
from rope_prof.views.draw.palette import Palette, palette
from rope_prof.views.timeline.look import WORDS, Look, look_asked, look_words, zoom_of
from rope_prof.views.words.labels import side_label

if TYPE_CHECKING:
    import polars as pl

_HERE = Path(__file__).parent
#: A page has been drawn to its end, or to where it stopped.
drawn = threading.Event()


class PageWords(NamedTuple):
    """What stands in a page's link and at its head."""

    title: str
    question: str


#: name -> how a page is called, and what it asks. Its answer stands under that, or why there is none.
PAGES = {
    "overview": PageWords("Overview", "Did it help?"),
    "timeline": PageWords("Timeline", "What happened in one call, as profiled?"),
    "bubbles": PageWords("Bubbles", "Why was it idle?"),
    "kernels": PageWords("Kernels", "Where does GPU time go?"),
    "sweep": PageWords("Sweep", "When does it pay?"),
    "compare": PageWords("Compare", "Is it better?"),
    "history": PageWords("History", "When did it change?"),
    "end_to_end": PageWords("End to end", "Does the user feel it?"),
    "any_trace": PageWords("Any trace", "What should I fix first?"),
    "two_traces": PageWords("Two traces", "What changed between two traces?"),
    "ranks": PageWords("Ranks", "Which rank is late?"),
    "perfetto": PageWords("Perfetto", "What does Perfetto show?"),
}
#: Rooms that need no key of the run, and may be looked at where it has none.
_KEYLESS = ("end_to_end", "any_trace", "two_traces", "ranks", "history")


@dataclass(frozen=True, slots=True)
class Seen:
    """What is looked at: the run, its name, the case, the colours of the viewer's ground, and the rest of the view."""

    name: str
    folder: RunFolder
    case: str
    palette: Palette
    view: view.View

    @property
    def opened(self) -> OpenedRun:
        """Everything that is made of the run."""
        return loading.opened(self.folder.path)

    @property
    def words(self) -> str:
        """The case as people say it."""
        return next((f.key.case.words for f in self.folder.run.keys if f.key.case.name == self.case), self.case)


def pages() -> dict[str, Any]:
    """The pages, found by path beside this file."""
    return {
        name: st.Page(str(_HERE / "pages" / f"{name}.py"), title=words.title, url_path=name, default=name == "overview")
        for name, words in PAGES.items()
    }


def style() -> None:
    """The sheet of the whole dashboard."""
    st.html(f"<style>{(_HERE / 'style.css').read_text(encoding='utf-8')}</style>")


def header(pages: dict[str, Any], page: str) -> Seen:
    """Word mark, pages, and the choosers of run, case and baseline; stops with one sentence where there is no run.

    Of a run without keys (`model` writes one) only the pages that need none can be looked at.
    The links are drawn last: each of them names the whole view.
    """
    st.session_state["asked"], st.session_state["titled"] = PAGES[page].question, False
    with st.container(horizontal=True, vertical_alignment="center", key="rp-head"):
        st.html('<span class="rp-mark">rope<i>_</i>prof</span>', width="content")
        links = st.container(horizontal=True, vertical_alignment="center", key="rp-links")
    places = st.container(horizontal=True, vertical_alignment="center", key="rp-choose")
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
        return _without_keys(name, folder, pages, page, links)
    with places:
        case = _case_chooser(folder)
        found = view.bases(folder.run, case, {n: f.run for n, f in loading.other_runs(named, name).items()})
        settled = view.settle(st.query_params.to_dict(), folder.run, case, [*found, view.NO_BASELINE])
        options = [*found, view.NO_BASELINE]
        pick("base", "Baseline", options, settled.base, width=280, text=lambda value: view.base_label(value, found))
    for sentence in settled.notes:
        note(sentence)
    view.remember(st.query_params, {"run": name, "case": case, **settled.address})
    zoom(view.ZOOM)
    look(view.ZOOM)
    _link(pages, links)
    return Seen(name, folder, case, palette(st.context.theme.type), settled)


def _link(pages: dict[str, Any], links: Any) -> None:
    with links:
        for page in pages.values():
            st.page_link(page, query_params=st.query_params.to_dict())


def _without_keys(name: str, folder: RunFolder, pages: dict[str, Any], page: str, links: Any) -> Seen:
    """What is seen of a run that holds no case; stops in a page that needs one."""
    view.remember(st.query_params, {"run": name})
    _link(pages, links)
    if page not in _KEYLESS:
        with guarded():
            whole = folder.end_to_end is not None
        stop(
            f"Run {name} holds whole requests alone; the page {PAGES['end_to_end'].title} shows them."
            if whole
            else f"Run {name} holds no keys; record it again."
        )
    nothing = view.View(paths=(), modes=(), l2=(), call=view.MEDIAN, base=view.NO_BASELINE)
    return Seen(name, folder, "", palette(st.context.theme.type), nothing)


def _of_case(folder: Path) -> tuple[str, ...]:
    """What in the address belongs to one case, its axes too: another one begins with its own. No axis of a bad run."""
    try:
        axes = loading.run(folder).run.operation.axes
    except RopeProfError:
        axes = ()
    return ("call", *(view.axis_word(axis.name) for axis in axes))


def _run_chooser(named: dict[str, Path]) -> str:
    chosen = view.choose(st.query_params.get("run"), list(named), "run", loading.default_run(named))
    note(chosen.note)
    return pick(
        "run", "Run", list(named), chosen.value, width=250, drop=(*_of_case(named[chosen.value]), "step", "layer")
    )


def _case_chooser(folder: RunFolder) -> str:
    options = view.cases(folder.run)
    chosen = view.choose(st.query_params.get("case"), options, "case", view.default_case(folder.run))
    note(chosen.note)
    words = {facts.key.case.name: facts.key.case.words for facts in folder.run.keys}
    return pick("case", "Case", options, chosen.value, width=350, drop=_of_case(folder.path), text=words.__getitem__)


def zoom(name: str) -> tuple[float, float] | None:
    """The window that the address asks for under `name`; None, with a note where it is none, for all of it."""
    asked = _newest(name) or view.FIT
    found = zoom_of(asked)
    if found is None and asked != view.FIT:
        note(f"no zoom '{asked}'; expected two times in µs as in '-10~250'; showing all of it")
        asked = view.FIT
    _told(name, asked, linked=asked)
    return found


def zoomed(name: str, text: str) -> None:
    """The viewer's new window under `name`, in the address and for the links that still have the old one."""
    _told(name, text)


def look(zoom_name: str) -> Look:
    """The rest of the look that the address asks for beside that zoom: picked span, stretch, search, groups."""
    words = {name: _newest(f"{_beside(zoom_name)}{name}") or "" for name in WORDS}
    for name, word in words.items():
        _told(f"{_beside(zoom_name)}{name}", word, linked=word)
    return look_asked(words)


def looked(zoom_name: str, now: Look) -> None:
    """The viewer's new look, as `zoomed`."""
    for name, word in look_words(now).items():
        _told(f"{_beside(zoom_name)}{name}", word)


def _beside(zoom_name: str) -> str:
    return zoom_name.removesuffix(view.ZOOM)


def _newest(name: str) -> str | None:
    """What the address says under `name`.

    The links of a page were drawn before the viewer changed it there: where one brings it back, the newer one wins.
    """
    asked = st.query_params.get(name)
    linked, newer = st.session_state.setdefault("told", {}).get(name, (None, None))
    return newer if newer is not None and (asked or "") == (linked or "") else asked


def _told(name: str, text: str, linked: str | None = None) -> None:
    """Write that into the address, nothing where it is empty; `linked` is what links will say from now on."""
    memory = st.session_state.setdefault("told", {})
    memory[name] = (memory.get(name, (None, None))[0] if linked is None else linked, text)
    if text:
        view.remember(st.query_params, {name: text})
    else:
        st.query_params.pop(name, None)


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


def captured(seen: Seen) -> list[KeyFacts]:
    """The keys of the case that have a trace; stops where none has."""
    found = view.captured(seen.folder.run, seen.case)
    if not found:
        stop(f"No trace of {seen.words} in run {seen.name}; choose another case, or record it again.")
    return found


def side_chooser(facts: Sequence[KeyFacts]) -> list[KeyFacts]:
    """Those of `facts` whose path, mode and L2 state the viewer chose; a chooser of each that has two values."""
    keys = [f.key for f in facts]
    chosen = seen().view
    for name, label, has, now in (
        ("path", "Paths", [key.path for key in keys], chosen.paths),
        ("mode", "Modes", [key.mode for key in keys], chosen.modes),
        ("l2", "L2", [key.l2 for key in keys], chosen.l2),
    ):
        options = list(dict.fromkeys(has))
        if len(options) > 1:
            chips(name, label, options, [value for value in now if value in options])
    found = [f for f in facts if chosen.has(f.key)]
    if not found and facts:
        asked = f"{', '.join(chosen.paths)} in mode {', '.join(chosen.modes)}"
        note(f"nothing recorded of {asked} in this case; showing {side_label(keys[0], keys)}")
        return [facts[0]]
    return found


def chips(
    name: str, label: str, options: Sequence[str], value: Sequence[str], text: Callable[[str], str] = str
) -> None:
    """Chips that show which of `options` the address's list `name` has, and write it there when one is changed."""
    key = f"pick-{name}"
    st.session_state[key] = list(value)

    def write() -> None:
        wanted = st.session_state[key]
        st.query_params[name] = ",".join(option for option in options if option in wanted)

    st.pills(
        label,
        options,
        selection_mode="multi",
        key=key,
        on_change=write,
        format_func=lambda option: plain(text(option)),
        label_visibility="collapsed",
    )


def switch(
    name: str,
    label: str,
    options: Sequence[str],
    value: str,
    *,
    text: Callable[[str], str] = str,
    then: Callable[[], None] | None = None,
) -> str:
    """Buttons of which the one of the address's value of `name` is on; a press writes another and does `then`.

    A press on the one that is on does `then` alone.
    """
    key = f"pick-{name}"
    st.session_state[key] = value

    def write() -> None:
        st.query_params[name] = st.session_state[key] or value
        if then is not None:
            then()

    st.segmented_control(
        label,
        options,
        key=key,
        on_change=write,
        format_func=lambda option: plain(text(option)),
        label_visibility="collapsed",
    )
    return value


def plain(text: str) -> str:
    """That text letter for letter in a label, which Streamlit reads as Markdown with emoji codes and bare links."""
    escaped = re.sub(r"([\\`*_{}\[\]()<>#+\-!|$~&])", r"\\\1", text)
    return re.sub(r"([:@]|www\.)", "\\1\u2060", escaped)


def note(sentence: str | None) -> None:
    """A quiet line on what was not as asked."""
    if sentence:
        st.session_state.setdefault("notes", []).append(sentence)


def notes() -> None:
    """Draw what was noted in this pass."""
    for sentence in st.session_state.pop("notes", []):
        st.html(f'<p class="rp-note" role="status">{escape(sentence)}</p>')


def title(answer: str, question: str = "") -> None:
    """The page's question, or that one, and its answer in a sentence."""
    asked = question or st.session_state["asked"]
    st.session_state["titled"] = True
    said = f"<p>{escape(answer)}</p>" if answer else ""
    st.html(f'<div class="rp-title"><h1>{escape(asked)}</h1>{said}</div>')


def caption(*sentences: str) -> None:
    """The lines under a picture; nothing where all are empty."""
    if any(sentences):
        st.html("".join(f'<p class="rp-caption">{escape(sentence)}</p>' for sentence in sentences if sentence))


def table(frame: pl.DataFrame, *, words: Sequence[str], wide: str | None = None) -> None:
    """A table that scrolls past a dozen rows: columns of `words` are text, `wide` the long one, the rest numbers."""
    st.dataframe(
        frame,
        hide_index=True,
        width="stretch",
        height=min(36 * (frame.height + 1) + 2, 420),
        column_config=({} if wide is None else {wide: st.column_config.TextColumn(width="large")})
        | {name: st.column_config.NumberColumn(format="localized") for name in frame.columns if name not in words},
    )


def fold(title: str) -> AbstractContextManager[Any]:
    """What stands in it opens under that title: a page's question, its answer and one picture stand without."""
    return st.expander(plain(title))


def stop(sentence: str) -> NoReturn:
    """One sentence in place of the page, under the question that it leaves open."""
    notes()
    if not st.session_state["titled"]:
        title("")
    st.html(f'<div class="rp-stop" role="alert">{escape(sentence)}</div>')
    st.stop()
    raise AssertionError("st.stop returned")


@contextmanager
def guarded() -> Iterator[None]:
    """Turns an error that a user can cure into its sentence; anything else is a bug and shows itself."""
    try:
        yield
    except RopeProfError as error:
        stop(sentence_of(error))


def sentence_of(error: Exception) -> str:
    """What an error says, with the names that uploaded files have for their viewer."""
    return uploads.named(str(error))


def seen() -> Seen:
    """What `app.py` put down for the page."""
    found: Seen = st.session_state["seen"]
    return found
