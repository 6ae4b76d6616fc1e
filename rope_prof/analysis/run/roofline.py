"""Where paths and kernels stand under the roof of the same run: bytes moved, bytes a second, what bounds them. Pure.

The roof of a call is the lower of two bounds: the copy bandwidth, and its bytes over the time of one launch. A path's
bytes are those that its kernels read and write by count; a kernel's are what Nsight Compute counted, at the DRAM or at
the L2. A point above the roof is shown as it is: an L2 that keeps what the kernel before wrote gives more than a copy.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import Literal

from rope_prof.analysis.run.ceilings import Ceilings
from rope_prof.analysis.run.floors import Floor, roofline
from rope_prof.analysis.run.rows import Row
from rope_prof.model.frozen import Frozen
from rope_prof.model.nsight import Compute, KernelCounters
from rope_prof.units import SECOND

Memory = Literal["dram", "l2"]
#: A peak that follows from the counters holds where the kernels' own values lie within this of their median.
PEAK_WITHIN = 0.05
#: Kernels that use less of the peak say nothing of it: their share has too few digits.
_LEAST_PERCENT = 1.0


class PathRoof(Frozen, kw_only=True):
    """One row of a case under its roof; None where something was not measured, or the bytes are not known.

    `busy_per_s`, `wall_per_s`: bytes a second while the kernels run, and over the whole unprofiled call. `copy_share`:
    the former over the copy bandwidth. `floor`: the row against its floors. `bound`: which of them is the higher.
    """

    row: Row
    bytes_moved: int | None
    busy_per_s: float | None
    wall_per_s: float | None
    copy_share: float | None
    floor: Floor | None
    bound: Literal["launch", "bytes"] | None


def path_roofs(rows: Sequence[Row], limits: Ceilings) -> tuple[PathRoof, ...]:
    """One per row, in their order; all rows are of the case of `limits`.

    Under compile the bytes are not known: the compiler's own kernels move what no formula here counts.
    """
    floors = {floor.key: floor for floor in roofline(rows, limits)}
    return tuple(_path(row, limits, floors.get(row.key)) for row in rows)


def _path(row: Row, limits: Ceilings, floor: Floor | None) -> PathRoof:
    moved = None if row.mode == "compile" else row.bytes_moved
    busy = _rate(moved, row.busy_ns)
    copy = limits.copy_bytes_per_s
    return PathRoof(
        row=row,
        bytes_moved=moved,
        busy_per_s=busy,
        wall_per_s=_rate(moved, row.wall_ns.median if row.wall_ns else None),
        copy_share=None if busy is None or not copy else busy / copy,
        floor=floor,
        bound=_bound(floor),
    )


def _bound(floor: Floor | None) -> Literal["launch", "bytes"] | None:
    if floor is None or floor.launch_ns is None or floor.bytes_ns is None:
        return None
    return "launch" if floor.launch_ns > floor.bytes_ns else "bytes"


def _rate(moved: float | None, ns: float | None) -> float | None:
    return None if not moved or not ns or ns <= 0 else moved / ns * SECOND


def pass_point(limits: Ceilings) -> tuple[int, float] | None:
    """(bytes, bytes a second) of one pass over the case's views, the best known way; None where it was not measured."""
    for one in limits.measured:
        if one.best and one.ceiling.name == "in_place" and one.ceiling.bytes_moved and one.ns.median > 0:
            return one.ceiling.bytes_moved, one.ceiling.bytes_moved / one.ns.median * SECOND
    return None


class KernelRoof(Frozen, kw_only=True):
    """One kernel alone on the device, by its counters. `percent`: of the peak that this memory can sustain."""

    kernel: KernelCounters
    bytes_moved: float
    bytes_per_s: float
    percent: float | None


def kernel_roofs(kernels: Sequence[KernelCounters], memory: Memory) -> tuple[KernelRoof, ...]:
    """Those kernels that have bytes and a time, in their order; one that moved nothing there has no place."""
    found = []
    for kernel in kernels:
        moved = _dram(kernel) if memory == "dram" else kernel.l2_bytes
        rate = _rate(moved, kernel.duration_ns)
        if moved is not None and rate is not None:
            percent = kernel.dram_percent if memory == "dram" else kernel.l2_percent
            found.append(KernelRoof(kernel=kernel, bytes_moved=moved, bytes_per_s=rate, percent=percent))
    return tuple(found)


def _dram(kernel: KernelCounters) -> float | None:
    read, written = kernel.dram_read_bytes, kernel.dram_write_bytes
    return None if read is None or written is None else read + written


def peak_per_s(roofs: Sequence[KernelRoof]) -> float | None:
    """The peak bandwidth that the counters imply, bytes a second: what a kernel moved over its share of the peak.

    None where the kernels do not agree (`PEAK_WITHIN`): the share is then one of something else than bytes, as that of
    the L2 is.
    """
    implied = [
        r.bytes_per_s / (r.percent / 100) for r in roofs if r.percent is not None and r.percent >= _LEAST_PERCENT
    ]
    if not implied:
        return None
    middle = median(implied)
    return middle if all(abs(value / middle - 1) <= PEAK_WITHIN for value in implied) else None


def of_keys(compute: Compute, keys: Sequence[str]) -> tuple[KernelCounters, ...]:
    """The kernels that ran for those keys, in the order of their launch."""
    wanted = set(keys)
    return tuple(kernel for kernel in compute.kernels if kernel.key in wanted)
