"""GPU events in the order in which chains are sought: by device, stream and launching thread, then by start.

A **lane** is what one host thread launched on one stream. Knows which events may join a chain and where one must
end: at a kernel that no pointwise fusion takes in, at a copy to or from the host, at a host wait between two launches.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from rope_prof.analysis.chains.repeats import BREAK, Ints
from rope_prof.analysis.trace.groups import group_numbers
from rope_prof.analysis.trace.kernel_class import ATTENTION, CONVOLUTION, GEMM
from rope_prof.analysis.trace.launches import launched
from rope_prof.analysis.trace.spans import frame_union, length
from rope_prof.model.trace import Trace

Bools = npt.NDArray[np.bool_]
#: A kernel whose median time is above this is no small kernel.
SMALL_NS = 20_000
#: Kernels that a pointwise fusion does not take in, however short: matrix products, convolutions, attention,
#: collectives, sorts. Matched without case, anywhere in the name.
NOT_POINTWISE = rf"(?i){GEMM}|{CONVOLUTION}|{ATTENTION}|flash|nccl|rccl|moe|radixsort|devicescan|gathertopk"
_WAIT = r"Synchronize$"
_NONE = np.iinfo(np.int64).min


@dataclass(frozen=True, slots=True)
class ChainEvents:
    """The GPU events of one device as columns, lane after lane. A launch that is not in the file is `NONE`.

    `stream_next` is the index of the event that starts next on the same stream, whoever launched it; -1 for the
    last. `bare` is the host time from the launch before in the lane to this one's that no operator covers: the caller's
    own code, `NONE` where the file does not tell; `enters` whether a range that holds two launches or more begins or
    ends between the two. `thread` numbers the launching threads, `symbol` the names of the events that may join a chain
    in alphabetical order, with `BREAK` for all others.
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
    lane = ["stream", "launch_process", "launch_thread"]
    frame = events.sort(*lane, "start_ns", "end_ns", "name", "correlation", nulls_last=True)
    frame = frame.with_columns(
        pl.struct(lane).rle_id().alias("lane"), pl.col("dur_ns").median().over("name").alias("usual_ns")
    )
    copies = (pl.col("kind") == "memset") | (
        (pl.col("kind") == "memcpy") & pl.col("name").str.contains("(?i)DtoD|Device -> Device")
    )
    member = (pl.col("usual_ns") <= small_ns) & (
        copies | ((pl.col("kind") == "kernel") & ~pl.col("name").str.contains(NOT_POINTWISE))
    )
    names = frame.filter(member)["name"].unique().sort()
    numbered = pl.DataFrame({"name": names, "symbol": np.arange(len(names), dtype=np.int64)})
    frame = frame.with_columns(member.fill_null(False).alias("member")).join(
        numbered, on="name", how="left", maintain_order="left"
    )
    symbol = pl.when(pl.col("member")).then(pl.col("symbol")).otherwise(pl.lit(BREAK))
    return ChainEvents(
        frame=frame,
        lane=_ints(frame["lane"]),
        thread=_ints(frame.select(pl.struct("launch_process", "launch_thread").rank("dense"))["launch_process"]),
        start=_ints(frame["start_ns"]),
        end=_ints(frame["end_ns"]),
        launch_start=_ints(frame["launch_start"]),
        launch_end=_ints(frame["launch_end"]),
        waits=_waits_before(trace, frame),
        bare=_bare(trace, frame),
        enters=_enters(trace, frame),
        symbol=_ints(frame.select(symbol.alias("symbol"))["symbol"]),
        stream_next=_stream_next(frame),
        names=tuple(names.to_list()),
    )


def _ints(column: pl.Series) -> Ints:
    return column.cast(pl.Int64).fill_null(NONE).to_numpy()


