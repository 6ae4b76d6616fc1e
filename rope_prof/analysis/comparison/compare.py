"""baseline x candidate -> one verdict per key and metric, with ratio, interval and reason. Pure.

The ratio is baseline / candidate: over 1 the candidate is faster, or has fewer kernels. Two selections of one run are
paired round by round, which cancels the machine's drift. Two runs share no rounds: the ratio is that of the medians,
its interval the ends of both sides' own intervals, widened by what runs of the same code differ by (`apart`); where
nobody knows that, the verdict is UNDECIDED. Sides that were measured by several processes each are compared over
processes. Two runs that hold the very same samples of a key are one recording, and the same.

`bubble` is the wall time of a call less the busy time of its capture; `kernels` are counted in the capture and have no
interval. Differences of two runs stand only if they stand among all of their metric (`family`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import log, sqrt
from typing import TYPE_CHECKING

from rope_prof.analysis.comparison.apart import Between, anchors, apart_ratio, larger, one_side, over_processes, widened
from rope_prof.analysis.comparison.family import ALPHA, Family, chance_alone, chance_apart, holm
from rope_prof.analysis.comparison.sides import NotComparableError, Side, differences, partners, refusal
from rope_prof.analysis.run.processes import over_pairs, pair_logs, turns
from rope_prof.analysis.run.rows import CaptureFigures
from rope_prof.analysis.stats import COVERAGE, Figure, figure, middle, paired_ratio
from rope_prof.analysis.verdict import SAME_WITHIN, Word, judge
from rope_prof.errors import UsageError
from rope_prof.model.run import Case, Key, KeyFacts
from rope_prof.units import duration

if TYPE_CHECKING:
    pass

Rounds = Mapping[int, float]
#: (key, clock) -> how far runs of the same code differed before; None where nobody kept enough of them.
Known = Callable[[Key, str], Between | None]

#: What the samples alone tell.
METRICS = ("wall", "device")
#: What the captures tell too.
ALL_METRICS = (*METRICS, "kernels", "bubble")


@dataclass(frozen=True, slots=True)
class BubbleParts:
    """What the corrected bubble is the sum of, in ns per call, either may be negative: `host` = wall - device time with
    a full queue, `queue` = that device time - busy; of the same medians as a run's own table.
    """

    host: float
    queue: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """One metric of one pair of keys. `ratio` is baseline / candidate; `reason` says why it is UNKNOWN or UNDECIDED.

    `before` and `after`: the medians of both sides, in ns per call; of `kernels` their number per call.
    Of two runs: `within` is the ratio by their rounds alone, `between` how far runs of the same code differ, which
    `ratio` has in its interval. `p_value`: how likely such a difference is of sides that have none; `chance`: it is
    no more than so many comparisons give. `untimed`: a key that the device of neither side can time.
    `before_parts`, `after_parts`: of a bubble its two parts, also where it may be none and has no ratio; None where the
    device was not timed or the key not captured.
    """

    case: Case
    base: str
    cand: str
    metric: str
    word: Word
    ratio: Figure | None
    reason: str | None
    before: float | None = None
    after: float | None = None
    within: Figure | None = None
    between: Between | None = None
    p_value: float | None = None
    chance: bool = False
    untimed: bool = False
    before_parts: BubbleParts | None = None
    after_parts: BubbleParts | None = None


def compare(
    base: Side,
    cand: Side,
    *,
    paired: bool,
    anyway: bool = False,
    metrics: Sequence[str] = METRICS,
    known: Known | None = None,
) -> tuple[Verdict, ...]:
    """The verdicts of every pair of keys, in the baseline's order. `paired`: both sides are of one run.

    `known`: how far two runs of the same code differed before; the larger of that and of what their reference calls say
    counts.

    With `anyway` another device, and whatever else each side has one value of alone (dtype, tokens, ...), may differ,
    and the keys that both have are compared. Errors: NotComparableError, which names what differs; UsageError where a
    key would meet itself.
    """
    found = differences(base, cand)
    other_device = [one for one in found if one.what == "device"]
    if other_device and not anyway:
        raise NotComparableError(refusal(base, cand, other_device))
    pairs, alone = partners(base, cand, found, anyway=anyway)
    if not pairs or (alone and not anyway):
        raise NotComparableError(refusal(base, cand, [one for one in found if one.what != "device"], alone))
    if paired and any(left.key == right.key for left, right in pairs):
        raise UsageError(
            f"{base.label} and {cand.label} are the same keys of one run; pick two, as RUN:unfused RUN:fused"
        )
    sides = _Sides(base, cand, paired, known)
    verdicts = tuple(_verdict(sides, left, right, metric) for left, right in pairs for metric in metrics)
    return verdicts if paired else _corrected(verdicts)


def families(verdicts: Sequence[Verdict]) -> tuple[Family, ...]:
    """How many verdicts of each metric differ, and how many of them chance alone would give."""
    found = []
    for metric in METRICS:
        mine = [v for v in verdicts if v.metric == metric and v.p_value is not None and v.word != "UNKNOWN"]
        differ = [v.chance or v.word in {"FASTER", "SLOWER"} for v in mine]
        stands = holm([v.p_value or 0.0 for v in mine])
        kept = sum(one and other for one, other in zip(differ, stands, strict=True))
        if mine:
            found.append(Family(metric, len(mine), sum(differ), ALPHA * len(mine), kept))
    return tuple(found)


def _corrected(verdicts: Sequence[Verdict]) -> tuple[Verdict, ...]:
    """Differences that do not stand among all of their metric are UNDECIDED, and the bubble of such a wall is too."""
    lost: set[tuple[str, str]] = set()
    for metric in METRICS:
        mine = [v for v in verdicts if v.metric == metric and v.p_value is not None]
        for v, stands in zip(mine, holm([v.p_value or 0.0 for v in mine]), strict=True):
            if not stands and v.word in {"FASTER", "SLOWER"}:
                lost |= {(metric, v.base), *([("bubble", v.base)] if metric == "wall" else [])}
    words = "differs by itself, but not among all verdicts of its metric (Holm); record more rounds"
    return tuple(
        replace(v, word="UNDECIDED", reason=words, chance=True)
        if (v.metric, v.base) in lost and v.word in {"FASTER", "SLOWER"}
        else v
        for v in verdicts
    )


@dataclass(slots=True)
class _Sides:
    """Both sides and what was found of them once: the reference calls of a case are asked for by every key of it."""

    base: Side
    cand: Side
    paired: bool
    known: Known | None
    _between: dict[tuple[Case, int, str], Between | None] = field(default_factory=dict)

    def between(self, key: Key, clock: str) -> Between | None:
        """How far two runs of the same code differ in that key, as far as anything says so."""
        before = self.known(key, clock) if self.known is not None else None
        return larger(before, self._anchored(key, clock))

    def _anchored(self, key: Key, clock: str) -> Between | None:
        group = (key.case, key.rank, clock)
        if group not in self._between:
            base, cand = self.base, self.cand
            self._between[group] = anchors(base.run, base.samples, cand.run, cand.samples, key, clock)
        return self._between[group]


@dataclass(frozen=True, slots=True)
class _Found:
    """What is known of one metric before it is judged; `apart`: of two runs, whose rounds alone decide nothing."""

    ratio: Figure | None
    before: float | None = None
    after: float | None = None
    within: Figure | None = None
    between: Between | None = None
    p_value: float | None = None
    apart: bool = False


def _verdict(sides: _Sides, left: KeyFacts, right: KeyFacts, metric: str) -> Verdict:
    bad = next((_bad(facts) for facts in (left, right) if facts.status != "measured"), None)
    found: _Found | str = bad or (
        _counts(sides, left, right) if metric == "kernels" else _times(sides, left, right, metric)
    )
    halves = ((sides.base, left), (sides.cand, right)) if metric == "bubble" and bad is None else ()
    plain = [_plain_bubble(side, facts) for side, facts in halves] or [None, None]
    made = _Found(None, plain[0], plain[1]) if isinstance(found, str) else found
    word, why = _judge_counts(made.ratio) if metric == "kernels" else _judge_times(made)
    parts = [_parts(side, facts) for side, facts in halves] or [None, None]
    return Verdict(
        case=left.key.case,
        base=left.key.name,
        cand=right.key.name,
        metric=metric,
        word=word,
        ratio=made.ratio,
        reason=found if isinstance(found, str) else why or _replayed_once(sides, left, right, metric, word),
        before=made.before,
        after=made.after,
        within=made.within,
        between=made.between,
        p_value=made.p_value,
        untimed={left.status, right.status} <= {"unavailable", "checked"},
        before_parts=parts[0],
        after_parts=parts[1],
    )


def _replayed_once(sides: _Sides, left: KeyFacts, right: KeyFacts, metric: str, word: Word) -> str | None:
    """What a wall verdict carries where a sample of one side is one replay of a graph, and of the other is not."""
    if metric != "wall" or word not in {"FASTER", "SLOWER"}:
        return None
    steps = [_step_of_one_replay(side, facts) for side, facts in ((sides.base, left), (sides.cand, right))]
    if (steps[0] is None) == (steps[1] is None):
        return None
    return (
        f"by wall, and a sample of the graph is one replay: a {steps[0] or steps[1]}th of its launch and of the wait "
        "for its end is in each call, of the other side's hardly anything; judge these two by the device's clock"
    )


def _step_of_one_replay(side: Side, facts: KeyFacts) -> int | None:
    """The calls of a replay where a sample by wall is one; None where it is a loop, or what further replays add."""
    step = side.run.settings.get("calls")
    if (facts.key.mode, facts.key.l2) != ("graph", "cold") or not isinstance(step, int):
        return None
    mine = side.samples.filter((side.samples["key"] == facts.key.name) & (side.samples["clock"] == "wall"))
    return step if mine.height and mine["calls"].max() == step else None


def _bad(facts: KeyFacts) -> str:
    return f"{facts.key.side} is {facts.status}" + (f": {facts.reason}" if facts.reason else "")


def _times(sides: _Sides, left: KeyFacts, right: KeyFacts, metric: str) -> _Found | str:
    """What the rounds say of that metric, or why they say nothing."""
    clock = "wall" if metric == "bubble" else metric
    ours, theirs = _rounds(sides.base, left, clock), _rounds(sides.cand, right, clock)
    for found in (ours, theirs):
        if isinstance(found, str):
            return found
    assert not isinstance(ours, str)
    assert not isinstance(theirs, str)
    same = not sides.paired and bool(ours) and ours == theirs
    if metric == "bubble":
        return _bubbles(sides, left, right, same=same)
    before, after = figure(list(ours.values())), figure(list(theirs.values()))
    medians = before.median if before else None, after.median if after else None
    if same:
        return _Found(Figure(1.0, 1.0, 1.0, len(ours)), *medians)
    processes = [_by_process(side, facts, clock) for side, facts in ((sides.base, left), (sides.cand, right))]
    if min(map(len, processes)) > 1 and sides.paired:
        took = turns(sides.base.run, sides.base.samples)
        logs = pair_logs(ours, theirs, took.get(left.key.name, {}), took.get(right.key.name, {}))
        return _Found(over_pairs(logs), *medians, p_value=chance_alone(logs))
    if min(map(len, processes)) > 1:
        return _Found(over_processes(*processes), *medians)
    if sides.paired:
        shared = [log(ours[n] / theirs[n]) for n in ours.keys() & theirs.keys()]
        return _Found(paired_ratio(ours, theirs), *medians, p_value=chance_alone(shared))
    within = apart_ratio(one_side(list(ours.values())), one_side(list(theirs.values())))
    if within is None or within.lo is None:
        return _Found(within, *medians, within=within)
    between = sides.between(left.key, clock)
    logs, others = ([log(ns) for ns in one.values()] for one in (ours, theirs))
    chance = chance_apart(logs, others, log(between.factor)) if between else None
    return _Found(widened(within, between), *medians, within, between, chance, apart=True)


def _by_process(side: Side, facts: KeyFacts, clock: str) -> dict[int, list[float]]:
    """process -> ns a call of a run that several processes measured; none of any other run."""
    repeats = side.run.settings.get("repeats")
    if not isinstance(repeats, int) or repeats < 2 or "process" not in side.samples.columns:
        return {}
    mine = side.samples.filter((side.samples["key"] == facts.key.name) & (side.samples["clock"] == clock))
    found: dict[int, list[float]] = {}
    for process, calls, ns in mine.drop_nulls("process").select("process", "calls", "ns").iter_rows():
        found.setdefault(process, []).append(ns / calls)
    return found


def _rounds(side: Side, facts: KeyFacts, clock: str) -> Rounds | str:
    """ns per call of each round, or why no ratio can be made of them."""
    mine = side.samples.filter((side.samples["key"] == facts.key.name) & (side.samples["clock"] == clock))
    bad = mine.filter((mine["calls"] < 1) | (mine["ns"] < 1)).height
    label = facts.key.side
    if bad:
        return f"{bad} of {mine.height} samples of {label} hold no call or no time; record again"
    return dict(zip(mine["round"].to_list(), (mine["ns"] / mine["calls"]).to_list(), strict=True))


def _bubbles(sides: _Sides, left: KeyFacts, right: KeyFacts, *, same: bool) -> _Found | str:
    """As two runs are compared, of one run too: captures pair with no round, and not with each other."""
    between = None if sides.paired else sides.between(left.key, "wall")
    factor = sqrt(between.factor) if between else 1.0
    plain = [_bubble(side, facts) for side, facts in ((sides.base, left), (sides.cand, right))]
    captures = [side.captures.get(facts.key.name) for side, facts in ((sides.base, left), (sides.cand, right))]
    if same and captures[0] == captures[1] and isinstance(captures[0], CaptureFigures) and captures[0].busy_ns:
        return _Found(Figure(1.0, 1.0, 1.0, captures[0].calls))
    wide = plain if factor == 1 else [_bubble(s, f, factor) for s, f in ((sides.base, left), (sides.cand, right))]
    for found in (*plain, *wide):
        if isinstance(found, str):
            return found
    ours, theirs = (one for one in plain if not isinstance(one, str))
    if ours is None or theirs is None:
        return _Found(None)
    within = apart_ratio(ours, theirs)
    if sides.paired or within is None or within.lo is None:
        return _Found(within, ours.median, theirs.median)
    ratio = apart_ratio(*(one for one in wide if not isinstance(one, str))) if between else widened(within, None)
    return _Found(ratio, ours.median, theirs.median, within, between, apart=True)


def _bubble(side: Side, facts: KeyFacts, factor: float = 1.0) -> Figure | str | None:
    """Wall less busy, each at its worse end: the wall of the rounds, and the calls of a capture made at another time.

    What such a call's busy time is in the rounds no one measured: it is taken to lie where the middle 95 % of the
    captured calls lie. The wall of another run may be `factor` as long, or as short.
    """
    label = facts.key.side
    rounds = _rounds(side, facts, "wall")
    capture = side.captures.get(facts.key.name, f"{label} was not captured")
    for found in (rounds, capture):
        if isinstance(found, str):
            return found
    assert not isinstance(rounds, str)
    assert not isinstance(capture, str)
    if capture.busy_ns is None:
        return f"the capture of {label} holds no kernel"
    wall = one_side(list(rounds.values()))
    if wall is None:
        return None
    busy = middle(capture.busy_each_ns, COVERAGE) or (capture.busy_ns, capture.busy_ns)
    lo = hi = None
    if wall.lo is not None and wall.hi is not None:
        lo, hi = wall.lo / factor - busy[1], wall.hi * factor - busy[0]
    bubble = Figure(wall.median - capture.busy_ns, lo, hi, wall.n)
    if (bubble.median if lo is None else lo) <= 0:
        ends_said = "" if lo is None or hi is None else f", [{duration(lo)}, {duration(hi)}]"
        return f"the bubble of {label} may be none ({duration(bubble.median)}{ends_said}): there is no ratio"
    return bubble


def _plain_bubble(side: Side, facts: KeyFacts) -> float | None:
    """Wall less busy by their medians: the bubble of a run's own table, also where it may be none."""
    capture, wall = side.captures.get(facts.key.name), _rounds(side, facts, "wall")
    if not isinstance(capture, CaptureFigures) or isinstance(wall, str) or capture.busy_ns is None:
        return None
    by_wall = figure(list(wall.values()))
    return None if by_wall is None else by_wall.median - capture.busy_ns


