"""Chains: the repeated sequences of small kernels in a trace, ranked by what fusing them could save.

Found from kernel names, of any length, within one stream and launching thread (`repeats`); ended where the host leaves
the function that launched them (`cuts`); judged by the times of kernels and launches (`saving`). Names of
ranges are not used. Knows nothing of what a kernel computes: that a chain *can* be fused is for its author to judge,
but where the trace tells shapes, `floor` says the least time that its bytes take.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl

from rope_prof.analysis.chains.critical_path import CriticalPath, critical_paths
from rope_prof.analysis.chains.cuts import parts
from rope_prof.analysis.chains.events import NONE, SMALL_NS, ChainEvents, device_events, launched_events
from rope_prof.analysis.chains.floor import Bandwidth, ChainFloor, Shapes, bandwidth, floor
from rope_prof.analysis.chains.repeats import BREAK, Ints, find_repeats
from rope_prof.analysis.chains.saving import CallTimes, call_times, device_idle, launch_latency
from rope_prof.analysis.trace.groups import parts_of
from rope_prof.analysis.trace.sites import MODULE_NUMBER, LaunchSites
from rope_prof.model.frozen import Frozen
from rope_prof.model.trace import Trace

#: One row per call of a chain.
CHAIN_CALLS: dict[str, Any] = {
    "rank": pl.Int64,  # of its chain
    "call": pl.Int64,
    "device": pl.String,
    "stream": pl.Int64,
    "process": pl.Int64,  # of the launching thread; null where the launch is not in the file
    "thread": pl.Int64,
    "first_start_ns": pl.Int64,
    "last_end_ns": pl.Int64,
    "kernel_ns": pl.Int64,
    "bubble_ns": pl.Int64,
    "saving_lo_ns": pl.Int64,  # null where savings are withheld
    "saving_hi_ns": pl.Int64,
}
_STEP = re.compile(r"ProfilerStep#\d+")


class Saving(Frozen, kw_only=True):
    """What fusing every call could take off the device's span: bounds, also as shares of that span and per step.

    What each end rests on: `saving.LO_ASSUMES`, `HI_ASSUMES`.
    """

    lo_ns: int
    hi_ns: int
    lo_share: float
    hi_share: float
    lo_ns_per_step: float | None = None
    hi_ns_per_step: float | None = None


class Chain(Frozen, kw_only=True):
    """One repeated sequence of GPU events. `*_ns` are sums over all calls; `floor_ns` is of one call.

    `events` counts kernels, sets and copies within the device. `bubble_ns` is idle of the stream between the
    events of a call; `launch_bound_ns` the part that ends with an event whose launch began inside the gap. Per step
    figures are null without ProfilerStep ranges. `floor_ns` is null where `floor_reason` says why; `saving` where it is
    withheld, and `reason` says why.
    """

    rank: int
    device: str
    names: tuple[str, ...]
    events: int
    kernels: int
    calls: int
    linked_calls: int
    kernel_ns: int
    busy_ns: int
    bubble_ns: int
    launch_bound_ns: int
    floor_ns: int | None
    floor_reason: str | None
    kernels_per_step: float | None
    bubble_ns_per_step: float | None
    saving: Saving | None
    reason: str | None = None
    modules: tuple[str | None, ...] = ()  # the torch module of each event of `names`, where all calls are in the same


class Chains(Frozen):
    """The chains of a trace, the most worth fusing first, and their calls (schema CHAIN_CALLS)."""

    steps: int | None
    chains: tuple[Chain, ...]
    calls: pl.DataFrame
    bandwidths: Mapping[str, Bandwidth]  # by device: what the byte floors are made with


def chains(
    trace: Trace,
    *,
    withheld: str | None = None,
    floors_ns: Mapping[tuple[str, ...], int] | None = None,
    bytes_a_ns: float | None = None,
    small_ns: int = SMALL_NS,
    limit: int = 20,
) -> Chains:
    """At most `limit` chains a device, ordered by the middle of their saving's interval.

    `withheld` is the reason for which an integrity verdict forbids savings: they are null then, and the order is
    by kernel time and bubbles. `floors_ns` gives the least time of one call by its kernel names; else it comes from the
    trace's shapes and `bytes_a_ns`, the device's bandwidth (None: that of the fastest large copy). `small_ns` is the
    median above which a kernel ends a chain.
    """
    steps, shapes, sites = _steps(trace), Shapes(trace.ops), LaunchSites(trace)
    found: list[tuple[Chain, pl.DataFrame]] = []
    speeds: dict[str, Bandwidth] = {}
    for device, rows in parts_of(launched_events(trace), "device", ordered=True):
        events = device_events(trace, rows, small_ns)
        modules = sites.modules(events.frame)
        modules = modules if modules.null_count() == len(modules) else modules.str.replace_all(MODULE_NUMBER, "_*$1")
        span = int(events.end.max() - events.start.min())
        idle, latency = device_idle(events), launch_latency(events)
        paths = critical_paths(trace, events, latency)
        speed = speeds[str(device)] = bandwidth(rows, bytes_a_ns)
        for word, first in _found(events, limit):
            names = tuple(events.names[symbol] for symbol in word)
            given = (floors_ns or {}).get(names)
            least = floor(shapes, events, first, len(names), speed) if given is None else ChainFloor(given)
            times = call_times(events, first, len(names), idle, latency, least.ns)
            bounds = None if withheld is not None else _bounds(paths, events, first, len(names), times)
            saving = None if bounds is None else _saving(bounds, span, steps)
            chain = _chain(events, str(device), names, first, times, least, steps, saving, withheld)
            chain = replace(chain, modules=_modules(modules, first, len(names)))
            found.append((chain, _calls(events, str(device), first, times, withheld)))
    found.sort(key=lambda pair: _order(pair[0]))
    frames = [calls.with_columns(pl.lit(rank).alias("rank")) for rank, (_, calls) in enumerate(found, 1)]
    ranked = tuple(replace(chain, rank=rank) for rank, (chain, _) in enumerate(found, 1))
    blocks = [frame.select(list(CHAIN_CALLS)).cast(pl.Schema(CHAIN_CALLS)) for frame in frames]
    calls = pl.concat([pl.DataFrame(schema=CHAIN_CALLS), *blocks])
    return Chains(steps, ranked, calls, speeds)


def _found(events: ChainEvents, limit: int) -> list[tuple[tuple[int, ...], Ints]]:
    """The words of one device with the index of each call's first event, in time order."""
    cut = np.concatenate([[True], (np.diff(events.lane) != 0) | (np.diff(events.waits) != 0)])
    place = np.arange(cut.size) + np.cumsum(cut)
    text = np.full(place[-1] + 1, BREAK, dtype=np.int64)
    text[place] = events.symbol
    event_at = np.full(text.size, -1, dtype=np.int64)
    event_at[place] = np.arange(cut.size)
    host_gap = np.zeros(text.size, dtype=np.int64)
    known = (events.launch_start[1:] != NONE) & (events.launch_end[:-1] != NONE)
    host_gap[place[1:]] = np.where(known, events.launch_start[1:] - events.launch_end[:-1], 0)
    found: dict[tuple[int, ...], list[Ints]] = {}
    for repeat in find_repeats(text, host_gap=host_gap, limit=limit):
        first = event_at[np.array(repeat.starts)]
        for begin, end in parts(events, first, len(repeat.word)):
            if end - begin > 1:
                found.setdefault(repeat.word[begin:end], []).append(first + begin)
    calls = {word: np.concatenate(firsts) for word, firsts in found.items()}
    return [(word, first[np.argsort(events.start[first])]) for word, first in calls.items()]


