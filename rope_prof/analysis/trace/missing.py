"""Launches without a kernel, and kernels without a launch: which are to be expected, which are lost records.

A call is held to have a record where it launches a kernel or a graph, and where other calls of its name have one: all
copies and sets of a name that the file records at all, and any call of a name of which most have one. Not so a copy or
set that came back in less than half the time of every call of its name that has a record: it moved no bytes.

Expected: launches recorded into a graph while a stream captures, and those whose kernels ran after the window: issued
after the launch of the last recorded event, or while a stream that is busy to the window's end still worked on earlier
ones. A capture takes in what other threads of its process launch (autograd's, say); one that begins before the file
reaches back to its start. As many launches as there are events without a correlation after them are theirs.

Not expected after all, whatever the queues: launches before a synchronisation that came back, and those that the
device would have reached, since it had nothing to do for longer than any of its events takes until the window's end
(ten times as long, where the file does not say when that was).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
import polars as pl

from rope_prof.analysis.trace.gaps import DEVICE_SYNC, STREAM_SYNC
from rope_prof.analysis.trace.groups import among, is_constant
from rope_prof.analysis.trace.launches import LAUNCHES_KERNEL, MOVES
from rope_prof.analysis.trace.spans import Bools, Int64s, SpanSet, frame_union, length, union
from rope_prof.model.trace import Finding, Trace, proof

_FAR = np.int64(1) << 62
#: A stream's pauses up to this length are those between queued events.
_PAUSE_NS: Final = 10_000
#: What a launch may take to reach an idle device, beside twice the longest event of the file.
_REACH_NS: Final = 100_000


def missing(trace: Trace, events: pl.DataFrame) -> Iterator[Finding]:
    """The findings; `events` is the trace's `launched` frame."""
    unlinked = events.filter(pl.col("launch_start_ns").is_null())
    if unlinked.height:
        detail = (
            "GPU events have no launch call in the file (launched before the window, or filtered): totals hold them, "
            "ranges and chains do not, and idle time before them is 'unknown'"
        )
        yield Finding(code="kernels_without_launch", detail=detail, count=unlinked.height, events=proof(unlinked))
    launches = _recorded(trace, events)
    bare = _without_kernel(launches, events)
    nothing = _moved_nothing(bare, launches)
    if count := int(nothing.sum()):
        detail = (
            "copies or sets have no record and came back in less than half the time of every one that has: they moved "
            "no bytes, and the profiler records nothing of such"
        )
        yield Finding(code="empty_moves", detail=detail, count=count, events=proof(bare.filter(nothing), "host"))
    bare = bare.filter(~nothing)
    if bare.height:
        yield from _bare(trace, events, bare, launches)


def _recorded(trace: Trace, events: pl.DataFrame) -> pl.DataFrame:
    """The calls that are held to have a record."""
    calls = trace.calls.filter(pl.col("correlation").is_not_null())
    names = calls.group_by("name").agg(pl.len().alias("made"))
    launch = events.select("launch_process", "launch_start_ns", "correlation", name="launch_name")
    linked = launch.filter(pl.col("launch_start_ns").is_not_null())
    keys = [name for name in ("launch_process", "launch_start_ns", "correlation") if not is_constant(linked[name])]
    held = (linked.unique(keys) if keys else linked.head(1)).group_by("name").len("held")
    names = names.join(held, on="name", how="left").with_columns(pl.col("held").fill_null(0))
    moves = pl.col("name").str.contains(MOVES) & (pl.col("held") > 0)
    mostly = (pl.col("held") > 1) & (2 * pl.col("held") >= pl.col("made"))
    wanted = names.filter(pl.col("name").str.contains(LAUNCHES_KERNEL) | moves | mostly)
    return calls.filter(pl.col("name").is_in(wanted["name"].to_list()))


def _bare(trace: Trace, events: pl.DataFrame, bare: pl.DataFrame, launches: pl.DataFrame) -> Iterator[Finding]:
    window = (
        events.filter(pl.col("launch_start_ns").is_not_null())
        .group_by(process="launch_process")
        .agg(first=pl.col("launch_start_ns").min(), last=pl.col("launch_start_ns").max())
    )
    bare = bare.filter(~_nested(bare, events)).join(window, on="process", how="left", nulls_equal=True)
    captured = _inside(bare, _captures(trace))
    if count := int(captured.sum()):
        detail = "launches were recorded into a graph by a stream capture; none is expected to have a kernel"
        yield Finding(code="captured_launches", detail=detail, count=count, events=proof(bare.filter(captured), "host"))
    bare = bare.filter(~captured)
    theirs = pl.Series(_theirs(bare, events))
    if count := int(theirs.sum()):
        detail = (
            f"launches have no event of their correlation, and {events['correlation'].null_count()} GPU events have "
            "no correlation: they are taken for theirs, which of them cannot be told"
        )
        yield Finding(code="unmatched_launches", detail=detail, count=count, events=proof(bare.filter(theirs), "host"))
    bare = bare.filter(~theirs)
    queued = (bare["start_ns"] > bare["last"]).fill_null(False) | _inside(bare, _backlogs(events))
    after = queued & ~pl.Series(_must_have_run(trace, events, bare))
    if count := int(after.sum()):
        detail = (
            "launches come after that of the last recorded GPU event, or behind work that lasts to the window's end: "
            "their kernels ran after the window"
        )
        yield Finding(
            code="launches_after_last_record", detail=detail, count=count, events=proof(bare.filter(after), "host")
        )
    yield from _lost(bare.filter(~after), launches)


