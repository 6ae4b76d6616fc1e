"""What would fusing the rope save at most? From the unfused path's own profile and its unprofiled step time.

The profile is replayed, a step at a time: the host walks its calls, each launch enqueues its kernels, the device runs
them in order, a synchronising call waits for the device. A profiler stretches the host's time, so the host's time is
first corrected until the replay takes as long as the unprofiled step did, in two ways that bracket the truth: as a
share of all host time, and as a cost of each recorded event. Then the rope's host time and kernels are taken out
altogether (`hi`, the most that any fusion can save), and but for one launch of each call (`lo`). The interval spans all
steps, both corrections, and the ends of the unprofiled time's interval. What is predicted is the share of the step that
goes: a host that drifts stretches the step and what is saved of it alike, so that the drift is not in the share. A
profiled step that took over `DISTURBED` times the median of all is the profile of something else, and is left out.
Bubbles are not added up from a timeline: where the device is behind, taking launches away saves nothing, and the replay
shows that.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from statistics import median

import numpy as np
import numpy.typing as npt
import polars as pl

from rope_prof.analysis.stats import Figure
from rope_prof.analysis.trace.calls import matching
from rope_prof.analysis.trace.gaps import SYNC_CALL
from rope_prof.analysis.trace.launches import launched
from rope_prof.errors import TraceError
from rope_prof.model.frozen import Frozen
from rope_prof.model.trace import Trace
from rope_prof.units import MS

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
_HALVINGS = 30
#: Sums of a step's pieces in another order differ by less, of the sum.
_DIGITS = 1e-9
#: A profiled step that took longer than so many times the median of all was disturbed.
DISTURBED = 1.25


class WhatIf(Frozen, kw_only=True):
    """Per step, in ns: fusing saves from `lo_ns` to `hi_ns` of `step_ns`. `inflation` = profiled / unprofiled step.

    `lo_ns` leaves one launch of each rope call; `hi_ns` leaves nothing: no fusion saves more. From `steps` profiled
    steps; `left_out` were disturbed.
    """

    step_ns: float
    lo_ns: float
    hi_ns: float
    inflation: float
    launches_per_call: float
    steps: int
    left_out: int

    @property
    def width(self) -> float:
        """The interval's width as a share of the step."""
        return (self.hi_ns - self.lo_ns) / self.step_ns

    def contains(self, saved_ns: float) -> bool:
        """Whether the measured saving lies in the prediction."""
        return self.lo_ns <= saved_ns <= self.hi_ns


@dataclass(frozen=True)
class Pieces:
    """The host's time cut at every call and rope range: `ns`, recorded `events` and whether in the `rope`, a piece.

    `waits` marks pieces inside a synchronising call; `work` is the device time enqueued at the piece's end, its share
    of the rope in `rope_work`; both apply after the piece.
    """

    ns: Floats
    events: Floats
    rope: npt.NDArray[np.bool_]
    waits: npt.NDArray[np.bool_]
    work: Floats
    rope_work: Floats
    rope_launches: float

    @cached_property
    def stretches(self) -> PieceRuns:
        """The pieces cut where waiting begins and ends, and around a wait that enqueues."""
        busy = self.work > 0
        alone = np.flatnonzero(self.waits & busy)
        first = np.unique(np.concatenate([[0], np.flatnonzero(np.diff(self.waits)) + 1, alone, alone + 1]))
        first = first[first < len(self.ns)]
        before = np.cumsum(self.work) - self.work
        counts = np.diff(first, append=len(self.ns))
        total = np.add.reduceat(self.work, first)
        return PieceRuns(first, counts, np.where(busy, before - np.repeat(before[first], counts), np.inf), total)


class PieceRuns(Frozen):
    """Runs of pieces: `first` piece, how many, the `work` of all; `lead`: enqueued in a run before each of its pieces,
    infinite where the piece enqueues nothing.
    """

    first: Ints
    counts: Ints
    lead: Floats
    work: Floats