def _bounds(
    paths: tuple[CriticalPath, ...], events: ChainEvents, first: Ints, length: int, times: CallTimes
) -> tuple[int, int]:
    """What all calls take off the span: least and most, each over the critical paths that there may be.

    A call counts for what the GPU gains by it where the path runs there, for what the host gains where it runs there,
    off the path for nothing. What the host loses by a dearer launch counts whole, on the path and off it: a lag grows
    from call to call, past any slack. Of a call whose launches are not in the file it is not known: it may count for
    the GPU's.
    """
    at = first[:, None] + np.arange(length)
    begin, end = events.launch_start[at[:, 0]], events.launch_end[at[:, -1]]
    least, most = [], []
    for path in paths:
        by_gpu = path.events[at].any(axis=1) | ~times.linked
        by_host = times.linked & (path.host.measure(end) > path.host.measure(begin))
        least.append(int(np.where(times.loss > 0, -times.loss, np.where(by_gpu | by_host, times.lo, 0)).sum()))
        most.append(int(times.gpu_most[by_gpu].sum()) + int(times.host_most[by_host].sum()))
    return min(min(least), max(most)), max(most)


def _chain(
    events: ChainEvents,
    device: str,
    names: tuple[str, ...],
    first: Ints,
    times: CallTimes,
    least: ChainFloor,
    steps: int | None,
    saving: Saving | None,
    withheld: str | None,
) -> Chain:
    kinds = events.frame["kind"][int(first[0]) : int(first[0]) + len(names)]
    kernels = int((kinds == "kernel").sum())
    bubble = int(times.bubble.sum())
    return Chain(
        rank=0,
        device=device,
        names=names,
        events=len(names),
        kernels=kernels,
        calls=int(first.size),
        linked_calls=int(times.linked.sum()),
        kernel_ns=int(times.kernel.sum()),
        busy_ns=int(times.busy.sum()),
        bubble_ns=bubble,
        launch_bound_ns=int(times.launch_bound.sum()),
        floor_ns=least.ns,
        floor_reason=least.reason,
        kernels_per_step=None if steps is None else kernels * int(first.size) / steps,
        bubble_ns_per_step=None if steps is None else bubble / steps,
        saving=saving,
        reason=withheld,
    )


