"""Several ranks as one native Perfetto trace on one clock: a group a rank, each with the tracks of `perfetto_sides`."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from rope_prof.analysis.analyze import accounted
from rope_prof.analysis.fleet import Recording, common_zero
from rope_prof.model.trace import Trace
from rope_prof.views.fleet_tables import clock_line, late_line
from rope_prof.views.perfetto_packets import PerfettoWriter
from rope_prof.views.perfetto_sides import Clock, Side, draw


def ranks_trace(recording: Recording, traces: Mapping[str, Trace]) -> bytes:
    """The traces of a recording (rank label -> trace) as the bytes of a `.pftrace`.

    Zero is the first GPU event of any rank; what lies before it is kept, all ranks are moved alike. Errors: ValueError
    where no rank has a GPU event.
    """
    zeros, how = common_zero(recording)
    drawn = {label: accounted(trace) for label, trace in traces.items() if label in zeros}
    if not drawn:
        raise ValueError("no rank has a GPU event; expected at least one")
    own = {label: zeros[label] - (trace.base_time_ns or 0) for label, trace in drawn.items()}
    origin = max(0, *(own[label] - _first(trace) for label, trace in drawn.items()))
    writer = PerfettoWriter()
    facts = {"rope_prof.recording": recording.name, "rope_prof.clock": how, "rope_prof.skew": clock_line(recording)}
    facts |= {f"rope_prof.late.{late.rank}": late_line(late) for late in recording.stragglers}
    writer.metadata(facts)
    root = writer.group(recording.name, description=f"Time is {how}.")
    flow = 1
    for label, trace in drawn.items():
        side = Side(f"rank {label}", trace)
        clock = Clock(np.array([origin - own[label]], np.int64))
        flow = draw(writer, writer.group(side.label, root, trace.source), side, clock, flow)
    return writer.data()


def _first(trace: Trace) -> int:
    """The earliest start of anything in the trace, which has a GPU event at least."""
    frames = (trace.gpu, trace.calls, trace.ranges, trace.ops, trace.overheads)
    return min(int(frame["start_ns"].min()) for frame in frames if frame.height)  # type: ignore[arg-type]
