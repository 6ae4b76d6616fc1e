"""GPU events in the order in which chains are sought: by device, stream and launching thread, then by start.

A **lane** is what one host thread launched on one stream. Knows which events may join a chain and where one must
end: at a kernel that no pointwise fusion takes in, at a copy to or from the host, at a host wait between two launches.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from rope_prof.analysis.chains.repeats import BREAK, Ints
from rope_prof.analysis.trace.groups import group_numbers, holding
from rope_prof.analysis.trace.kernel_class import ATTENTION, CONVOLUTION, GEMM
from rope_prof.analysis.trace.launches import launched
from rope_prof.analysis.trace.spans import InOrder, frame_union, in_order, length, row_order
from rope_prof.model.frozen import Frozen
from rope_prof.model.trace import Trace

Bools = npt.NDArray[np.bool_]
#: A kernel whose median time is above this is no small kernel.
SMALL_NS = 20_000
#: Kernels that a pointwise fusion does not take in, however short: matrix products, convolutions, attention,
#: collectives, sorts. Matched without case, anywhere in the name.
NOT_POINTWISE = rf"(?i){GEMM}|{CONVOLUTION}|{ATTENTION}|flash|nccl|rccl|moe|radixsort|devicescan|gathertopk"
_WAIT = r"Synchronize$"
_NONE = np.iinfo(np.int64).min
_LANE = ("stream", "launch_process", "launch_thread")
#: What is asked of an event.
_COLUMNS = (
    *("kind", "name", "start_ns", "end_ns", "dur_ns", *_LANE, "launch_start_ns", "launch_start", "launch_end"),
    *("graph", "graph_node"),
)
#: The rows of each thread (process, thread).
_Rows = dict[tuple[Any, Any], Ints]


class ChainEvents(Frozen):
    """The GPU events of one device as columns, lane after lane. A launch that is not in the file is `NONE`.

    `by_stream` are the events stream after stream, whoever launched them, and `stream_next` the index of the one that
    starts next on the same stream; -1 for the last. `bare` is the host time from the launch before in the lane to this
    one's that no operator covers: the caller's own code, `NONE` where the file does not tell; `enters` whether a range
    that holds two launches or more begins or ends between the two. `thread` numbers the launching threads, `symbol` the
    names of the events that may join a chain in alphabetical order, with `BREAK` for all others.
    """

    frame: pl.DataFrame
    lane: Ints
    thread: Ints
    start: Ints
    end: Ints
    launch_start: Ints
    launch_end: Ints
    waits: Ints
    bare: Ints
    enters: Bools
    symbol: Ints
    by_stream: InOrder
    stream_next: Ints
    names: tuple[str, ...]


NONE = int(_NONE)


def launched_events(trace: Trace) -> pl.DataFrame:
    """The GPU events with the thread and the times of their launch (`launch_*`, null where the file has none)."""
    end = pl.col("start_ns") + length()
    launch_end = pl.col("launch_start_ns") + pl.col("launch_dur_ns")
    return launched(trace).with_columns(
        end.alias("end_ns"), pl.col("launch_start_ns").alias("launch_start"), launch_end.alias("launch_end")
    )


def device_events(trace: Trace, events: pl.DataFrame, small_ns: int = SMALL_NS) -> ChainEvents:
    """`events` of one device, ordered and numbered. Row order does not matter."""
    frame = events.select(_COLUMNS)[row_order(events, _LANE, ("end_ns", "name", "correlation"))]
    lane, lanes = group_numbers(frame.select(_LANE))
    thread = lanes.select(pl.struct("launch_process", "launch_thread").rank("dense")).to_series()
    mine = _by_thread(frame, "launch_process", "launch_thread")
    symbol, names = _symbols(frame, small_ns)
    start, end, stream = _ints(frame["start_ns"]), _ints(frame["end_ns"]), frame["stream"].rle_id().to_numpy()
    order = row_order(frame, ("stream",), ("end_ns",))
    return ChainEvents(
        frame=frame,
        lane=lane,
        thread=_ints(thread)[lane],
        start=start,
        end=end,
        launch_start=_ints(frame["launch_start"]),
        launch_end=_ints(frame["launch_end"]),
        waits=_waits_before(trace, frame, mine),
        bare=_bare(trace, frame, lane, mine),
        enters=_enters(trace, frame, lane, mine),
        symbol=symbol,
        by_stream=in_order(order, stream[order], start[order], end[order]),
        stream_next=_stream_next(order, stream),
        names=names,
    )


def _symbols(frame: pl.DataFrame, small_ns: int) -> tuple[Ints, tuple[str, ...]]:
    """Of each event the number of its name among those that may join a chain, else `BREAK`; and those names."""
    number, called = group_numbers(frame.select("name"))
    usual = frame.select(pl.Series("number", number), "dur_ns").group_by("number").agg(pl.col("dur_ns").median())
    called = called.hstack(usual.sort("number"))
    told = called.select(
        within=pl.col("name").str.contains("(?i)DtoD|Device -> Device"),
        pointwise=~pl.col("name").str.contains(NOT_POINTWISE),
        small=(pl.col("dur_ns") <= small_ns) & pl.col("name").is_not_null(),
    )
    within, pointwise, small = (column.fill_null(False).to_numpy()[number] for column in told)
    memset, memcpy, kernel = (
        (frame["kind"] == kind).fill_null(False).to_numpy() for kind in ("memset", "memcpy", "kernel")
    )
    member = small & (memset | (memcpy & within) | (kernel & pointwise))
    names = called[np.flatnonzero(np.bincount(number[member], minlength=called.height))].sort("name")
    symbols = np.full(called.height, BREAK, np.int64)
    symbols[names["number"].to_numpy()] = np.arange(names.height)
    return np.where(member, symbols[number], BREAK), tuple(names["name"].to_list())


def _ints(column: pl.Series) -> Ints:
    return column.cast(pl.Int64).fill_null(NONE).to_numpy()


def _waits_before(trace: Trace, frame: pl.DataFrame, mine: _Rows) -> Ints:
    """How many host waits the launching thread had begun before each event's launch; 0 where there is none."""
    waits = trace.calls.filter(holding(trace.calls["name"], _WAIT))
    counts = np.zeros(frame.height, dtype=np.int64)
    launch = _ints(frame["launch_start"])
    begun = waits["start_ns"].to_numpy()
    for thread, rows in _by_thread(waits, "process", "thread").items():
        if thread in mine:
            counts[mine[thread]] = np.searchsorted(np.sort(begun[rows]), launch[mine[thread]])
    return counts