def what_if(trace: Trace, path: str, phase: str, step_ns: Figure) -> WhatIf:
    """The prediction from `trace`, a profile of `path`'s steps that take `step_ns` unprofiled.

    Errors: TraceError where the trace holds no such steps, no GPU events in them, or a host that no correction brings
    to the unprofiled time.
    """
    profiled = [(replay(pieces.ns, pieces), pieces) for pieces in host_pieces(trace, path, phase)]
    usual = median(ns for ns, _ in profiled)
    steps = [pieces for ns, pieces in profiled if ns <= DISTURBED * usual]
    found: list[float] = []
    for whole in sorted({step_ns.median, step_ns.lo or step_ns.median, step_ns.hi or step_ns.median}):
        for pieces in steps:
            found += _shares(pieces, whole)
    if not found:
        raise TraceError(
            f"the profiled steps of {path!r} take {usual / MS:.3g} ms and cannot be brought to the unprofiled "
            f"{step_ns.median / MS:.3g} ms by correcting host time; profile and time them on one machine"
        )
    return WhatIf(
        step_ns=step_ns.median,
        lo_ns=min(found) * step_ns.median,
        hi_ns=max(found) * step_ns.median,
        inflation=usual / step_ns.median,
        launches_per_call=median(pieces.rope_launches for pieces in steps),
        steps=len(steps),
        left_out=len(profiled) - len(steps),
    )


def _shares(pieces: Pieces, whole: float) -> list[float]:
    """The share saved of a step of `whole` ns, with nothing and with one launch left; by both corrections."""
    found = []
    for corrected in (_as_share, _per_event):
        host = calibrated(pieces, whole, corrected)
        if host is not None:
            before = replay(host, pieces)
            found += [1 - replay(host, pieces, kept=kept) / before for kept in (0.0, _one(pieces)) if before]
    return found


def _one(pieces: Pieces) -> float:
    return 1 / pieces.rope_launches if pieces.rope_launches else 0.0


def replay(host: Floats, pieces: Pieces, *, kept: float = 1.0) -> float:
    """Ns until host and device are done; of the rope's host time and kernels the share `kept` is left."""
    spent = np.where(pieces.rope, kept * host, host)
    work = pieces.work - (1 - kept) * pieces.rope_work
    now = done = 0.0
    for ns, waits, more in zip(spent.tolist(), pieces.waits.tolist(), work.tolist(), strict=True):
        # compared here, not by `max`: a call for each of a hundred thousand pieces takes longer than all else
        if not waits:
            now += ns
        elif done > now:
            now = done
        if more:
            done = (done if done > now else now) + more
    return max(now, done)


def about_replay(host: Floats, pieces: Pieces) -> float:
    """The same with all of the rope left, a stretch at a time: the last digits differ, `_DIGITS` of the sum at most.

    Within a stretch the device is done when the last work is, which begins at the latest of all works' enqueueing less
    the work before it.
    """
    runs = pieces.stretches
    reached = np.cumsum(np.where(pieces.waits, 0.0, host))
    begin = np.concatenate([[0.0], reached])[runs.first]
    latest = np.maximum.reduceat(reached - np.repeat(begin, runs.counts) - runs.lead, runs.first)
    spent = np.append(begin[1:], reached[-1]) - begin
    now = done = 0.0
    listed = (pieces.waits[runs.first].tolist(), spent.tolist(), latest.tolist(), runs.work.tolist())
    for waits, ns, last, work in zip(*listed, strict=True):
        if waits:
            now = max(now, done)
        if work:
            done = max(done, now + last) + work
        now += ns
    return max(now, done)


def _beyond(host: Floats, pieces: Pieces, whole: float) -> float:
    """The replay less `whole` ns, the sign exact: step by step only where it is a matter of the last digits."""
    about = about_replay(host, pieces)
    return about - whole if abs(about - whole) > _DIGITS * whole else replay(host, pieces) - whole


def _as_share(pieces: Pieces, amount: float) -> Floats:
    return pieces.ns * (1 - amount)


def _per_event(pieces: Pieces, amount: float) -> Floats:
    """`amount` 0 to 1 of the cost at which nothing of the host's time would be left."""
    held = pieces.events > 0
    most = float((pieces.ns[held] / pieces.events[held]).max()) if held.any() else 0.0
    return np.maximum(0.0, pieces.ns - amount * most * pieces.events)


def calibrated(pieces: Pieces, whole: float, corrected: Callable[[Pieces, float], Floats]) -> Floats | None:
    """The host time at which the replay takes `whole` ns; None where no correction gets there.

    A profile that is faster than the unprofiled steps is stretched as a share.
    """
    if _beyond(pieces.ns, pieces, whole) < 0:
        low, high = -3.0, 0.0
        corrected = _as_share
    else:
        low, high = 0.0, 1.0
    if _beyond(corrected(pieces, high), pieces, whole) > 0 or _beyond(corrected(pieces, low), pieces, whole) < 0:
        return None
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if _beyond(corrected(pieces, middle), pieces, whole) > 0:
            low = middle
        else:
            high = middle
    return corrected(pieces, high)


