"""What is said of a recording of many ranks: its clocks, and who is late."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import Final

from rope_prof.analysis.ranks.rank import Straggler
from rope_prof.analysis.ranks.ranks import Recording
from rope_prof.analysis.run.rank_causes import SLOW_SHARE, By, Cause, RankCauses, Slowness, over_ranks, widest
from rope_prof.units import duration, microseconds, ratio, significant

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


#: What is said of a rank, by `Cause`; the ratio that shows it follows.
CAUSES: Final[dict[Cause, str]] = {
    "card": "its card is slow, also alone",
    "host": "its host is slow, also alone",
    "self": "it is slow by itself, also alone",
    "shared host": "the host that the ranks share holds it up",
    "shared card": "its card is slower while the others run: power or links",
}
_SIDES: Final = {True: "at once / alone", False: "alone / the others alone"}
EVEN: Final = "No rank is slow: alone all are within 5 % of each other, and at once within 5 % of alone."


def cause_lines(found: Sequence[RankCauses], rounds: object) -> list[str]:
    """Which rank is slow, and why; whose bubbles are widest. Nothing where no rank was timed alone."""
    if not found:
        return []
    how = f"Each rank was timed alone too, in turn while the others waited ({rounds} rounds), and all at once."
    grouped: dict[tuple[Cause, ...], list[RankCauses]] = {}
    for one in found:
        grouped.setdefault(one.causes, []).append(one)
    slow = [_slow_line(causes, ranks) for causes, ranks in grouped.items() if causes]
    return [how, *_over_ranks(found), *(slow or [_none(found)]), *_bubble_lines(found)]


def _over_ranks(found: Sequence[RankCauses]) -> list[str]:
    """What running at once costs the ranks together, on the host and on their cards."""
    clocks: tuple[tuple[By, str], ...] = (("wall", ""), ("device", " by the device's clock"))
    said = []
    for clock, words in clocks:
        one = over_ranks(found, clock)
        if one is not None:
            interval = f" [{ratio(one.lo)}, {ratio(one.hi)}]" if one.lo is not None else ""
            said.append(f"{ratio(one.median)}{interval} of alone{words}")
    return [f"At once a call takes {', and '.join(said)}, the mean over {len(found)} ranks."] if said else []


def _none(found: Sequence[RankCauses]) -> str:
    """No cause holds: because all ranks are alike, or because what differs lies within its intervals."""
    kinds: tuple[Cause, ...] = ("host", "card", "shared host", "shared card")
    shown = [
        (told.ratio, one.rank, cause)
        for one in found
        for cause in kinds
        if (told := shown_by(cause, one)) is not None and told.ratio >= 1 + SLOW_SHARE
    ]
    if not shown:
        return EVEN
    most, rank, cause = max(shown)
    over = _SIDES[cause.startswith("shared")]
    return (
        f"No one rank is slow beyond its intervals; the most is {ratio(most)} on rank {rank}, {over}: record more "
        "rounds, or with nothing else on the host."
    )


def _slow_line(causes: tuple[Cause, ...], ranks: Sequence[RankCauses]) -> str:
    who = "Rank " if len(ranks) == 1 else "Ranks "
    said = "; ".join(f"{CAUSES[cause]} ({_over(cause, ranks)})" for cause in causes)
    return f"{who}{', '.join(str(one.rank) for one in ranks)}: {said}."


def shown_by(cause: Cause, one: RankCauses) -> Slowness | None:
    """The comparison that tells of that cause."""
    return {
        "card": one.own_device,
        "host": one.own_wall,
        "self": one.own_wall,
        "shared host": one.shared_wall,
        "shared card": one.shared_device,
    }[cause]


def _over(cause: Cause, ranks: Sequence[RankCauses]) -> str:
    shown = [told.ratio for one in ranks if (told := shown_by(cause, one)) is not None]
    lo, hi = ratio(min(shown)), ratio(max(shown))
    return f"{lo if lo == hi else f'{lo} to {hi}'}, {_SIDES[cause.startswith('shared')]}"


def _bubble_lines(found: Sequence[RankCauses]) -> list[str]:
    """Whose bubbles are widest at once, and how wide they are when it is alone."""
    wide = widest(found)
    if wide is None or wide.bubble_ns is None:
        return []
    others = [one.bubble_ns for one in found if one is not wide and one.bubble_ns is not None]
    return [
        f"Bubbles are widest on rank {wide.rank}: {microseconds(wide.bubble_ns)} µs a call at once, "
        f"{microseconds(wide.bubble_alone_ns)} µs alone; the others' middle is {microseconds(median(others))} µs."
    ]