def _by_thread(frame: pl.DataFrame, process: str, thread: str) -> _Rows:
    """The rows of each thread in their order; those without a thread are nobody's."""
    number, threads = group_numbers(frame.select(process, thread))
    order = np.argsort(number, kind="stable")
    bounds = np.searchsorted(number[order], np.arange(threads.height + 1))
    keys = zip(threads.iter_rows(), pairwise(bounds.tolist()), strict=True)
    return {key: order[low:high] for key, (low, high) in keys if key[1] is not None}


def _bare(trace: Trace, frame: pl.DataFrame, lane: Ints, mine: _Rows) -> Ints:
    """Host time from the end of the launch before, on the same lane, to the launch, less the operators within it."""
    begin, end = _ints(frame["launch_start"]), _ints(frame["launch_end"])
    bare = np.full(frame.height, NONE)
    for rows, group in _followers(begin, end, lane, mine, trace.ops):
        operators = frame_union(group)
        between = operators.measure(begin[rows]) - operators.measure(end[rows - 1])
        bare[rows] = begin[rows] - end[rows - 1] - between
    return bare


def _enters(trace: Trace, frame: pl.DataFrame, lane: Ints, mine: _Rows) -> Bools:
    """Whether a range begins or ends between the launch before, on the same lane, and the launch."""
    begin, end = _ints(frame["launch_start"]), _ints(frame["launch_end"])
    enters = np.zeros(frame.height, dtype=np.bool_)
    for rows, group in _followers(begin, end, lane, mine, trace.ranges.drop_nulls("dur_ns")):
        start, stop = _ints(group["start_ns"]), _ints(group["start_ns"] + group["dur_ns"])
        launches = np.sort(np.concatenate([begin[rows], begin[rows[:1] - 1]]))
        holds = np.searchsorted(launches, stop) - np.searchsorted(launches, start) > 1
        edges = np.sort(np.concatenate([start[holds], stop[holds]]))
        enters[rows] = np.searchsorted(edges, begin[rows], side="right") > np.searchsorted(edges, end[rows - 1])
    return enters


def _followers(
    begin: Ints, end: Ints, lane: Ints, mine: _Rows, host: pl.DataFrame
) -> Iterator[tuple[Ints, pl.DataFrame]]:
    """Per thread of `host` (the times of its rows with it): the events launched by it after another of their lane."""
    times = host.select("start_ns", "dur_ns")
    for thread, of_host in _by_thread(host, "process", "thread").items():
        rows = mine.get(thread, np.zeros(0, np.int64))
        rows = rows[(rows > 0) & (lane[rows] == lane[rows - 1]) & (end[rows - 1] != NONE)]
        rows = rows[begin[rows] >= end[rows - 1]]
        if rows.size:
            yield rows, times[of_host]


def _stream_next(order: Ints, stream: Ints) -> Ints:
    """For each event the one after it in `order`, where that is of the same stream, else -1."""
    following = np.full(order.size, -1, dtype=np.int64)
    same = stream[order[1:]] == stream[order[:-1]]
    following[order[:-1][same]] = order[1:][same]
    return following
