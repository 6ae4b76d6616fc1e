"""One call laid out for drawing: lanes of spans and bubbles, relative to the call's own zero.

Knows frames and the words of a timeline; knows no figure, no file, no key. Zero is the start of the call's first
device event, so that calls of different paths start together; what the host did to get there has negative times.
The window ends where the next call's first device event starts (the period), or with the call's own last event
where there is no next call. A bubble is a stretch of that window in which the device runs nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from rope_prof.model.frozen import Frozen

#: One row per drawn span. `start_ns` is relative to the call's zero; `lane` counts from the top.
SPANS: dict[str, Any] = {
    "lane": pl.Int64,
    "role": pl.String,  # launch | kernel | copy
    "name": pl.String,
    "start_ns": pl.Int64,
    "dur_ns": pl.Int64,
    "grid": pl.String,
    "block": pl.String,
    "registers": pl.Int64,
    "shared_bytes": pl.Int64,
    "bytes": pl.Int64,
    "launch": pl.String,  # the call that enqueued it; null where the file has none
    "launch_lane": pl.Int64,  # where that call is drawn
    "queue_ns": pl.Int64,  # start - end of that call; may be negative
}

#: One row per bubble: maximal, whatever it was caused by; `cause` lists the causes with the largest first.
BUBBLES: dict[str, Any] = {"start_ns": pl.Int64, "dur_ns": pl.Int64, "cause": pl.String}

_LAUNCH = ("launch_name", "launch_start_ns", "launch_dur_ns", "launch_thread")


class CallLane(Frozen):
    """One row of the picture: its label and whether it is the host's or the device's."""

    label: str
    side: str  # host | device


class CallTimeline(Frozen, kw_only=True):
    """One call: `lead_ns` (<= 0) is where the host began, `end_ns` where the window ends, both relative to zero."""

    call: int
    lanes: tuple[CallLane, ...]
    spans: pl.DataFrame
    bubbles: pl.DataFrame
    lead_ns: int
    end_ns: int
    busy_ns: int
    kernels: int
    next_call: bool

    @property
    def reach_ns(self) -> int:
        """Where the picture ends: with the window, or with a last event that outlasts it (overlapping launches)."""
        device = self.spans.filter(pl.col("role") != "launch")
        return max(self.end_ns, int((device["start_ns"] + device["dur_ns"]).to_numpy().max()))

    @property
    def bubble_ns(self) -> int:
        """Idle device time in the window, as the profile has it: raw."""
        return int(self.bubbles["dur_ns"].sum())

    @property
    def bubble_share(self) -> float | None:
        """Idle share of the window; None for an empty window."""
        return self.bubble_ns / self.end_ns if self.end_ns > 0 else None


def median_call(calls: pl.DataFrame) -> int | None:
    """The call whose period is the (lower) median; without any period the middle call; None if none ran."""
    ran = calls.filter(pl.col("first_start_ns").is_not_null())
    if ran.is_empty():
        return None
    timed = ran.filter(pl.col("period_ns").is_not_null()).sort("period_ns", "call")
    chosen = timed if not timed.is_empty() else ran.sort("call")
    return int(chosen["call"][(chosen.height - 1) // 2])


def lay_out(call: Mapping[str, Any], events: pl.DataFrame, gaps: pl.DataFrame | None) -> CallTimeline:
    """The timeline of one call.

    `call` is a row of `call_frame`, `events` its `call_events`. `gaps` (`device_gaps` of its device) are the bubbles
    and their causes; None of a call that ran nothing.
    Errors: ValueError for a call without device events, which has no zero.
    """
    if call["first_start_ns"] is None or events.is_empty() or gaps is None:
        raise ValueError(f"call {call['call']} ran nothing on the device; expected at least one event")
    if call["device"] == "cpu":  # a leaf operator is its own launch: nothing enqueued it
        events = events.with_columns(pl.lit(None, dtype=events.schema[c]).alias(c) for c in _LAUNCH)
    zero = int(call["first_start_ns"])
    last = int(call["last_end_ns"]) - zero
    period = call.get("period_ns")
    end = int(period) if period is not None else last
    host_lanes, host = _host_spans(events, zero)
    device_lanes, device = _device_spans(events, zero, "operators" if call["device"] == "cpu" else "stream")
    device = _linked(device.with_columns(pl.col("lane") + len(host_lanes)), host)
    bubbles = _bubbles(gaps, zero, end)
    starts = host["start_ns"].min()
    return CallTimeline(
        call=int(call["call"]),
        lanes=(*host_lanes, *device_lanes),
        spans=pl.concat(
            [
                host.select(pl.col(name).cast(dtype) for name, dtype in SPANS.items()),
                device.select(pl.col(name).cast(dtype) for name, dtype in SPANS.items()),
            ]
        ),
        bubbles=bubbles,
        lead_ns=min(0, int(starts)) if isinstance(starts, int) else 0,
        end_ns=end,
        busy_ns=end - int(bubbles["dur_ns"].sum()),
        kernels=int(events.filter(pl.col("kind") == "kernel").height),
        next_call=period is not None,
    )


def _linked(device: pl.DataFrame, host: pl.DataFrame) -> pl.DataFrame:
    """The device spans with the lane on which their launch is drawn."""
    ends = host.select(
        pl.col("name").alias("launch"),
        (pl.col("start_ns") + pl.col("dur_ns")).alias("launch_end"),
        pl.col("lane").alias("launch_lane"),
    ).unique(["launch", "launch_end"], keep="first")
    return (
        device.drop("launch_lane", strict=False)
        .with_columns(launch_end=pl.col("start_ns") - pl.col("queue_ns"))
        .join(ends, on=["launch", "launch_end"], how="left", maintain_order="left")
    )


def _device_spans(events: pl.DataFrame, zero: int, word: str) -> tuple[list[CallLane], pl.DataFrame]:
    """Spans of the device, one lane per stream and more where spans of a stream overlap."""
    launch_end = pl.col("launch_start_ns") + pl.col("launch_dur_ns")
    spans = events.select(
        pl.col("stream"),
        pl.when(pl.col("kind").is_in(["memcpy", "memset"]))
        .then(pl.lit("copy"))
        .otherwise(pl.lit("kernel"))
        .alias("role"),
        "name",
        (pl.col("start_ns") - zero).alias("start_ns"),
        "dur_ns",
        "grid",
        "block",
        "registers",
        "shared_bytes",
        "bytes",
        pl.col("launch_name").alias("launch"),
        (pl.col("start_ns") - launch_end).alias("queue_ns"),
    )
    return _stack(spans, "stream", "device", lambda number: _lane_label(word, number))


def _lane_label(word: str, number: int | None) -> str:
    return word if number is None or word == "operators" else f"{word} {number}"


def _host_spans(events: pl.DataFrame, zero: int) -> tuple[list[CallLane], pl.DataFrame]:
    """The launch calls, one lane per thread; a launch of many events (a graph) is one span."""
    launches = (
        events.filter(pl.col("launch_name").is_not_null())
        .select("launch_thread", "launch_name", "launch_start_ns", "launch_dur_ns")
        .unique(maintain_order=True)
        .select(
            "launch_thread",
            pl.lit("launch").alias("role"),
            pl.col("launch_name").alias("name"),
            (pl.col("launch_start_ns") - zero).alias("start_ns"),
            pl.col("launch_dur_ns").alias("dur_ns"),
        )
    )
    several = launches["launch_thread"].n_unique() > 1
    label = (lambda thread: f"launches, thread {thread}") if several else (lambda _: "launches")
    lanes, spans = _stack(launches, "launch_thread", "host", label)
    absent = [pl.lit(None, dtype=SPANS[name]).alias(name) for name in SPANS if name not in spans.columns]
    return lanes, spans.with_columns(absent).select(list(SPANS))


def _stack(spans: pl.DataFrame, by: str, side: str, label: Any) -> tuple[list[CallLane], pl.DataFrame]:
    """Lanes for each value of `by`, and the spans with their lane: on no lane do two spans overlap."""
    lanes: list[CallLane] = []
    rows: list[int] = []
    ordered = spans.sort(by, "start_ns", "dur_ns", nulls_last=True, maintain_order=True)
    for group in ordered.partition_by(by, maintain_order=True):
        first = len(lanes)
        ends: list[int] = []
        for start, duration in zip(group["start_ns"], group["dur_ns"], strict=True):
            depth = next((i for i, end in enumerate(ends) if end <= start), len(ends))
            ends[depth : depth + 1] = [start + duration]
            rows.append(first + depth)
        name = label(group[by][0])
        lanes += [CallLane(name if depth == 0 else "", side) for depth in range(len(ends))]
    placed = ordered.with_columns(pl.Series("lane", rows, dtype=pl.Int64))
    known = [name for name in SPANS if name in placed.columns]
    return lanes, placed.select(known)


def _bubbles(gaps: pl.DataFrame, zero: int, end: int) -> pl.DataFrame:
    """The analysis's gap pieces inside [0, end), those that touch joined into one bubble."""
    clipped = (
        gaps.select(
            (pl.col("start_ns") - zero).clip(lower_bound=0).alias("start_ns"),
            (pl.col("start_ns") + pl.col("dur_ns") - zero).clip(upper_bound=end).alias("end_ns"),
            pl.col("cause"),
        )
        .filter(pl.col("end_ns") > pl.col("start_ns"))
        .sort("start_ns")
        .with_columns(bubble=(pl.col("start_ns") != pl.col("end_ns").shift(1)).fill_null(True).cum_sum())
    )
    by_cause = clipped.with_columns(piece_ns=pl.col("end_ns") - pl.col("start_ns")).sort(
        "bubble", "piece_ns", descending=[False, True], maintain_order=True
    )
    return (
        by_cause.group_by("bubble", maintain_order=True)
        .agg(
            pl.col("start_ns").min(),
            pl.col("piece_ns").sum().alias("dur_ns"),
            pl.col("cause").unique(maintain_order=True).str.join(", "),
        )
        .select(pl.col(name).cast(dtype) for name, dtype in BUBBLES.items())
    )


def call_options(frames: Sequence[pl.DataFrame]) -> list[str]:
    """What the call chooser offers: the median call first, then every number that any of the frames has."""
    numbers = sorted({int(number) for frame in frames for number in frame["call"]})
    return ["median", *(str(number) for number in numbers)]
