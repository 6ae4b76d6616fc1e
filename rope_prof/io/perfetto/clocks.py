"""The times of packets on the file's own clock, in ns, exact.

A packet says its clock, or its sequence's defaults do, or it is the boot clock. Clocks 64 to 127 are a sequence's own;
an incremental one counts from the packet before. What joins clocks are snapshots: the last one before a packet that
holds both. A clock that no snapshot joins to the file's own is unknown, and so are the times on it.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from rope_prof.io.perfetto.blocks import Int64s
from rope_prof.io.perfetto.scanned import ABSENT, Scan, ScannedTable
from rope_prof.io.perfetto.words import Snapshot, TraceWords, epochs

BOOTTIME: Final = 6
_OWN_FIRST, _OWN_LAST = 64, 127


def times(scan: Scan, words: TraceWords) -> dict[str, Int64s]:
    """The time of each row of `events` and `stages`, ABSENT where there is none or its clock is unknown."""
    tables = {"events": scan.events, "stages": scan.stages, "others": scan.others}
    plain = not words.default_clock and all(shape.clock in (0, BOOTTIME) for shape in scan.shapes)
    if plain:
        return {name: table.values["at"] for name, table in tables.items()}
    ordinal = np.concatenate([table.ordinal for table in tables.values()])
    at = np.concatenate([table.values["at"] for table in tables.values()])
    sequence, clock = (
        np.concatenate([_of_shape(scan, t, what) for t in tables.values()]) for what in ("sequence", "clock")
    )
    order = np.argsort(ordinal, kind="stable")
    found = np.empty(len(at), np.int64)
    found[order] = _absolute(scan, words, ordinal[order], at[order], sequence[order], clock[order])
    edges = np.cumsum([len(table) for table in tables.values()])[:-1]
    return dict(zip(tables, np.split(found, edges), strict=True))


def _of_shape(scan: Scan, table: ScannedTable, what: str) -> Int64s:
    told = np.array([getattr(shape, what) for shape in scan.shapes] or [0], np.int64)
    return told[table.shape]


def _absolute(scan: Scan, words: TraceWords, ordinal: Int64s, at: Int64s, sequence: Int64s, clock: Int64s) -> Int64s:
    out = np.full(len(at), ABSENT, np.int64)
    for number in np.unique(sequence).tolist():
        mine = np.flatnonzero((sequence == number) & (at != ABSENT))
        clocks = clock[mine]
        silent = clocks == 0
        if silent.any():
            epoch = epochs(scan, number, ordinal[mine])
            told = {one: words.default_clock.get((number, one), BOOTTIME) for one in np.unique(epoch).tolist()}
            clocks = np.where(silent, np.array([told[one] for one in epoch.tolist()], np.int64), clocks)
        for one in np.unique(clocks).tolist():
            rows = mine[clocks == one]
            out[rows] = _converted(words, one, number, ordinal[rows], at[rows])
    return out


def _converted(words: TraceWords, clock: int, sequence: int, ordinal: Int64s, at: Int64s) -> Int64s:
    own = _OWN_FIRST <= clock <= _OWN_LAST
    said = [
        one
        for one in words.snapshots
        if clock in one.clocks and BOOTTIME in one.clocks and (not own or one.sequence == sequence)
    ]
    if clock == BOOTTIME:
        return at
    if not said:
        return np.full(len(at), ABSENT, np.int64)
    base, offset, unit = (np.array(column, np.int64) for column in zip(*(_read(s, clock) for s in said), strict=True))
    which = np.clip(np.searchsorted([one.ordinal for one in said], ordinal, side="right") - 1, 0, None)
    ns = at * unit[which]
    if said[0].clocks[clock][1]:  # each counts from the one before, the first from the snapshot
        total = np.cumsum(ns)
        first = np.searchsorted(which, which)
        ns = total - total[first] + ns[first] + base[which]
    return ns + offset[which]


def _read(snapshot: Snapshot, clock: int) -> tuple[int, int, int]:
    """(the clock's reading in ns, how far the boot clock is before it, ns a unit)."""
    reading, _, unit = snapshot.clocks[clock]
    boot, _, boot_unit = snapshot.clocks[BOOTTIME]
    return reading * unit, boot * boot_unit - reading * unit, unit
