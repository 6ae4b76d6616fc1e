"""The spread of a run over its ranks as a table for a terminal. Computes nothing."""

from __future__ import annotations

from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from rope_prof.analysis.run.rank_spread import RankSpread
from rope_prof.units import MISSING, microseconds, ratio


def rank_tables(spreads: Sequence[RankSpread]) -> list[Table]:
    """One table of all keys, with a line for each rank that was lost; none for a run of one rank."""
    if not spreads:
        return []
    table = Table(
        title="Over ranks, µs per call", title_justify="left", box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0)
    )
    table.add_column("path", overflow="fold")
    for column in ("tokens", "timed", "wall, fastest", "median", "slowest", "rank", "ratio", "busy", "bubble"):
        table.add_column(column, justify="right", overflow="ellipsis", no_wrap=True)
    for one in spreads:
        walls = [microseconds(ns) for ns in (one.wall_lo_ns, one.wall_median_ns, one.wall_hi_ns)]
        table.add_row(
            Text(f"{one.path} {one.mode}"),
            f"{one.case.tokens:,}",
            str(one.ranks) if one.timed == one.ranks else f"{one.timed} of {one.ranks}",
            *walls,
            MISSING if one.slow is None else str(one.slow),
            ratio(one.ratio),
            _between(one.busy_lo_ns, one.busy_hi_ns),
            _between(one.bubble_lo_ns, one.bubble_hi_ns),
        )
    lost = dict.fromkeys(_lost(rank, why) for one in spreads for rank, why in one.lost)
    if lost:
        table.caption, table.caption_justify = Text("\n".join(lost)), "left"
    return [table]


def _lost(rank: int, why: str) -> str:
    return why if why.startswith(f"rank {rank} ") else f"rank {rank}: {why}"


def _between(lo: float | None, hi: float | None) -> str:
    low, high = microseconds(lo), microseconds(hi)
    return low if low == high else f"{low} … {high}"
