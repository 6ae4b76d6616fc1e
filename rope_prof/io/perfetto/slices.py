"""Begins and ends of track events -> slices, as Perfetto pairs them: per track a stack, in the order of time."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from rope_prof.io.perfetto import compiled
from rope_prof.io.perfetto.blocks import Int64s


def pairs(track: Int64s, at: Int64s, begins: npt.NDArray[np.bool_]) -> tuple[Int64s, Int64s, Int64s]:
    """(rows of begins, the row of the end of each: -1 for none, rows of ends without a begin), in the file's order.

    Events of one instant keep the file's order. An end closes the innermost slice that is open on its track.
    """
    found = compiled.pairs(track, at, begins)
    if found is None:
        return _paired(track, at, begins)
    opened = np.flatnonzero(begins)
    return opened, found[opened], np.flatnonzero(~begins & (found == -1))


def _paired(track: Int64s, at: Int64s, begins: npt.NDArray[np.bool_]) -> tuple[Int64s, Int64s, Int64s]:
    order = _in_time(track, at, begins)
    track, begins = track[order], begins[order]
    step = np.where(begins, 1, -1)
    first = np.flatnonzero(np.diff(track, prepend=track[:1] - 1)) if len(track) else np.zeros(0, np.int64)
    depth = _running(step, first)
    # Ends with nothing open: each makes the depth a new low below zero, and none of them closes anything.
    low = np.minimum(_running_low(depth, first), 0)
    before = np.minimum(np.concatenate(([0], low[:-1])), 0) if len(low) else low
    before[first] = 0
    idle = ~begins & (depth < before)
    level = depth - low + np.where(begins, 0, 1)  # of a slice: alike at its begin and its end
    held = np.flatnonzero(~idle)
    number = np.cumsum(np.diff(track, prepend=track[:1]) != 0)
    place = number * (int(level.max(initial=0)) + 1) + level
    small = place.astype(np.uint16) if place.max(initial=0) < 1 << 16 else place
    rows = held[np.argsort(small[held], kind="stable")]
    here, after = rows[:-1], rows[1:]
    same = (track[here] == track[after]) & (level[here] == level[after])
    closed = same & begins[here] & ~begins[after]
    end = np.full(len(track), -1, np.int64)
    end[here[closed]] = order[after[closed]]
    opened = np.flatnonzero(begins)
    begin_rows, end_rows = order[opened], end[opened]
    back = np.argsort(begin_rows, kind="stable")
    return begin_rows[back], end_rows[back], np.sort(order[idle])


def _in_time(track: Int64s, at: Int64s, begins: npt.NDArray[np.bool_]) -> Int64s:
    """Rows by track and time; a file that has each track in its order, as most have, is sorted by track alone.

    Such a file's order tells what comes first within one instant. In any other (torch writes all begins, then all
    ends) what ends there comes before what begins.
    """
    each, number = np.unique(track, return_inverse=True)
    small = number.astype(np.uint16) if len(each) < 1 << 16 else number
    order = np.argsort(small, kind="stable")
    later = (np.diff(at[order]) >= 0) | (np.diff(number[order]) != 0)
    return order if later.all() else np.lexsort((begins, at, number))


def _running(step: Int64s, first: Int64s) -> Int64s:
    """The running sum of each track, whose rows begin at `first`."""
    total = np.cumsum(step)
    start = np.zeros(len(step), np.int64)
    start[first] = np.diff(np.concatenate(([0], total[first] - step[first])))
    return total - np.cumsum(start)


def _running_low(depth: Int64s, first: Int64s) -> Int64s:
    """The lowest depth of each track so far."""
    if not len(depth):
        return depth
    span = int(depth.max() - depth.min()) + 1
    lift = np.zeros(len(depth), np.int64)
    lift[first] = 1
    number = np.cumsum(lift)
    return np.minimum.accumulate(depth - number * span) + number * span
