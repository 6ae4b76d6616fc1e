"""What changed between two traces? Any two files, or two ranges of one: a sentence, parts that add up, kernels."""

from html import escape
from pathlib import Path

import streamlit as st
from rope_prof.dashboard.drawing import draw

from rope_prof.analysis.diff.side import TraceSide
from rope_prof.dashboard import (
    allowed_files,
    downloads,
    foreign_traces,
    loading,
    shell,
    timeline_component,
    uploads,
    view,
)
from rope_prof.errors import RopeProfError
from rope_prof.units import size
from rope_prof.views.blocks.model import Picture, Table, folded
from rope_prof.views.blocks.trace_diff import aligned_title, change_frame, diff_blocks, diff_sentence
from rope_prof.views.draw.stack import stacked
from rope_prof.views.timeline.aligned import aligned_drawing, aligned_pair, calls_of, common_window
from rope_prof.views.timeline.look import Look
from rope_prof.views.timeline.window import Shown

SIDES = {"before": "Before", "after": "After"}
WHOLE = "the whole device"
#: So many calls of a side can be chosen; the address takes any.
MOST_CALLS = 500

seen = shell.seen()
folders = loading.trace_folders()
names = allowed_files.offered(folders)


def opens(side: str, key: str) -> None:
    """The chosen file of that side into the address; its range begins anew."""
    st.query_params[side] = st.session_state[key]
    anew()


def dropped(side: str) -> None:
    uploads.dropped(f"two-upload-{side}", side)
    anew()


def anew() -> None:
    for one in SIDES:
        for word in ("range", "call"):
            st.query_params.pop(f"{one}_{word}", None)
    shell.zoomed(view.PAIR_ZOOM, view.FIT)
    shell.looked(view.PAIR_ZOOM, Look())


def chosen(side: str) -> tuple[Path, str] | None:
    """The file of that side and its name, as the address says it."""
    if side not in st.query_params and st.session_state.get(f"two-upload-{side}") is not None:
        dropped(side)  # dropped just before the other side's, whose browser did not know this address yet
    asked = st.query_params.get(side)
    found, wrong = None, None
    try:
        found = None if asked is None else uploads.resolve(folders, asked)
    except RopeProfError as error:
        wrong = error
    # A box of its own for each file: of one that stays, a browser that is behind sends what it showed before an upload.
    key = f"two-{side}-{asked}"
    st.session_state[key] = None if found is None else asked
    st.selectbox(
        f"{SIDES[side]}: a trace of a permitted folder",
        names if found is None or asked in names else [*names, str(asked)],
        format_func=lambda name: found[1] if found is not None and name == asked else name,
        key=key,
        on_change=opens,
        args=(side, key),
        placeholder="choose one",
    )
    st.file_uploader(f"{SIDES[side]}: or a file of yours", key=f"two-upload-{side}", on_change=dropped, args=(side,))
    if wrong is not None:
        shell.stop(shell.sentence_of(wrong))
    return found


def ranged(side: str, path: Path, start: str | None) -> str | None:
    """The range of that side: what the address says, else `start`; None for the whole device."""
    shared = [] if start is None else [start]  # of a family that may be there once, under its one name
    known = list(dict.fromkeys([*shared, *(use.name for use in foreign_traces.opened(path).analysis.ranges)]))
    asked = st.query_params.get(f"{side}_range", start or WHOLE)
    value = asked if asked in known else WHOLE
    if asked not in (value, WHOLE):
        shell.note(f"no range '{asked}' in {SIDES[side].lower()}; showing {WHOLE}")
    label = f"Range {SIDES[side].lower()}"
    found = shell.pick(f"{side}_range", label, [WHOLE, *known], value, width=320, text=lambda name: f"{side}: {name}")
    return None if found == WHOLE else found


