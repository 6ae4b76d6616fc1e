"""A late rank as a thing to fix: what it costs the others, in which range, when the others waited longest."""

from __future__ import annotations

from collections.abc import Iterator

from rope_prof.analysis.fixes.fix import Fix, FixPlace
from rope_prof.analysis.ranks.ranks import Recording


def late_fixes(recording: Recording) -> Iterator[Fix]:
    """One a late rank, the costliest first. Its place counts from the first event of that rank's own trace, and is the
    longest time that the others waited for it; without collectives all of the trace.
    """
    ranks = {rank.label: rank for rank in recording.ranks}
    for late in recording.stragglers:
        rank = ranks[late.rank]
        came = rank.arrivals
        start, taken = rank.start_ns or 0, rank.span_ns or 0
        if came is not None and came.worst_start_ns is not None:
            taken = came.worst_wait_ns or 0
            start = came.worst_start_ns - taken
        yield Fix(
            kind="rank",
            devices=(late.rank,),
            subject=late.how,
            count=came.last if came else 1,
            lo_ns=0,
            hi_ns=late.cost_ns,
            span_ns=round(late.cost_ns / late.share),
            place=FixPlace(
                start_ns=start - (rank.zero_ns or 0),
                dur_ns=taken,
                event="what it does while the others wait longest" if came else "its whole trace",
                range=late.range,
                source=rank.source,
            ),
            within=late.range,
            each=late.excess_ns,
        )
