"""Memory over time under a timeline: the steps of a window, of each pixel the highest that it holds."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import polars as pl

from rope_prof.analysis.trace.memory import MemoryUse, memory_use
from rope_prof.units import size
from rope_prof.views.timeline.scene import Scene
from rope_prof.views.timeline.wire import f8


@lru_cache(maxsize=12)
def _uses(scene: Scene) -> tuple[MemoryUse, ...]:
    others = set() if scene.device is None else {*scene.trace.gpu["device"].unique()} - {scene.device}
    return tuple(use for use in memory_use(scene.trace) if use.peak_bytes > 0 and use.device not in others)


def memory_lanes(scene: Scene, zero_ns: int, window: tuple[int, int], pixel: float) -> list[dict[str, Any]]:
    """A lane for each device whose allocations were recorded; empty where none were."""
    return [_lane(use, zero_ns, window, pixel) for use in _uses(scene)]


def _lane(use: MemoryUse, zero_ns: int, window: tuple[int, int], pixel: float) -> dict[str, Any]:
    at, allocated, reserved = (use.steps[name].to_numpy() for name in ("start_ns", "allocated_bytes", "reserved_bytes"))
    first = max(0, int(np.searchsorted(at, window[0], side="right")) - 1)  # what is held as the window begins
    last = int(np.searchsorted(at, window[1]))
    at, allocated, reserved = at[first:last], allocated[first:last], reserved[first:last].astype(float)
    cells = ((at - window[0]) / max(pixel, 1)).astype(np.int64)
    heads = np.flatnonzero(np.diff(cells, prepend=-2)) if len(cells) else cells
    top = np.maximum.reduceat(allocated, heads) if len(heads) else allocated
    most = use.steps.select(pl.max_horizontal(pl.col("allocated_bytes").max(), pl.col("reserved_bytes").max())).item()
    return {
        "label": f"memory · {'host' if use.device == 'cpu' else f'device {use.device}'}",
        "top": int(most),
        "peak": f"peak {'+' if use.relative else ''}{size(use.peak_bytes)}",
        "at": f8(at[heads] - zero_ns),
        "allocated": f8(top),
        "reserved": f8(reserved[heads]),
    }