def _waits_before(trace: Trace, frame: pl.DataFrame) -> Ints:
    """How many host waits the launching thread had begun before each event's launch; 0 where there is none."""
    waits = trace.calls.filter(pl.col("name").str.contains(_WAIT))
    counts = np.zeros(frame.height, dtype=np.int64)
    launch = _ints(frame["launch_start"])
    begun, mine = waits["start_ns"].to_numpy(), _launched_by(frame)
    for thread, rows in _by_thread(waits, "process", "thread").items():
        if thread in mine:
            counts[mine[thread]] = np.searchsorted(np.sort(begun[rows]), launch[mine[thread]])
    return counts


def _launched_by(frame: pl.DataFrame) -> dict[tuple[Any, Any], Ints]:
    """The rows of the events that each thread launched."""
    return _by_thread(frame, "launch_process", "launch_thread")


def _by_thread(frame: pl.DataFrame, process: str, thread: str) -> dict[tuple[Any, Any], Ints]:
    """The rows of each thread in their order; those without a thread are nobody's."""
    number, threads = group_numbers(frame.select(process, thread))
    order = np.argsort(number, kind="stable")
    bounds = np.searchsorted(number[order], np.arange(threads.height + 1))
    keys = zip(threads.iter_rows(), pairwise(bounds.tolist()), strict=True)
    return {key: order[low:high] for key, (low, high) in keys if key[1] is not None}


def _bare(trace: Trace, frame: pl.DataFrame) -> Ints:
    """Host time from the end of the launch before, on the same lane, to the launch, less the operators within it."""
    begin, end = _ints(frame["launch_start"]), _ints(frame["launch_end"])
    bare = np.full(frame.height, NONE)
    for rows, group in _followers(frame, trace.ops):
        operators = frame_union(group)
        between = operators.measure(begin[rows]) - operators.measure(end[rows - 1])
        bare[rows] = begin[rows] - end[rows - 1] - between
    return bare


def _enters(trace: Trace, frame: pl.DataFrame) -> Bools:
    """Whether a range begins or ends between the launch before, on the same lane, and the launch."""
    begin, end = _ints(frame["launch_start"]), _ints(frame["launch_end"])
    enters = np.zeros(frame.height, dtype=np.bool_)
    for rows, group in _followers(frame, trace.ranges.drop_nulls("dur_ns")):
        start, stop = _ints(group["start_ns"]), _ints(group["start_ns"] + group["dur_ns"])
        launches = np.sort(np.concatenate([begin[rows], begin[rows[:1] - 1]]))
        holds = np.searchsorted(launches, stop) - np.searchsorted(launches, start) > 1
        edges = np.sort(np.concatenate([start[holds], stop[holds]]))
        enters[rows] = np.searchsorted(edges, begin[rows], side="right") > np.searchsorted(edges, end[rows - 1])
    return enters


def _followers(frame: pl.DataFrame, host: pl.DataFrame) -> Iterator[tuple[Ints, pl.DataFrame]]:
    """Per thread of `host` (its rows with it): the events launched by it after another event of their lane."""
    begin, end, lane = _ints(frame["launch_start"]), _ints(frame["launch_end"]), _ints(frame["lane"])
    mine = _launched_by(frame)
    for thread, of_host in _by_thread(host, "process", "thread").items():
        rows = mine.get(thread, np.zeros(0, np.int64))
        rows = rows[(rows > 0) & (lane[rows] == lane[rows - 1]) & (end[rows - 1] != NONE)]
        rows = rows[begin[rows] >= end[rows - 1]]
        if rows.size:
            yield rows, host[of_host]


def _stream_next(frame: pl.DataFrame) -> Ints:
    order = (
        frame.with_row_index("at")
        .sort("stream", "start_ns", "end_ns", "at", nulls_last=True)
        .select(pl.col("at").cast(pl.Int64), pl.col("at").cast(pl.Int64).shift(-1).over("stream").alias("next"))
    )
    following = np.full(frame.height, -1, dtype=np.int64)
    following[order["at"].to_numpy()] = order["next"].fill_null(-1).to_numpy()
    return following
