"""What Nsight Compute counted of one call of each path, as blocks, each figure beside that of the baseline.

Draws what `analysis.counters` found.
"""

from __future__ import annotations

from collections.abc import Sequence

from rope_prof.analysis.run.counters import CallCounters, counters_of
from rope_prof.model.nsight import Compute
from rope_prof.views.blocks.kernels import HeldKernels, Kernels
from rope_prof.views.blocks.model import Table, cells
from rope_prof.views.words.counters import COUNTERS, STALLS, counter_cells, counter_differences, stall_cells
from rope_prof.views.words.difference import bracketed


def counter_tables(compute: Compute, sides: Sequence[Kernels], held: HeldKernels | None) -> tuple[Table, ...]:
    """The counters and the stalls of those sides that Nsight Compute ran; nothing where it ran none."""
    found = [(one, row) for one in sides if (row := counters_of(compute, one.row.key)) is not None]
    if not found:
        return ()
    rows = [(row, _base(one, held)) for one, row in found]
    against = (
        ""
        if held is None or held.counters is None
        else f"; in brackets the difference to {held.label}, of shares in percentage points (pp)"
    )
    return (
        Table(
            title=f"Counters of one call, Nsight Compute {compute.recording.version}{against}",
            head=COUNTERS,
            rows=tuple(cells(*_counters(row, base)) for row, base in rows),
            right=frozenset(range(1, len(COUNTERS))),
        ),
        Table(
            title="What a warp waits for between two instructions",
            head=STALLS,
            rows=tuple(cells(*stall_cells(row, base)) for row, base in rows),
        ),
    )


def no_held_counters(held: HeldKernels | None) -> str:
    """Why no counter is held against the baseline; empty where they are, and without a baseline."""
    if held is None or held.counters is not None:
        return ""
    return f"Nsight Compute did not run the baseline, {held.label}: counters stand without a difference to it."


def _base(one: Kernels, held: HeldKernels | None) -> CallCounters | None:
    return None if held is None or not held.of(one) else held.counters


def _counters(row: CallCounters, base: CallCounters | None) -> tuple[str, ...]:
    told = counter_cells(row)
    return told if base is None else tuple(map(bracketed, told, counter_differences(row, base)))
