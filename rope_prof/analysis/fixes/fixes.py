"""All losses of a trace, of each device, as things to fix.

Nothing is said of a trace whose shares are withheld.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import polars as pl

from rope_prof.analysis.chains.chains import Chains, chains
from rope_prof.analysis.fixes.busy import busy_fixes, occupancy_fixes
from rope_prof.analysis.fixes.fix import WORTH, Fix, Fixes, ranked
from rope_prof.analysis.fixes.idle import idle_fixes
from rope_prof.analysis.fixes.places import place_of
from rope_prof.analysis.trace.analyze import Analysis
from rope_prof.analysis.trace.groups import parts_of
from rope_prof.analysis.trace.launches import launched
from rope_prof.analysis.trace.sites import LaunchSites
from rope_prof.model.nsight import KernelCounters
from rope_prof.model.trace import Trace


def timed(trace: Trace, analysis: Analysis) -> bool:
    """Whether the file holds times of kernels that can be accounted for."""
    return analysis.integrity.verdict != "unusable" and trace.totals is None


def losses(
    trace: Trace, analysis: Analysis, counters: Sequence[KernelCounters] = (), bytes_a_ns: float | None = None
) -> tuple[Chains | None, Fixes]:
    """The chains of an `accounted` trace, None where it holds no times, and what is worth fixing in it."""
    found = chains(trace, withheld=analysis.integrity.reason, bytes_a_ns=bytes_a_ns) if timed(trace, analysis) else None
    return found, fixes(trace, analysis, found, counters)


def fixes(trace: Trace, analysis: Analysis, found: Chains | None, counters: Sequence[KernelCounters] = ()) -> Fixes:
    """What is worth fixing in an `accounted` trace; `analysis` and `found` are its own, `counters` of its kernels."""
    reason = analysis.integrity.reason
    if not timed(trace, analysis):
        reason = reason or "the file holds no times of kernels"
    if reason is not None:
        return Fixes(reason=reason)
    events, sites = launched(trace), LaunchSites(trace)
    lost: list[Fix] = []
    for _, rows in parts_of(events, "device"):
        lost += [*idle_fixes(trace, analysis, rows, sites), *busy_fixes(trace, rows, sites)]
        lost += occupancy_fixes(rows, counters, sites)
    lost += _chains(found, events, analysis, sites)
    return Fixes(fixes=ranked(lost))


def _chains(found: Chains | None, events: pl.DataFrame, analysis: Analysis, sites: LaunchSites) -> Iterator[Fix]:
    spans = {use.device: use.span_ns or 0 for use in analysis.devices}
    for chain in () if found is None else found.chains:
        if not chain.kernels or chain.saving is None or chain.saving.hi_share < WORTH:
            continue
        calls = found.calls.filter(pl.col("rank") == chain.rank)  # type: ignore[union-attr]
        cost = pl.col("kernel_ns") + pl.col("bubble_ns")
        worst = calls.sort(cost, "first_start_ns").row(-1, named=True)
        begin = events.filter(pl.col("start_ns") == worst["first_start_ns"])
        place = place_of(sites, begin.filter(pl.col("device") == chain.device).row(0, named=True))
        yield Fix(
            kind="chain",
            devices=(chain.device,),
            subject=chain.names[0],
            count=chain.calls,
            lo_ns=chain.saving.lo_ns,
            hi_ns=chain.saving.hi_ns,
            span_ns=spans.get(chain.device, 0),
            place=replace(place, dur_ns=worst["last_end_ns"] - worst["first_start_ns"]),
            each=chain.kernels,
        )
