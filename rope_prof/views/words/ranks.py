"""What is said of a recording of many ranks: its clocks, and who is late."""

from __future__ import annotations

from rope_prof.analysis.ranks.rank import Straggler
from rope_prof.analysis.ranks.ranks import Recording
from rope_prof.units import duration, significant

_NOWHERE = "; no range of its own is longer"


def clock_line(recording: Recording) -> str:
    """What is known of the ranks' clocks, in one sentence."""
    told = recording.clocks
    if not told.clocks:
        return f"Clocks as the files have them: {told.reason}."
    offsets = [clock.offset_ns for clock in told.clocks]
    spread = max(clock.spread_ns for clock in told.clocks)
    return (
        f"Clocks lie {duration(max(offsets) - min(offsets))} apart, by the ends of {told.collectives:,} collectives "
        f"that all ranks share (± {duration(spread)})."
    )


def late_line(late: Straggler) -> str:
    """Who is late, what it costs and where the time goes."""
    cost = f"{duration(late.cost_ns)}, {significant(100 * late.share)} % of the span"
    on = " on the host" if late.on == "host" else ""
    where = f"; it loses {duration(late.excess_ns)} in {late.range}{on}" if late.range else _NOWHERE
    return f"Rank {late.rank} is late by {cost}: {late.how}{where}."
