"""Why rounds ended, read from the very words that a recording writes."""

from __future__ import annotations

import pytest

from rope_prof.analysis.run.endings import Ending, ending, endings
from rope_prof.record.loop.stopping import Limits, Watch
from tests.runs import key


@pytest.mark.parametrize("why", ["precision", "budget", "rounds"])
@pytest.mark.parametrize("done", [1, 20])
def test_what_record_writes_is_read(why: str, done: int) -> None:
    name = key().name
    limits = Limits(rounds=60, precision=0.0125, budget_ns=10**9)
    watch = Watch(limits, {name: name}, lambda: 0, 952_000_000)
    assert ending(watch.stopped(name, why, done)) == (why, done)


def test_other_words_are_no_reason() -> None:
    assert ending("the operator went home") is None
    said = [
        "all 12 rounds done: x",
        None,
        "budget of 5 s for its case spent after 6 rounds: x",
        "?",
        "all 9 rounds done",
    ]
    assert endings(said) == (Ending("budget", (2,), (6,)), Ending("rounds", (0, 4), (12, 9)))
    assert endings([]) == ()
