"""A part of a trace that is a trace itself: what ran in a window of it, and what made it run.

- Every GPU event (without any: every leaf operator) that runs at some moment of the window stays, and stays whole; so
  the idle time between two of them is that of the whole trace, with the same causes.
- The host's side reaches from the earliest launch of that work to the end of the window and of that work. Calls,
  operators, Python functions and overhead records of that time stay, the last three clipped to it; a call goes whose
  GPU events are all outside: no link is cut in two.
- A range that reaches beyond it, was never closed, or launched work that is not kept, is clipped and called
  `NAME (cut)`: its figures are not those of a call, and its name is not that of one.

A range as the window reaches from its begin or its first GPU event, what comes first, to its end or that of its last
one: its calls, gaps and causes are those of the whole trace.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final

import polars as pl

from rope_prof.analysis.trace.analyze import accounted, ranges_called
from rope_prof.analysis.trace.calls import call_rows, numbered
from rope_prof.analysis.trace.launches import launched
from rope_prof.analysis.trace.pairs import FOREVER, pairs
from rope_prof.analysis.trace.spans import length
from rope_prof.model.drawn import ASKED_METADATA
from rope_prof.model.trace import Finding, Trace
from rope_prof.units import duration

#: What the name of a range ends with of which a part is not in the file.
CUT: Final = " (cut)"
#: Facts of a recording of our own that hold for a part of it; its figures do not.
_OWN: Final[tuple[str, ...]] = ("schema_version", "device", "capture", "calls_per_range", "key")


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """[start_ns, end_ns) on the trace's own clock. Of a range: which of its `calls` it is, from 0 on."""

    start_ns: int
    end_ns: int
    call: int | None = None
    calls: int | None = None


def timeline(trace: Trace) -> Window | None:
    """From the first start to the last end of anything; None for a trace without times."""
    used = accounted(trace)
    spans = [
        frame.select(start=pl.col("start_ns").min(), end=(pl.col("start_ns") + length()).max()).row(0)
        for frame in (used.ranges, used.ops, used.calls, used.gpu)
        if frame.height
    ]
    if not spans:
        return None
    return Window(start_ns=min(start for start, _ in spans), end_ns=max(end for _, end in spans))


def call_windows(trace: Trace, name: str) -> list[Window]:
    """One window a closed call of the ranges that `analyze --range name` takes, by host start; those that launched
    work, where any did."""
    used = accounted(trace)
    rows = call_rows(ranges_called(used.ranges, name), launched(used)).filter(pl.col("host_end_ns").is_not_null())
    if rows["device"].null_count() < rows.height:
        rows = rows.filter(pl.col("device").is_not_null())
    found = rows.group_by("call").agg(
        start=pl.min_horizontal(pl.col("host_start_ns").min(), pl.col("first_start_ns").min()),
        end=pl.max_horizontal(pl.col("host_end_ns").max(), pl.col("last_end_ns").max()),
    )
    spans = found.sort("start", "call").select("start", "end").iter_rows()
    return [
        Window(start_ns=start, end_ns=end, call=number, calls=found.height) for number, (start, end) in enumerate(spans)
    ]


