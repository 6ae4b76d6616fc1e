"""Which rank is late, what that costs the others, and in which range it loses the time: on the GPU or on its host."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from statistics import median
from typing import Any, Final

from rope_prof.analysis.ranks.clock import Clocks
from rope_prof.analysis.ranks.rank import HostLate, RangeAcross, RankUse, Straggler

#: A rank is late where the others wait so much of their span for it, and it comes last to so many of the collectives,
#: or costs so many times what the middle of the others does: one delay a step is one collective of many.
COST_SHARE: Final = 0.01
LAST_SHARE: Final = 0.5
COST_RATIO: Final = 2.0
#: Without collectives: where it is busy for so much longer than the middle of the others.
BUSY_SHARE: Final = 0.05
#: What torch.profiler puts around a collective: the rank waits in it, and is late elsewhere.
COLLECTIVE_RANGE: Final = re.compile(r"(nccl|rccl|gloo|c10d|ucc|xccl):")
#: Nested ranges hold each other's excess; of those within this share of the largest the shortest names the place.
SAME_EXCESS: Final = 0.2


def stragglers(ranks: Sequence[RankUse], ranges: Sequence[RangeAcross], told: Clocks) -> Iterator[Straggler]:
    """Late ranks, the costliest first."""
    spans = [rank.span_ns for rank in ranks if rank.span_ns]
    if len(spans) < 2:
        return
    span = median(spans)
    late = []
    for k in range(len(ranks)):
        found = _by_collectives(ranks, k, told, span) if told.clocks else _by_busy_time(ranks, k)
        if found is not None:
            cost, how = found
            where = _where(k, ranges)
            late.append(Straggler(rank=ranks[k].label, how=how, cost_ns=cost, share=cost / span, **where))
    yield from sorted(late, key=lambda one: -one.cost_ns)


def _by_collectives(ranks: Sequence[RankUse], k: int, told: Clocks, span: float) -> tuple[int, str] | None:
    """(what rank `k` costs the others, how that shows) where it is late at the collectives."""
    mine = ranks[k].arrivals
    others = [rank.arrivals.cost_ns for rank in ranks if rank is not ranks[k] and rank.arrivals is not None]
    if mine is None or not others or mine.cost_ns < COST_SHARE * span:
        return None
    often = mine.last / told.collectives >= LAST_SHARE
    if not often and mine.cost_ns < COST_RATIO * median(others):
        return None
    return mine.cost_ns, f"last to {mine.last:,} of {told.collectives:,} collectives"


def _by_busy_time(ranks: Sequence[RankUse], k: int) -> tuple[int, str] | None:
    """The same where no collective tells: by how much longer it is busy than the middle of the others."""
    mine = ranks[k].busy_ns
    others = [rank.busy_ns for rank in ranks if rank is not ranks[k] and rank.busy_ns is not None]
    if mine is None or not others:
        return None
    cost = round(mine - median(others))
    if cost < BUSY_SHARE * median(others) or cost <= 0:
        return None
    return cost, "busy for longer than the others; no collectives to say who waits"


def _where(k: int, ranges: Sequence[RangeAcross]) -> dict[str, Any]:
    """The range in which rank `k` loses most against the middle of the others: `range`, `excess_ns` in all, `on` what.

    Ranges around a collective hold the others' waiting too, and come out even; what is left is the rank's own work.
    """
    found = []
    for across in ranges:
        if COLLECTIVE_RANGE.match(across.name):
            continue
        calls, held = across.calls[k], across.host_calls[k] if across.host_calls else None
        gpu = _excess(across.call_ns, k)
        host = _excess(across.host_ns, k) if across.host_ns else None
        if gpu is not None and calls:
            found.append((gpu * calls, across.call_ns[k] or 0, across.name, "gpu"))
        if host is not None and held:
            found.append((host, (across.host_ns[k] or 0) / held, across.name, "host"))
    if not found:
        return {"range": None, "excess_ns": None}
    most = max(found)[0]
    near = [one for one in found if one[0] >= (1 - SAME_EXCESS) * most]
    excess, _, name, on = min(near, key=lambda one: (one[1], one[2], one[3]))
    return {"range": name, "excess_ns": round(excess), "on": on}


def host_late(ranks: Sequence[RankUse], ranges: Sequence[RangeAcross]) -> list[HostLate]:
    """Ranges in which one rank's host is over the middle of the others by a share of the span that counts; most first.

    Those around a collective hold the waiting for the late one, and are left out.
    """
    spans = [rank.span_ns for rank in ranks if rank.span_ns]
    found = []
    for across in ranges if spans else ():
        known = [(ns, k) for k, ns in enumerate(across.host_ns) if ns is not None]
        if len(known) < 2 or COLLECTIVE_RANGE.match(across.name):
            continue
        longest, k = max(known)
        excess = _excess(across.host_ns, k)
        if excess is not None and excess >= COST_SHARE * median(spans):
            middle = median(ns for ns, _ in known)
            one = HostLate(
                range=across.name,
                calls=across.host_calls[k],
                median_ns=middle,
                longest_ns=longest,
                rank=ranks[k].label,
            )
            found.append((excess, one))
    return [one for _, one in sorted(found, key=lambda pair: -pair[0])]


def _excess(values: Sequence[float | None], k: int) -> float | None:
    """By how much that of rank `k` is over the middle of the others; None where it is not."""
    mine = values[k]
    others = [value for j, value in enumerate(values) if j != k and value is not None]
    if mine is None or not others:
        return None
    excess = mine - median(others)
    return excess if excess > 0 else None
