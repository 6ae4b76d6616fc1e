"""Do the GPU's times and the host's agree? What no queue, card or load explains, and by how much shares can be off.

A GPU event starts after its launch call began, and one that was launched before a synchronisation has ended when that
comes back. A launch on an idle device starts within microseconds: where all of them wait, all equally long, while the
device does nothing, the two clocks are apart by that much.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
import polars as pl

from rope_prof.analysis.stats import percentiles
from rope_prof.analysis.trace.gaps import DEVICE_SYNC, STREAM_SYNC
from rope_prof.analysis.trace.graph_nodes import GRAPH_LAUNCH
from rope_prof.analysis.trace.groups import holding, parts_of
from rope_prof.analysis.trace.spans import Bools, frame_union, gaps, length, window
from rope_prof.model.trace import Finding, Trace, proof

#: Starts before the launch that together are no more than this share of the device's span, are few and short leave the
#: shares right within that bound.
BOUND: Final = 0.005
_FEW: Final = 0.1
_SHORT_NS: Final = 5_000
#: Real synchronisations come back 2 µs and more after the last event; timestamps are rounded to a microsecond at most.
_LATE_NS: Final = 1_000
_LEAST: Final = 20
_SHIFT_NS: Final = 50_000
_ALIKE: Final = 0.1
#: A device begins what is queued for it sooner than this after the event before it.
_STILL_NS: Final = 5_000


def clocks(trace: Trace, events: pl.DataFrame) -> Iterator[Finding]:
    """The findings; `events` is the trace's `launched` frame."""
    yield from _before_launch(events)
    yield from _after_sync(trace, events)
    yield from _shifted(events)


def early_ns(events: pl.DataFrame) -> dict[str, int]:
    """By device how long before their launches events start, all of them added up; only devices that have such."""
    early = events.filter(pl.col("start_ns") < pl.col("launch_start_ns"))
    summed = early.group_by("device").agg((pl.col("launch_start_ns") - pl.col("start_ns")).sum())
    return dict(summed.iter_rows())


def _before_launch(events: pl.DataFrame) -> Iterator[Finding]:
    early = events.filter(pl.col("start_ns") < pl.col("launch_start_ns"))
    if not early.height:
        return
    amounts = early["launch_start_ns"] - early["start_ns"]
    most, least = int(amounts.max() or 0), int(amounts.min() or 0)  # type: ignore[arg-type]
    linked = events.height - events["launch_start_ns"].null_count()
    spans = {d: window(rows) for (d,), rows in events.select("device", "start_ns", "dur_ns").group_by("device")}
    small = all(ns <= BOUND * (spans[d][1] - spans[d][0]) for d, ns in early_ns(events).items())
    if small and most <= _SHORT_NS and early.height <= _FEW * linked:
        detail = (
            f"GPU events start before their launch call does, by up to {most} ns and {int(amounts.sum())} ns in all: "
            "idle times and shares are right within that"
        )
        yield Finding(code="early_starts", detail=detail, count=early.height, events=proof(early))
        return
    same = f", all by {least} to {most} ns" if early.height == linked and least else f", by up to {most} ns"
    detail = f"GPU events start before their launch call does{same}: the clocks do not agree"
    yield Finding(code="kernel_before_launch", detail=detail, count=early.height, events=proof(early))


def _after_sync(trace: Trace, events: pl.DataFrame) -> Iterator[Finding]:
    linked = events.filter(pl.col("launch_start_ns").is_not_null())
    wrong = []
    for process, rows in parts_of(linked, "launch_process"):
        if rows["device"].n_unique() > 1:
            continue
        one = rows.select("device", "stream").n_unique() == 1
        syncs = holding(trace.calls["name"], f"{DEVICE_SYNC}|{STREAM_SYNC}" if one else DEVICE_SYNC)
        here = pl.col("process").eq_missing(process) & (pl.col("dur_ns") > 0)
        waits = trace.calls.select("process", "start_ns", "dur_ns").filter(syncs & here).sort("start_ns")
        if waits.height:
            wrong.append(rows.filter(pl.Series(_outlives(rows, waits))))
    late = pl.concat(wrong) if wrong else linked.clear()
    if late.height:
        detail = (
            "GPU events end after a synchronisation that waited for them came back: they last too long, or the "
            "clocks do not agree"
        )
        yield Finding(code="ends_after_sync", detail=detail, count=late.height, events=proof(late))


def _outlives(rows: pl.DataFrame, waits: pl.DataFrame) -> Bools:
    """Which events end after a wait that began after their launch call was over."""
    begins = waits["start_ns"].to_numpy()
    back = np.minimum.accumulate((begins + waits["dur_ns"].to_numpy())[::-1])[::-1]
    launched = (rows["launch_start_ns"] + rows["launch_dur_ns"].fill_null(0)).to_numpy()
    at = np.searchsorted(begins, launched, side="left")
    ends = (rows["start_ns"] + rows.select(length()).to_series()).to_numpy()
    waited = at < len(begins)
    late: Bools = waited & (ends > back[np.minimum(at, len(begins) - 1)] + _LATE_NS)
    return late


def _shifted(events: pl.DataFrame) -> Iterator[Finding]:
    columns = ("device", "kind", "name", "stream", "start_ns", "dur_ns", "correlation", "launch_name")
    for device, rows in parts_of(events.select(*columns, "launch_start_ns"), "device"):
        found = gaps(rows)
        after = rows[found["after"].to_numpy()].filter(pl.col("launch_start_ns").is_not_null())
        called = after["launch_name"]
        after = after.filter(holding(called, "^cu") & ~holding(called, GRAPH_LAUNCH))
        if after.height < _LEAST:
            continue
        launch, start = after["launch_start_ns"].to_numpy(), after["start_ns"].to_numpy()
        delay = start - launch
        low, high = percentiles(delay, 0.1, 0.9)
        if delay.min() < _SHIFT_NS or high - low > _ALIKE * delay.min():
            continue
        busy = frame_union(rows)
        waits = delay - (busy.measure(start) - busy.measure(launch))
        # either nothing runs for half of the wait, or the device stands still before each with all of them queued
        still = percentiles(start - busy.before(start), 0.1)[0] >= _STILL_NS
        if still or np.count_nonzero(2 * waits >= delay) >= 0.9 * len(delay):
            detail = (
                f"device {device}: every launch waits {int(low)} to {int(high)} ns while the device does nothing: the "
                "GPU's clock is late by about that much"
            )
            yield Finding(code="clock_shift", detail=detail, count=after.height, events=proof(after))
