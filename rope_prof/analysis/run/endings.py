"""Why the rounds of the keys of a run ended: one line of facts for each reason that occurs."""

from __future__ import annotations

from collections.abc import Iterable

from rope_prof.model.frozen import Frozen
from rope_prof.model.run import WHYS, Stopped, Why


class Ending(Frozen):
    """All keys whose rounds ended for one reason: `keys` are their places in what was given, `rounds` their counts."""

    why: Why
    keys: tuple[int, ...]
    rounds: tuple[int, ...]


def endings(stopped: Iterable[Stopped | None]) -> tuple[Ending, ...]:
    """One for each reason that occurs, precision first; keys that say nothing are left out."""
    found = [(i, one) for i, one in enumerate(stopped) if one is not None]
    by_why = {why: [(i, one.rounds) for i, one in found if one.why == why] for why in WHYS}
    return tuple(
        Ending(why, tuple(i for i, _ in pairs), tuple(count for _, count in pairs))
        for why, pairs in by_why.items()
        if pairs
    )
