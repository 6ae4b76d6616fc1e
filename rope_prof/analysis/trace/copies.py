"""What the copies of a device moved: which way, how many bytes, how fast, from pinned or pageable memory.

A copy is not work like any other: `only_ns` is when copies run and nothing else does.
"""

from __future__ import annotations

from typing import Final

import polars as pl

from rope_prof.analysis.trace.spans import frame_union, join, length
from rope_prof.model.frozen import Frozen

_WAY: Final = r"(?i)\b([HDAP])to([HDAP])\b"
#: Copies that alone take up so much of a device's span are what it waits for.
BOUND: Final = 0.5


class CopyUse(Frozen, kw_only=True):
    """Copies of one direction and host memory. Bytes and rates are None where the file does not say the bytes."""

    direction: str  # HtoD, DtoH, DtoD, PtoP, ...
    memory: str | None  # pageable or pinned: of the host's side; None where there is none or it is not told
    copies: int
    time_ns: int
    bytes: int | None
    gb_per_s: float | None


def copy_use(events: pl.DataFrame) -> tuple[CopyUse, ...]:
    """The copies of one device's events, the longest time first."""
    copies = events.filter(pl.col("kind") == "memcpy")
    rows = copies.select("bytes", *ways(copies["name"]), taken=length())
    summed = rows.group_by("direction", "memory").agg(
        pl.len(), pl.col("taken").sum(), pl.col("bytes").sum(), told=pl.col("bytes").is_not_null().all()
    )
    return tuple(
        CopyUse(
            direction=way_,
            memory=memory_,
            copies=count,
            time_ns=taken,
            bytes=size if told else None,
            gb_per_s=size / taken if told and taken else None,
        )
        for way_, memory_, count, taken, size, told in summed.sort(
            "taken", "direction", "memory", descending=[True, False, False], nulls_last=True
        ).iter_rows()
    )


def ways(names: pl.Series) -> tuple[pl.Series, pl.Series]:
    """The `direction` of copies of those names (`?`: not told) and the `memory` of the host's side (null: none)."""
    name = pl.col("name")
    way = pl.concat_str(name.str.extract(_WAY, 1).str.to_uppercase(), pl.lit("to"), name.str.extract(_WAY, 2))
    kind = pl.when(name.str.contains("(?i)pageable")).then(pl.lit("pageable"))
    memory = kind.when(name.str.contains("(?i)pinned")).then(pl.lit("pinned"))
    told = names.fill_null("").alias("name").to_frame()
    found = told.select(way.fill_null("?").alias("direction"), memory.alias("memory"))
    return found["direction"], found["memory"]


def only_copies_ns(events: pl.DataFrame) -> int:
    """How long copies run on one device and no kernel, graph or set does."""
    times = events.select("kind", "start_ns", "dur_ns")
    moves = frame_union(times.filter(pl.col("kind") == "memcpy"))
    work = frame_union(times.filter(pl.col("kind") != "memcpy"))
    return join(moves, work).total - work.total
