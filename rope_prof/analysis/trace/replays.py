"""The calls inside a replay of a graph that we captured, cut by kernel order, and the length of each call."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl

from rope_prof.analysis.trace.calls import call_events
from rope_prof.analysis.trace.launches import launched
from rope_prof.analysis.trace.pairs import TimedEvents, pairs, run_totals, runs, timed
from rope_prof.analysis.trace.spans import Int64s
from rope_prof.model.trace import Trace


def own_calls(frame: pl.DataFrame) -> pl.DataFrame:
    """The calls of a `call_frame` that ran something, in the order of their first event, with the `length_ns` of each:
    its period, or for the last its own extent."""
    alive = frame.filter(pl.col("first_start_ns").is_not_null()).sort("first_start_ns", maintain_order=True)
    extent = pl.col("last_end_ns") - pl.col("first_start_ns")
    period = pl.col("first_start_ns").shift(-1) - pl.col("first_start_ns")
    return alive.with_columns(length_ns=period.fill_null(extent), whole=period.is_not_null())


def calls_per_range(trace: Trace) -> int:
    """How many calls a range of a trace of ours holds: those of a graph that is replayed as one."""
    return int((trace.own or {}).get("calls_per_range", 1))


def in_words(names: pl.Series, key_name: str, per_range: int) -> pl.Series:
    """Names of ranges, those around calls of that key (`<key>#18`) for people: `call #18`, of a graph `replay #7`."""
    return names.str.replace(f"^{re.escape(key_name)}#(\\d+)$", f"{_word(per_range)} #$1")


def named_calls(trace: Trace, key_name: str) -> Trace:
    """A trace of ours to be looked at: the ranges around calls of that key `in_words`."""
    words = in_words(trace.ranges["name"], key_name, calls_per_range(trace))
    return replace(trace, ranges=trace.ranges.with_columns(words))


def own_named(trace: Trace) -> Trace:
    """A trace of ours with the ranges around its calls `in_words`; any other as it is."""
    key = own_key(trace)
    return trace if key is None else named_calls(trace, key)


def own_range(trace: Trace, name: str | None) -> str | None:
    """The name that `own_named` gives a range that is asked for by the name which the file has."""
    return None if name is None else own_words(trace, name)


def own_words(trace: Trace, text: str) -> str:
    """That text with `call #` in place of the name of the trace's key: `call #18`, `call #*`."""
    key = own_key(trace)
    return text if key is None else text.replace(f"{key}#", f"{_word(calls_per_range(trace))} #")


def own_key(trace: Trace) -> str | None:
    """The name of the key that a trace of ours was captured of."""
    told = (trace.own or {}).get("key")
    name = told.get("name") if isinstance(told, dict) else None
    return name if isinstance(name, str) else None


def own_count(trace: Trace) -> int | None:
    """How many calls a trace of ours holds, those of replays too."""
    key = own_key(trace)
    if key is None:
        return None
    named = trace.ranges["name"].str.contains(rf"^(?:{re.escape(key)}#|call #|replay #)\d+$")
    return trace.ranges.filter(named)["name"].n_unique() * calls_per_range(trace)


def _word(per_range: int) -> str:
    return "call" if per_range == 1 else "replay"


def single_calls(trace: Trace, frame: pl.DataFrame) -> pl.DataFrame:
    """A `call_frame` of a trace of ours with one row a call, numbered in the order of time: replays are cut.

    The period of a replay's last call is null: what follows is the next replay's launch, and no call.
    """
    if calls_per_range(trace) == 1:
        return frame
    parts = own_calls(split_replays(trace, frame, calls_per_range(trace)))
    inside = pl.col("whole") & (pl.col("call").shift(-1) == pl.col("call"))
    period = pl.when(inside).then("length_ns").otherwise(None)
    numbered = parts.with_columns(period_ns=period, call=pl.int_range(pl.len(), dtype=pl.Int64))
    return numbered.select(frame.columns)


def single_events(trace: Trace, row: dict[str, Any]) -> pl.DataFrame:
    """The GPU events of one row of `single_calls`; of a cut replay without its launch, which is all calls'."""
    if calls_per_range(trace) == 1:
        return call_events(trace, row)
    later = (pl.col("device") == row["device"]) & (pl.col("start_ns") >= row["first_start_ns"])
    events = launched(trace).filter(later).sort("start_ns", "stream", "dur_ns", maintain_order=True)
    events = events.head(row["events"])  # by order: calls of a replay may overlap
    blank = [c for c in events.columns if c.startswith("launch_")]
    return events.with_columns(pl.lit(None, dtype=events.schema[c]).alias(c) for c in blank)


def split_replays(trace: Trace, frame: pl.DataFrame, per_range: int) -> pl.DataFrame:
    """A `call_frame` whose ranges are replays of a graph of `per_range` calls, cut into those calls by kernel order.

    The host did one launch for all: `host_start_ns` is null but for the first. A replay whose events do not divide
    stays whole.
    """
    if per_range == 1:
        return frame
    alive, launches = frame.filter(pl.col("events") > 0), launched(trace)
    arrays = timed(launches)
    replay, rows = _events_of(alive, launches, arrays)
    count = np.bincount(replay, minlength=alive.height)
    size, rest = np.divmod(count, per_range)
    nth = np.arange(len(rows)) - np.repeat(np.cumsum(count) - count, count)
    cut = rest[replay] == 0
    number = replay[cut] * per_range + nth[cut] // size[replay[cut]]
    totals = run_totals(runs(number, rows[cut], arrays), arrays).drop("device")
    place, part = np.divmod(totals["call"].to_numpy(), per_range)
    parts = alive[place].with_columns(totals.drop("call").get_columns())
    parts = parts.with_columns(pl.when(pl.Series(part == 0)).then("host_start_ns").alias("host_start_ns"))
    whole = np.flatnonzero(rest)
    order = np.argsort(np.concatenate((place, whole)), kind="stable")
    return pl.concat([parts, alive[whole]])[order]


def _events_of(frame: pl.DataFrame, launches: pl.DataFrame, arrays: TimedEvents) -> tuple[Int64s, Int64s]:
    """For every event of each row of a `call_frame`, on the device of that row: (number of the row, row of `launches`),
    in the order of rows and time.
    """
    found = list(pairs(frame.with_columns(call=pl.int_range(pl.len())), launches))
    if not found:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    call, row = (np.concatenate([one[i] for one in found]) for i in (0, 1))
    device = np.array([arrays.devices.index(name) for name in frame["device"]], np.int64)
    mine = arrays.device[row] == device[call]
    call, row = call[mine], row[mine]
    order = np.lexsort((arrays.rank[row], call))
    return call[order], row[order]
