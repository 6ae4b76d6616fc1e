"""What changed between two traces? Any two files, or two ranges of one: a sentence, parts that add up, kernels."""

from html import escape
from pathlib import Path

import streamlit as st
from rope_prof.dashboard.drawing import draw

from rope_prof.dashboard import allowed_files, downloads, foreign_traces, loading, shell
from rope_prof.units import size
from rope_prof.views.blocks.model import Picture, mapped
from rope_prof.views.blocks.trace_diff import change_frame, diff_blocks, diff_sentence
from rope_prof.views.report.markdown import blocks_markdown

SIDES = {"before": "Before", "after": "After"}
WHOLE = "the whole device"

seen = shell.seen()
folders = loading.trace_folders()
names = allowed_files.offered(folders)


def opens(side: str) -> None:
    """The chosen file of that side into the address; its range begins anew."""
    st.query_params[side] = st.session_state[f"two-{side}"]
    for one in SIDES:
        st.query_params.pop(f"{one}_range", None)


def chosen(side: str) -> tuple[Path, str] | None:
    """The file of that side and its name: an upload of this session, else what the address says."""
    asked = st.query_params.get(side)
    st.session_state[f"two-{side}"] = asked if asked in names else None
    st.selectbox(
        f"{SIDES[side]}: a trace of a permitted folder",
        names,
        key=f"two-{side}",
        on_change=opens,
        args=(side,),
        placeholder="choose one",
    )
    file = st.file_uploader(f"{SIDES[side]}: or a file of yours", key=f"two-upload-{side}")
    if file is not None:
        return foreign_traces.upload(file.file_id, file.name, file), file.name
    if asked is None:
        return None
    with shell.guarded():
        return allowed_files.resolve(folders, asked), asked


def ranged(side: str, path: Path, start: str | None) -> str | None:
    """The range of that side: what the address says, else `start`; None for the whole device."""
    known = list(dict.fromkeys(use.name for use in foreign_traces.opened(path).analysis.ranges))
    asked = st.query_params.get(f"{side}_range", start if start in known else WHOLE)
    value = asked if asked in known else WHOLE
    if asked != value:
        shell.note(f"no range '{asked}' in {SIDES[side].lower()}; showing {WHOLE}")
    found = shell.pick(f"{side}_range", f"Range {SIDES[side].lower()}", [WHOLE, *known], value, width=320)
    return None if found == WHOLE else found


shell.title("What changed between two traces?", "The same question of any two files, or of two ranges of one.")
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
with shell.guarded(), st.spinner("Reading both traces"):
    start = foreign_traces.shared_range(before[0], after[0])
with st.container(horizontal=True, vertical_alignment="center", key="rp-bar"):
    with shell.guarded():
        ranges = ranged("before", before[0], start), ranged("after", after[0], start)
    anyway = st.toggle("Compare anyway", key="two-anyway", help="As --anyway: other devices")
    giving = st.container(horizontal=True, horizontal_alignment="right")
shell.notes()
with shell.guarded():
    diff = foreign_traces.held(before[0], after[0], ranges, anyway=anyway)
title = f"{Path(before[1]).name} → {Path(after[1]).name}"
answer, *rest = diff_blocks(diff, names=(Path(before[1]).name, Path(after[1]).name))
st.html(f'<p class="rp-answer">{escape(diff_sentence(diff))}</p>')
draw(rest, title, "two-traces")
shell.caption(" · ".join(f"{Path(name).name}, {size(path.stat().st_size)}" for path, name in (before, after)))
with giving:
    downloads.offer(
        seen,
        "two_traces",
        drawing=lambda: next(block.drawing for block in rest if isinstance(block, Picture)),
        table=lambda: change_frame(diff),
        markdown=(
            "Markdown",
            lambda clean: blocks_markdown(clean(title), mapped((answer, *rest), clean), clean(title)).encode(),
        ),
        stem="two-traces",
    )
