"""What fusing each call of a chain into one kernel would take off the trace: an interval, never one number.

Two clocks bound the start of the event after the chain: the host, which launches it, and the GPU, which must be
done with the chain. Fusing shortens both, and the event moves up by the smaller gain:

    saving = min(host time removed + slack, GPU time removed)

- *host time removed*: from the chain's first launch to its last, less one launch. hi keeps the cheapest launch
  call of the chain; lo keeps the dearest, or `FUSED_LAUNCH_NS` if that is more, and counts only if the same
  thread launches the event after. A step over `PAUSE` times the chain's median step is the
  host doing something else: what is over stays. Inside one graph launch no host time is removed.
- *slack*: how long the event after lay queued, beyond the latency of a launch onto an idle stream.
- *GPU time removed*: between the chain's first start and its last end, or the start of the event after where the
  GPU waited for that one's launch. lo is the time in which the whole device idled there: the one kernel is taken to
  be no faster than all that it replaces. hi is all of it but the byte floor, or but the chain's longest
  kernel where the bytes are unknown.

lo is negative where the one launch that it assumes is dearer than all that it replaces and the slack is less: such a
fusion loses. It is zero where the event after waits for neither (another stream, an event), and where a kernel's launch
is not in the file. Times are those of the trace: a profiler that slows launches down widens both ends.

That is of one call. What all calls take off the device's span is no sum of it: `critical_path` says which side counts.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from rope_prof.analysis.chains.events import NONE, ChainEvents
from rope_prof.analysis.chains.repeats import Ints
from rope_prof.analysis.stats import percentiles
from rope_prof.model.frozen import Frozen

Bools = npt.NDArray[np.bool_]
#: An eager launch of one Triton kernel through its public call: 15 to 20 µs measured on an H200's host.
FUSED_LAUNCH_NS = 20_000
#: This many median steps from launch to launch make a pause of the host.
PAUSE = 10
#: What the two ends of a saving's interval rest on, for whoever reads them.
LO_ASSUMES = (
    "the one kernel is no slower than all that it replaces, its launch costs the host 20 µs or the chain's dearest"
)
HI_ASSUMES = (
    "the one kernel takes its byte floor (unknown: the chain's longest kernel), its launch the chain's cheapest"
)
_FAR = np.int64(1) << 60


class CallTimes(Frozen):
    """Per call of one chain: sums and the interval of the saving, all in ns."""

    first_start: Ints
    last_end: Ints
    kernel: Ints
    busy: Ints
    bubble: Ints
    launch_bound: Ints
    linked: Bools
    lo: Ints
    hi: Ints
    loss: Ints  # what the host loses by the one launch that lo assumes, whatever the slack; 0 where it gains
    host_most: Ints  # what the host gains at most, and the GPU: `chains` adds up that which lies on the critical path
    gpu_most: Ints


class Latency(Frozen):
    """Launch call to start on an idle stream: the least seen, and what nine of ten stay under."""

    least: int
    usual: int


class ChainIdle(Frozen):
    """When the whole device idled: starts and ends of the gaps, and their running sum."""

    start: Ints
    end: Ints
    total: Ints

    def before(self, at: Ints) -> Ints:
        """Idle ns before each time."""
        if not self.start.size:
            return np.zeros_like(at)
        gap = np.searchsorted(self.start, at, side="right")
        unfinished = np.where(gap > 0, np.maximum(self.end[gap - 1] - at, 0), 0)
        return np.asarray(self.total[gap] - unfinished, dtype=np.int64)


def device_idle(events: ChainEvents) -> ChainIdle:
    order = np.argsort(events.start, kind="stable")
    start, edge = events.start[order], np.maximum.accumulate(events.end[order])
    open_ = np.flatnonzero(start[1:] > edge[:-1])
    begin, end = edge[:-1][open_], start[1:][open_]
    return ChainIdle(begin, end, np.concatenate([[0], np.cumsum(end - begin)]))


def launch_latency(events: ChainEvents) -> Latency:
    """Zero of both where no linked event met an idle stream."""
    before = np.full(events.start.size, NONE)
    rows = np.flatnonzero(events.stream_next >= 0)
    before[events.stream_next[rows]] = events.end[rows]
    free = (events.launch_start != NONE) & (events.launch_start >= before) & (events.start >= events.launch_start)
    waits = events.start[free] - events.launch_start[free]
    if not waits.size:
        return Latency(0, 0)
    return Latency(int(waits.min()), int(percentiles(waits, 0.9)[0]))


def call_times(
    events: ChainEvents, first: Ints, length: int, idle: ChainIdle, latency: Latency, floor_ns: int | None
) -> CallTimes:
    """`first` holds the index of each call's first event; its `length` events follow each other in the lane."""
    at = first[:, None] + np.arange(length)
    start, end = events.start[at], events.end[at]
    edge = np.maximum.accumulate(end, axis=1)
    gaps = np.maximum(start[:, 1:] - edge[:, :-1], 0)
    starved = (events.launch_start[at[:, 1:]] != NONE) & (events.launch_start[at[:, 1:]] >= edge[:, :-1])
    bubble = gaps.sum(axis=1)
    span = edge[:, -1] - start[:, 0]
    longest = (end - start).max(axis=1)
    after = _After.of(events, at, edge[:, -1], latency)
    least, host_most = _host_removed(events, at)
    linked = (events.launch_start[at] != NONE).all(axis=1)
    host_lo = np.where(linked, np.where(after.same_thread, least, 0) + after.slack_lo, 0)
    host_hi = np.where(linked, host_most + after.slack_hi, _FAR)
    gpu_lo = np.where(after.blocked, 0, idle.before(after.until) - idle.before(start[:, 0]))
    gpu_hi = after.until - start[:, 0] - (longest if floor_ns is None else floor_ns)
    hi = np.maximum(np.minimum(host_hi, gpu_hi), 0)
    return CallTimes(
        first_start=start[:, 0],
        last_end=edge[:, -1],
        kernel=(end - start).sum(axis=1),
        busy=span - bubble,
        bubble=bubble,
        launch_bound=np.where(starved, gaps, 0).sum(axis=1),
        linked=linked,
        lo=np.minimum(np.minimum(host_lo, gpu_lo), hi),
        hi=hi,
        loss=np.maximum(-least, 0),
        host_most=np.maximum(host_most, 0),
        gpu_most=np.maximum(gpu_hi, 0),
    )