def _lost(rest: pl.DataFrame, launches: pl.DataFrame) -> Iterator[Finding]:
    at_start = rest["first"].is_null() | (rest["start_ns"] < rest["first"])
    start, middle = rest.filter(at_start), rest.filter(~at_start)
    if start.height:
        detail = f"launches at the start of the file have no kernel in it ({_calls(start)}): GPU records are missing"
        yield Finding(code="missing_kernels_start", detail=detail, count=start.height, events=proof(start, "host"))
    if middle.height:
        detail = (
            f"of {launches.height} launches have no kernel in the file ({_calls(middle)}), though it holds what ran "
            "after them or the device had time for them: GPU records are missing"
        )
        yield Finding(code="missing_kernels", detail=detail, count=middle.height, events=proof(middle, "host"))


def _calls(bare: pl.DataFrame) -> str:
    counts = bare["name"].value_counts().sort("count", "name", descending=[True, False]).head(3)
    return ", ".join(f"{count} {name}" for name, count in counts.iter_rows())


def _without_kernel(launches: pl.DataFrame, events: pl.DataFrame) -> pl.DataFrame:
    keys = ["correlation", "process"] if events["process"].null_count() == 0 else ["correlation"]
    if len(keys) == 1:
        return launches.filter(~among(launches["correlation"], events["correlation"]))
    return launches.join(events.select(keys).unique(), on=keys, how="anti")


def _moved_nothing(bare: pl.DataFrame, launches: pl.DataFrame) -> pl.Series:
    """Which copies and sets without a record were too quick to have enqueued anything."""
    held = launches.join(
        bare.select("correlation", "process"), on=["correlation", "process"], how="anti", nulls_equal=True
    )
    least = held.group_by("name").agg(least=length().min())
    rows = bare.join(least, on="name", how="left", maintain_order="left")
    quick = pl.col("name").str.contains(MOVES) & (2 * length() < pl.col("least"))
    return rows.select(quick.fill_null(False)).to_series()


def _nested(bare: pl.DataFrame, events: pl.DataFrame) -> pl.Series:
    """Which launches lie inside a call of their thread that has the records: one launch, told of twice."""
    linked = events.filter(pl.col("launch_start_ns").is_not_null()).select(
        process="launch_process", thread="launch_thread", start_ns="launch_start_ns", dur_ns="launch_dur_ns"
    )
    start, end = bare["start_ns"].to_numpy(), (bare["start_ns"] + bare.select(length()).to_series()).to_numpy()
    inside = np.zeros(bare.height, np.bool_)
    lanes = bare.select("process", "thread").unique()
    own = linked.join(lanes, on=["process", "thread"], how="semi", nulls_equal=True)
    for (process, thread), rows in own.group_by("process", "thread"):
        calls = frame_union(rows)
        mine = bare.select(pl.col("process").eq_missing(process) & pl.col("thread").eq_missing(thread)).to_series()
        inside |= mine.to_numpy() & calls.holds(start - 1) & calls.holds(np.maximum(end - 1, start))
    return pl.Series(inside)


def _theirs(bare: pl.DataFrame, events: pl.DataFrame) -> Bools:
    """Which launches can be those of events without a correlation: each event takes one that began before it."""
    taken = np.zeros(bare.height, np.bool_)
    loose = events.filter(pl.col("correlation").is_null())
    moves = bare["name"].str.contains(MOVES).to_numpy()
    for kernel in (True, False):
        own = np.flatnonzero(moves != kernel)
        starts = loose.filter((pl.col("kind").is_in(["kernel", "graph"])) == kernel)["start_ns"].sort().to_numpy()
        order = own[np.argsort(bare["start_ns"].to_numpy()[own], kind="stable")]
        begun = np.searchsorted(bare["start_ns"].to_numpy()[order], starts, side="right")
        k = 0  # of those that began before an event the earliest that is left: the most find one
        for reach in begun.tolist():
            if k < reach:
                taken[order[k]] = True
                k += 1
    return taken