def _parts(side: Side, facts: KeyFacts) -> BubbleParts | None:
    """The bubble's two parts, by the medians of both clocks."""
    capture = side.captures.get(facts.key.name)
    wall, device = (_rounds(side, facts, clock) for clock in METRICS)
    if not isinstance(capture, CaptureFigures) or isinstance(wall, str) or isinstance(device, str):
        return None
    by_wall, by_device = figure(list(wall.values())), figure(list(device.values()))
    if by_wall is None or by_device is None or capture.busy_ns is None:
        return None
    return BubbleParts(by_wall.median - by_device.median, by_device.median - capture.busy_ns)


def _counts(sides: _Sides, left: KeyFacts, right: KeyFacts) -> _Found | str:
    counted = []
    for side, facts in ((sides.base, left), (sides.cand, right)):
        label = facts.key.side
        capture = side.captures.get(facts.key.name, f"{label} was not captured")
        if isinstance(capture, str):
            return capture
        if not capture.kernels_per_call:
            return f"the capture of {label} holds no kernel"
        counted.append((capture.kernels_per_call, capture.calls))
    (before, calls), (after, others) = counted
    ratio = before / after
    return _Found(Figure(ratio, ratio, ratio, min(calls, others)), before, after)


def _judge_counts(ratio: Figure | None) -> tuple[Word, str | None]:
    """A count is exact: any difference is one."""
    if ratio is None:
        return "UNKNOWN", None
    return "SAME" if ratio.median == 1 else "FASTER" if ratio.median > 1 else "SLOWER", None


