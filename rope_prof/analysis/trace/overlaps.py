"""GPU events of one stream that run at the same time: a launch overlap, a record that is there twice, or no true time.

A stream works in order. Programmatic dependent launch lets the next kernel begin early, so that two or three overlap at
their edges; nothing lets a stream begin *and* end a dozen launches inside one event.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
import polars as pl

from rope_prof.analysis.trace.groups import group_numbers
from rope_prof.analysis.trace.spans import Int64s, in_order, length
from rope_prof.model.trace import Finding

#: So many whole events of other launches inside one event of their stream make its duration impossible.
INSIDE: Final = 12
#: Events that are looked at for it: a file where more are long is wrong all over.
_LOOKED_AT: Final = 10_000


def overlaps(events: pl.DataFrame) -> Iterator[Finding]:
    """The findings; `events` is the trace's `launched` frame."""
    lane, _ = group_numbers(events.select("device", "process", "stream"))
    start, taken = events["start_ns"].to_numpy(), events.select(length()).to_series().to_numpy()
    launch = events["correlation"].fill_null(-1).to_numpy()
    order = np.lexsort((start, lane))
    if np.any((np.diff(start[order]) == 0) & (np.diff(lane[order]) == 0)):  # equal records stand side by side
        order = np.lexsort((launch, taken, start, lane))
    lane, start, taken, launch = lane[order], start[order], taken[order], launch[order]
    spans = in_order(order, lane, start, start + taken)
    early = start[1:] < spans.reach[:-1]
    early[spans.first[1:] - 1] = False
    count = int(np.count_nonzero(early))
    if not count:
        return
    again = early & (lane[1:] == lane[:-1]) & (start[1:] == start[:-1]) & (taken[1:] == taken[:-1])
    again &= (launch[1:] == launch[:-1]) & (taken[1:] > 0)
    twice = _same(events, order[1:][again], order[:-1][again])
    if twice:
        detail = "GPU events stand in the file twice, with the same launch, stream and times"
        yield Finding(code="duplicate_events", detail=detail, count=twice)
    long = _swallow(lane, start, start + taken, launch)
    if long:
        detail = f"GPU events hold {INSIDE} or more whole launches of their own stream: their durations are impossible"
        yield Finding(code="impossible_overlap", detail=detail, count=long)
    if count > twice:
        detail = "GPU events start before an earlier one of their stream has ended (programmatic dependent launch)"
        yield Finding(code="stream_overlap", detail=detail, count=count - twice)


def _same(events: pl.DataFrame, rows: Int64s, others: Int64s) -> int:
    """How many of the pairs agree in name too, outside graphs whose nodes the file does not tell apart."""
    if not len(rows):
        return 0
    columns = ("kind", "name", "graph_node", "launch_name")
    one, other = (events.select(columns)[which] for which in (rows, others))
    same = one["name"].eq_missing(other["name"]) & one["kind"].eq_missing(other["kind"])
    same &= one["graph_node"].eq_missing(other["graph_node"])
    in_graph = one["launch_name"].fill_null("").str.contains("(?i)graphlaunch") & one["graph_node"].is_null()
    return int((same & ~in_graph).sum())


def _swallow(lane: Int64s, start: Int64s, end: Int64s, launch: Int64s) -> int:
    """How many events hold at least `INSIDE` others of their lane whole, each of another launch; in order of start."""
    ahead = np.arange(len(start)) + INSIDE
    fits = np.flatnonzero(ahead < len(start))
    fits = fits[(lane[ahead[fits]] == lane[fits]) & (start[ahead[fits]] < end[fits])][:_LOOKED_AT]
    count = 0
    for at in fits.tolist():
        near = slice(at + 1, at + 1 + 4 * INSIDE)
        whole = (lane[near] == lane[at]) & (end[near] < end[at]) & (launch[near] != launch[at])
        count += np.unique(launch[near][whole]).size >= INSIDE
    return count
