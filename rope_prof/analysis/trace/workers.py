"""Threads that launch for another: which launches belong to the ranges of a thread that waits.

A launch works for thread W where W is another thread of its process, has a range open and waits: W begins no call and
no operator between its last and its next one, and

- the launching thread is autograd's (it runs operators with a `Fwd thread id`, or the engine's own), or
- it has no range of its own around any launch, and launches three times or more while W waits, or W waits four times
  as long as it mostly does.

Where several threads wait, the one that launches work itself is taken, of those the one that waits longest; outside
autograd several that could be meant are none. A launch inside a backward operator is also work that the forward
operator of the same sequence number caused: the last one of that number, and the ranges around it.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import polars as pl

from rope_prof.analysis.trace.spans import Bools, Int64s, frame_union
from rope_prof.model.trace import Trace

_ENGINE: Final = r"autograd::engine::|Backward\d*(?:>|$)"
#: So many launches of another thread while one does nothing are a wait, whatever its length.
_LAUNCHES: Final = 3
_LONG: Final = 4
#: Beyond so many pairs of threads nobody is taken to work for anybody: it is no training step.
_MOST_PAIRS: Final = 4096


def works_for(trace: Trace, events: pl.DataFrame) -> pl.Series:
    """For each row of `events` (with launch_process, _thread, _start_ns) the thread that waits for it, or null."""
    if one_thread(events["launch_thread"], trace.ranges["thread"]):
        return pl.Series("launch_for_thread", [None], dtype=pl.Int64).new_from_index(0, events.height)
    ranges = trace.ranges.filter(pl.col("thread").is_not_null() & (pl.col("dur_ns") > 0))
    lanes = events.select("launch_process", "launch_thread").unique().drop_nulls()
    found = np.full(events.height, 0, np.int64)
    known = np.zeros(events.height, np.bool_)
    if not ranges.height or not lanes.height:
        return pl.Series("launch_for_thread", [None] * events.height, dtype=pl.Int64)
    for (process,), workers in lanes.group_by("launch_process"):
        waiting = ranges.filter(pl.col("process").eq_missing(process))
        bosses = waiting["thread"].unique().sort().to_list()
        threads = workers["launch_thread"].sort().to_list()
        if not bosses or threads == bosses[:1] == bosses or len(bosses) * len(threads) > _MOST_PAIRS:
            continue
        for thread, rows, at in _launches(events, process, threads):
            boss, sure = _waits_for(trace, process, thread, at, waiting, set(threads))
            found[rows[sure]], known[rows[sure]] = boss[sure], True
    return pl.Series("launch_for_thread", found).set(pl.Series(~known), None)


def one_thread(launching: pl.Series, ranged: pl.Series) -> bool:
    """Whether one thread launches everything and no other has a range, as in most captures: nobody waits for it."""
    only = launching.min()
    return only == launching.max() and ranged.min() in (None, only) and ranged.max() in (None, only)


def _launches(events: pl.DataFrame, process: Any, threads: list[int]) -> list[tuple[int, Int64s, Int64s]]:
    """(thread, rows, launch times) of the launching threads of a process."""
    rows = events.select("launch_process", "launch_thread", "launch_start_ns", row=pl.int_range(pl.len()))
    rows = rows.filter(pl.col("launch_process").eq_missing(process) & pl.col("launch_thread").is_in(threads))
    return [
        (int(thread), own["row"].to_numpy(), own["launch_start_ns"].to_numpy())
        for (thread,), own in rows.group_by("launch_thread")
    ]


def _waits_for(
    trace: Trace, process: Any, thread: int, at: Int64s, ranges: pl.DataFrame, launching: set[int]
) -> tuple[Int64s, Bools]:
    """For each launch of a thread at `at` who waits for it, and whether anybody does."""
    engine = _is_engine(trace, process, thread)
    own = frame_union(ranges.filter(pl.col("thread") == thread))
    best = np.zeros(len(at), np.int64)
    length = np.zeros(len(at), np.int64)
    several = np.zeros(len(at), np.bool_)
    if not engine and own.holds(at).any():
        return best, several
    bosses = ranges.filter(pl.col("thread") != thread)
    for (boss,), held in sorted(bosses.group_by("thread"), key=lambda one: (one[0][0] not in launching, one[0][0])):
        waits, long = _waits(_begins(trace, process, boss), at, frame_union(held).holds(at), engine)
        waits &= (length == 0) | (boss in launching)  # those that launch nothing come last
        several |= waits & (length > 0)
        better = waits & (long > length)
        best[better], length[better] = boss, long[better]
    return best, (length > 0) & (engine | ~several)


def _is_engine(trace: Trace, process: Any, thread: int) -> bool:
    ops = trace.ops.select("process", "thread", "name", "forward_thread", "sequence")
    ops = ops.filter(pl.col("process").eq_missing(process) & (pl.col("thread") == thread))
    later = pl.col("forward_thread").fill_null(0) > 0
    forward = ~later & (pl.col("sequence").fill_null(-1) >= 0)  # recomputed ones run on autograd's thread too
    named = ops.group_by("name").agg(pl.len(), later.sum().alias("later"), forward.sum().alias("forward"))
    engine = pl.col("name").str.contains(_ENGINE).fill_null(False)
    told = named.select(
        backward=pl.when(engine).then("len").otherwise("later").sum(),
        forward=pl.when(engine).then(0).otherwise("forward").sum(),
    )
    return bool(told["backward"][0]) and bool(told["backward"][0] >= told["forward"][0])


def _begins(trace: Trace, process: Any, thread: Any) -> Int64s:
    """When the calls and operators of a thread begin, in order."""
    mine = pl.col("process").eq_missing(process) & (pl.col("thread") == thread)
    starts: Int64s = pl.concat([f.filter(mine)["start_ns"] for f in (trace.calls, trace.ops)]).sort().to_numpy()
    return starts


def _waits(begins: Int64s, at: Int64s, ranged: Bools, engine: bool) -> tuple[Bools, Int64s]:
    """Whether a thread whose calls begin at `begins` waits at each instant, and for how long it does nothing then."""
    place = np.searchsorted(begins, at, side="right")
    edges = np.concatenate(([at.min() - 1], begins, [max(int(at.max()), int(begins.max(initial=0))) + 1]))
    long = edges[place + 1] - edges[place]
    if engine:
        return ranged, np.where(ranged, long, 0)
    _, which, count = np.unique(place, return_inverse=True, return_counts=True)
    usual = np.median(np.diff(begins)) if len(begins) > 1 else 0
    waits = ranged & ((count[which] >= _LAUNCHES) | ((usual > 0) & (long >= _LONG * usual)))
    return waits, np.where(waits, long, 0)
