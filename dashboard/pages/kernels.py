"""Where does GPU time go? Kernels of each path by time, paths and kernels under the roof, floors, counters."""

from dataclasses import replace

import streamlit as st
from rope_prof.dashboard.drawing import draw

from rope_prof.analysis.run.roofline import Memory, path_roofs
from rope_prof.dashboard import baseline, captures, downloads, shell, view
from rope_prof.io.layout import COMPUTE_SUFFIX
from rope_prof.views.blocks import kernels as kernel_blocks
from rope_prof.views.blocks.counters import counter_tables, no_held_counters
from rope_prof.views.draw.stack import stacked
from rope_prof.views.words.counters import compute_notes
from rope_prof.views.words.numbers import ceilings_line
from rope_prof.views.words.trust import ON_CPU

_FLOORS = (
    "Kernels: the union of their time, traced. One pass: every byte read and written once, which computes nothing; one "
    "launch: a kernel that does nothing (in mode graph a node). The higher of the two is the floor."
)

seen = shell.seen()
run = seen.folder.run
captured = shell.captured(seen)
keys = [f.key for f in captured]
with st.container(horizontal=True, vertical_alignment="center", key="rp-bar"):
    facts = shell.side_chooser(captured)
    giving = st.container(horizontal=True, horizontal_alignment="right")
with shell.guarded():
    base = baseline.guarded_chosen(seen)
    told, missing = captures.of_sides(seen, facts, keys)
    held = captures.held_kernels(base)
    limits = seen.opened.limits(keys[0].case, keys[0].rank)
    nsight = seen.folder.nsight
chosen_memory = view.choose(st.query_params.get("memory"), list(kernel_blocks.MEMORIES), "memory", "dram")
shell.note(chosen_memory.note)
shell.notes()
if not told:
    shell.stop(f"{seen.words} in run {seen.name} has no calls to show: its trace is gone or empty; record it again.")
name = f"{seen.name} · {seen.words}"
paths = list(dict.fromkeys(f.key.path for f in run.keys))
sides = [
    kernel_blocks.Kernels(label=s.label, row=s.row, kernels=one.kernels, calls=one.calls) for s, one in told.values()
]
on_cpu = seen.folder.run.machine.device == "cpu"
shell.title(kernel_blocks.kernel_answer(sides), "Where does the CPU's time go?" if on_cpu else "")
labels = {s.row.key: s.label for s, _ in told.values()}
roofs = path_roofs([one.row for one in sides], limits)


by_time = kernel_blocks.time_figure(sides, name)
roofline = kernel_blocks.paths_figure(roofs, limits, paths, name)
draw([by_time], name, "roofs")
with shell.fold("Roofline of the paths"):
    draw([None if roofline is None else replace(roofline, title="")], name, "roofline")
    shell.caption("" if roofline is not None else "No roofline: how many bytes these paths move is not known.")
with shell.fold("Against the floors"):
    draw([kernel_blocks.floors_table(roofs, lambda row: labels[row.key], held)], name, "floors")
    shell.caption(
        f"Measured in the same run: {ceilings_line(limits).removeprefix('ceilings: ')}."
        if limits.measured
        else "This run measured no floors, so there is no roof to draw; record it again.",
        _FLOORS if limits.measured else "",
    )
shell.caption(
    ON_CPU if run.machine.device == "cpu" else "",
    *missing,
    "" if base is None or base.caveat is None else base.caveat,
)

compute = None if nsight is None else nsight.compute
counted = {key: (label, paths.index(run.facts(key).key.path)) for key, label in labels.items()}
tables = () if compute is None else counter_tables(compute, sides, held)
alone = None
with shell.fold("Counters of each kernel"):
    if compute is not None and tables:
        memory: Memory = "l2" if chosen_memory.value == "l2" else "dram"
        view.remember(st.query_params, {"memory": memory})
        with st.container(horizontal=True, vertical_alignment="center", key="rp-memory"):
            shell.switch(
                "memory", "Bytes at", list(kernel_blocks.MEMORIES), memory, text=lambda one: f"{one.upper()} bytes"
            )
        alone = kernel_blocks.kernels_figure(compute, counted, memory, limits, name)
        draw([alone, *tables], name, "counters")
        shell.caption(no_held_counters(held), *compute_notes(compute))
    else:
        shell.caption(captures.no_counters(seen, compute))
table = kernel_blocks.kernel_table(sides, held)
with shell.fold("All kernels"):
    st.dataframe(
        table,
        hide_index=True,
        width="stretch",
        column_config={
            "share": st.column_config.ProgressColumn("share of the path", format="percent", min_value=0, max_value=1),
            "a call": st.column_config.NumberColumn(format="%.4g"),
            "µs a call": st.column_config.NumberColumn(format="%.3f"),
            "µs each": st.column_config.NumberColumn("µs each, median", format="%.3f"),
            "kernel": st.column_config.TextColumn(width="large"),
        },
    )
with giving:
    drawings = [figure.drawing for figure in (by_time, roofline, alone) if figure is not None]
    stem = "-".join((seen.name.replace("/", "-"), seen.case, "kernels"))
    downloads.offer(
        seen,
        "kernels",
        drawing=lambda: stacked(drawings, stem),
        table=lambda: table,
        lines=[
            *([ceilings_line(limits)] if limits.measured else []),
            *kernel_blocks.floor_lines(roofs, lambda row: labels[row.key]),
            *(compute_notes(compute) if compute is not None else []),
        ],
        traces=[
            *downloads.traces_of(seen, facts),
            *((path.name, path) for path in sorted(seen.folder.path.glob(f"*{COMPUTE_SUFFIX}"))),
        ],
    )
