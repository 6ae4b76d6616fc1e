"""Recordings of several ranks as one native Perfetto trace: the tracks of `views.perfetto.sides` for each rank.

recording              all recordings begin at the same instant, its ranks lie on one clock
└─ rank 0              of several recordings each track carries the recording's name too
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from rope_prof.analysis.ranks.ranks import Recording, common_zero
from rope_prof.analysis.trace.analyze import accounted
from rope_prof.model.drawn import KEY, DrawnTracks
from rope_prof.model.trace import Trace
from rope_prof.views.perfetto.packets import PerfettoWriter
from rope_prof.views.perfetto.sides import TrackClock, TrackSide, draw, first_start
from rope_prof.views.words.ranks import clock_line, late_line


@dataclass(frozen=True, slots=True)
class RanksDrawn:
    """The bytes of a `.pftrace`, and the recordings that are not in it, since none of their ranks has a GPU event."""

    data: bytes
    left_out: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Placed:
    """One recording: its traces by label, the zero of each on that trace's own clock, and what the zero rests on."""

    recording: Recording
    traces: Mapping[str, Trace]
    zeros: Mapping[str, int]
    how: str

    def lead(self) -> int:
        """How far before zero the earliest event of any rank begins, in ns."""
        return max(0, *(self.zeros[label] - first_start(trace) for label, trace in self.traces.items()))


def ranks_trace(
    found: Sequence[tuple[Recording, Mapping[str, Trace]]], clean: Callable[[str], str] = str
) -> RanksDrawn:
    """The traces of each recording (rank label -> trace) as one.

    Zero is the first GPU event of any rank of each recording; what lies before it is kept, all are moved alike.
    Every text is written as `clean` gives it.
    Errors: ValueError where no rank has a GPU event.
    """
    tried = [_placed(recording, traces) for recording, traces in found]
    placed = [one for one in tried if one.traces]
    left_out = tuple(one.recording.name for one in tried if not one.traces)
    if not placed:
        raise ValueError("no rank has a GPU event; expected at least one")
    origin = max(one.lead() for one in placed)
    several = len(found) > 1
    writer = PerfettoWriter(clean)
    facts = [_facts(one, f".{number}" if several else "") for number, one in enumerate(placed, start=1)]
    gone = {f"rope_prof.left_out.{number}": name for number, name in enumerate(left_out, start=1)}
    writer.metadata({name: words for each in (*facts, gone) for name, words in each.items()})
    flow, drawn = 1, DrawnTracks()
    for one in placed:
        flow = _draw(writer, one, origin, flow, drawn, several=several)
    writer.metadata({KEY: drawn.as_text()})
    return RanksDrawn(writer.data(), left_out)


def _placed(recording: Recording, traces: Mapping[str, Trace]) -> _Placed:
    """That recording, with those of its traces that have a GPU event."""
    zeros, how = common_zero(recording)
    drawn = {label: accounted(trace) for label, trace in traces.items() if label in zeros}
    own = {label: zeros[label] - (trace.base_time_ns or 0) for label, trace in drawn.items()}
    return _Placed(recording=recording, traces=drawn, zeros=own, how=how)


def _facts(one: _Placed, number: str) -> dict[str, str]:
    """What the file says of a recording; `number` tells it from the others of the file."""
    facts = {"recording": one.recording.name, "clock": one.how, "skew": clock_line(one.recording)}
    facts |= {f"late.{late.rank}": late_line(late) for late in one.recording.stragglers}
    return {f"rope_prof{number}.{name}": words for name, words in facts.items()}


def _draw(writer: PerfettoWriter, one: _Placed, origin: int, flow: int, drawn: DrawnTracks, *, several: bool) -> int:
    """One recording as a group of its ranks; the next free flow."""
    words = f"Time is {one.how}." + (" All recordings begin at one instant." if several else "")
    root = writer.group(one.recording.name, description=words)
    for label, trace in one.traces.items():
        name = f"rank {label}"
        side = TrackSide(f"{one.recording.name} · {name}" if several else name, trace)
        clock = TrackClock(np.array([origin - one.zeros[label]], np.int64))
        flow = draw(writer, writer.group(name, root, trace.source), side, clock, flow, drawn)
    return flow