def _judge_times(found: _Found) -> tuple[Word, str | None]:
    """The word; of two runs none that goes beyond what runs of the same code show."""
    if not found.apart:
        return judged(found.ratio)
    if found.between is None:
        return "UNDECIDED", (
            "how far runs of the same code differ here is not known (no reference calls that both runs timed); "
            "measure both in one run"
        )
    word, why = judged(found.ratio)
    alone, _ = judged(found.within)
    if word == "UNDECIDED" and alone in {"FASTER", "SLOWER"}:
        why = (
            f"the runs differ by no more than runs of the same code may ({found.between.how}); measure both in one run"
        )
    elif word == "UNDECIDED" and alone == "SAME":
        why = f"within 2 %, but runs of one code may differ by more ({found.between.how}); measure both in one run"
    return word, why


def judged(ratio: Figure | None) -> tuple[Word, str | None]:
    """The word for an interval of baseline / candidate, and why where it decides nothing."""
    if ratio is None:
        return "UNKNOWN", "no samples that both sides have"
    word = judge(ratio.lo, ratio.hi)
    if word == "UNKNOWN":
        return word, f"{ratio.n} rounds are too few for an interval; record more"
    if word == "UNDECIDED":
        return word, f"the interval holds 1 and reaches beyond {SAME_WITHIN * 100:g} %; record more rounds"
    return word, None
