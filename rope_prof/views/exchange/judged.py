"""What a gate judged: pairs of sides with their bounds, each as a comparison or as the sentence why there is none."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from rope_prof.analysis.comparison.gates import Checked, Held
from rope_prof.model.frozen import Frozen
from rope_prof.model.run import KeyFacts
from rope_prof.views.words.comparison import Comparison

#: From the worst to the best: what a whole is where one of its parts is.
STATES: tuple[Held, ...] = ("fails", "undecided", "holds")


class Broken(Frozen, kw_only=True):
    """A key that ended as `facts.status` says, and whether that fails the gate: the candidate's own fault."""

    facts: KeyFacts
    fails: bool


class Judged(Frozen, kw_only=True):
    """One pair of sides: `name` is what was measured. `error`: why nothing was, which fails where `ours` says so."""

    name: str
    comparison: Comparison | None = None
    broken: tuple[Broken, ...] = ()
    error: str | None = None
    ours: bool = False

    @property
    def checked(self) -> Sequence[Checked]:
        """Every bound against every verdict."""
        return () if self.comparison is None else self.comparison.checked

    @property
    def state(self) -> Held:
        """`fails` where a bound does or the candidate is broken; `undecided` where nothing could be judged."""
        states: set[Held] = {held for _, _, held in self.checked}
        if self.comparison is not None and self.comparison.allow_unknown:
            states = {"holds" if held == "undecided" else held for held in states}
        if any(one.fails for one in self.broken) or (self.error is not None and self.ours):
            return "fails"
        if self.error is not None or self.broken or not states:
            return "undecided"
        return worst(states)


def worst(states: Iterator[Held] | set[Held]) -> Held:
    """The worst of them; of none, that all hold."""
    found = set(states)
    return next((state for state in STATES if state in found), "holds")


def judged(name: str, found: Comparison) -> Judged:
    """That comparison, with the keys of either side that are wrong or failed: only the candidate's fail a gate."""
    ended = ("wrong", "failed")
    before = {_alike(facts) for facts in found.base.keys if facts.status in ended}
    ours = [facts for facts in found.cand.keys if facts.status in ended]
    theirs = [facts for facts in found.base.keys if facts.status in ended]
    new = tuple(Broken(facts=facts, fails=_alike(facts) not in before) for facts in ours)
    old = tuple(Broken(facts=facts, fails=False) for facts in theirs)
    return Judged(name=name, comparison=found, broken=(*new, *old))


def _alike(facts: KeyFacts) -> tuple[object, ...]:
    key = replace(facts.key, path="")
    return key.case.values, key.mode, key.l2, key.rank
