"""What Nsight said of a run in words and cells: two tools side by side, the counters of each path. No arithmetic."""

from __future__ import annotations

from collections.abc import Iterator

from rope_prof.analysis.run.counters import CallCounters, call_counters
from rope_prof.model.nsight import AGREEMENT, Agreement, Compute, Nsight, ToolRecording
from rope_prof.units import MISSING, mebibytes, microseconds, number, ratio
from rope_prof.views.words.difference import bracketed, difference, more, points
from rope_prof.views.words.labels import name_parts

AGREEMENT_HEAD = ("path", "case", "calls", "kernels nsys", "Kineto", "kernel µs nsys", "Kineto", "difference", "agree")
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


def agreement_cells(one: Agreement) -> tuple[str, ...]:
    """The cells of one key: both tools, the difference, and whether they agree."""
    return (
        _side(one.key),
        name_parts(one.key)[3],
        str(one.calls) if one.calls else MISSING,
        number(one.kernels_per_call),
        number(one.kineto_kernels_per_call),
        microseconds(one.kernel_ns),
        microseconds(one.kineto_kernel_ns),
        MISSING if one.difference is None else f"{one.difference:+.1%}",
        MISSING if one.agrees is None else "yes" if one.agrees else "NO",
    )


def _side(key_name: str) -> str:
    """`unfused eager`."""
    return " ".join(name_parts(key_name)[:2])


def stall_cells(row: CallCounters, base: CallCounters | None = None) -> tuple[str, ...]:
    """The path, and the three reasons for which its warps wait most; in brackets against those of `base`."""
    before = {} if base is None else {reason: 100 * share for reason, share in base.stalls}
    words = [
        bracketed(f"{reason} {share:.0%}", points(100 * share, before.get(reason))) for reason, share in row.stalls[:3]
    ]
    return (_side(row.key), *words, *[MISSING] * (3 - len(words)))


def counter_cells(row: CallCounters) -> tuple[str, ...]:
    """The cells of one path."""
    return (
        _side(row.key),
        str(row.kernels),
        microseconds(row.duration_ns),
        mebibytes(row.least_bytes),
        mebibytes(row.dram_bytes),
        mebibytes(row.l2_bytes),
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


def _percent(value: float | None) -> str:
    return MISSING if value is None else f"{value:.0f}" if value >= 10 else f"{value:.1f}"


def nsight_notes(found: Nsight) -> list[str]:
    """What a reader must know of the tables, and why a tool left none."""
    lines: list[str] = []
    if found.systems:
        lines += _recording_notes("nsys", found.systems.recording)
        lines += [f"{_side(one.key)}: {one.reason}" for one in found.systems.keys if one.reason]
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


def _recording_notes(name: str, recording: ToolRecording) -> Iterator[str]:
    if recording.reason:
        yield f"{name}: {recording.reason}"
    yield from recording.notes
    if recording.private:
        kinds = ", ".join(recording.private)
        yield f"{', '.join(recording.reports)}: private words are left ({kinds}) and it cannot be edited; keep it here"


def _compute_notes(compute: Compute) -> Iterator[str]:
    for row in call_counters(compute):
        if row.expected_kernels is not None and row.kernels != row.expected_kernels:
            yield f"{_side(row.key)}: ncu counted {row.kernels} kernels, a captured call has {row.expected_kernels:g}"
    if compute.kernels:
        yield (
            "ncu runs each kernel alone with cold caches, at the clocks as they are: compare its bytes and shares, "
            "take times from the table above. DRAM: read and written; what the L2 still holds at the end is not yet "
            "written back. warps: achieved occupancy, of what registers and blocks allow"
        )
