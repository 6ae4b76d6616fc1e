"""Ranges and the kernels launched inside them: one row per occurrence of a range (a call), and its GPU events.

A kernel belongs to every range in which its launch call was made: the same process and thread, the call's start
within the range's host span; or, in that span, a thread that works for the range's thread while it waits (`workers`).
So nested ranges are inclusive, and a graph's kernels belong to the range around the graph launch. A range that the file
never closes reaches to the file's end.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl

from rope_prof.analysis.trace.groups import is_constant
from rope_prof.analysis.trace.latest import kept_for
from rope_prof.analysis.trace.launches import FOR_THREAD, launched
from rope_prof.analysis.trace.pairs import FOREVER, TimedEvents, by_thread, pairs, timed
from rope_prof.analysis.trace.shared import accounts
from rope_prof.analysis.trace.spans import in_order
from rope_prof.model.trace import CPU_OPS, GPU_EVENTS, HOST_CALLS, Trace, fitted

CALLS: dict[str, Any] = {
    "range": pl.String,
    "kind": pl.String,
    "call": pl.Int64,  # 0, 1, ... in the order of host_start_ns
    "process": pl.Int64,
    "thread": pl.Int64,
    "host_start_ns": pl.Int64,
    "host_end_ns": pl.Int64,
    "device": pl.String,  # null for a call that launched nothing
    "kernels": pl.Int64,
    "events": pl.Int64,
    "kernel_ns": pl.Int64,
    "busy_ns": pl.Int64,
    "first_start_ns": pl.Int64,
    "last_end_ns": pl.Int64,
    "inner_gap_ns": pl.Int64,
    "period_ns": pl.Int64,
}
_TOTALS = {
    name: CALLS[name] for name in ("call", "device", "kernels", "events", "kernel_ns", "busy_ns")
} | dict.fromkeys(("first_start_ns", "last_end_ns", "inner_gap_ns"), pl.Int64)


@kept_for("gpu", "calls", "ranges", "ops", "nodes")
def call_frame(trace: Trace, name: str | re.Pattern[str], *, kind: str | None = None) -> pl.DataFrame:
    """One row per range occurrence (and device) whose whole name matches the regular expression `name`.

    Columns: see `CALLS`. `kind` is
    `nvtx` or `record_function`; None takes the kind with more matches (a call marked in both ways counts once).
    `kernel_ns` sums kernels, `busy_ns` is the union of all GPU events of the call, `inner_gap_ns` = last end − first
    start − busy. `period_ns`: from this call's first GPU start to the next one's on that device, null for the last.
    """
    ranges = matching(trace, name, kind=kind)
    return call_rows(ranges, launched(trace))


@kept_for("ranges")
def matching(trace: Trace, name: str | re.Pattern[str], *, kind: str | None = None) -> pl.DataFrame:
    """The ranges that `call_frame` takes."""
    ranges = trace.ranges
    if kind is not None and not (ranges.height and is_constant(ranges["kind"]) and ranges["kind"][0] == kind):
        ranges = ranges.filter(pl.col("kind") == kind)
    pattern = re.compile(name)
    names = set(ranges["name"].to_list())
    held = [n for n in names if n is not None and pattern.fullmatch(n)]
    if len(held) < len(names):
        ranges = ranges.filter(pl.col("name").is_in(held))
    if kind is None and ranges["kind"].n_unique() > 1:
        counts = ranges.group_by("kind").len().sort("len", "kind", descending=True)
        ranges = ranges.filter(pl.col("kind") == counts["kind"][0])
    return ranges


def call_rows(ranges: pl.DataFrame, events: pl.DataFrame) -> pl.DataFrame:
    """One row per range and device, in the order of host_start_ns; `events` come from `launched`."""
    return _rows(numbered(ranges), events, timed(events))


def busy_frame(trace: Trace, name: str | re.Pattern[str], *, kind: str | None = None) -> pl.DataFrame:
    """`call_frame` of ranges that do not nest, with `added_ns`: what each adds to the union of the GPU events of all,
    in the order of time.

    Launches that overlap the ones before (programmatic dependent launch, other streams) are counted once. A range
    without an event adds null.
    """
    rows = call_frame(trace, name, kind=kind)
    if _apart(rows):
        busy, none = rows["busy_ns"].alias("added_ns"), rows["first_start_ns"].is_null()
        return rows.hstack([busy.set(none, None) if none.any() else busy])
    ranges, events = numbered(matching(trace, name, kind=kind)), launched(trace)
    return rows.join(_added(ranges, events, timed(events)), on="call", how="left", maintain_order="left")


def _apart(rows: pl.DataFrame) -> bool:
    """Whether each call is on one device, the same for all, and ends before the next one begins."""
    known = rows["first_start_ns"].drop_nulls().to_numpy()
    order = np.argsort(known, kind="stable")
    ends = np.maximum.accumulate(rows["last_end_ns"].drop_nulls().to_numpy()[order])
    return is_constant(rows["device"].drop_nulls()) and not np.any(known[order][1:] < ends[:-1])


def _rows(ranges: pl.DataFrame, events: pl.DataFrame, arrays: TimedEvents) -> pl.DataFrame:
    totals = [account.totals for account in accounts(ranges, events, arrays)]
    found = pl.concat(totals) if totals else pl.DataFrame(schema=_TOTALS)
    alone = is_constant(found["device"]) and not found["device"].null_count()
    if alone and found["call"].equals(ranges["call"]):  # each once, on one device: no query, which costs more
        first = found["first_start_ns"].to_numpy()
        order, until, last = np.argsort(first, kind="stable"), np.zeros_like(first), np.zeros(len(first), np.bool_)
        until[order[:-1]], last[order[-1:]] = np.diff(first[order]), True
        periods = pl.Series("period_ns", until).set(pl.Series(last), None)
        return ranges.hstack([*found.get_columns()[1:], periods])[list(CALLS)]
    rows = ranges.join(found, on="call", how="left", maintain_order="left")
    period = pl.col("first_start_ns").shift(-1).over("device", order_by="first_start_ns") - pl.col("first_start_ns")
    made = {name: pl.col(name).fill_null(0) for name in ("kernels", "events", "kernel_ns", "busy_ns", "inner_gap_ns")}
    made["period_ns"] = pl.when(pl.col("device").is_not_null()).then(period)
    return rows.select(made.get(name, pl.col(name)).cast(dtype).alias(name) for name, dtype in CALLS.items())


def _added(ranges: pl.DataFrame, events: pl.DataFrame, arrays: TimedEvents) -> pl.DataFrame:
    found = list(pairs(ranges, events))
    if not found:
        return pl.DataFrame(schema={"call": pl.Int64, "added_ns": pl.Int64})
    calls, rows = (np.concatenate([one[i] for one in found]) for i in (0, 1))
    order = np.lexsort((arrays.start[rows], arrays.device[rows]))
    calls, rows = calls[order], rows[order]
    spans = in_order(rows, arrays.device[rows], arrays.start[rows], arrays.end[rows])
    before = np.append(0, spans.reach[:-1])
    before[spans.first] = spans.start[spans.first]
    added = np.maximum(spans.end - np.maximum(spans.start, before), 0)
    numbers, place = np.unique(calls, return_inverse=True)
    totals = np.zeros(len(numbers), np.int64)
    np.add.at(totals, place, added)
    return pl.DataFrame({"call": numbers, "added_ns": totals})


def numbered(ranges: pl.DataFrame) -> pl.DataFrame:
    """The ranges in the order of their start (an outer one first), each with its call number."""
    start = ranges["start_ns"].to_numpy()
    if not np.all(start[1:] > start[:-1]):
        longer = pl.col("dur_ns").fill_null(FOREVER)
        ranges = ranges.sort("start_ns", longer, descending=[False, True], maintain_order=True)
    return pl.DataFrame(
        [
            pl.Series("call", np.arange(ranges.height)),
            ranges["name"].alias("range"),
            *(ranges[name] for name in ("kind", "process", "thread")),
            ranges["start_ns"].alias("host_start_ns"),
            (ranges["start_ns"] + ranges["dur_ns"]).alias("host_end_ns"),
        ]
    )


_FAMILIES = (
    (r"#\d+$", "#*"),
    (r"((?:, (?:op_id|seq) = )\d+)+.*$", ", op_id = *"),
    (r"^(step\[.*) toks=\d+", "${1} toks=*"),
    (
        r"^execute_(?:\d+_)?context_(\d+)(?:\([^)]*\))?_generation_(\d+)(?:\([^)]*\))?$",
        "execute_*_context_${1}_generation_${2}",
    ),
    (r"^(\[Executor\] _forward_step )\d+:", "${1}*:"),
)


def families(names: pl.Series) -> pl.Series:
    """Names that differ in their number alone become one: `base#*`, or `base, op_id = *` of PyTorch's emit_nvtx.

    Steps of engines keep their phase and how many requests are in it: `step[EXTEND bs=4 toks=*]` (SGLang),
    `execute_*_context_1_generation_7` (vLLM), `[Executor] _forward_step *: 1 ctx reqs, 7 gen reqs` (TensorRT-LLM).
    """
    frame = pl.DataFrame({"name": names, "base": bases(names)})
    several = (pl.col("name").n_unique() > 1).over("base")
    return frame.select(pl.when(several).then("base").otherwise("name").alias("family")).to_series()


def bases(names: pl.Series) -> pl.Series:
    """The family that each name would be of, also one that is there alone."""
    for pattern, family in _FAMILIES:
        names = names.str.replace(pattern, family)
    return names


def innermost(ranges: pl.DataFrame, events: pl.DataFrame) -> pl.Series:
    """For each row of `events` (with launch columns) the name of the range (or any span of a thread) that its launch
    was made in, of nested ones the one that began last; null where there is none.
    """
    if not ranges.height:
        return pl.Series("range", [None], dtype=pl.String).new_from_index(0, events.height)
    if events.height == 1:
        names = around(ranges, events.row(0, named=True))["name"]
        return pl.Series("range", [names[-1] if len(names) else None], dtype=pl.String)
    at = events["launch_start_ns"]
    first, final = (pl.lit(instant, dtype=pl.Int64) for instant in (at.min(), at.max()))
    end = (pl.col("start_ns") + pl.col("dur_ns")).fill_null(FOREVER)
    ordered = numbered(ranges.filter((pl.col("start_ns") <= final) & (end > first)))
    last = last_begun(ordered, events)
    return ordered["range"].gather(last.set(last < 0, None)).alias("range")


def around(ranges: pl.DataFrame, launch: dict[str, Any]) -> pl.DataFrame:
    """The rows of `ranges` (or any spans of threads) that hold a launch, the one that began last at the end."""
    at, process, thread = launch["launch_start_ns"], launch["launch_process"], launch["launch_thread"]
    if at is None:
        return ranges.clear()
    start, spans = ranges["start_ns"].to_numpy(), ranges["dur_ns"].fill_null(FOREVER).to_numpy()
    here = np.flatnonzero((start <= at) & (start + spans > at))
    if not len(here):
        return ranges.clear()
    mine = (pl.col("process").is_null() | pl.col("process").eq_missing(process)) & (
        pl.col("thread").is_null() | pl.col("thread").is_in([thread, launch.get(FOR_THREAD)])
    )
    held = ranges[here].filter(mine)
    if held.height < 2:
        return held
    return held.sort("start_ns", pl.col("dur_ns").fill_null(FOREVER), descending=[False, True], maintain_order=True)


def last_begun(ordered: pl.DataFrame, events: pl.DataFrame) -> pl.Series:
    """For each row of `events` the number of the range (of `numbered`) that holds its launch and began last, or -1."""
    last = np.full(events.height, -1, np.int64)
    for lane in by_thread(ordered, events):
        last[lane.rows] = np.maximum(last[lane.rows], lane.last())
    return pl.Series(last)


def call_events(trace: Trace, call_row: dict[str, Any]) -> pl.DataFrame:
    """The GPU events of one row of `call_frame` by start, each with its launch (see `launches.launched`)."""
    return events_in(launched(trace), call_row)


def events_in(events: pl.DataFrame, call_row: dict[str, Any]) -> pl.DataFrame:
    """The same of `events`, which come from `launched`."""
    process, thread = call_row["process"], call_row["thread"]
    end = call_row["host_end_ns"]
    held = pl.col("launch_start_ns").is_between(
        call_row["host_start_ns"], FOREVER if end is None else end, closed="left"
    )
    if process is not None:
        held &= pl.col("launch_process").eq_missing(process)
    if thread is not None:
        held &= pl.col("launch_thread").eq_missing(thread) | (pl.col(FOR_THREAD) == thread).fill_null(False)
    if call_row.get("device") is not None:
        held &= pl.col("device") == call_row["device"]
    return events.filter(held).sort("start_ns", "stream", "dur_ns", maintain_order=True)


#: What torch.profiler calls the collectives of a CPU, and the operators that enqueue them.
GLOO = "gloo:"
DISPATCH = "c10d::"
LANE_AND_TIME = ("process", "thread", "start_ns", "dur_ns")


def recorded_on_cpu(trace: Trace) -> bool:
    """True only where the trace's own metadata says that its device is the CPU."""
    own = trace.own or {}
    machine = own.get("machine")
    said = (
        own.get("device"),
        trace.metadata.get("device"),
        machine.get("device") if isinstance(machine, dict) else None,
    )
    return trace.gpu.height == 0 and "cpu" in said


