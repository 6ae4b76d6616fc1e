"""What Nsight said of a run, as blocks: two tools side by side, counters and stalls of a call.

Draws what `analysis.run.counters` found; where a baseline is chosen, each figure beside that of the baseline.
"""

from __future__ import annotations

from collections.abc import Sequence

from rope_prof.analysis.run.counters import CallCounters, call_counters, counters_of
from rope_prof.model.nsight import Compute, Nsight, Systems
from rope_prof.views.blocks.kernels import HeldKernels, Kernels
from rope_prof.views.blocks.model import Table, Tone, cells
from rope_prof.views.words.counters import (
    AGREEMENT_HEAD,
    COUNTERS,
    STALLS,
    agreement_cells,
    counter_cells,
    counter_differences,
    stall_cells,
)
from rope_prof.views.words.difference import bracketed
from rope_prof.views.words.labels import name_parts

_TONES: dict[bool | None, Tone] = {True: "", False: "bad", None: "muted"}
_Counted = tuple[CallCounters, CallCounters | None]


def nsight_tables(found: Nsight) -> list[Table]:
    """The tables of what was recorded: agreement of the two profilers, counters, stalls."""
    tables: list[Table] = []
    if found.systems and found.systems.keys:
        tables.append(_agreement_table(found.systems))
    if found.compute and found.compute.kernels:
        rows = call_counters(found.compute)
        case = name_parts(rows[0].key)[3] if rows else ""
        title = f"Nsight Compute {found.compute.recording.version}: one call of each path, {case}; % of peak"
        tables += _counted(title, [(row, None) for row in rows])
    return tables


def _agreement_table(systems: Systems) -> Table:
    title = f"Nsight Systems {systems.recording.version} beside torch.profiler: kernels and kernel time per call"
    rows = tuple(cells(*agreement_cells(one), tone=_TONES[one.agrees]) for one in systems.keys)
    right = frozenset(range(1, len(AGREEMENT_HEAD)))
    return Table(title=title, head=AGREEMENT_HEAD, rows=rows, right=right, apart=2)


def _counted(title: str, rows: Sequence[_Counted]) -> tuple[Table, Table]:
    """The counters and the stalls of (a call, what it is held against)."""
    right = frozenset(range(1, len(COUNTERS)))
    stalls = tuple(cells(*stall_cells(row, base)) for row, base in rows)
    return (
        Table(title=title, head=COUNTERS, rows=tuple(cells(*_counters(*one)) for one in rows), right=right, apart=2),
        Table(
            title="What a warp waits for between two instructions",
            head=STALLS,
            rows=stalls,
            right=frozenset(range(1, len(STALLS))),
            apart=2,
        ),
    )


def counter_tables(compute: Compute, sides: Sequence[Kernels], held: HeldKernels | None) -> tuple[Table, ...]:
    """The counters and the stalls of those sides that Nsight Compute ran; nothing where it ran none."""
    found = [(row, _base(one, held)) for one in sides if (row := counters_of(compute, one.row.key)) is not None]
    if not found:
        return ()
    against = (
        ""
        if held is None or held.counters is None
        else f"; in brackets the difference to {held.label}, of shares in percentage points (pp)"
    )
    return _counted(f"Counters of one call, Nsight Compute {compute.recording.version}{against}", found)


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
