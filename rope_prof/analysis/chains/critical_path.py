"""What the end of a device's work waited for, all the way back: its critical path through GPU and host.

Whatever is made faster, the device's last event moves up by no more than is taken off this path. From an event the path
leads to what its start waited for: to its launch, where that came later than the end of the work before on its stream;
else to that work; where it waited for neither, to the event of another stream that ended just before. From a launch it
runs back along the host to the last wait for the GPU, and there to the event that the wait ended with.

Which thread waited for which the trace does not tell (autograd's for the caller's, say). So there are two paths where
several launch: one that keeps to the waits of its own thread, and one that turns at those of any; the host's time on
them is that of all threads. Nor does it tell what an event or a wait of the host
waited for: the event that ended last before, at most `RETURNS_NS` ago, is taken to be it.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import polars as pl

from rope_prof.analysis.chains.events import NONE, Bools, ChainEvents
from rope_prof.analysis.chains.repeats import Ints
from rope_prof.analysis.chains.saving import Latency
from rope_prof.analysis.trace.spans import SpanSet, union
from rope_prof.model.frozen import Frozen
from rope_prof.model.trace import Trace

#: Calls in which a host may wait for the GPU.
WAITS: Final = r"(?i)synchronize|memcpy"
#: Who waits for a GPU event goes on within this, once it has ended.
RETURNS_NS: Final = 50_000
#: An event that starts later than this behind its launch and its stream was held up by something else.
HELD_NS: Final = 20_000


class CriticalPath(Frozen):
    """The events of the device that lie on it, and the host's time that does."""

    events: Bools
    host: SpanSet


class _Waits(Frozen):
    """The host's waits for the GPU by their end: the launching thread (`Events.thread`), the event each ended with."""

    thread: Ints
    end: Ints
    event: Ints


def critical_paths(trace: Trace, events: ChainEvents, latency: Latency) -> tuple[CriticalPath, ...]:
    """The critical paths of one device, from its last end back: one, or two where several threads launch."""
    before, waits = _before(events, latency), _waits(trace, events)
    threads = np.unique(events.thread[events.launch_start != NONE]).tolist()
    own = {n: _of(waits, n) for n in threads}
    paths = [_path(events, before, own)]
    if len(threads) > 1:
        paths.append(_path(events, before, dict.fromkeys(threads, waits)))
    return tuple(paths)


def _of(waits: _Waits, thread: int) -> _Waits:
    rows = waits.thread == thread
    return _Waits(waits.thread[rows], waits.end[rows], waits.event[rows])


def _path(events: ChainEvents, before: Ints, waits: dict[int, _Waits]) -> CriticalPath:
    on = np.zeros(events.start.size, np.bool_)
    spans: list[tuple[int, int]] = []
    steps = before.tolist()
    at = int(np.argmax(events.end))
    while at >= 0 and not on[at]:
        on[at] = True
        if steps[at] != _LAUNCH:
            at = steps[at]
            continue
        launch, known = int(events.launch_start[at]), waits[int(events.thread[at])]
        place = int(np.searchsorted(known.end, launch, side="right")) - 1
        spans.append((_START if place < 0 else int(known.end[place]), launch))
        at = -1 if place < 0 else int(known.event[place])
    begin, end = np.array(spans, dtype=np.int64).reshape(-1, 2).T
    return CriticalPath(on, union(begin, end))


_START: Final = -(1 << 61)
_LAUNCH: Final = -2


def _before(events: ChainEvents, latency: Latency) -> Ints:
    """For each event the index of the one that its start waited for; `_LAUNCH` for its launch, -1 for nothing."""
    previous, ready = _on_stream(events)
    told = events.launch_start != NONE
    called = np.where(told, events.launch_start + latency.least, NONE)
    held = events.start - np.maximum(ready, called) > min(latency.usual - latency.least, HELD_NS)
    other, ended = _last_ended(events, events.start)
    elsewhere = held & (other >= 0) & (events.start - ended <= RETURNS_NS) & (ended > np.maximum(ready, called))
    return np.where(elsewhere, other, np.where(told & (called >= ready), _LAUNCH, previous))


def _on_stream(events: ChainEvents) -> tuple[Ints, Ints]:
    """Of each event's stream: the event that ends last among those that started before, and when (-1, `NONE`)."""
    spans = events.by_stream
    holder = np.maximum.accumulate(np.where(spans.end == spans.reach, np.arange(spans.row.size), 0))
    previous, ready = np.full(spans.row.size, -1), np.full(spans.row.size, NONE)
    previous[spans.row[1:]], ready[spans.row[1:]] = spans.row[holder[:-1]], spans.reach[:-1]
    opens = spans.row[spans.first]
    previous[opens], ready[opens] = -1, NONE
    return previous, ready


def _last_ended(events: ChainEvents, at: Ints) -> tuple[Ints, Ints]:
    """The event of the device that ended last by each time, and when; -1 and `NONE` where none had."""
    by_end = np.argsort(events.end, kind="stable")
    place = np.searchsorted(events.end[by_end], at, side="right") - 1
    row = np.where(place >= 0, by_end[np.maximum(place, 0)], -1)
    return row, np.where(place >= 0, events.end[np.maximum(row, 0)], NONE)


def _waits(trace: Trace, events: ChainEvents) -> _Waits:
    """Waits of launching threads inside which a GPU event ended, just before the wait did."""
    threads = pl.DataFrame({"number": events.thread}).hstack(
        events.frame.select(process="launch_process", thread="launch_thread")
    )
    calls = trace.calls.filter(pl.col("name").str.contains(WAITS)).join(
        threads.unique(), on=["process", "thread"], nulls_equal=True
    )
    calls = calls.with_columns(end_ns=pl.col("start_ns") + pl.col("dur_ns")).sort("end_ns", "number", "start_ns")
    end = calls["end_ns"].to_numpy()
    row, ended = _last_ended(events, end)
    real = (row >= 0) & (ended > calls["start_ns"].to_numpy()) & (end - ended <= RETURNS_NS)
    return _Waits(calls["number"].to_numpy()[real], end[real], row[real])