def as_cpu(trace: Trace) -> Trace:
    """The same trace with its leaf operators as kernels of the device "cpu", so that all else works unchanged.

    A leaf is an operator inside which no other operator of its thread starts. Its stream is its thread, and it is its
    own launch. A collective of gloo is its own range, from its call to its end, and not the operator that enqueues it.
    Only for traces recorded on a CPU (`recorded_on_cpu`), or where the caller says so.
    """
    leaves = leaf_ops(trace.ops)
    talk = trace.ranges.filter(pl.col("name").str.starts_with(GLOO) & pl.col("dur_ns").is_not_null())
    if talk.height:
        named = talk.select(*LANE_AND_TIME, "name", collective=pl.col("name").str.strip_prefix(GLOO))
        work = leaves.filter(~pl.col("name").str.starts_with(DISPATCH))
        leaves = pl.concat([work, named], how="diagonal").sort("start_ns", maintain_order=True)
    numbered = leaves.with_row_index("correlation", offset=1).with_columns(pl.col("correlation").cast(pl.Int64))
    gpu = numbered.with_columns(kind=pl.lit("kernel"), device=pl.lit("cpu"), stream=pl.col("thread"))
    calls = numbered.with_columns(api=pl.lit("runtime"))
    return replace(trace, gpu=fitted(gpu, GPU_EVENTS), calls=fitted(calls, HOST_CALLS))


def leaf_ops(ops: pl.DataFrame) -> pl.DataFrame:
    """The operators that hold no other operator of their thread, by start."""
    if not ops.height:
        return ops.select(*CPU_OPS)
    lanes = ["process", "thread"]
    ordered = ops.sort(*lanes, "start_ns", "dur_ns", descending=[False, False, False, True], maintain_order=True)
    following = pl.col("start_ns").shift(-1).over(lanes)
    leaf = following.is_null() | (following >= pl.col("start_ns") + pl.col("dur_ns"))
    return ordered.filter(leaf).sort("start_ns", maintain_order=True)
