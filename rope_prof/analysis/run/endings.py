"""Why the rounds of a key ended: its recorded sentence (`KeyFacts.stopped`) -> reason and rounds."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Why = Literal["precision", "budget", "rounds"]

#: What `record` writes, word by word: the tests hold the two together.
_SENTENCES: tuple[tuple[Why, re.Pattern[str]], ...] = (
    ("precision", re.compile(r"precision of \S+ reached after (\d+) rounds")),
    ("budget", re.compile(r"budget of .+ spent after (\d+) rounds")),
    ("rounds", re.compile(r"all (\d+) rounds done")),
)


@dataclass(frozen=True, slots=True)
class Ending:
    """All keys whose rounds ended for one reason: `keys` are their places in what was given, `rounds` their counts."""

    why: Why
    keys: tuple[int, ...]
    rounds: tuple[int, ...]


def ending(stopped: str) -> tuple[Why, int] | None:
    """(why, after how many rounds) of a recorded sentence; None for one of another make."""
    for why, sentence in _SENTENCES:
        found = sentence.match(stopped)
        if found:
            return why, int(found[1])
    return None


def endings(stopped: Iterable[str | None]) -> tuple[Ending, ...]:
    """One for each reason that occurs, precision first; keys that say nothing, or nothing known, are left out."""
    found = [(i, ending(words)) for i, words in enumerate(stopped) if words]
    by_why = {why: [(i, one[1]) for i, one in found if one and one[0] == why] for why, _ in _SENTENCES}
    return tuple(
        Ending(why, tuple(i for i, _ in pairs), tuple(count for _, count in pairs))
        for why, pairs in by_why.items()
        if pairs
    )
