"""Why rounds ended: facts that `record` writes, read again from the sentences of old runs."""

from __future__ import annotations

import pytest

from rope_prof.analysis.run.endings import Ending, endings
from rope_prof.io.run.schema import stopped
from rope_prof.model.run import Stopped
from rope_prof.views.words.stopped import stopped_words
from tests.runs import key


@pytest.mark.parametrize(
    "words",
    [
        "precision of 1.25% reached after 30 rounds: the interval of its ratio to the baseline is 0.93% wide",
        "budget of 0.947 s for its case spent after 6 rounds: the interval of its median is 8.04% wide",
        "budget of 1.2e+03 s for its case spent after 6 rounds: too few rounds for an interval",
        "all 60 rounds done: too few rounds for an interval",
        "all 12 rounds done: the interval of its ratio to the baseline is 11.56% wide",
    ],
)
def test_the_sentence_of_an_old_run_becomes_facts_that_say_it_again(words: str) -> None:
    found = stopped(words)
    assert found is not None
    assert stopped_words(Stopped(**found)) == words


def test_what_record_writes_names_what_was_asked_for() -> None:
    from rope_prof.record.loop.stopping import Limits, Watch

    name, other = key().name, key("fused").name
    limits = Limits(rounds=60, precision=0.0125, budget_ns=10**9)
    watch = Watch(limits, {name: name, other: name}, lambda: 0, 952_000_000)
    assert watch.stopped(name, "precision", 20) == Stopped(why="precision", rounds=20, of="median", asked=0.0125)
    assert watch.stopped(other, "budget", 9) == Stopped(why="budget", rounds=9, of="ratio", asked=0.952)
    assert watch.stopped(other, "rounds", 60) == Stopped(why="rounds", rounds=60)


def test_endings_come_one_a_reason() -> None:
    assert stopped("the operator went home") is None
    twelve, nine = (Stopped(why="rounds", rounds=count) for count in (12, 9))
    said = [twelve, None, Stopped(why="budget", rounds=6), None, nine]
    assert endings(said) == (Ending("budget", (2,), (6,)), Ending("rounds", (0, 4), (12, 9)))
    assert endings([]) == ()
