"""What is known of one metric of two keys before anybody judges it: ratio, interval, medians; or why nothing is. Pure.

The ratio is baseline / candidate. Rounds of one run are paired; of two runs, whose rounds have nothing to do with each
other, the interval is the ends of both sides' own, widened by what runs of the same code differ by (`apart`). Sides
that several processes measured are compared over processes; of two runs these share a host and an hour, and are widened
just so.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from math import log, sqrt

import polars as pl

from rope_prof.analysis.comparison.apart import Between, anchors, captures, larger, over_processes, widened
from rope_prof.analysis.comparison.family import chance_alone, chance_apart, chance_of_rounds
from rope_prof.analysis.comparison.sides import Side
from rope_prof.analysis.run.capture import CaptureFigures
from rope_prof.analysis.run.processes import middle_of, over_pairs, pair_logs, process_medians
from rope_prof.analysis.run.series import PerRound, repeats
from rope_prof.analysis.stats import COVERAGE, EACH_SIDE, Figure, apart_ratio, middle, one_side, paired_ratio
from rope_prof.model.frozen import Frozen
from rope_prof.model.run import Case, Key, KeyFacts
from rope_prof.units import duration

#: (key, clock) -> how far runs of the same code differed before; None where nobody kept enough of them.
Known = Callable[[Key, str], Between | None]


class WithheldError(Exception):
    """There is no ratio, and the message is why."""


class BubbleParts(Frozen):
    """What the corrected bubble is the sum of, in ns per call, either may be negative: `host` = wall - device time with
    a full queue, `queue` = that device time - busy; of the same medians as a run's own table.
    """

    host: float
    queue: float


class Evidence(Frozen):
    """`apart`: of two runs, whose rounds alone decide nothing. The other fields are those of a `Verdict`."""

    ratio: Figure | None
    before: float | None = None
    after: float | None = None
    within: Figure | None = None
    between: Between | None = None
    p_value: float | None = None
    apart: bool = False


@dataclass(slots=True)
class BothSides:
    """Both sides and what was found of them once: the reference calls of a case are asked for by every key of it."""

    base: Side
    cand: Side
    paired: bool
    known: Known | None
    chances: bool = True
    _between: dict[tuple[Case, int, str], Between | None] = field(default_factory=dict)

    def between(self, key: Key, clock: str) -> Between | None:
        """How far two runs of the same code differ in that key, as far as anything says so."""
        before = self.known(key, clock) if self.known is not None else None
        group = (key.case, key.rank, clock)
        if group not in self._between:
            base, cand = self.base, self.cand
            self._between[group] = anchors(base.run, base.samples, cand.run, cand.samples, key, clock)
        return larger(before, self._between[group])

    def with_facts(self, left: KeyFacts, right: KeyFacts) -> tuple[_SideOfKey, _SideOfKey]:
        """Both sides of two keys."""
        return _SideOfKey(self.base, left), _SideOfKey(self.cand, right)


class _SideOfKey(Frozen):
    """One key on its side."""

    side: Side
    facts: KeyFacts

    def samples(self, clock: str) -> pl.DataFrame:
        """Its samples by that clock."""
        found = self.side.series.get((self.facts.key.name, clock))
        return self.side.samples.clear() if found is None else found

    def rounds(self, clock: str) -> PerRound:
        """ns per call of each round, and which process took it where several did. Errors: WithheldError."""
        mine = self.samples(clock)
        bad = ((mine["calls"] < 1) | (mine["ns"] < 1)).sum()
        if bad:
            raise WithheldError(
                f"{bad} of {mine.height} samples of {self.facts.key.side} hold no call or no time; record again"
            )
        found = PerRound(zip(mine["round"].to_list(), (mine["ns"] / mine["calls"]).to_list(), strict=True))
        if repeats(self.side.run) > 1 and "process" in mine.columns:
            found.took = dict(mine.drop_nulls("process").select("round", "process").iter_rows())
        return found

    def capture(self) -> CaptureFigures:
        """The figures of its trace. Errors: WithheldError."""
        label = self.facts.key.side
        found = self.side.captures.get(self.facts.key.name, f"{label} was not captured")
        if isinstance(found, str):
            raise WithheldError(found)
        return found

    def held_capture(self) -> tuple[CaptureFigures, float]:
        """That, and its busy time. Errors: WithheldError where it holds no kernel too."""
        found = self.capture()
        if found.busy_ns is None:
            raise WithheldError(f"the capture of {self.facts.key.side} holds no kernel")
        return found, found.busy_ns

    def bubble(self, factor: float = 1.0) -> Figure | None:
        """Wall less busy, each at its worse end: the wall of the rounds, and the calls of a capture made at another
        time. Errors: WithheldError.

        What such a call's busy time is in the rounds no one measured: it is taken to lie where the middle 95 % of the
        captured calls lie. The wall of another run may be `factor` as long, or as short.
        """
        rounds = self.rounds("wall")
        capture, busy_ns = self.held_capture()
        wall = middle_of(rounds, EACH_SIDE) if rounds.took else one_side(list(rounds.values()))
        if wall is None:
            return None
        busy = middle(capture.busy_each_ns, COVERAGE) or (busy_ns, busy_ns)
        lo = hi = None
        if wall.lo is not None and wall.hi is not None:
            lo, hi = wall.lo / factor - busy[1], wall.hi * factor - busy[0]
        bubble = replace(wall, median=wall.median - busy_ns, lo=lo, hi=hi)
        if (bubble.median if lo is None else lo) <= 0:
            ends_said = "" if lo is None or hi is None else f", [{duration(lo)}, {duration(hi)}]"
            label = self.facts.key.side
            raise WithheldError(
                f"the bubble of {label} may be none ({duration(bubble.median)}{ends_said}): there is no ratio"
            )
        return bubble

    def plain_bubble(self) -> float | None:
        """Wall less busy by their medians: the bubble of a run's own table, also where it may be none."""
        try:
            wall = middle_of(self.rounds("wall"))
            _, busy_ns = self.held_capture()
        except WithheldError:
            return None
        return None if wall is None else wall.median - busy_ns

    def parts(self) -> BubbleParts | None:
        """The bubble's two parts, by the medians of both clocks; None where something was not measured."""
        try:
            by_wall, by_device = (middle_of(self.rounds(clock)) for clock in ("wall", "device"))
            _, busy_ns = self.held_capture()
        except WithheldError:
            return None
        if by_wall is None or by_device is None:
            return None
        return BubbleParts(by_wall.median - by_device.median, by_device.median - busy_ns)

    def step_of_one_replay(self) -> int | None:
        """The calls of a replay where a sample by wall is one; None where it is a loop, or what further replays add."""
        key, step = self.facts.key, self.side.run.settings.get("calls")
        if (key.mode, key.l2) != ("graph", "cold") or not isinstance(step, int):
            return None
        mine = self.samples("wall")
        return step if mine.height and mine["calls"].max() == step else None


