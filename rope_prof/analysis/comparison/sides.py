"""The two sides of a comparison: which keys belong together, and what keeps two runs from being compared. Pure.

Knows keys and machines, no times.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any

import polars as pl

from rope_prof.analysis.run.capture import CaptureFigures
from rope_prof.errors import RopeProfError
from rope_prof.model.frozen import Frozen
from rope_prof.model.run import Key, KeyFacts, Run, heads

#: What two keys must have alike to be compared beside axes, as people call it.
_FIELDS: dict[str, Callable[[Key], object]] = {
    "operation": lambda key: key.case.operation.name,
    "L2 state": lambda key: key.l2,
    "rank": lambda key: key.rank,
    "path": lambda key: key.path,
    "mode": lambda key: key.mode,
}
#: So many values or keys are named in an error.
_NAMED = 4


class NotComparableError(RopeProfError):
    """The sides differ in what must be alike: the device, or the keys that they hold."""

    code = "not-comparable"

    exit_code = 3


@dataclass(frozen=True, kw_only=True)
class Side:
    """One side: a run, and the path and mode picked from it (None: all of them).

    `captures`: key name -> the figures of its trace, or why there are none.
    """

    label: str
    run: Run
    samples: pl.DataFrame
    path: str | None = None
    mode: str | None = None
    captures: Mapping[str, CaptureFigures | str] = field(default_factory=dict)

    @cached_property
    def series(self) -> dict[tuple[Any, ...], pl.DataFrame]:
        """The samples by (key, clock)."""
        parts = self.samples.partition_by("key", "clock")  # `as_dict` asks each part for its names in a query
        return {(part["key"][0], part["clock"][0]): part for part in parts}

    def of(self, path: str, mode: str) -> Side:
        """Those of them of that path and mode; the samples are parted once for all."""
        picked = replace(self, label=f"{path} {mode}", path=path, mode=mode)
        vars(picked)["series"] = self.series
        return picked

    @property
    def keys(self) -> tuple[KeyFacts, ...]:
        """Those that are picked."""
        return tuple(
            facts
            for facts in self.run.keys
            if self.path in {None, facts.key.path} and self.mode in {None, facts.key.mode}
        )


class Difference(Frozen):
    """What both sides must have alike and have not: `what` (device, dtype, ...), and the values of each."""

    what: str
    base: tuple[str, ...]
    cand: tuple[str, ...]

    def __str__(self) -> str:
        """`dtype: bf16 against fp16`."""
        return f"{self.what}: {_named(self.base)} against {_named(self.cand)}"


def differences(base: Side, cand: Side) -> tuple[Difference, ...]:
    """What the sides have not alike: the device, and each field of their keys but the path or mode picked on both."""
    found = [Difference("device", (base.run.machine.device_name,), (cand.run.machine.device_name,))]
    for what, get in _must_match(base, cand).items():
        left, right = (tuple(dict.fromkeys(str(get(facts.key)) for facts in side.keys)) for side in (base, cand))
        found.append(Difference(what, left, right))
    return tuple(one for one in found if set(one.base) != set(one.cand))


def _must_match(base: Side, cand: Side) -> dict[str, Callable[[Key], object]]:
    """What must be alike, and how to read it of a key: operation, axes, L2 state, rank, and what is not picked."""
    picked = {
        "path": base.path is not None and cand.path is not None,
        "mode": base.mode is not None and cand.mode is not None,
    }
    axes = heads((axis for side in (base, cand) for axis in side.run.operation.axes), _FIELDS)
    by_axis: dict[str, Callable[[Key], object]] = {head: partial(_on_axis, name) for name, head in axes.items()}
    fields = {"operation": _FIELDS["operation"]} | by_axis | _FIELDS
    return {what: get for what, get in fields.items() if not picked.get(what)}


def _on_axis(axis: str, key: Key) -> object:
    return dict(key.case.values).get(axis)


def partners(
    base: Side, cand: Side, found: Sequence[Difference], *, anyway: bool
) -> tuple[list[tuple[KeyFacts, KeyFacts]], list[str]]:
    """(the pairs of keys, the names of those that have no partner). `found`: what differs."""
    waived = {one.what for one in found if len(one.base) == len(one.cand) == 1} if anyway else set()
    fields = [get for what, get in _must_match(base, cand).items() if what not in waived]
    left, right = ({tuple(get(f.key) for get in fields): f for f in side.keys} for side in (base, cand))
    alone = [f.key.name for match, f in (*left.items(), *right.items()) if not (match in left and match in right)]
    return [(left[match], right[match]) for match in left if match in right], alone


def refusal(base: Side, cand: Side, found: Sequence[Difference], alone: Sequence[str] = ()) -> str:
    """One sentence: what differs, and what to do about it."""
    if not base.keys or not cand.keys:
        empty = base if not base.keys else cand
        return f"{empty.label} has no such key; expected a run with at least one: pick a path and mode that it has"
    if found:
        said = "; ".join(
            f"{one.what}: {base.label} has {_named(one.base)}, {cand.label} has {_named(one.cand)}" for one in found
        )
        return f"the sides are not comparable: {said}; expected the same of both: pick them so, or say --anyway"
    return (
        f"{len(alone)} keys are on one side alone ({_named(alone)}); expected the same keys in {base.label} and "
        f"{cand.label}: pick a path and mode that both have, or say --anyway to compare what both have"
    )


def _named(values: Sequence[str]) -> str:
    more = len(values) - _NAMED
    return ", ".join(values[:_NAMED]) + (f" and {more} more" if more > 0 else "") if values else "none"
