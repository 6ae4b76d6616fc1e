"""What should I fix first? Any trace: three things to fix, verdict, idle by cause, timeline, ranges, chains."""

from functools import partial
from pathlib import Path

import streamlit as st
from rope_prof.dashboard.drawing import draw

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
from rope_prof.io.run.redact import Cleaner
from rope_prof.io.trace.formats import kinds
from rope_prof.units import size
from rope_prof.views.blocks import chains as chain_blocks
from rope_prof.views.blocks import trace as trace_blocks
from rope_prof.views.blocks.findings import timeline_of
from rope_prof.views.blocks.fixes import fix_answer, fix_blocks
from rope_prof.views.blocks.model import mapped
from rope_prof.views.draw import trace as trace_pictures
from rope_prof.views.report.markdown import blocks_markdown
from rope_prof.views.timeline.look import Look
from rope_prof.views.timeline.window import Shown, WindowSide, limits

LIMIT = "up to 1 GB"
WORDS = ("range", "device")

seen = shell.seen()
folders = loading.trace_folders()
names = allowed_files.offered(folders)


def anew() -> None:
    """Another file: the old window and look mean nothing there."""
    shell.zoomed(view.TRACE_ZOOM, view.FIT)
    shell.looked(view.TRACE_ZOOM, Look())


def chosen() -> None:
    anew()
    st.session_state["trace-path"] = ""
    st.query_params["trace"] = st.session_state["trace-name"]


def typed() -> None:
    if st.session_state["trace-path"].strip():
        anew()
        st.query_params["trace"] = st.session_state["trace-path"].strip()


def dropped() -> None:
    anew()
    uploads.dropped("trace-upload", "trace")


def _report(clean: Cleaner) -> str:
    """What the page says, without pictures and private words."""
    folds = trace_blocks.page_folds(found.analysis, found.trace.events)
    blocks = (
        *fix_blocks(foreign_traces.to_fix(path), found.analysis.zero_ns, None),
        *trace_blocks.page_blocks(found.analysis, label),
        *(block for held in folds.values() for block in held),
    )
    return blocks_markdown(clean(f"{label}: {shell.PAGES['any_trace'].question}"), mapped(blocks, clean), clean(label))


asked = st.query_params.get("trace")
with st.container(horizontal=True, vertical_alignment="top", key="rp-open"):
    st.session_state["trace-name"] = asked if asked in names else None
    st.selectbox("A trace of a permitted folder", names, key="trace-name", on_change=chosen, placeholder="choose one")
    st.text_input("Or its path inside one", key="trace-path", on_change=typed)
    st.file_uploader(f"Or a file of yours, {LIMIT}", key="trace-upload", on_change=dropped)
zoom = shell.zoom(view.TRACE_ZOOM)
start = shell.look(view.TRACE_ZOOM)
shell.notes()

if asked:
    with shell.guarded():
        path, label = uploads.resolve(folders, asked)
else:
    shell.stop(
        f"Choose a trace above, or drop a file: {kinds(lambda one: one.title)}, {LIMIT}, packed or not. "
        f"Files are opened from {', '.join(folders)} alone; “dashboard --folder FOLDER” permits another "
        "folder. Nothing leaves this machine."
    )

with shell.guarded(), st.spinner("Reading the trace"):
    found = foreign_traces.opened(path)
with st.container(horizontal=True, vertical_alignment="center", key="rp-file"):
    idle = trace_pictures.idle_chart(found.analysis, label)
    asking = st.empty()  # its answer comes last
    downloads.offer(
        seen,
        "any_trace",
        drawing=None if idle is None else partial(getattr, idle, "drawing"),
        table=lambda: trace_blocks.range_table(found.analysis.ranges),
        lines=trace_pictures.verdict_lines(found.analysis),
        markdown=("Report, Markdown", lambda clean: _report(clean).encode()),
        traces=[("the file", path)],
        stem=Path(label).name.split(".")[0] or "trace",
    )
    without = ""
    try:
        st.link_button("Open in Perfetto", foreign_traces.perfetto_address(path, found.trace))
    except RopeProfError as error:
        without = f"No Perfetto: {shell.sentence_of(error)}"
with asking:
    shell.title(f"Reading {label}.")
if without:
    shell.caption(without)
analysis = found.analysis
first = st.container()  # filled last: the timeline need not wait for the chains
shell.caption(f"{label} · {size(path.stat().st_size)} · {found.trace.format}")
draw(trace_blocks.page_blocks(analysis, label), label, "any-trace-account")
try:
    lanes = foreign_traces.lanes(path)
except ValueError as error:
    shell.caption(f"No timeline: {shell.sentence_of(error)}.")
else:
    side = WindowSide(
        id="trace", title=Path(label).name, facts="", scene=lanes, zero_ns=lanes.lo_ns, end_ns=lanes.hi_ns - lanes.lo_ns
    )
    shown = Shown(
        id=f"{path}@{path.stat().st_mtime_ns}",
        sides=(side,),
        fit=limits([side]),
        axis="from the trace's first event",
        source=label,
        whole="In the whole file",
        zoom=zoom,
        start=start,
        links=timeline_of(asked),
    )
    timeline_component.timeline(shown, seen.palette, "any-trace", zoom_name=view.TRACE_ZOOM)
for title, blocks in trace_blocks.page_folds(analysis, found.trace.events, asked).items():
    with shell.fold(title):
        draw(blocks, label, f"any-trace-{title}")
if analysis.ranges:
    with shell.fold("Ranges by busy time"):
        table = trace_blocks.range_table(analysis.ranges)
        shell.table(table, words=WORDS, wide="range")
if analysis.integrity.verdict != "unusable" and found.trace.totals is None:
    with first, st.spinner("Looking for what to fix"):
        to_fix = foreign_traces.to_fix(path)
        draw(fix_blocks(to_fix, analysis.zero_ns, asked), label, "any-trace-fixes")
    with asking:
        shell.title(fix_answer(to_fix))
    with st.spinner("Looking for chains"):
        worth = list(chain_blocks.page_blocks(foreign_traces.worth_fusing(path)))
    with shell.fold("Chains worth fusing"):
        draw(worth, label, "any-trace-chains")
else:
    with asking:
        shell.title(trace_blocks.verdict_words(analysis.integrity))
