"""What a category of track events is to us, by who writes it: which frame, which kind.

Kineto's own stand in `io.kineto.categories`. Here: ours, torch's CUPTI monitor (as in its Chrome JSON) and rocprofv3
(the categories of rocprofiler-sdk).
"""

from __future__ import annotations

from typing import Final

import polars as pl

from rope_prof.io.kineto.categories import NODES, role

#: (frame, kind); a kind that is empty stands in an argument of the event.
_ROLES: Final = {
    "graph": ("gpu", "graph"),
    "host_call": ("calls", ""),
    "range": ("ranges", ""),
    "kernel_dispatch": ("gpu", "kernel"),
    "memory_copy": ("gpu", "memcpy"),
    **dict.fromkeys(("hip_api", "hip_runtime_api", "hip_compiler_api", "rccl_api"), ("calls", "runtime")),
    "hsa_api": ("calls", "driver"),
    "marker_api": ("ranges", "nvtx"),
    **{kind: ("nodes", kind) for kind in NODES},
}
_FRAMES: Final = {"gpu": "gpu", "call": "calls", "range": "ranges", "op": "ops", "overhead": "overheads"}
_FRAME_NAMES: Final = ("gpu", "nodes", "calls", "ranges", "ops", "overheads")
#: Render stages of the GPU that are work of it or nodes of its graphs, by their name.
STAGES: Final = {
    "Kernel": "kernel",
    "Memcpy": "memcpy",
    "Memset": "memset",
    "HostNode": "host_node",
    "EventRecord": "event_node",
}


def with_roles(slices: pl.DataFrame) -> pl.DataFrame:
    """The slices that are read, with `frame` and `role` (their kind there) in place of their category, an Enum."""
    words = slices.schema["category"]
    assert isinstance(words, pl.Enum)
    told = [_role(name) for name in words.categories]
    which = slices["category"].to_physical().cast(pl.UInt32)
    frames, roles = ([both[k] if both[0] else None for both in told] or [None] for k in (0, 1))
    read = slices.drop("category").with_columns(
        pl.Series("frame", frames, dtype=pl.Enum(_FRAME_NAMES)).gather(which),
        pl.Series("role", roles, dtype=pl.Enum(sorted({"", *filter(None, roles)}))).gather(which),
    )
    return read.filter(pl.col("frame").is_not_null()) if read["frame"].null_count() else read


def _role(category: str) -> tuple[str, str]:
    known = _ROLES.get(category)
    if known is None:
        frame, kind = role(category)
        known = ("nodes" if kind in NODES else _FRAMES.get(frame, "")), kind
    return known
