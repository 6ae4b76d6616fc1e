"""Counters of single kernels -> one row per path: bytes beside the least that the shape needs, shares, stalls.

Bytes and times add up over the kernels of a call. Shares of a peak and occupancy are means weighted by the kernels'
time, stalls by the same; a figure that any of the kernels lacks is None for the call.
"""

from __future__ import annotations

from collections.abc import Sequence

from rope_prof.model.frozen import Frozen
from rope_prof.model.nsight import Compute, KernelCounters, LeastBytes

#: Of the counters of a kernel: what adds up over a call, and what is a share.
ADDED = ("duration_ns", "dram_read_bytes", "dram_write_bytes", "l2_bytes")
SHARES = ("dram_percent", "l2_percent", "sm_percent", "occupancy_percent", "occupancy_limit_percent")


class CallCounters(Frozen, kw_only=True):
    """One call of one key under `ncu`: each kernel alone on the device, so times do not add up to a call's own.

    `excess`: bytes of DRAM read and written / least bytes; under 1 where the L2 keeps what was written. `stalls`:
    (reason, its share of the cycles between two instructions of a warp), largest first.
    """

    key: str
    kernels: int
    expected_kernels: float | None
    least_bytes: int
    bytes_moved: int | None
    duration_ns: float | None
    dram_bytes: float | None
    dram_read_bytes: float | None
    dram_write_bytes: float | None
    l2_bytes: float | None
    excess: float | None
    l2_excess: float | None
    dram_percent: float | None
    l2_percent: float | None
    sm_percent: float | None
    occupancy_percent: float | None
    occupancy_limit_percent: float | None
    registers: int | None
    stalls: tuple[tuple[str, float], ...]


def call_counters(compute: Compute) -> tuple[CallCounters, ...]:
    """One row per key of the recording, in its order; a key without kernels has `kernels` 0 and no figures."""
    return tuple(_row(one, [k for k in compute.kernels if k.key == one.key]) for one in compute.least)


def counters_of(compute: Compute | None, key: str) -> CallCounters | None:
    """The row of that key; None where it was not run under `ncu`, or ran no kernel there."""
    rows = () if compute is None else call_counters(compute)
    return next((row for row in rows if row.key == key and row.kernels), None)


def _row(one: LeastBytes, kernels: Sequence[KernelCounters]) -> CallCounters:
    totals = {name: _total([getattr(kernel, name) for kernel in kernels]) for name in ADDED}
    shares = {name: _weighted(kernels, [getattr(kernel, name) for kernel in kernels]) for name in SHARES}
    read, written, l2 = totals["dram_read_bytes"], totals["dram_write_bytes"], totals["l2_bytes"]
    dram = None if read is None or written is None else read + written
    least = one.least_bytes
    return CallCounters(
        key=one.key,
        kernels=len(kernels),
        expected_kernels=one.kineto_kernels_per_call,
        least_bytes=least,
        bytes_moved=one.bytes_moved,
        dram_bytes=dram,
        excess=dram / least if dram is not None and least else None,
        l2_excess=l2 / least if l2 is not None and least else None,
        registers=max((k.registers for k in kernels if k.registers is not None), default=None),
        stalls=_stalls(kernels),
        **totals,
        **shares,
    )


def _total(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if known and len(known) == len(values) else None


def _weighted(kernels: Sequence[KernelCounters], values: Sequence[float | None]) -> float | None:
    """The mean of `values`, one a kernel, each by the kernel's time."""
    times = [kernel.duration_ns for kernel in kernels]
    pairs = [(value, ns) for value, ns in zip(values, times, strict=True) if value is not None and ns]
    if not pairs or len(pairs) != len(kernels):
        return None
    return sum(value * ns for value, ns in pairs) / sum(ns for _, ns in pairs)


def _stalls(kernels: Sequence[KernelCounters]) -> tuple[tuple[str, float], ...]:
    """Share of each reason, the kernels weighted by their time; `selected` is no stall and left out of the names."""
    reasons = {reason for kernel in kernels for reason in kernel.stalls or {}}
    weighted = {
        reason: _weighted(kernels, [(kernel.stalls or {}).get(reason, 0.0) for kernel in kernels]) for reason in reasons
    }
    known = {reason: value for reason, value in weighted.items() if value is not None}
    total = sum(known.values())
    shares = [(reason, value / total) for reason, value in known.items() if reason != "selected"] if total else []
    return tuple(sorted(shares, key=lambda pair: (-pair[1], pair[0])))
