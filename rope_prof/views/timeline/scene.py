"""A whole trace as lanes: ranges, operators, launches by thread, kernels by stream, bubbles by device.

Built once a trace and never changed; every window, every call and every stretch is cut from it. Times stay those of
the file. Frames in, arrays out: no file, no pixel, no key.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import Final

import numpy as np
import polars as pl

from rope_prof.analysis.trace.gaps import device_gaps
from rope_prof.analysis.trace.launches import launched
from rope_prof.model.trace import Trace
from rope_prof.views.timeline.lanes import NO_LINK, TONES, Lane, Names, lanes_of

#: Most lanes of one role; what is left out is counted in `Scene.hidden`.
MOST_LANES: Final = {"range": 6, "op": 6, "launch": 16, "kernel": 24, "bubble": 8}
_TONE: Final = {tone: code for code, tone in enumerate(TONES)}
_NEVER: Final = 0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Scene:
    """One trace, ready to be cut. `events` are the rows of `launched`, `gaps` those of `device_gaps` by device.

    `keys` are short stand-ins for `names`, safe where a name is too long to be sent; `hidden` says how many lanes of a
    role are not drawn. `device`: the only one that it shows; None: all of the trace.
    """

    trace: Trace
    events: pl.DataFrame
    gaps: pl.DataFrame
    lanes: tuple[Lane, ...]
    names: tuple[str, ...]
    keys: tuple[str, ...]
    lo_ns: int
    hi_ns: int
    hidden: dict[str, int]
    device: str | None = None


def name_key(name: str) -> str:
    """A dozen letters that stand for a name."""
    return blake2b(name.encode(), digest_size=6).hexdigest()


def scene(trace: Trace, device: str | None = None) -> Scene:
    """The lanes of `trace`, or of its `device` alone. Errors: ValueError for a trace without a single span."""
    every = launched(trace)
    events = every if device is None else every.filter(pl.col("device") == device)
    on_cpu = events.height > 0 and events["device"].unique().to_list() == ["cpu"]
    frames = [trace.ranges, trace.ops, trace.calls, trace.gpu]
    lo, hi = _extent(frames)
    names = Names()
    gaps = _gaps(trace, device)
    ranges = _lanes(trace.ranges, "range", names, hi)
    ops = [] if on_cpu else _lanes(trace.ops, "op", names, hi)
    launches = [] if on_cpu else _launch_lanes(trace.calls, every, names, hi)
    kernels = _kernel_lanes(events, names, hi, on_cpu)
    bubbles = _bubble_lanes(gaps, names)
    groups = (ranges, ops, launches, kernels, bubbles)
    kept = [lane for group in groups for lane in group[: MOST_LANES[group[0].role] if group else 0]]
    hidden = {g[0].role: len(g) - MOST_LANES[g[0].role] for g in groups if g and len(g) > MOST_LANES[g[0].role]}
    return Scene(
        trace=trace,
        events=events,
        gaps=gaps,
        lanes=tuple(_linked(kept, events)),
        names=names.all(),
        keys=tuple(map(name_key, names.all())),
        lo_ns=lo,
        hi_ns=hi,
        hidden=hidden,
        device=device,
    )


def _extent(frames: Iterable[pl.DataFrame]) -> tuple[int, int]:
    """From the first start to the last end of anything."""
    ends = pl.col("start_ns") + pl.col("dur_ns").fill_null(0).clip(lower_bound=0)
    found = [frame.select(pl.col("start_ns").min(), ends.max().alias("end")).row(0) for frame in frames if frame.height]
    found = [pair for pair in found if pair[0] is not None]
    if not found:
        raise ValueError("the trace holds no span with a time; there is nothing to draw")
    return min(pair[0] for pair in found), max(pair[1] for pair in found)


def _gaps(trace: Trace, device: str | None) -> pl.DataFrame:
    devices = sorted(name for name in trace.gpu["device"].unique() if name is not None and device in (None, name))
    tables = [device_gaps(trace, name).insert_column(0, pl.lit(name).alias("device")) for name in devices]
    return pl.concat(tables) if tables else pl.DataFrame(schema={"device": pl.String})


def _lanes(frame: pl.DataFrame, role: str, names: Names, hi: int) -> list[Lane]:
    """Ranges or operators, by thread."""
    word = "ranges" if role == "range" else "operators"
    threads = _labels(frame, ["process", "thread"], word)
    toned = frame.with_columns(tone=pl.lit(_TONE[role]))
    return list(lanes_of(toned, ["process", "thread"], role, threads, names, hi))


def _labels(frame: pl.DataFrame, by: list[str], word: str) -> dict[tuple[object, ...], str]:
    """A label for each value of `by`, process and thread: a number only where there are several to tell apart."""
    keys = frame.select(by).unique(maintain_order=True).rows()
    processes = Counter(process for process, _ in keys)
    labels: dict[tuple[object, ...], str] = {}
    for process, thread in keys:
        words = [word]
        if len(processes) > 1 and process is not None:
            words.append(str(process))
        if processes[process] > 1 and thread is not None:
            words.append(str(thread))
        labels[(process, thread)] = " · ".join(words)
    return labels


def _launch_lanes(calls: pl.DataFrame, events: pl.DataFrame, names: Names, hi: int) -> list[Lane]:
    """Runtime and driver calls by thread; those that started nothing on the GPU have a tone of their own."""
    if not calls.height:
        return []
    starts = calls["correlation"].is_in(events["correlation"].drop_nulls().unique().implode()).fill_null(False)
    toned = calls.with_columns(tone=pl.when(starts).then(_TONE["launch"]).otherwise(_TONE["call"]))
    labels = _labels(calls, ["process", "thread"], "launches")
    return list(lanes_of(toned, ["process", "thread"], "launch", labels, names, hi))


def _kernel_lanes(events: pl.DataFrame, names: Names, hi: int, on_cpu: bool) -> list[Lane]:
    """GPU events by device and stream, a busy stream first within its device."""
    if not events.height:
        return []
    by = ["device", "process", "stream"]
    keys = events.select(by).unique(maintain_order=True).rows()
    devices = len({key[0] for key in keys}) > 1
    processes = len({key[:2] for key in keys}) > len({key[0] for key in keys})
    labels: dict[tuple[object, ...], str] = {}
    for device, process, stream in keys:
        word = "operators" if on_cpu else "kernels" if stream is None else f"stream {stream}"
        word += f" · process {process}" if processes and process is not None else ""
        labels[(device, process, stream)] = f"device {device} · {word}" if devices else word
    moved = pl.col("kind").is_in(["memcpy", "memset"])
    toned = events.with_columns(tone=pl.when(moved).then(_TONE["copy"]).otherwise(_TONE["kernel"]))
    return list(lanes_of(toned, by, "kernel", labels, names, hi))


def _bubble_lanes(gaps: pl.DataFrame, names: Names) -> list[Lane]:
    """Idle pieces of each device, named by their cause."""
    if "cause" not in gaps.columns or not gaps.height:
        return []
    devices = gaps["device"].unique(maintain_order=True).to_list()
    labels: dict[tuple[object, ...], str] = {
        (name,): f"device {name} · bubbles" if len(devices) > 1 else "bubbles" for name in devices
    }
    frame = gaps.select("device", "start_ns", "dur_ns", pl.col("cause").alias("name"), tone=pl.lit(_TONE["bubble"]))
    return list(lanes_of(frame, ["device"], "bubble", labels, names, _NEVER))


def _linked(lanes: Sequence[Lane], events: pl.DataFrame) -> Iterable[Lane]:
    """The lanes, those of kernels with the end of each launch call and the lane on which it is drawn."""
    hosts = [(number, lane) for number, lane in enumerate(lanes) if lane.role == "launch"]
    start = events["launch_start_ns"].fill_null(NO_LINK).to_numpy().astype(np.int64)
    length = events["launch_dur_ns"].fill_null(0).to_numpy().astype(np.int64)
    for lane in lanes:
        if lane.role != "kernel" or not hosts:
            yield lane
            continue
        begun = start[lane.rows]
        at = np.full(len(begun), -1, np.int64)
        for number, host in hosts:
            place = np.clip(np.searchsorted(host.starts, begun), 0, max(len(host.starts) - 1, 0))
            same = (at < 0) & (host.starts[place] == begun) & (begun != NO_LINK)
            at[same] = number
        known = (begun != NO_LINK) & (at >= 0)
        yield replace(lane, links=np.where(known, begun + length[lane.rows], NO_LINK), link_lanes=at)
