"""Which GPU kernels communicate, and as which collective: by what the file says, not by the kernel's name alone.

An all-to-all runs as NCCL's SendRecv kernel, and RCCL names all of its kernels alike. So first counts `Collective name`
of the kernel, then the `nccl:*` range that its launch was made in, and the kernel's own name where there is neither.
Communication is *exposed* while no other kernel runs on the device.
"""

from __future__ import annotations

from typing import Final

import polars as pl

from rope_prof.analysis.trace.calls import innermost
from rope_prof.analysis.trace.groups import holding
from rope_prof.analysis.trace.spans import frame_union, join
from rope_prof.model.frozen import Frozen
from rope_prof.model.trace import Trace

#: Kernels of the libraries that communicate.
COMMUNICATES: Final = (
    r"(?i)nccl|rccl|mscclpp|nvshmem|deep_?ep|all_?reduce|all_?gather|reduce_?scatter|all_?to_?all|cross_device_reduce"
)
_RANGE: Final = r"^(?:nccl|rccl|c10d|gloo|ucc|xccl):"


class Communication(Frozen, kw_only=True):
    """One device's communication: `busy_ns` = `exposed_ns` (no other kernel runs) + `overlapped_ns`."""

    kernels: int
    busy_ns: int
    exposed_ns: int
    overlapped_ns: int


def communicates(events: pl.DataFrame) -> pl.Series:
    """Which GPU events are kernels that communicate."""
    named, told = holding(events["name"], COMMUNICATES), events["collective"]
    if told.null_count() < len(told):
        named |= told.is_not_null()
    return (events["kind"] == "kernel") & named if named.any() else named


def communication(events: pl.DataFrame) -> Communication | None:
    """The communication of one device's events; None where there is none."""
    events = events.select("kind", "name", "collective", "start_ns", "dur_ns")
    communicate = communicates(events)
    comm = events.filter(communicate)
    if not comm.height:
        return None
    spans = frame_union(comm)
    work = frame_union(events.filter(~communicate & pl.col("kind").is_in(["kernel", "graph"])))
    exposed = join(spans, work).total - work.total
    return Communication(
        kernels=comm.height, busy_ns=spans.total, exposed_ns=exposed, overlapped_ns=spans.total - exposed
    )


def collectives(trace: Trace, events: pl.DataFrame) -> pl.DataFrame:
    """The kernels that communicate, of `launched` events, by start, each with `operation` and the `group` it ran in.

    `operation`: `allreduce`, `all_to_allv`, ... as the file says it, else the kernel's name.
    """
    found = events.filter(communicates(events)).sort("start_ns", maintain_order=True)
    ranges = trace.ranges.filter(pl.col("name").str.contains(_RANGE))
    said = pl.coalesce("collective", pl.col("around").str.replace(_RANGE, ""), "name")
    return found.with_columns(around=innermost(ranges, found)).with_columns(operation=said).drop("around")
