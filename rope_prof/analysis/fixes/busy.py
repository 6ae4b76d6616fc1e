"""What of a device's busy time is no compute: copies and communication that run alone, grids that leave SMs idle."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final

import polars as pl

from rope_prof.analysis.fixes.fix import Fix
from rope_prof.analysis.fixes.places import LaunchSites
from rope_prof.analysis.trace.cards import sms_of
from rope_prof.analysis.trace.collectives import collectives, communicates
from rope_prof.analysis.trace.copies import ways
from rope_prof.analysis.trace.spans import SpanSet, frame_union, join, window
from rope_prof.model.trace import Trace

#: A shorter kernel takes about what any kernel takes, whatever its grid.
LEAST_NS: Final = 10_000


def busy_fixes(trace: Trace, events: pl.DataFrame, sites: LaunchSites) -> Iterator[Fix]:
    """The losses in the busy time of one device; `events` are its rows of `launched`."""
    start, end = window(events)
    comm = communicates(events)
    work = frame_union(events.filter(~comm & pl.col("kind").is_in(["kernel", "graph"])))
    copies = events.filter(pl.col("kind") == "memcpy")
    named = copies.with_columns(ways(copies["name"]))
    told = pl.concat_str("direction", pl.col("memory"), separator=" ", ignore_nulls=True)
    yield from _alone("copies", named.with_columns(subject=told), work, end - start, sites)
    if comm.any():
        moved = collectives(trace, events).with_columns(subject="operation")
        yield from _alone("communication", moved, work, end - start, sites)
    sms = sms_of(trace, str(events["device"][0]))
    if sms:
        yield from _grids(events.filter(~comm & (pl.col("kind") == "kernel")), sms, end - start, sites)


def _alone(kind: str, rows: pl.DataFrame, work: SpanSet, span: int, sites: LaunchSites) -> Iterator[Fix]:
    """By subject: when these run and no kernel that computes does."""
    for (subject,), group in rows.group_by("subject"):
        alone = join(frame_union(group), work).total - work.total
        yield _fix(kind, str(subject), group, alone, span, sites)


def _grids(kernels: pl.DataFrame, sms: int, span: int, sites: LaunchSites) -> Iterator[Fix]:
    """Kernels of fewer blocks than the device has SMs, by name: spread over all, they take that part of their time."""
    known = kernels.filter((pl.col("dur_ns") >= LEAST_NS) & pl.col("grid").is_not_null())
    blocks = {text: _blocks(text) for text in known["grid"].unique().to_list()}
    small = {text: count for text, count in blocks.items() if 0 < count < sms}
    if not small:
        return
    rows = known.filter(pl.col("grid").is_in(list(small))).with_columns(
        blocks=pl.col("grid").replace_strict(small, return_dtype=pl.Int64)
    )
    idle = (pl.col("dur_ns") * (1 - pl.col("blocks") / sms)).alias("lost")
    for (name,), group in rows.with_columns(idle).group_by("name"):
        free = sms - int(group["blocks"].max())  # type: ignore[arg-type]
        yield _fix("grid", str(name), group, int(group["lost"].sum()), span, sites, free)


def _blocks(text: str) -> int:
    sides = text.split("x")
    return math.prod(int(side) for side in sides) if all(side.isdigit() for side in sides) else 0


def _fix(
    kind: str, subject: str, rows: pl.DataFrame, most: int, span: int, sites: LaunchSites, each: float | None = None
) -> Fix:
    return Fix(
        kind=kind,  # type: ignore[arg-type]
        devices=(str(rows["device"][0]),),
        subject=subject,
        count=rows.height,
        lo_ns=0,
        hi_ns=most,
        span_ns=span,
        place=sites.place(rows.sort("dur_ns").row(-1, named=True)),
        each=each,
    )
