"""Which kernels are gone, new, changed or fused between two stretches; what they cost a call adds up to the difference.

Each call is a sequence of events; those of both sides are aligned by range, order and name (`order.aligned`). Of an
aligned pair the launch shape tells `same` from `other shape`. Of what is left over, as many as both sides have are
matched by name and shape in another range or place, then by name; the rest lies in runs between aligned events, and
the runs between the same two stand for each other: of many kernels before and fewer after the run was *fused*. Each
event is in exactly one row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import groupby
from typing import Final, Literal, NamedTuple

import numpy as np
import polars as pl

from rope_prof.analysis.diff.order import aligned
from rope_prof.analysis.diff.side import MOVES, TraceSide

Change = Literal["same", "moved", "other shape", "fused", "split", "replaced", "gone", "new"]
Names = tuple[str, ...]
#: Longer runs between two aligned events stand for nothing: the sides do not run the same there.
MOST_FUSED: Final = 64
_Label = tuple[Change, bool, str | None, Names, Names]  # change, copies, within, before, after
_Labels = tuple[dict[int, _Label], dict[int, _Label]]
_Key = tuple[str | None, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelChange:
    """One row: the kernels `before` and `after` that stand for each other, events and ns a call on both sides.

    `within`: the innermost range of the launches, None outside all; of a moved kernel the range after.
    """

    change: Change
    copies: bool
    within: str | None
    before: Names
    after: Names
    count_before: Fraction
    count_after: Fraction
    ns_before: Fraction
    ns_after: Fraction

    @property
    def delta_ns(self) -> Fraction:
        """ns a call that this adds (below zero: saves)."""
        return self.ns_after - self.ns_before


def kernel_changes(base: TraceSide, cand: TraceSide) -> tuple[KernelChange, ...]:
    """All rows, the largest difference first; their `delta_ns` add up to that of kernels and copies."""
    sides = (_calls(base), _calls(cand))
    sums: dict[_Label, list[int]] = {}  # events and ns before, events and ns after
    labels: dict[tuple[int, int], tuple[list[_Label], list[_Label]]] = {}
    for which, mine in enumerate(sides):
        for number, call in enumerate(mine):
            pair = (number, _like(call, sides[1])) if which == 0 else (_like(call, sides[0]), number)
            if pair not in labels:
                labels[pair] = _labelled(sides[0][pair[0]], sides[1][pair[1]])
            for label, ns in zip(labels[pair][which], call.ns, strict=True):
                row = sums.setdefault(label, [0, 0, 0, 0])
                row[2 * which] += call.times
                row[2 * which + 1] += ns
    rows = (_row(label, row, base.calls, cand.calls) for label, row in sums.items())
    return tuple(sorted(rows, key=lambda row: (-abs(row.delta_ns), row.change, row.before, row.after)))


def _row(label: _Label, sums: Sequence[int], before: int, after: int) -> KernelChange:
    change, copies, within, was, now = label
    return KernelChange(
        change=change,
        copies=copies,
        within=within,
        before=was,
        after=now,
        count_before=Fraction(sums[0], before),
        count_after=Fraction(sums[2], after),
        ns_before=Fraction(sums[1], before),
        ns_after=Fraction(sums[3], after),
    )


class _Event(NamedTuple):
    """What an event is matched by."""

    within: str | None
    kind: str
    name: str
    grid: str | None
    block: str | None

    @property
    def copies(self) -> bool:
        return self.kind in MOVES


@dataclass(slots=True, kw_only=True)
class _Call:
    """Calls of one sequence of events: how many there are, and the ns of each event summed over them.

    `stays`: of each event, which stay of a range it is in, counted from the call's first.
    """

    events: list[_Event]
    stays: list[int]
    times: int
    ns: list[int]


def _calls(side: TraceSide) -> list[_Call]:
    """The sequences that the calls of a side have, those of most calls first."""
    found: dict[tuple[object, ...], _Call] = {}
    frame = side.events.with_columns(pl.col("name").fill_null("(no name)"))
    for _, rows in frame.group_by("call", maintain_order=True):
        events = list(map(_Event._make, rows.select(_Event._fields).rows()))
        stays = np.cumsum(np.diff(rows["occurrence"].to_numpy(), prepend=rows["occurrence"][0]) != 0).tolist()
        ns = rows["dur_ns"].to_list()
        call = found.setdefault((*events, *stays), _Call(events=events, stays=stays, times=0, ns=[0] * len(ns)))
        call.times += 1
        call.ns = [had + more for had, more in zip(call.ns, ns, strict=True)]
    return sorted(found.values(), key=lambda one: (-one.times, len(one.events)))


def _like(call: _Call, others: Sequence[_Call]) -> int:
    """The number of the sequence on the other side to hold a call against: the same, else the nearest in length."""
    return min(
        range(len(others)),
        key=lambda k: (others[k].events != call.events, abs(len(others[k].events) - len(call.events)), k),
    )


def _labelled(base: _Call, cand: _Call) -> tuple[list[_Label], list[_Label]]:
    """The row of each event of two sequences that stand for each other."""
    was, now = base.events, cand.events
    labels: _Labels = ({}, {})
    pairs = _aligned(was, now)
    for i, j in pairs:
        labels[0][i] = labels[1][j] = _one("same" if was[i] == now[j] else "other shape", now[j])
    _elsewhere(was, now, labels)
    for left, right in _between(pairs, base, cand):
        rest = [i for i in left if i not in labels[0]], [j for j in right if j not in labels[1]]
        for copies in (False, True):
            gone, new = [i for i in rest[0] if was[i].copies == copies], [j for j in rest[1] if now[j].copies == copies]
            if gone and new and max(len(gone), len(new)) <= MOST_FUSED:
                label = _stands_for([was[i] for i in gone], [now[j] for j in new])
                labels[0].update(dict.fromkeys(gone, label))
                labels[1].update(dict.fromkeys(new, label))
    return (
        [labels[0].get(k) or _alone("gone", event) for k, event in enumerate(was)],
        [labels[1].get(k) or _alone("new", event) for k, event in enumerate(now)],
    )


def _aligned(was: Sequence[_Event], now: Sequence[_Event]) -> list[tuple[int, int]]:
    """Places of equal events in order; between those, of events that differ in their launch shape alone."""
    found: list[tuple[int, int]] = []
    i = j = 0
    for end, other in (*aligned(was, now), (len(was), len(now))):
        between = aligned([event[:3] for event in was[i:end]], [event[:3] for event in now[j:other]])
        found += [(i + one, j + two) for one, two in between]
        found += [(end, other)] if end < len(was) else []
        i, j = end + 1, other + 1
    return found


def _one(change: Change, event: _Event) -> _Label:
    return change, event.copies, event.within, (event.name,), (event.name,)


def _alone(change: Literal["gone", "new"], event: _Event) -> _Label:
    gone = change == "gone"
    return change, event.copies, event.within, (event.name,) if gone else (), () if gone else (event.name,)


def _elsewhere(was: Sequence[_Event], now: Sequence[_Event], labels: _Labels) -> None:
    """Labels of those left over as many as are on both sides, in another place, then in another shape too."""
    for change, alike in _ELSEWHERE:
        places: tuple[dict[_Key, list[int]], dict[_Key, list[int]]] = ({}, {})
        for side, events in enumerate((was, now)):
            for k, event in enumerate(events):
                if k not in labels[side]:
                    places[side].setdefault(alike(event), []).append(k)
        for key in places[0].keys() & places[1].keys():
            for i, j in zip(places[0][key], places[1][key], strict=False):
                labels[0][i] = labels[1][j] = _one(change, now[j])


def _between(pairs: Sequence[tuple[int, int]], base: _Call, cand: _Call) -> Iterator[tuple[list[int], list[int]]]:
    """The runs on both sides between aligned events; cut at the ends of ranges where both have as many."""
    i = j = 0
    for end, other in (*pairs, (len(base.events), len(cand.events))):
        runs = _by_stay(range(i, end), base.stays), _by_stay(range(j, other), cand.stays)
        if len(runs[0]) == len(runs[1]):
            yield from zip(*runs, strict=True)
        elif runs[0] and runs[1]:
            yield list(range(i, end)), list(range(j, other))
        i, j = end + 1, other + 1


def _by_stay(run: Sequence[int], stays: Sequence[int]) -> list[list[int]]:
    return [list(mine) for _, mine in groupby(run, key=stays.__getitem__)]


def _stands_for(gone: Sequence[_Event], new: Sequence[_Event]) -> _Label:
    before, after = (tuple(event.name for event in side) for side in (gone, new))
    change: Change = "fused" if len(before) > len(after) else "split" if len(before) < len(after) else "replaced"
    copies = gone[0].copies
    return "replaced" if copies else change, copies, gone[-1].within, before, after


_ELSEWHERE: Final[tuple[tuple[Change, Callable[[_Event], _Key]], ...]] = (
    ("moved", lambda event: event[1:]),
    ("other shape", lambda event: event[1:3]),
)
