"""The idle time of one capture: by cause, by length, and the longest gaps with the host call behind each. Pure.

Gaps come from `gaps.device_gaps`; what is added here is in which call each lies, and what the host was in when it
launched the event that ends it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from rope_prof.analysis.trace.calls import innermost
from rope_prof.model.frozen import Frozen
from rope_prof.model.trace import Trace
from rope_prof.units import US

#: What `placed` and `told` add to the columns of `device_gaps`.
PLACED: dict[str, Any] = {
    "call": pl.Int64,  # the last call whose first event began before the gap
    "call_start_ns": pl.Int64,  # that event's start: zero of the timeline of that call
}
TOLD: dict[str, Any] = {"range": pl.String, "operator": pl.String}


def placed(gaps: pl.DataFrame, calls: pl.DataFrame, *, apart: bool) -> pl.DataFrame:
    """The rows of `device_gaps` from the first event of the first call to the last one of the last, with `PLACED`.

    `calls`: rows of `call_frame` that ran something on the device of the gaps. `apart`: what lies between two calls
    is none of theirs (the L2 is overwritten there), and is left out.
    """
    ordered = calls.sort("first_start_ns")
    first, last = ordered["first_start_ns"].to_numpy(), ordered["last_end_ns"].to_numpy()
    start = gaps["gap_start_ns"].to_numpy()
    end = start + gaps["gap_dur_ns"].to_numpy()
    row = np.searchsorted(first, start, side="right") - 1
    ends = last[np.maximum(row, 0)] if apart else np.full(len(row), last.max(initial=0))
    at = np.maximum(row, 0)
    return gaps.with_columns(
        call=ordered["call"].gather(at), call_start_ns=ordered["first_start_ns"].gather(at)
    ).filter(pl.Series((row >= 0) & (end <= ends)))


def told(gaps: pl.DataFrame, trace: Trace) -> pl.DataFrame:
    """With `TOLD`: the innermost range and the innermost operator in which the launch that ends a gap was made.

    Null where the file holds no such launch, range or operator.
    """
    names = {"range": trace.ranges, "operator": trace.ops.with_columns(kind=pl.lit("operator"))}
    return gaps.with_columns(innermost(frame, gaps).alias(name) for name, frame in names.items())


class Idle(Frozen, kw_only=True):
    """The idle time of one capture.

    `causes`: (cause, ns a call, share of the idle time), the largest first. `lengths_ns`: of every whole gap, in the
    order of time. `worst`: the longest of them, with the columns of `device_gaps`, `PLACED` and `TOLD`; `cause` of
    such a row names all its causes, the longest first.
    """

    calls: int
    gaps: int
    idle_ns: float
    causes: tuple[tuple[str, float, float], ...]
    lengths_ns: tuple[int, ...]
    worst: tuple[Mapping[str, Any], ...]

    def cause_ns(self, cause: str) -> float:
        """ns a call of that cause; 0 where it has none."""
        return next((ns for name, ns, _ in self.causes if name == cause), 0.0)


def whole_gaps(gaps: pl.DataFrame) -> pl.DataFrame:
    """One row per gap in the order of time; its `cause` names all causes, the longest first, `dur_ns` is its length."""
    facts = [name for name in gaps.columns if name not in ("start_ns", "dur_ns", "cause", "gap")]
    return (
        gaps.group_by("gap", maintain_order=True)
        .agg(
            pl.col(facts).first(),
            pl.col("cause").sort_by("dur_ns", descending=True).unique(maintain_order=True).str.join(", "),
        )
        .with_columns(start_ns="gap_start_ns", dur_ns="gap_dur_ns")
    )


def idle(gaps: pl.DataFrame, calls: int, worst: int = 6) -> Idle | None:
    """The account of those gaps (`device_gaps` with or without more columns) of `calls` calls; None without a gap."""
    if not gaps.height or calls < 1:
        return None
    total = int(gaps["dur_ns"].sum())
    causes = gaps.group_by("cause").agg(pl.col("dur_ns").sum()).sort("dur_ns", "cause", descending=[True, False])
    whole = whole_gaps(gaps)
    longest = whole.sort("gap_dur_ns", "gap", descending=[True, False]).head(worst)
    return Idle(
        calls=calls,
        gaps=whole.height,
        idle_ns=total / calls,
        causes=tuple((c, ns / calls, ns / total if total else 0.0) for c, ns in causes.iter_rows()),
        lengths_ns=tuple(whole["gap_dur_ns"].to_list()),
        worst=tuple(longest.iter_rows(named=True)),
    )


def around(gap: Mapping[str, Any]) -> tuple[float, float]:
    """The window that shows one of `Idle.worst`, in ns from the zero of its call: the gap with a third of itself on
    both sides, and the launch that ends it where that began no more than two gaps before."""
    length = gap["gap_dur_ns"]
    start = gap["gap_start_ns"] - gap["call_start_ns"]
    launch = gap["launch_start_ns"]
    begun = start if launch is None else min(start, launch - gap["call_start_ns"])
    low = begun if start - begun <= 2 * length else start
    return low - length / 3, start + length + length / 3


def log_bins(lengths: Sequence[Sequence[int]], bins: int = 36) -> tuple[list[float], list[tuple[int, ...]]]:
    """Edges in µs, equally wide on a log scale, and how many of each list lie in each bin."""
    every = [ns / US for one in lengths for ns in one if ns > 0]
    low, high = math.log(min(every, default=1.0)), math.log(max(every, default=10.0) * 1.001)
    if high - low < 1:
        low, high = low - 0.5, high + 0.5
    edges = [math.exp(low + (high - low) * k / bins) for k in range(bins + 1)]
    counts = []
    for one in lengths:
        row = [0] * bins
        for ns in one:
            if ns > 0:
                row[min(bins - 1, max(0, int((math.log(ns / US) - low) / (high - low) * bins)))] += 1
        counts.append(tuple(row))
    return edges, counts