def evidence(sides: BothSides, left: KeyFacts, right: KeyFacts, metric: str) -> Evidence:
    """What the rounds, or the captures, say of that metric. Errors: WithheldError."""
    for facts in (left, right):
        if facts.status != "measured":
            raise WithheldError(f"{facts.key.side} is {facts.status}" + (f": {facts.reason}" if facts.reason else ""))
    return _counts(sides, left, right) if metric == "kernels" else _times(sides, left, right, metric)


def _times(sides: BothSides, left: KeyFacts, right: KeyFacts, metric: str) -> Evidence:
    clock = "wall" if metric == "bubble" else metric
    both = sides.with_facts(left, right)
    ours, theirs = (one.rounds(clock) for one in both)
    same = not sides.paired and bool(ours) and ours == theirs
    if metric == "bubble":
        return _bubbles(sides, both, same=same)
    before, after = middle_of(ours), middle_of(theirs)
    medians = before.median if before else None, after.median if after else None
    if same:
        return Evidence(Figure(1.0, 1.0, 1.0, before.n if before else 0, before.over if before else "rounds"), *medians)
    if sides.paired and ours.took and theirs.took:
        logs = pair_logs(ours, theirs)
        return Evidence(over_pairs(logs), *medians, p_value=chance_alone(logs) if sides.chances else None)
    if sides.paired:
        shared = [log(ours[n] / theirs[n]) for n in ours.keys() & theirs.keys()] if sides.chances else []
        return _within_process(
            paired_ratio(ours, theirs), medians, captures(left.key, right.key), chance_of_rounds(shared)
        )
    return _two_runs(ours, theirs, medians, sides.between(left.key, clock))


def _two_runs(
    ours: PerRound, theirs: PerRound, medians: tuple[float | None, float | None], between: Between | None
) -> Evidence:
    """Over the processes of both where both had several, else over the rounds of both; either way one host at one time
    against another, so what runs of the same code differ by is in it."""
    if ours.took and theirs.took:
        within = over_processes(*(values := (process_medians(ours), process_medians(theirs))))
    else:
        values = list(ours.values()), list(theirs.values())
        within = apart_ratio(*map(one_side, values))
    if within is None or within.lo is None:
        return Evidence(within, *medians, within=within)
    logs, others = ([log(ns) for ns in one] for one in values)
    chance = chance_apart(logs, others, log(between.factor)) if between else None
    return Evidence(widened(within, between), *medians, within, between, chance, apart=True)


def _within_process(
    ratio: Figure | None, medians: tuple[float | None, float | None], between: Between | None, chance: float | None
) -> Evidence:
    """What paired rounds say; of graphs, each of which was captured once, with what captures differ by."""
    if ratio is None or ratio.lo is None or between is None:
        return Evidence(ratio, *medians, p_value=chance)
    return Evidence(widened(ratio, between), *medians, ratio, between, chance)


def _bubbles(sides: BothSides, both: tuple[_SideOfKey, _SideOfKey], *, same: bool) -> Evidence:
    """As two runs are compared, of one run too: captures pair with no round, and not with each other."""
    between = None if sides.paired else sides.between(both[0].facts.key, "wall")
    captures = [one.side.captures.get(one.facts.key.name) for one in both]
    if same and captures[0] == captures[1] and isinstance(captures[0], CaptureFigures) and captures[0].busy_ns:
        return Evidence(Figure(1.0, 1.0, 1.0, captures[0].calls, "calls"))
    ours, theirs = [one.bubble() for one in both]
    wide = [one.bubble(sqrt(between.factor)) for one in both] if between else [ours, theirs]
    if ours is None or theirs is None:
        return Evidence(None)
    within = apart_ratio(ours, theirs)
    if sides.paired or within is None or within.lo is None:
        return Evidence(within, ours.median, theirs.median)
    ratio = apart_ratio(*wide) if between else widened(within, None)
    return Evidence(ratio, ours.median, theirs.median, within, between, apart=True)


def _counts(sides: BothSides, left: KeyFacts, right: KeyFacts) -> Evidence:
    counted = []
    for one in sides.with_facts(left, right):
        capture = one.capture()
        if not capture.kernels_per_call:
            raise WithheldError(f"the capture of {one.facts.key.side} holds no kernel")
        counted.append((capture.kernels_per_call, capture.calls))
    (before, calls), (after, others) = counted
    ratio = before / after
    return Evidence(Figure(ratio, ratio, ratio, min(calls, others), "calls"), before, after)
