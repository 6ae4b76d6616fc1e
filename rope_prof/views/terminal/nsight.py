"""What Nsight said of a run, for people: two tools side by side, the counters of each path. Draws, no arithmetic."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from rope_prof.analysis.run.counters import CallCounters, call_counters
from rope_prof.model.nsight import AGREEMENT, Agreement, Compute, Nsight, Recording, Systems
from rope_prof.units import MISSING, microseconds, ratio, significant
from rope_prof.views.words.difference import bracketed, difference, more, points

if TYPE_CHECKING:
    from rich.table import Table

_AGREEMENT = ("path", "case", "calls", "kernels nsys", "Kineto", "kernel µs nsys", "Kineto", "difference", "agree")
#: Heads of `counter_cells`.
COUNTERS = (
    "path",
    "kernels",
    "alone µs",
    "least MiB",
    "DRAM MiB",
    "L2 MiB",
    "L2 / least",
    "DRAM %",
    "L2 %",
    "SM %",
    "warps %",
    "of %",
    "registers",
)
#: Heads of `stall_cells`.
STALLS = ("path", "largest", "second", "third")


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
    table = _table(title, _AGREEMENT)
    for one in systems.keys:
        table.add_row(*agreement_cells(one), style="" if one.agrees else "red" if one.agrees is False else "dim")
    return table


def agreement_cells(one: Agreement) -> tuple[str, ...]:
    """The cells of one key: both tools, the difference, and whether they agree."""
    return (
        _path(one.key),
        _case(one.key),
        str(one.calls) if one.calls else MISSING,
        _count(one.kernels_per_call),
        _count(one.kineto_kernels_per_call),
        microseconds(one.kernel_ns),
        microseconds(one.kineto_kernel_ns),
        MISSING if one.difference is None else f"{one.difference:+.1%}",
        MISSING if one.agrees is None else "yes" if one.agrees else "NO",
    )


def _count(value: float | None) -> str:
    return MISSING if value is None else f"{value:g}"


def _counter_tables(compute: Compute) -> list[Table]:
    rows = call_counters(compute)
    case = _case(rows[0].key) if rows else ""
    table = _table(f"Nsight Compute {compute.recording.version}: one call of each path, {case}; % of peak", COUNTERS)
    for row in rows:
        table.add_row(*counter_cells(row))
    stalls = _table("What a warp waits for between two instructions", STALLS)
    for row in rows:
        stalls.add_row(*stall_cells(row))
    return [table, stalls]


def stall_cells(row: CallCounters, base: CallCounters | None = None) -> tuple[str, ...]:
    """The path, and the three reasons for which its warps wait most; in brackets against those of `base`."""
    before = {} if base is None else {reason: 100 * share for reason, share in base.stalls}
    words = [
        bracketed(f"{reason} {share:.0%}", points(100 * share, before.get(reason))) for reason, share in row.stalls[:3]
    ]
    return (_path(row.key), *words, *[MISSING] * (3 - len(words)))


def _path(key: str) -> str:
    """`unfused eager`; a user's own path may hold dots."""
    return " ".join(key.rsplit(".", 4)[:2])


def _case(key: str) -> str:
    return key.rsplit(".", 4)[3]


def counter_cells(row: CallCounters) -> tuple[str, ...]:
    """The cells of one path."""
    return (
        _path(row.key),
        str(row.kernels),
        microseconds(row.duration_ns),
        _mebibytes(row.least_bytes),
        _mebibytes(row.dram_bytes),
        _mebibytes(row.l2_bytes),
        ratio(row.l2_excess),
        _percent(row.dram_percent),
        _percent(row.l2_percent),
        _percent(row.sm_percent),
        _percent(row.occupancy_percent),
        _percent(row.occupancy_limit_percent),
        MISSING if row.registers is None else str(row.registers),
    )


def counter_differences(row: CallCounters, base: CallCounters) -> tuple[str, ...]:
    """What each of `counter_cells` is against that of `base`: shares in points, empty where either has none.

    The least bytes are the shape's own, alike on both sides.
    """
    return (
        "",
        difference(row.kernels, base.kernels),
        difference(row.duration_ns, base.duration_ns),
        "",
        difference(row.dram_bytes, base.dram_bytes),
        difference(row.l2_bytes, base.l2_bytes),
        "",
        points(row.dram_percent, base.dram_percent),
        points(row.l2_percent, base.l2_percent),
        points(row.sm_percent, base.sm_percent),
        points(row.occupancy_percent, base.occupancy_percent),
        points(row.occupancy_limit_percent, base.occupancy_limit_percent),
        more(row.registers, base.registers),
    )


def _mebibytes(value: float | None) -> str:
    return MISSING if value is None else significant(value / (1 << 20))


def _percent(value: float | None) -> str:
    return MISSING if value is None else f"{value:.0f}" if value >= 10 else f"{value:.1f}"


def nsight_notes(found: Nsight) -> list[str]:
    """What a reader must know of the tables, and why a tool left none."""
    lines: list[str] = []
    if found.systems:
        lines += _recording_notes("nsys", found.systems.recording)
        lines += [f"{_path(one.key)}: {one.reason}" for one in found.systems.keys if one.reason]
        if found.systems.keys:
            lines.append(
                f"agree: the same count of kernels in every call, and their time per call within {AGREEMENT:.0%}"
            )
    if found.compute:
        lines += compute_notes(found.compute)
    return lines


def compute_notes(compute: Compute) -> list[str]:
    """The same of Nsight Compute alone."""
    return [*_recording_notes("ncu", compute.recording), *_compute_notes(compute)]


def _recording_notes(name: str, recording: Recording) -> Iterator[str]:
    if recording.reason:
        yield f"{name}: {recording.reason}"
    yield from recording.notes
    if recording.private:
        kinds = ", ".join(recording.private)
        yield f"{', '.join(recording.reports)}: private words are left ({kinds}) and it cannot be edited; keep it here"


def _compute_notes(compute: Compute) -> Iterator[str]:
    for row in call_counters(compute):
        if row.expected_kernels is not None and row.kernels != row.expected_kernels:
            yield f"{_path(row.key)}: ncu counted {row.kernels} kernels, a captured call has {row.expected_kernels:g}"
    if compute.kernels:
        yield (
            "ncu runs each kernel alone with cold caches, at the clocks as they are: compare its bytes and shares, "
            "take times from the table above. DRAM: read and written; what the L2 still holds at the end is not yet "
            "written back. warps: achieved occupancy, of what registers and blocks allow"
        )
