"""How much memory was allocated and reserved on each device over time, where allocations were recorded."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from rope_prof.model.trace import Trace


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MemoryUse:
    """The memory of one device: `steps` has start_ns, allocated_bytes and reserved_bytes (null: not told), by time.

    `relative`: the file tells changes alone, and the steps are from what was allocated when it began.
    """

    device: str
    steps: pl.DataFrame
    peak_bytes: int
    peak_ns: int
    relative: bool


def memory_use(trace: Trace) -> tuple[MemoryUse, ...]:
    """The memory of each device that the file tells of, GPUs first. A total of zero where bytes change is not told."""
    held = trace.memory.filter(pl.col("start_ns").is_not_null() & pl.col("device").is_not_null())
    devices = sorted(held["device"].unique(), key=lambda name: (name == "cpu", name))
    return tuple(_use(device, held.filter(pl.col("device") == device)) for device in devices)


def _use(device: str, rows: pl.DataFrame) -> MemoryUse:
    rows = rows.sort("start_ns", maintain_order=True)
    relative = not (rows["allocated_bytes"].fill_null(0) != 0).any()
    allocated = pl.col("bytes").fill_null(0).cum_sum() if relative else pl.col("allocated_bytes").forward_fill()
    reserved = pl.lit(None, dtype=pl.Int64) if relative else pl.col("reserved_bytes")
    steps = rows.select("start_ns", allocated.fill_null(0).alias("allocated_bytes"), reserved.alias("reserved_bytes"))
    top = int(steps["allocated_bytes"].arg_max() or 0)
    return MemoryUse(
        device=device,
        steps=steps,
        peak_bytes=int(steps["allocated_bytes"][top]),
        peak_ns=int(steps["start_ns"][top]),
        relative=relative,
    )