def median_window(windows: list[Window]) -> Window:
    """The one of median length, of an even number the shorter: no first call, which often pays for a cold start."""
    return sorted(windows, key=lambda one: one.end_ns - one.start_ns)[(len(windows) - 1) // 2]


def cut(trace: Trace, window: Window) -> Trace:
    """The part of `trace` in `window`, with a finding `cut` where it is not the whole."""
    used = accounted(trace)
    events = launched(used)
    inside = events.select(_touches(window.start_ns, window.end_ns)).to_series()
    kept, left = events.filter(inside), events.filter(~inside)
    begin, end = _host_side(kept, window)
    on_cpu = not trace.gpu.height
    part = replace(
        trace,
        gpu=trace.gpu if on_cpu else used.gpu.filter(inside),
        nodes=_nodes(trace, kept, window),
        calls=_calls(trace, kept, left, begin, end),
        ranges=_ranges(used.ranges, left, begin, end),
        ops=_clipped(trace.ops, begin, end),
        overheads=_clipped(trace.overheads, begin, end),
        python=_clipped(trace.python, begin, end),
        memory=trace.memory.filter(pl.col("start_ns").is_between(begin, end)),
        metadata={key: trace.metadata[key] for key in ASKED_METADATA if key in trace.metadata},
    )
    frames = (part.gpu, part.nodes, part.calls, part.ranges, part.ops, part.overheads, part.python)
    part = replace(part, events=sum(frame.height for frame in frames))
    whole = timeline(trace)
    if whole is None or (begin <= whole.start_ns and whole.end_ns <= end):
        return part
    own = None if trace.own is None else {key: trace.own[key] for key in _OWN if key in trace.own}
    told = None if trace.window_end is False else end
    return replace(part, own=own, window_end_ns=told, findings=(*trace.findings, _said(window, whole)))


def _said(window: Window, whole: Window) -> Finding:
    detail = (
        f"a part of a trace: {duration(window.end_ns - window.start_ns)} of "
        f"{duration(whole.end_ns - whole.start_ns)}, from {duration(window.start_ns - whole.start_ns)} on; ranges that "
        f"reach beyond it, or launched work that does, are called 'NAME{CUT}'"
    )
    return Finding(code="cut", detail=detail)


def _touches(start_ns: int, end_ns: int) -> pl.Expr:
    """What runs at some moment of [start_ns, end_ns); what takes no time, at its instant. Open ends reach on."""
    ends = pl.col("start_ns") + pl.when(pl.col("dur_ns").is_null()).then(FOREVER).otherwise(length())
    return (pl.col("start_ns") < end_ns) & (pl.max_horizontal(ends, pl.col("start_ns") + 1) > start_ns)


def _host_side(kept: pl.DataFrame, window: Window) -> tuple[int, int]:
    launch_end = pl.col("launch_start_ns") + pl.col("launch_dur_ns").fill_null(0).clip(lower_bound=0)
    first, last = kept.select(
        pl.min_horizontal(pl.col("start_ns").min(), pl.col("launch_start_ns").min()).alias("first"),
        pl.max_horizontal((pl.col("start_ns") + length()).max(), launch_end.max()).alias("last"),
    ).row(0)
    return (
        window.start_ns if first is None else min(window.start_ns, first),
        window.end_ns if last is None else max(window.end_ns, last),
    )


def _nodes(trace: Trace, kept: pl.DataFrame, window: Window) -> pl.DataFrame:
    """Nodes that run in the window, or that a graph launch with kept work has."""
    theirs = pl.col("correlation").is_in(kept["correlation"].drop_nulls().unique().implode()).fill_null(False)
    return trace.nodes.filter(_touches(window.start_ns, window.end_ns) | theirs)


def _calls(trace: Trace, kept: pl.DataFrame, left: pl.DataFrame, begin: int, end: int) -> pl.DataFrame:
    """Calls of that time, without those of which no GPU event is kept though the trace has some."""
    calls = trace.calls.filter(_touches(begin, end))
    if not trace.gpu.height or not calls.height:
        return calls
    launch = {"process": "launch_process", "thread": "launch_thread", "start_ns": "launch_start_ns"}
    calls = _without(calls, kept, left, {**launch, "correlation": "correlation"})
    process = {"process": "process"} if left.height and not left["process"].null_count() else {}
    return _without(calls, kept, left, {**process, "correlation": "correlation"})


def _without(calls: pl.DataFrame, kept: pl.DataFrame, left: pl.DataFrame, keys: dict[str, str]) -> pl.DataFrame:
    """`calls` without those that are one of `left` by `keys` (name of a call's column -> an event's) and none of
    `kept`."""
    mine, others = (
        events.select(pl.col(column).alias(name) for name, column in keys.items()).unique() for events in (kept, left)
    )
    gone = others.filter(pl.col("correlation").is_not_null()).join(mine, on=list(keys), how="anti", nulls_equal=True)
    return calls.join(gone, on=list(keys), how="anti", nulls_equal=True)


def _ranges(ranges: pl.DataFrame, left: pl.DataFrame, begin: int, end: int) -> pl.DataFrame:
    order: dict[str, Any] = {"descending": [False, True], "maintain_order": True}
    ordered = ranges.sort("start_ns", pl.col("dur_ns").fill_null(FOREVER), **order)  # as `numbered` has them
    parted = {int(call) for calls, _ in pairs(numbered(ordered), left) for call in set(calls.tolist())}
    stops = pl.col("start_ns") + pl.col("dur_ns")
    beyond = pl.col("dur_ns").is_null() | (pl.col("start_ns") < begin) | (stops > end)
    mark = beyond | pl.int_range(pl.len()).is_in(list(parted))
    marked = ordered.with_columns(name=pl.when(mark).then(pl.col("name") + CUT).otherwise("name"))
    return _clipped(marked.with_columns(pl.col("dur_ns").fill_null(end - pl.col("start_ns"))), begin, end)


def _clipped(frame: pl.DataFrame, begin: int, end: int) -> pl.DataFrame:
    """What runs in that time, without what sticks out of it."""
    start = pl.col("start_ns").clip(lower_bound=begin)
    stop = (pl.col("start_ns") + length()).clip(upper_bound=end)
    out = (pl.col("start_ns") < begin) | (pl.col("start_ns") + length() > end)
    clipped = [start.alias("start_ns"), pl.when(out).then(stop - start).otherwise("dur_ns").alias("dur_ns")]
    return frame.filter(_touches(begin, end)).with_columns(clipped)