def host_pieces(trace: Trace, path: str, phase: str) -> list[Pieces]:
    """The host's walk through each profiled step. Errors: TraceError where there are none, or none on a GPU."""
    name = re.escape(f"{path.replace(':', '@')}.{phase}")
    steps, ropes = (matching(trace, rf"{name}\.{part}#\d+", kind="record_function") for part in ("step", "rope"))
    if not steps.height or not ropes.height:
        raise TraceError(
            f"the trace {trace.source!r} holds {steps.height} steps and {ropes.height} rope calls of {path!r} in "
            f"{phase!r}; expected a profile that `model` recorded"
        )
    begin, end = int(steps["start_ns"].min()), int((steps["start_ns"] + steps["dur_ns"]).max())  # type: ignore[arg-type]
    here = (pl.col("thread") == steps["thread"][0]) & pl.col("start_ns").is_between(begin, end, closed="left")
    calls = trace.calls.filter(here)
    launches = (
        launched(trace)
        .filter(pl.col("launch_start_ns").is_between(begin, end, closed="left"))
        .group_by("launch_start_ns", "launch_dur_ns")
        .agg(pl.col("dur_ns").sum(), pl.len())
        .sort("launch_start_ns")
    )
    if not launches.height:
        raise TraceError(f"the steps in {trace.source!r} launched nothing on a GPU; profile them on one")
    waiting = calls.filter(pl.col("name").str.contains(SYNC_CALL))
    marks = np.sort(
        np.concatenate(
            [frame["start_ns"].to_numpy() for frame in (trace.ops.filter(here), calls, trace.ranges.filter(here))]
        )
    )
    starts, ends = _spans(steps)
    bounds = [*starts.tolist(), int(ends[-1])]
    return [_cut(*span, ropes, waiting, launches, marks) for span in pairwise(bounds)]


def _cut(
    begin: int,
    end: int,
    ropes: pl.DataFrame,
    waiting: pl.DataFrame,
    launches: pl.DataFrame,
    marks: Ints,
) -> Pieces:
    within = pl.col("start_ns").is_between(begin, end, closed="left")
    ropes, waiting = ropes.filter(within), waiting.filter(within)
    launches = launches.filter(pl.col("launch_start_ns").is_between(begin, end, closed="left"))
    rope_spans, wait_spans = _spans(ropes), _spans(waiting)
    at = (launches["launch_start_ns"] + launches["launch_dur_ns"]).to_numpy()
    edges = np.unique(np.concatenate([[begin, end], *rope_spans, *wait_spans, at]))
    edges = edges[(edges >= begin) & (edges <= end)]
    starts, ends = edges[:-1], edges[1:]
    in_rope = _inside(launches["launch_start_ns"].to_numpy(), *rope_spans)
    work, rope_work = np.zeros(len(starts)), np.zeros(len(starts))
    place = np.clip(np.searchsorted(ends, at), 0, len(ends) - 1)
    durations = launches["dur_ns"].to_numpy().astype(np.float64)
    np.add.at(work, place, durations)
    np.add.at(rope_work, place[in_rope], durations[in_rope])
    counts = np.searchsorted(marks, ends) - np.searchsorted(marks, starts)
    return Pieces(
        ns=(ends - starts).astype(np.float64),
        events=counts.astype(np.float64),
        rope=_inside(starts, *rope_spans),
        waits=_inside(starts, *wait_spans),
        work=work,
        rope_work=rope_work,
        rope_launches=float(launches["len"].to_numpy()[in_rope].sum()) / max(1, ropes.height),
    )


def _spans(frame: pl.DataFrame) -> tuple[Ints, Ints]:
    ordered = frame.sort("start_ns")
    starts = ordered["start_ns"].to_numpy().astype(np.int64)
    return starts, starts + ordered["dur_ns"].to_numpy().astype(np.int64)


def _inside(points: Ints, starts: Ints, ends: Ints) -> npt.NDArray[np.bool_]:
    """Which points lie in one of the spans, which do not overlap."""
    if not len(starts):
        return np.zeros(len(points), dtype=bool)
    k = np.searchsorted(starts, points, side="right") - 1
    return (k >= 0) & (points < ends[np.maximum(k, 0)])
