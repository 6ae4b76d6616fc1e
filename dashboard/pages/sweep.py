"""When does it pay? µs a call and share of the roofline over the swept axis, for the cases, paths and modes chosen."""

import polars as pl
import streamlit as st
from rope_prof.dashboard.drawing import draw

from rope_prof.analysis.run.sweep import sweep
from rope_prof.dashboard import baseline, downloads, loading, shell, view
from rope_prof.model.run import AxisFacts, Case
from rope_prof.views.blocks.model import Words, charted
from rope_prof.views.blocks.sweep import turning_blocks
from rope_prof.views.draw.stack import stacked
from rope_prof.views.draw.sweep import HeldWalls, sweep_charts, sweep_table
from rope_prof.views.words.sweep import FLOOR, MARKS, families, matters, one_count, sweep_answer, turning_notes

seen = shell.seen()
run = seen.folder.run
with shell.guarded():
    rows = seen.opened.rows
    base = baseline.guarded_chosen(seen)
frame = sweep(rows).filter(pl.col("rank") == 0)
if frame.is_empty():
    shell.stop(f"Run {seen.name} holds no timed call; finish it with “python -m rope_prof record --resume”.")


def several(axis: AxisFacts, case: Case) -> list[str]:
    """The chosen values of one axis, which the address holds; chips where there is a choice."""
    options = frame[axis.name].unique(maintain_order=True)
    words = (options.sort() if options.dtype.is_integer() else options).cast(pl.String).to_list()
    default = str(case[axis.name])
    word = view.axis_word(axis.name)
    asked = st.query_params.get(word)
    found, unknown = view.choose_many(asked, words, axis.title, [default] if default in words else [])
    shell.note(unknown)
    view.remember(st.query_params, {word: ",".join(found)})
    if len(words) > 1:
        shell.chips(word, axis.title, words, found, text=axis.form.format)
    return list(found)


case = view.keys_of(run, seen.case)[0].key.case
with st.container(horizontal=True, vertical_alignment="center", key="rp-bar"):
    axes = [axis for axis in run.operation.axes if axis.name != run.operation.swept]
    picked = {axis.name: several(axis, case) for axis in axes}
    sides = shell.side_chooser(view.keys_of(run, seen.case))
    giving = st.container(horizontal=True, horizontal_alignment="right")
shell.notes()
chosen = frame.filter(
    *(pl.col(name).cast(pl.String).is_in(values) for name, values in picked.items()),
    pl.struct("path", "mode", "l2").is_in([{"path": f.key.path, "mode": f.key.mode, "l2": f.key.l2} for f in sides]),
)
if chosen.is_empty():
    shell.stop(
        f"Nothing was timed of {', '.join(a.form.format(v) for a in axes for v in picked[a.name])} in run {seen.name}; "
        "choose others."
    )
shell.title(sweep_answer(chosen, run.operation))
held = HeldWalls() if base is None else base.held(rows)
paths = frame["path"].unique(maintain_order=True).to_list()
found = families(chosen, run.operation)
drawn = {
    title: (of, sweep_charts(f"{seen.name} · {title}", of, run.operation, paths, held))
    for title, of in found
    if of[run.operation.swept].n_unique() > 1
}
single = [title for title, _ in found if title not in drawn]
if drawn:
    for title, (of, charts) in drawn.items():
        figures = (charted(chart, head, title=head) for head, chart in charts.items())
        draw((Words(text=title, tone="strong"), *figures), f"{seen.name} · {title}", title)
        with shell.fold("Where it pays, path by path"):
            draw(turning_blocks("", of, run.operation), seen.name, f"{title}-turns")
    with shell.fold("How to read this"):
        shell.caption(MARKS, FLOOR, matters(held.label))
    shell.caption(
        f"One value of {run.operation.swept}, in the table alone: {'; '.join(single)}." if single else "",
        "" if base is None or base.caveat is None else base.caveat,
    )
else:
    draw([Words(text=one_count(seen.name, run.operation), tone="strong")], seen.name, "one-value")
    st.code("python -m rope_prof record --sweep", language=None)
    shipped = loading.shipped_sweep(loading.runs())
    if shipped is not None:
        st.page_link("sweep.py", label=f"Show the shipped sweep, {shell.plain(shipped)}", query_params={"run": shipped})
table = sweep_table(chosen, run.operation, held)
with shell.fold("In figures"):
    shell.table(table, words=table.select(pl.col(pl.String)).columns)
with giving:
    stem = f"{seen.name.replace('/', '-')}-sweep"
    downloads.offer(
        seen,
        "sweep",
        drawing=(
            (lambda: stacked([one.drawing for _, charts in drawn.values() for one in charts.values()], stem))
            if drawn
            else None
        ),
        table=lambda: chosen,
        stem=stem,
        markdown=(
            "Table, Markdown",
            downloads.as_markdown(stem, lambda: table, turning_notes(chosen, run.operation)),
        ),
    )
