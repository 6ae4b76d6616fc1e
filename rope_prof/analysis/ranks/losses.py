"""What to fix in the traces of many ranks: the losses of each, one loss of several ranks once, and late ranks.

A late rank: what it costs the others, in which range, when they waited longest. What a collective shows of that wait
is said with it, and does not put it before its cause.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from statistics import median
from typing import Final

import polars as pl

from rope_prof.analysis.fixes.fix import Fix, FixPlace, fix_of, ranked
from rope_prof.analysis.ranks.clock import Clocks
from rope_prof.analysis.ranks.rank import RangeAcross, RankUse, Straggler

#: A rank is late where it comes last to so many of the collectives, and the others wait so much of their span for it.
LAST_SHARE: Final = 0.5
COST_SHARE: Final = 0.01
#: Without collectives: where it is busy for so much longer than the middle of the others.
BUSY_SHARE: Final = 0.05
#: Nested ranges hold each other's excess; of those within this share of the largest the shortest names the place.
SAME_EXCESS: Final = 0.2


def stragglers(ranks: Sequence[RankUse], ranges: Sequence[RangeAcross], told: Clocks) -> Iterator[Straggler]:
    """Late ranks, the costliest first."""
    spans = [rank.span_ns for rank in ranks if rank.span_ns]
    if len(spans) < 2:
        return
    span = median(spans)
    late = []
    for k, rank in enumerate(ranks):
        if told.clocks:
            if rank.arrivals is None:
                continue
            share, cost = rank.arrivals.last / told.collectives, rank.arrivals.cost_ns
            if share < LAST_SHARE or cost < COST_SHARE * span:
                continue
            how = f"last to {rank.arrivals.last:,} of {told.collectives:,} collectives"
        else:
            others = [other.busy_ns for other in ranks if other is not rank and other.busy_ns is not None]
            if rank.busy_ns is None or not others:
                continue
            cost = round(rank.busy_ns - median(others))
            if cost < BUSY_SHARE * median(others) or cost <= 0:
                continue
            how = "busy for longer than the others; no collectives to say who waits"
        where, excess = _where(k, ranges)
        late.append(Straggler(rank=rank.label, how=how, cost_ns=cost, share=cost / span, range=where, excess_ns=excess))
    yield from sorted(late, key=lambda one: -one.cost_ns)


def _where(k: int, ranges: Sequence[RangeAcross]) -> tuple[str | None, int | None]:
    """The range in which rank `k` loses most against the middle of the others: (name, ns over all its calls).

    Ranges around a collective hold the others' waiting too, and come out even; what is left is the rank's own work.
    """
    found = []
    for across in ranges:
        mine, calls = across.call_ns[k], across.calls[k]
        others = [ns for j, ns in enumerate(across.call_ns) if j != k and ns is not None]
        if mine is None or not calls or not others:
            continue
        excess = (mine - median(others)) * calls
        if excess > 0:
            found.append((excess, mine, across.name))
    if not found:
        return None, None
    most = max(found)[0]
    near = [one for one in found if one[0] >= (1 - SAME_EXCESS) * most]
    excess, _, name = min(near, key=lambda one: (one[1], one[2]))
    return name, round(excess)


def rank_fixes(ranks: Sequence[RankUse], parts: Sequence[pl.DataFrame], late: Sequence[Straggler]) -> tuple[Fix, ...]:
    """The most first. Places count from the first event of their own trace; `parts` are the rows of each of `ranks`."""
    lost = [fix for rank, part in zip(ranks, parts, strict=True) for fix in _own(rank, part, late)]
    return ranked([*lost, *late_fixes(ranks, late)])


def _own(rank: RankUse, part: pl.DataFrame, late: Sequence[Straggler]) -> Iterator[Fix]:
    behind = sum(one.cost_ns for one in late if one.rank != rank.label) if rank.arrivals else 0
    for told in part.filter(pl.col("row") == "fix")["fix"] if "fix" in part.columns else ():
        fix = fix_of(json.loads(told))
        waits = min(fix.hi_ns, behind) if fix.kind == "communication" else 0
        place = replace(fix.place, source=rank.source)
        yield replace(fix, place=place, ranks=(rank.label,), behind_ns=waits)


def late_fixes(ranks: Sequence[RankUse], stragglers: Sequence[Straggler]) -> Iterator[Fix]:
    """One a late rank. Its place is the longest time that the others waited for it; without collectives all of the
    trace.
    """
    by_label = {rank.label: rank for rank in ranks}
    for late in stragglers:
        rank = by_label[late.rank]
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
