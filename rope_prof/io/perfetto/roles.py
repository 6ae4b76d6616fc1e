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
#: Render stages of the GPU that are work of it or nodes of its graphs, by their name.
STAGES: Final = {
    "Kernel": "kernel",
    "Memcpy": "memcpy",
    "Memset": "memset",
    "HostNode": "host_node",
    "EventRecord": "event_node",
}


def with_roles(slices: pl.DataFrame) -> pl.DataFrame:
    """The slices that are read, with `frame` and `role` (their kind there)."""
    told = {name: _role(name) for name in slices["category"].unique().drop_nulls().to_list()}
    read = {name: both for name, both in told.items() if both[0]}
    frame, kind = ({name: both[k] for name, both in read.items()} for k in (0, 1))
    return slices.filter(pl.col("category").is_in(list(read))).with_columns(
        frame=pl.col("category").replace_strict(frame, return_dtype=pl.String),
        role=pl.col("category").replace_strict(kind, return_dtype=pl.String),
    )


def _role(category: str) -> tuple[str, str]:
    known = _ROLES.get(category)
    if known is None:
        frame, kind = role(category)
        known = ("nodes" if kind in NODES else _FRAMES.get(frame, "")), kind
    return known
