"""Section 4 of a report: which kernels the fusion removed, which it brought."""

from __future__ import annotations

import polars as pl

from rope_prof.units import MISSING, microseconds, number
from rope_prof.views.blocks.model import Block, Cell, Table, Tone, Words, cells
from rope_prof.views.blocks.overview import Overview
from rope_prof.views.report.data import ReportData


def gone(data: ReportData, view: Overview | None) -> tuple[Block, ...]:
    """Every kernel of baseline and candidate with its executions and time a call on both sides."""
    if view is None or view.baseline is None or view.candidate is None:
        return ()
    base, side = (data.captured.get(one.row.key) for one in (view.baseline, view.candidate))
    if base is None or side is None or not base.kernels.height or not side.kernels.height:
        return ()
    before, after = (_by_name(one.kernels) for one in (base, side))
    names = sorted({*before, *after}, key=lambda n: (n in after, -(before.get(n) or after[n])[1], n))
    rows = tuple(_row(name, before.get(name), after.get(name)) for name in names)
    sums = [(sum(n for n, _ in one.values()), sum(ns for _, ns in one.values())) for one in (before, after)]
    dropped = sum(1 for name in before if name not in after)
    came = sum(1 for name in after if name not in before)
    said = (
        f"{number(sums[0][0])} device events and {microseconds(sums[0][1])} µs of them a call with "
        f"{view.baseline.label}; {number(sums[1][0])} and {microseconds(sums[1][1])} µs with "
        f"{view.candidate.label}: {dropped} of {len(before)} kernels are gone, {came} came."
    )
    head = ("kernel", "", "a call before", "a call after", "µs before", "µs after")
    title = f"{view.baseline.label} → {view.candidate.label}, {view.case.words}"
    table = Table(title=title, head=head, rows=rows, right=frozenset({2, 3, 4, 5}), folded=len(rows) > 12)
    return (Words(text=said), table, Words(text="µs: mean over the captured calls, under the profiler.", tone="muted"))


def _by_name(kernels: pl.DataFrame) -> dict[str, tuple[float, float]]:
    """name -> executions and ns a call, whatever the launch shape."""
    each = kernels.group_by("name").agg(pl.col("per_call").sum(), pl.col("ns_per_call").sum())
    return {name: (per_call, ns) for name, per_call, ns in each.iter_rows()}


def _row(name: str, before: tuple[float, float] | None, after: tuple[float, float] | None) -> tuple[Cell, ...]:
    word, tone = ("gone", "good") if after is None else ("new", "strong") if before is None else ("stays", "muted")
    counts = (MISSING if one is None else number(one[0]) for one in (before, after))
    times = (MISSING if one is None else microseconds(one[1]) for one in (before, after))
    kind: Tone = "good" if tone == "good" else "strong" if tone == "strong" else "muted"
    return cells(Cell(text=name, name=True), Cell(text=word, tone=kind), *counts, *times)
