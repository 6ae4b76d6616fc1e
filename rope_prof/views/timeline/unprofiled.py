"""A profiled call on the unprofiled clock: its events keep order and length, its gaps are scaled to the time it takes.

Knows one laid-out call and the time that such a call takes without a profiler; which cause a gap has stays as profiled.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl

from rope_prof.analysis.trace.spans import Int64s
from rope_prof.model.frozen import Frozen
from rope_prof.views.timeline.layout import CallTimeline


class _Scaled(Frozen, kw_only=True, eq=False):
    """Where instants lie once each gap (`starts`, `ends`, sorted, apart) and what lies before zero are `factor` long.

    What follows the last gap moves with it.
    """

    starts: Int64s
    ends: Int64s
    factor: float

    def at(self, times: pl.Series) -> pl.Series:
        """The instants, in whole ns; an order stays one."""
        found = times.to_numpy().astype(np.int64)
        lengths = self.ends - self.starts
        less = np.concatenate(([0], np.cumsum(lengths - np.rint(self.factor * lengths).astype(np.int64))))
        gap = np.searchsorted(self.starts, found, side="right")
        into = np.clip(found - np.append(0, self.starts)[gap], 0, np.append(0, lengths)[gap])
        inside = np.where(gap > 0, into - np.rint(self.factor * into).astype(np.int64), 0)
        before = np.append(0, less[:-1])[gap] if len(lengths) else np.zeros(len(found), np.int64)
        moved = found - before - inside
        return pl.Series(times.name, np.where(found < 0, np.rint(self.factor * found).astype(np.int64), moved))


def unprofiled(timeline: CallTimeline, wall_ns: float | None) -> CallTimeline | None:
    """That call as long as `wall_ns`; None where no scale of its gaps makes it so (no gap, or more busy than that)."""
    idle = timeline.bubble_ns
    if wall_ns is None or not timeline.next_call or idle <= 0 or wall_ns <= timeline.busy_ns:
        return None
    ordered = timeline.bubbles.sort("start_ns")
    starts = ordered["start_ns"].to_numpy().astype(np.int64)
    ends = starts + ordered["dur_ns"].to_numpy().astype(np.int64)
    clock = _Scaled(starts=starts, ends=ends, factor=(wall_ns - timeline.busy_ns) / idle)
    bubbles = _moved(timeline.bubbles, clock)
    spans = _moved(timeline.spans, clock)
    launched = clock.at((timeline.spans["start_ns"] - timeline.spans["queue_ns"]).fill_null(0))
    queue = pl.when(pl.col("queue_ns").is_not_null()).then(pl.col("start_ns") - launched)
    end = int(clock.at(pl.Series([timeline.end_ns]))[0])
    return replace(
        timeline,
        spans=spans.with_columns(queue_ns=queue),
        bubbles=bubbles,
        lead_ns=int(clock.at(pl.Series([timeline.lead_ns]))[0]),
        end_ns=end,
        busy_ns=end - int(bubbles["dur_ns"].sum()),
    )


def _moved(frame: pl.DataFrame, clock: _Scaled) -> pl.DataFrame:
    start = clock.at(frame["start_ns"])
    return frame.with_columns(start_ns=start, dur_ns=clock.at(frame["start_ns"] + frame["dur_ns"]) - start)
