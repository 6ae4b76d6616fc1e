"""Which rank is late, and by which range? Many ranks side by side, from an analysis of many traces."""

import streamlit as st
from rope_prof.dashboard.drawing import draw, plot

from rope_prof.analysis.ranks.ranks import common_zero
from rope_prof.dashboard import loading, rank_datasets, shell, timeline_component, view
from rope_prof.errors import RopeProfError
from rope_prof.views.blocks.ranks import loss_blocks, rank_answer, rank_table, run_answer, run_blocks, summary_blocks
from rope_prof.views.draw import ranks as ranks_figures
from rope_prof.views.page.blocks import wrap
from rope_prof.views.page.writer import heading
from rope_prof.views.timeline.window import Shown, limits

WORDS = ("rank", "verdict", "why")

seen = shell.seen()
folders = loading.trace_folders()
found = rank_datasets.datasets(folders)
of_run = seen.opened.numbers if seen.folder.run.ranks > 1 else None
if not found and of_run is not None:
    shell.notes()
    shell.title(run_answer(of_run), f"Which of the {seen.folder.run.ranks} ranks of this run is slow?")
    draw(run_blocks(of_run), seen.name, "ranks-run")
    shell.caption(f"Its traces side by side: “python -m rope_prof analyze {seen.folder.path}”, then this page again.")
    st.stop()
if not found:
    shell.notes()
    shell.stop(
        "No analysis of many traces here. Make one with “python -m rope_prof analyze FOLDER”, and start the dashboard "
        "in the same folder or with “--folder” of it."
    )
name = view.choose(st.query_params.get("fleet"), list(found), "analysis", next(iter(found)))
shell.note(name.note)
with shell.guarded():
    report = rank_datasets.report(found[name.value])
by_name = {recording.name: recording for recording in report.recordings}
chosen = view.choose(st.query_params.get("recording"), list(by_name), "recording", next(iter(by_name)))
shell.note(chosen.note)
recording = by_name[chosen.value]
with st.container(horizontal=True, vertical_alignment="center", key="rp-bar"):
    shell.pick("fleet", "Analysis", list(found), name.value, width=300, drop=("recording", "ranks"))
    shell.pick("recording", "Recording", list(by_name), chosen.value, width=340, drop=("ranks",))
shell.notes()
shell.title(rank_answer(recording))
draw(loss_blocks(recording), recording.name, "ranks-fix")
if of_run is not None:
    with shell.fold(f"The {seen.folder.run.ranks} ranks of run {seen.name}: alone, and all at once"):
        shell.caption(run_answer(of_run))
        draw(run_blocks(of_run), seen.name, "ranks-run")
with shell.fold("Verdicts and clocks"):
    draw(summary_blocks(report, recording), recording.name, "ranks-summary")

heat = ranks_figures.heat_rows(recording)
if heat and len(recording.ranks) > 1:
    st.html(wrap(seen.palette, heading("A call of each range, over the ranks’ median")))
    source = f"{name.value} · {recording.name}"
    plot(lambda: ranks_figures.heat_figure(recording, seen.palette, source), "ranks-heat")
    rest = len(heat) - ranks_figures.RANGES_DRAWN
    if rest > 0:
        shell.caption(f"{rest} ranges of less busy time are not drawn.")
with shell.fold("Every rank"):
    shell.table(rank_table(recording.ranks), words=WORDS, wide="why")

usable = [rank.label for rank in recording.ranks if rank.start_ns is not None]
labels, unknown = view.choose_many(st.query_params.get("ranks"), usable, "rank", rank_datasets.first_ranks(recording))
shell.note(unknown)
st.session_state["pick-ranks"] = list(labels)


def picked() -> None:
    st.query_params["ranks"] = ",".join(st.session_state["pick-ranks"])


st.multiselect(
    f"Ranks on one timeline, up to {rank_datasets.RANKS_AT_ONCE}",
    usable,
    key="pick-ranks",
    on_change=picked,
    max_selections=rank_datasets.RANKS_AT_ONCE,
)
shell.notes()
if not labels:
    shell.stop("No rank of this recording has a timeline; the table says why.")
try:
    with st.spinner("Reading the ranks' traces"):
        sides = rank_datasets.sides(recording, labels[: rank_datasets.RANKS_AT_ONCE], folders)
except (RopeProfError, ValueError) as error:
    shell.caption(f"No timeline: {error}.")
else:
    shown = Shown(
        id=f"{name.value}/{recording.name}/{','.join(labels)}",
        sides=sides,
        fit=limits(sides),
        axis="from the first GPU event of any rank",
        source=recording.name,
        whole="From each rank's first GPU event to its last",
        zoom=shell.zoom(view.TRACE_ZOOM),
        start=shell.look(view.TRACE_ZOOM),
    )
    timeline_component.timeline(shown, seen.palette, "ranks", zoom_name=view.TRACE_ZOOM)
    shell.caption(f"Time is {common_zero(recording)[1]}.")
