"""What to fix in the traces of many ranks: the losses of each, one loss of several ranks once, and late ranks.

A late rank: what it costs the others, in which range, when they waited longest. What a collective shows of that wait
is said with it, and does not put it before its cause.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

import polars as pl

from rope_prof.analysis.fixes.fix import Fix, FixPlace, fix_of, ranked
from rope_prof.analysis.ranks.rank import RankUse, Straggler

#: Whose doing it is, by where the range loses its time.
_WHO: Final = {"host": "its host", "gpu": "it", None: "it"}


def rank_fixes(ranks: Sequence[RankUse], parts: Sequence[pl.DataFrame], late: Sequence[Straggler]) -> tuple[Fix, ...]:
    """The most first. Places count from the first event of their own trace; `parts` are the rows of each of `ranks`."""
    lost = [fix for rank, part in zip(ranks, parts, strict=True) for fix in _own(rank, part, late)]
    return ranked([*lost, *late_fixes(ranks, late)])


def _own(rank: RankUse, part: pl.DataFrame, late: Sequence[Straggler]) -> Iterator[Fix]:
    behind = sum(one.cost_ns for one in late if one.rank != rank.label) if rank.arrivals else 0
    for told in part.filter(pl.col("row") == "fix")["fix"]:
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
                event=f"what {_WHO[late.on]} does while the others wait longest" if came else "its whole trace",
                range=late.range,
                source=rank.source,
            ),
            within=late.range,
            each=late.excess_ns,
        )