def _must_have_run(trace: Trace, events: pl.DataFrame, bare: pl.DataFrame) -> Bools:
    """Which launches were waited for by a synchronisation that came back, or had time to run before the window's end.

    Only where their process uses one device: which one a call goes to is not in a trace.
    """
    proved = np.zeros(bare.height, np.bool_)
    end = pl.col("start_ns") + length()
    owner = pl.coalesce("process", "launch_process")
    used = events.group_by(owner.alias("owner")).agg(
        pl.col("device").n_unique().alias("devices"),
        pl.struct("device", "stream").n_unique().alias("streams"),
        end.max().alias("end_ns"),
        length().max().alias("longest_ns"),
    )
    several = used.filter(pl.col("owner").is_not_null()).height > 1
    for process, devices, streams, ended, longest in used.iter_rows():
        if devices > 1 or (process is None and several):
            continue
        mine = np.ones(bare.height, np.bool_) if process is None else _of(bare, process)
        start = bare["start_ns"].to_numpy()
        calls = trace.calls if process is None else trace.calls.filter(pl.col("process").eq_missing(process))
        waits = calls.filter(pl.col("name").str.contains(STREAM_SYNC if streams == 1 else DEVICE_SYNC))
        waits = pl.concat([waits, calls.filter(pl.col("name").str.contains(DEVICE_SYNC))])
        waits = waits.filter(pl.col("dur_ns").is_not_null() & (pl.col("dur_ns") > 0))
        if waits.height:
            proved |= mine & (start < int(waits["start_ns"].max()))  # type: ignore[arg-type]
        idle = 2 * longest + _REACH_NS
        until, last = trace.window_end_ns, int(calls.select(end.max()).item() or ended)
        if until is None or until < last:  # the host goes on, which says less: the next event may last longer
            until, idle = last, 10 * idle
        proved |= mine & (until - np.maximum(start, ended) > idle)
    return proved


def _of(bare: pl.DataFrame, process: int) -> Bools:
    own: Bools = (bare["process"] == process).fill_null(False).to_numpy()
    return own


def _inside(bare: pl.DataFrame, spans: dict[int | None, SpanSet]) -> pl.Series:
    """Which launches begin inside a span of their process; those of no known process hold for all."""
    start = bare["start_ns"].to_numpy()
    inside = np.zeros(len(start), np.bool_)
    for process, instants in spans.items():
        own = True if process is None else _of(bare, process)
        inside |= own & instants.holds(start)
    return pl.Series(inside)


def _captures(trace: Trace) -> dict[int | None, SpanSet]:
    """When some thread of each process was capturing a stream."""
    marks = trace.calls.filter(pl.col("name").str.contains("(?i)Stream(?:Begin|End)Capture")).sort("start_ns")
    spans: dict[int | None, list[tuple[Int64s, Int64s]]] = {}
    for (process, _), rows in marks.group_by("process", "thread", maintain_order=True):
        at = rows["start_ns"].to_numpy()
        begins = rows["name"].str.contains("(?i)BeginCapture").to_numpy()
        edges, opens = np.concatenate(([-_FAR], at, [_FAR])), np.concatenate(([not begins[0]], begins))
        own = spans.setdefault(None if process is None else int(process), [])
        own.append((edges[:-1][opens], edges[1:][opens]))
    return {
        process: union(np.concatenate([a for a, _ in parts]), np.concatenate([b for _, b in parts]))
        for process, parts in spans.items()
    }


def _backlogs(events: pl.DataFrame) -> dict[int | None, SpanSet]:
    """When a launch would have queued behind work that kept its stream busy until the records end.

    Of each stream, up to its last recorded event's end, if no longer event of the stream fits between that end and
    the end of all records: the next one was running then. It begins at the last event's launch; where that is not in
    the file, when the stream began to work without a pause: a stray event excuses no launch before it.
    """
    end = pl.col("start_ns") + length()
    lane = ["device", "process", "stream"]
    known = pl.coalesce(pl.col("process"), pl.col("launch_process"))
    rows = events.select(*lane, "start_ns", "launch_start_ns", owner=known, end_ns=end, taken=length())
    rows = rows.sort(*lane, "start_ns", "end_ns", maintain_order=True)
    before = pl.col("end_ns").cum_max().shift(1).over(lane)
    pause = pl.min_horizontal(pl.lit(_PAUSE_NS), pl.col("taken").max().over(lane))
    rows = rows.with_columns(opens=before.is_null() | (pl.col("start_ns") - before > pause))
    begun = pl.col("start_ns").filter(pl.col("opens")).last()
    streams = (
        rows.group_by(lane, maintain_order=True)
        .agg(
            pl.col("owner").drop_nulls().first(),
            pl.when(pl.col("launch_start_ns").last().is_not_null())
            .then(pl.col("launch_start_ns").max())
            .otherwise(begun)
            .alias("from_ns"),
            pl.col("end_ns", "taken").max(),
        )
        .filter(pl.col("end_ns") + pl.col("taken") >= pl.col("end_ns").max())
    )
    return {
        None if owner is None else int(owner): union(rows["from_ns"].to_numpy(), rows["end_ns"].to_numpy())
        for (owner,), rows in streams.group_by("owner")
    }