def called(side: str, of: TraceSide) -> int | None:
    """Which call of that side is drawn: what the address says, else None, the median one."""
    numbers = {f"{k}": number for k, number in enumerate(calls_of(of))}
    asked = view.choose(st.query_params.get(f"{side}_call"), [view.MEDIAN, *numbers], "call", view.MEDIAN)
    shell.note(asked.note)
    if len(numbers) == 1:
        return None
    label = f"Call {SIDES[side].lower()}"
    options = [view.MEDIAN, *list(numbers)[:MOST_CALLS]]
    shell.pick(
        f"{side}_call",
        label,
        options if asked.value in options else [*options, asked.value],
        asked.value,
        width=230,
        text=lambda call: f"{side}: {'median call' if call == view.MEDIAN else f'call #{call} of {len(numbers)}'}",
    )
    return numbers.get(asked.value)


def allow() -> None:
    """The toggle's state into the address."""
    st.query_params["anyway"] = "yes" if st.session_state["two-anyway"] else "no"


shell.title("The same question of any two files, or of two ranges of one.")
with st.container(horizontal=True, vertical_alignment="top", key="rp-open"):
    found = {}
    for name in SIDES:
        with st.container():
            found[name] = chosen(name)
before, after = found["before"], found["after"]
if before is None or after is None:
    shell.stop(
        f"Choose a trace on each side, or drop two files. Files are opened from {', '.join(folders)} alone; “dashboard "
        "--folder FOLDER” permits another folder. Nothing leaves this machine."
    )
zoom = shell.zoom(view.PAIR_ZOOM)
with shell.guarded(), st.spinner("Reading both traces"):
    start = foreign_traces.shared_range(before[0], after[0])
with st.container(horizontal=True, vertical_alignment="center", key="rp-bar"):
    with shell.guarded():
        ranges = ranged("before", before[0], start), ranged("after", after[0], start)
    st.session_state["two-anyway"] = st.query_params.get("anyway") == "yes"
    anyway = st.toggle("Compare anyway", key="two-anyway", on_change=allow, help="As --anyway: other devices")
    giving = st.container(horizontal=True, horizontal_alignment="right")
shell.notes()
labels = Path(before[1]).name, Path(after[1]).name
with shell.guarded():
    diff = foreign_traces.held(before[0], after[0], ranges, labels, anyway=anyway)
title = " → ".join(labels)
answer, *rest = diff_blocks(diff, names=labels)
st.html(f'<p class="rp-answer">{escape(diff_sentence(diff))}</p>')
at = next(k for k, block in enumerate(rest) if isinstance(block, Picture)) + 1
draw([folded(one) if isinstance(one, Table) else one for one in rest[:at]], title, "two-traces")
with st.container(horizontal=True, vertical_alignment="center", key="rp-calls"):
    st.html(f'<h3 class="rp-head">{escape(aligned_title(diff))}</h3>', width="content")
    calls = called("before", diff.base), called("after", diff.cand)
shell.notes()
drawn = zip((before, after), (diff.base, diff.cand), strict=True)
sides = aligned_pair(diff, [foreign_traces.side_lanes(path, side.device) for (path, _), side in drawn], labels, calls)
shown = Shown(
    id="/".join(map(str, (*(path for path, _ in (before, after)), *ranges, *calls))),
    sides=sides,
    fit=common_window(sides),
    axis="from each side's first GPU event",
    source=title,
    whole=f"{'All of it' if diff.whole else 'One call'}, from its first GPU event to its last",
    zoom=zoom,
    start=shell.look(view.PAIR_ZOOM),
)
timeline_component.timeline(shown, seen.palette, "two-traces-timeline", zoom_name=view.PAIR_ZOOM)
draw([folded(one) if isinstance(one, Table) else one for one in rest[at:]], title, "two-traces-tables")
shell.caption(
    " · ".join(f"{name}, {size(path.stat().st_size)}" for (path, _), name in zip((before, after), labels, strict=True)),
    "The address of this page holds both files, ranges, calls and the window.",
)
with giving:
    downloads.offer(
        seen,
        "two_traces",
        drawing=lambda: stacked(
            [*(one.drawing for one in rest if isinstance(one, Picture)), aligned_drawing(sides, aligned_title(diff))],
            title,
        ),
        table=lambda: change_frame(diff),
        markdown=("Markdown", downloads.as_blocks(title, (answer, *rest))),
        stem="two-traces",
    )