class _After(Frozen):
    """The event after each call on its stream: until when its start can move up, and what it waits for."""

    until: Ints
    blocked: Bools
    same_thread: Bools
    slack_lo: Ints
    slack_hi: Ints

    @classmethod
    def of(cls, events: ChainEvents, at: Ints, last_end: Ints, latency: Latency) -> _After:
        after = events.stream_next[at[:, -1]]
        known = (after >= 0) & (events.launch_start[after] != NONE)
        launch = np.where(known, events.launch_start[after], last_end)
        start = np.where(known, events.start[after], last_end)
        starved = known & (launch >= last_end)
        reached = np.where(starved, np.minimum(start, launch + latency.usual), start)
        queued = reached - launch
        return cls(
            until=np.where(starved, np.maximum(reached, last_end), last_end),
            blocked=known & (start - np.maximum(launch, last_end) > latency.usual),
            same_thread=known & (events.thread[after] == events.thread[at[:, -1]]),
            slack_lo=np.where(known, np.maximum(queued - latency.usual, 0), 0),
            slack_hi=np.where(known, np.maximum(queued - latency.least, 0), _FAR),
        )


def _host_removed(events: ChainEvents, at: Ints) -> tuple[Ints, Ints]:
    """Host time that fusing takes away before the event after, without its slack: least and most."""
    begin, end = events.launch_start[at], events.launch_end[at]
    linked = (begin != NONE).all(axis=1)
    one_launch = (begin == begin[:, :1]).all(axis=1)
    steps = np.diff(begin, axis=1)
    real = steps[linked & ~one_launch]
    pause = PAUSE * int(np.median(real)) if real.size else 0
    span = np.minimum(steps, pause).sum(axis=1) + (end - begin)[:, -1]
    dearest = np.maximum(np.minimum((end - begin).max(axis=1), pause), FUSED_LAUNCH_NS)  # what is over stays
    most = np.where(one_launch, 0, span - (end - begin).min(axis=1))
    return np.where(linked & ~one_launch, span - dearest, 0), np.where(linked, most, 0)
