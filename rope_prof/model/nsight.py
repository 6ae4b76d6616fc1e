"""What NVIDIA's own tools said of a run: `nsight.json` in its folder. Records alone, no I/O.

`systems` is Nsight Systems against the Kineto captures of the same run, key by key; `compute` the counters of Nsight
Compute, kernel by kernel, beside the least bytes of the shape. A part is None where it was not recorded.
"""

from __future__ import annotations

from rope_prof.model.frozen import Frozen

NSIGHT_VERSION = 1
#: Two tools that time the same kernels agree when their kernel time per call differs by no more than this share.
AGREEMENT = 0.03


class ToolRecording(Frozen, kw_only=True):
    """How one tool ran: its version, its options (paths left out), the files it left in the run folder.

    `reason`: why there is nothing, where there is nothing. `notes`: sentences that a reader must know. `private`: the
    kinds of private words (host, user, home, environment) that are still in a report, which cannot be edited;
    `processes`: a report lists all processes of the machine.
    """

    version: str
    options: tuple[str, ...]
    reports: tuple[str, ...] = ()
    reason: str | None = None
    notes: tuple[str, ...] = ()
    private: tuple[str, ...] = ()


class Agreement(Frozen, kw_only=True):
    """One key by both tools: medians per call. `difference` = (Nsight − Kineto) / Kineto of the kernel time.

    `agrees` is None where one side is missing, `reason` says which.
    """

    key: str
    calls: int = 0
    kernels_per_call: float | None = None
    kineto_kernels_per_call: float | None = None
    kernel_ns: float | None = None
    kineto_kernel_ns: float | None = None
    difference: float | None = None
    agrees: bool | None = None
    reason: str | None = None


class Systems(Frozen, kw_only=True):
    """Nsight Systems' part. `sqlite`: its export in the run folder, with what is private taken out."""

    recording: ToolRecording
    sqlite: str | None = None
    keys: tuple[Agreement, ...] = ()


class KernelCounters(Frozen, kw_only=True):
    """The counters of one kernel, alone on the device with cold caches. None: the tool gave none.

    Shares are percent of the peak that the device can sustain. `stalls`: reason -> cycles that a warp waits for it
    between two instructions. `key` is None where the kernel lies in no range of ours.
    """

    key: str | None
    name: str
    grid: str | None = None
    block: str | None = None
    registers: int | None = None
    duration_ns: float | None = None
    dram_read_bytes: float | None = None
    dram_write_bytes: float | None = None
    l2_bytes: float | None = None
    dram_percent: float | None = None
    l2_percent: float | None = None
    sm_percent: float | None = None
    occupancy_percent: float | None = None
    occupancy_limit_percent: float | None = None
    stalls: dict[str, float] | None = None


class LeastBytes(Frozen, kw_only=True):
    """What the shape of a key must move at least, and what its path moves by count."""

    key: str
    least_bytes: int
    bytes_moved: int | None = None
    kineto_kernels_per_call: float | None = None


class Compute(Frozen, kw_only=True):
    """Nsight Compute's part: one call of each path, its kernels in the order of their launch."""

    recording: ToolRecording
    kernels: tuple[KernelCounters, ...] = ()
    least: tuple[LeastBytes, ...] = ()


class Nsight(Frozen, kw_only=True):
    """`nsight.json`."""

    schema_version: int = NSIGHT_VERSION
    systems: Systems | None = None
    compute: Compute | None = None
