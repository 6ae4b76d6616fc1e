"""What Nsight said of a run, for people: two tools side by side, the counters of each path. Draws, no arithmetic."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rope_prof.analysis.run.counters import call_counters
from rope_prof.model.nsight import Compute, Nsight, Systems
from rope_prof.views.words.counters import (
    AGREEMENT_HEAD,
    COUNTERS,
    STALLS,
    agreement_cells,
    counter_cells,
    stall_cells,
)
from rope_prof.views.words.labels import name_parts

if TYPE_CHECKING:
    from rich.table import Table


def nsight_tables(found: Nsight) -> list[Table]:
    """The tables of what was recorded: agreement of the two profilers, counters, stalls."""
    tables: list[Table] = []
    if found.systems and found.systems.keys:
        tables.append(_agreement_table(found.systems))
    if found.compute and found.compute.kernels:
        tables += _counter_tables(found.compute)
    return tables


def _table(title: str, columns: tuple[str, ...]) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    for index, name in enumerate(columns):
        table.add_column(name, justify="left" if index == 0 else "right", no_wrap=True)
    return table


def _agreement_table(systems: Systems) -> Table:
    title = f"Nsight Systems {systems.recording.version} beside torch.profiler: kernels and kernel time per call"
    table = _table(title, AGREEMENT_HEAD)
    for one in systems.keys:
        table.add_row(*agreement_cells(one), style="" if one.agrees else "red" if one.agrees is False else "dim")
    return table


def _counter_tables(compute: Compute) -> list[Table]:
    rows = call_counters(compute)
    case = name_parts(rows[0].key)[3] if rows else ""
    table = _table(f"Nsight Compute {compute.recording.version}: one call of each path, {case}; % of peak", COUNTERS)
    for row in rows:
        table.add_row(*counter_cells(row))
    stalls = _table("What a warp waits for between two instructions", STALLS)
    for row in rows:
        stalls.add_row(*stall_cells(row))
    return [table, stalls]