def _modules(modules: pl.Series, first: Ints, length: int) -> tuple[str | None, ...]:
    """The family of the module of each event of a chain, where all of its calls are in the same; () where none is."""
    found = []
    for at in range(length):
        held = modules[first + at].unique()
        found.append(held[0] if len(held) == 1 else None)
    return tuple(found) if any(found) else ()


def _saving(bounds: tuple[int, int], span_ns: int, steps: int | None) -> Saving:
    lo, hi = (min(bound, span_ns) for bound in bounds)
    share = 1 / span_ns if span_ns else 0.0
    per_step = (None, None) if steps is None else (lo / steps, hi / steps)
    return Saving(
        lo_ns=lo,
        hi_ns=hi,
        lo_share=lo * share,
        hi_share=hi * share,
        lo_ns_per_step=per_step[0],
        hi_ns_per_step=per_step[1],
    )


def _calls(events: ChainEvents, device: str, first: Ints, times: CallTimes, withheld: str | None) -> pl.DataFrame:
    where = events.frame[first].select(
        "stream", pl.col("launch_process").alias("process"), pl.col("launch_thread").alias("thread")
    )
    none = pl.lit(None, dtype=pl.Int64)
    return where.with_columns(
        pl.lit(device).alias("device"),
        pl.int_range(pl.len()).alias("call"),
        pl.Series("first_start_ns", times.first_start),
        pl.Series("last_end_ns", times.last_end),
        pl.Series("kernel_ns", times.kernel),
        pl.Series("bubble_ns", times.bubble),
        (pl.Series(times.lo) if withheld is None else none).alias("saving_lo_ns"),
        (pl.Series(times.hi) if withheld is None else none).alias("saving_hi_ns"),
    )


def _steps(trace: Trace) -> int | None:
    """How many different ProfilerStep ranges the trace has; None without any."""
    names = trace.ranges["name"].unique().to_list()
    return sum(1 for name in names if name is not None and _STEP.fullmatch(name)) or None


def _order(chain: Chain) -> tuple[float, int, str, tuple[str, ...]]:
    worth = 0 if chain.saving is None else chain.saving.lo_ns + chain.saving.hi_ns
    return (-worth, -(chain.kernel_ns + chain.bubble_ns), chain.device, chain.names)
