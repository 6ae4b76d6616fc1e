"""Better than last week? Any two runs, or two paths of one, with a verdict each: what the command `compare` says."""

import streamlit as st
from rope_prof.dashboard.drawing import draw

from rope_prof.analysis.comparison.compare import ALL_METRICS
from rope_prof.analysis.comparison.sides import differences
from rope_prof.analysis.run.differences import unlike
from rope_prof.dashboard import comparing, downloads, loading, shell, view
from rope_prof.io.run.folder import RunFolder
from rope_prof.opened.comparison import cleaned_markdown
from rope_prof.views.blocks.compare import difference_blocks, tally_table, verdict_frame, verdict_table
from rope_prof.views.blocks.model import Bullets, Picture
from rope_prof.views.draw.compare import MOST, ForestChart
from rope_prof.views.page.files import frame_of
from rope_prof.views.words.comparison import compare_answer, method, reasons

seen = shell.seen()
named = loading.runs()
others = {name: folder.run for name, folder in loading.other_runs(named, seen.name).items()}
starts = comparing.defaults(seen, view.bases(seen.folder.run, seen.case, others))


def chosen(name: str, what: str, options: list[str], default: str, width: int) -> str:
    """One value of a side: a chooser that shows what the address says."""
    found = view.choose(st.query_params.get(name), options, what, default if default in options else options[0])
    shell.note(found.note)
    view.remember(st.query_params, {name: found.value})
    return shell.pick(name, what, options, found.value, width=width, text=lambda value: all_of(value, what))


def all_of(value: str, what: str) -> str:
    """What a chooser says of a value."""
    return f"all {what.split(' ')[-1]}s" if value == comparing.ALL else value


def side(name: str, label: str, start: comparing.Pick) -> tuple[comparing.Pick, RunFolder]:
    """The run, path and mode of one side; stops with the sentence of a run that cannot be read."""
    low = label.lower()
    with st.container(horizontal=True, vertical_alignment="center", key=f"rp-{name}"):
        st.html(f'<span class="rp-side">{label}</span>', width="content")
        run = chosen(name, f"{low} run", list(named), start.run, 260)
        with shell.guarded():
            folder = loading.run(named[run])
        path = chosen(f"{name}_path", f"{low} path", comparing.choices(folder, "path"), start.path, 200)
        mode = chosen(f"{name}_mode", f"{low} mode", comparing.choices(folder, "mode"), start.mode, 150)
        return comparing.Pick(run, path, mode), folder


def swap() -> None:
    """Both sides change places."""
    for field in ("", "_path", "_mode"):
        here, there = (f"{name}{field}" for name in (comparing.FROM, comparing.TO))
        st.query_params[here], st.query_params[there] = st.query_params[there], st.query_params[here]


base, base_folder = side(comparing.FROM, "Baseline", starts[0])
cand, cand_folder = side(comparing.TO, "Candidate", starts[1])
asked = view.choose(st.query_params.get("anyway"), ["no", "yes"], "word for anyway", "no")
shell.note(asked.note)
view.remember(st.query_params, {"anyway": asked.value})
metrics, unknown = view.choose_many(st.query_params.get("metric"), ALL_METRICS, "metric", ["wall"])
shell.note(unknown)
view.remember(st.query_params, {"metric": ",".join(metrics)})
st.session_state["pick-anyway"] = asked.value == "yes"


def allow() -> None:
    """The toggle's state into the address."""
    st.query_params["anyway"] = "yes" if st.session_state["pick-anyway"] else "no"


with st.container(horizontal=True, vertical_alignment="center", key="rp-bar"):
    shell.chips("metric", "Metrics in the picture", ALL_METRICS, metrics)
    st.button("Swap sides", on_click=swap, key="swap")
    st.toggle(
        "Compare anyway", key="pick-anyway", on_change=allow, help="As --anyway: other devices, shapes and dtypes"
    )
    giving = st.container(horizontal=True, horizontal_alignment="right")
shell.notes()
answer = st.container()  # filled last
folders, sides = (base_folder, cand_folder), (base, cand)
must = differences(comparing.bare(base_folder, base), comparing.bare(cand_folder, cand))
apart = unlike(base_folder.run, cand_folder.run)
unalike = difference_blocks(base.run, cand.run, must, apart, one=comparing.same_run(folders))
with st.container() if must else shell.fold("What differs"):
    draw(unalike, "", "differs")
with shell.guarded(), st.spinner("Reading the captures of both sides"):
    found = comparing.compared(folders, sides, anyway=asked.value == "yes")
shown = [verdict for verdict in found.verdicts if verdict.metric in metrics]
with answer:
    shell.title(compare_answer(found))
title = f"{found.typed[1]} against {found.typed[0]}"
chart = ForestChart(verdicts=tuple(shown), title=title)
draw([Picture(name="verdicts", drawing=chart.drawing)], title, "compare")
if len(shown) > MOST:
    shell.caption(f"The first {MOST} of {len(shown)} verdicts are drawn; the table has all.")
with shell.fold("Every verdict"):
    draw([tally_table(found)], title, "tally")
    cells = frame_of(verdict_table(found))
    shell.table(cells, words=cells.columns)
if open_verdicts := reasons(found):
    with shell.fold("Not decided"):
        draw([Bullets(items=tuple(open_verdicts))], title, "open")
with shell.fold("How this was measured; the same on a command line"):
    shell.caption(*method(found), "For CI with --fail-on:")
    st.code(found.command, language=None, wrap_lines=True)
with giving:
    downloads.offer(
        seen,
        "compare",
        drawing=lambda: chart.drawing,
        table=lambda: verdict_frame(found),
        stem=f"{base.run}-{cand.run}-compare".replace("/", "-"),
        markdown=("Markdown for a pull request", lambda clean: cleaned_markdown(found, clean.words)[0].encode()),
    )
