"""baseline x candidate -> one verdict per key and metric, with ratio, interval and reason. Pure.

The ratio is baseline / candidate: over 1 the candidate is faster, or has fewer kernels. Two selections of one run are
paired round by round, which cancels the machine's drift. Two runs share no rounds: the ratio is that of the medians,
its interval the ends of both sides' own intervals, each at 97.5 %, so that both hold at once with at least 95 %. How
far a machine differs from one run to the next is in neither.

`bubble` is the wall time of a call less the busy time of its capture, round by round; `kernels` are counted in the
capture and have no interval.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from rope_prof.analysis.run.rows import CaptureFigures
from rope_prof.analysis.stats import COVERAGE, Figure, figure, middle, paired_ratio
from rope_prof.analysis.verdict import SAME_WITHIN, Word, judge
from rope_prof.errors import RopeProfError, UsageError
from rope_prof.model.run import Case, Key, KeyFacts, Run
from rope_prof.units import duration

if TYPE_CHECKING:
    import polars as pl

Held = Literal["holds", "fails", "undecided"]
Rounds = Mapping[int, float]

#: Of what is known of two sides apart: both intervals hold at once with `COVERAGE`.
EACH_SIDE = 1 - (1 - COVERAGE) / 2
#: What the samples alone tell.
METRICS = ("wall", "device")
#: What the captures tell too.
ALL_METRICS = (*METRICS, "kernels", "bubble")
_GATE = re.compile(rf"\s*({'|'.join(ALL_METRICS)})\s*>\s*(\d+(?:\.\d+)?)\s*%\s*", re.ASCII)

#: What two keys must have alike to be compared, as people call it.
FIELDS: dict[str, Callable[[Key], object]] = {
    "model": lambda key: key.case.model,
    "TP": lambda key: key.case.tp,
    "tokens": lambda key: key.case.tokens,
    "dtype": lambda key: key.case.dtype,
    "prompt": lambda key: key.case.prompt,
    "L2 state": lambda key: key.l2,
    "rank": lambda key: key.rank,
    "path": lambda key: key.path,
    "mode": lambda key: key.mode,
}
#: So many values or keys are named in an error.
_NAMED = 4


class NotComparableError(RopeProfError):
    """The sides differ in what must be alike: the device, or the keys that they hold."""

    exit_code = 3


@dataclass(frozen=True, slots=True, kw_only=True)
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

    @property
    def keys(self) -> tuple[KeyFacts, ...]:
        """Those that are picked."""
        return tuple(
            facts
            for facts in self.run.keys
            if self.path in {None, facts.key.path} and self.mode in {None, facts.key.mode}
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """One metric of one pair of keys. `ratio` is baseline / candidate; `reason` says why it is UNKNOWN or UNDECIDED.

    `before` and `after`: the medians of both sides, in ns per call; of `kernels` their number per call.
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


@dataclass(frozen=True, slots=True)
class Difference:
    """What both sides must have alike and have not: `what` (device, dtype, ...), and the values of each."""

    what: str
    base: tuple[str, ...]
    cand: tuple[str, ...]

    def __str__(self) -> str:
        """`dtype: bf16 against fp16`."""
        return f"{self.what}: {_named(self.base)} against {_named(self.cand)}"


@dataclass(frozen=True, slots=True)
class Gate:
    """`wall>3%`: the candidate may not take over 3 % more wall time than the baseline."""

    metric: str
    percent: float

    def check(self, verdict: Verdict) -> Held:
        """fails: the whole interval of the growth lies beyond the bound; undecided: it holds the bound, or is none."""
        ratio = verdict.ratio
        if verdict.word == "UNKNOWN" or ratio is None or not ratio.lo or not ratio.hi:
            return "undecided"
        bound = 1 + self.percent / 100
        if 1 / ratio.hi > bound:
            return "fails"
        return "holds" if 1 / ratio.lo <= bound else "undecided"


def gate(text: str) -> Gate:
    """Errors: UsageError for anything but METRIC>PERCENT%."""
    found = _GATE.fullmatch(text)
    if found is None:
        raise UsageError(
            f"cannot read --fail-on {text!r}; expected METRIC>PERCENT%, as 'wall>3%', with a metric of "
            f"{', '.join(ALL_METRICS)}"
        )
    return Gate(found[1], float(found[2]))


def compare(
    base: Side, cand: Side, *, paired: bool, anyway: bool = False, metrics: Sequence[str] = METRICS
) -> tuple[Verdict, ...]:
    """The verdicts of every pair of keys, in the baseline's order. `paired`: both sides are of one run.

    With `anyway` another device, and whatever else each side has one value of alone (dtype, tokens, ...), may differ,
    and the keys that both have are compared. Errors: NotComparableError, which names what differs; UsageError where a
    key would meet itself.
    """
    found = differences(base, cand)
    other_device = [one for one in found if one.what == "device"]
    if other_device and not anyway:
        raise NotComparableError(_refusal(base, cand, other_device))
    partners, alone = _partners(base, cand, found, anyway=anyway)
    if not partners or (alone and not anyway):
        raise NotComparableError(_refusal(base, cand, [one for one in found if one.what != "device"], alone))
    if paired and any(left.key == right.key for left, right in partners):
        raise UsageError(
            f"{base.label} and {cand.label} are the same keys of one run; pick two, as RUN:unfused RUN:fused"
        )
    return tuple(
        _verdict(base, left, cand, right, metric, paired=paired) for left, right in partners for metric in metrics
    )


def differences(base: Side, cand: Side) -> tuple[Difference, ...]:
    """What the sides have not alike: the device, and each field of their keys but the path or mode picked on both."""
    found = [Difference("device", (base.run.machine.device_name,), (cand.run.machine.device_name,))]
    for what in _must_match(base, cand):
        left, right = (
            tuple(dict.fromkeys(str(FIELDS[what](facts.key)) for facts in side.keys)) for side in (base, cand)
        )
        found.append(Difference(what, left, right))
    return tuple(one for one in found if set(one.base) != set(one.cand))


def _must_match(base: Side, cand: Side) -> list[str]:
    picked = {
        "path": base.path is not None and cand.path is not None,
        "mode": base.mode is not None and cand.mode is not None,
    }
    return [what for what in FIELDS if not picked.get(what)]


def _partners(
    base: Side, cand: Side, found: Sequence[Difference], *, anyway: bool
) -> tuple[list[tuple[KeyFacts, KeyFacts]], list[str]]:
    """(the pairs of keys, the names of those that have no partner)."""
    waived = {one.what for one in found if len(one.base) == len(one.cand) == 1} if anyway else set()
    fields = [FIELDS[what] for what in _must_match(base, cand) if what not in waived]
    left, right = ({tuple(get(f.key) for get in fields): f for f in side.keys} for side in (base, cand))
    alone = [f.key.name for match, f in (*left.items(), *right.items()) if not (match in left and match in right)]
    return [(left[match], right[match]) for match in left if match in right], alone


def _refusal(base: Side, cand: Side, found: Sequence[Difference], alone: Sequence[str] = ()) -> str:
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


def _verdict(base: Side, left: KeyFacts, cand: Side, right: KeyFacts, metric: str, *, paired: bool) -> Verdict:
    reason = next((_bad(facts) for facts in (left, right) if facts.status != "measured"), None)
    ratio, before, after = None, None, None
    if reason is None:
        found = (
            _counts(base, left, cand, right) if metric == "kernels" else _times(base, left, cand, right, metric, paired)
        )
        if isinstance(found, str):
            reason = found
        else:
            ratio, before, after = found
    word, why = _judge_counts(ratio) if metric == "kernels" else judged(ratio)
    return Verdict(
        case=left.key.case,
        base=left.key.name,
        cand=right.key.name,
        metric=metric,
        word=word,
        ratio=ratio,
        reason=reason or why,
        before=before,
        after=after,
    )


def _bad(facts: KeyFacts) -> str:
    return f"{facts.key.path} {facts.key.mode} is {facts.status}" + (f": {facts.reason}" if facts.reason else "")


_Found = tuple[Figure | None, float | None, float | None]


def _times(base: Side, left: KeyFacts, cand: Side, right: KeyFacts, metric: str, paired: bool) -> _Found | str:
    """(ratio, median of the baseline, median of the candidate), or why there is none."""
    if metric == "bubble":
        return _bubbles(base, left, cand, right)
    ours, theirs = _rounds(base, left, metric), _rounds(cand, right, metric)
    for found in (ours, theirs):
        if isinstance(found, str):
            return found
    assert not isinstance(ours, str)
    assert not isinstance(theirs, str)
    ratio = paired_ratio(ours, theirs) if paired else apart_ratio(_alone(ours), _alone(theirs))
    before, after = figure(list(ours.values())), figure(list(theirs.values()))
    return ratio, before.median if before else None, after.median if after else None


def _rounds(side: Side, facts: KeyFacts, metric: str) -> Rounds | str:
    """ns per call of each round, or why no ratio can be made of them."""
    mine = side.samples.filter((side.samples["key"] == facts.key.name) & (side.samples["clock"] == _CLOCKS[metric]))
    bad = mine.filter((mine["calls"] < 1) | (mine["ns"] < 1)).height
    label = f"{facts.key.path} {facts.key.mode}"
    if bad:
        return f"{bad} of {mine.height} samples of {label} hold no call or no time; record again"
    return dict(zip(mine["round"].to_list(), (mine["ns"] / mine["calls"]).to_list(), strict=True))


_CLOCKS = {"wall": "wall", "device": "device"}


def _bubbles(base: Side, left: KeyFacts, cand: Side, right: KeyFacts) -> _Found | str:
    """As two runs are compared, of one run too: captures pair with no round, and not with each other."""
    ours, theirs = _bubble(base, left), _bubble(cand, right)
    for found in (ours, theirs):
        if isinstance(found, str):
            return found
    assert not isinstance(ours, str)
    assert not isinstance(theirs, str)
    if ours is None or theirs is None:
        return None, None, None
    return apart_ratio(ours, theirs), ours.median, theirs.median


def _bubble(side: Side, facts: KeyFacts) -> Figure | str | None:
    """Wall less busy, each at its worse end: the wall of the rounds, and the calls of a capture made at another time.

    What such a call's busy time is in the rounds no one measured: it is taken to lie where the middle 95 % of the
    captured calls lie.
    """
    label = f"{facts.key.path} {facts.key.mode}"
    rounds = _rounds(side, facts, "wall")
    capture = side.captures.get(facts.key.name, f"{label} was not captured")
    for found in (rounds, capture):
        if isinstance(found, str):
            return found
    assert not isinstance(rounds, str)
    assert not isinstance(capture, str)
    if capture.busy_ns is None:
        return f"the capture of {label} holds no kernel"
    wall = figure(list(rounds.values()), EACH_SIDE)
    if wall is None:
        return None
    busy = middle(capture.busy_each_ns, COVERAGE) or (capture.busy_ns, capture.busy_ns)
    lo, hi = (None, None) if wall.lo is None or wall.hi is None else (wall.lo - busy[1], wall.hi - busy[0])
    bubble = Figure(wall.median - capture.busy_ns, lo, hi, wall.n)
    if (bubble.median if lo is None else lo) <= 0:
        ends = "" if lo is None or hi is None else f", [{duration(lo)}, {duration(hi)}]"
        return f"the bubble of {label} may be none ({duration(bubble.median)}{ends}): there is no ratio"
    return bubble


def _counts(base: Side, left: KeyFacts, cand: Side, right: KeyFacts) -> _Found | str:
    counted = []
    for side, facts in ((base, left), (cand, right)):
        label = f"{facts.key.path} {facts.key.mode}"
        capture = side.captures.get(facts.key.name, f"{label} was not captured")
        if isinstance(capture, str):
            return capture
        if not capture.kernels_per_call:
            return f"the capture of {label} holds no kernel"
        counted.append((capture.kernels_per_call, capture.calls))
    (before, calls), (after, others) = counted
    ratio = before / after
    return Figure(ratio, ratio, ratio, min(calls, others)), before, after


def _judge_counts(ratio: Figure | None) -> tuple[Word, str | None]:
    """A count is exact: any difference is one."""
    if ratio is None:
        return "UNKNOWN", None
    return "SAME" if ratio.median == 1 else "FASTER" if ratio.median > 1 else "SLOWER", None


def _alone(rounds: Rounds) -> Figure | None:
    return figure(list(rounds.values()), EACH_SIDE)


def apart_ratio(ours: Figure | None, theirs: Figure | None) -> Figure | None:
    """Ratio of the medians of two runs; its ends hold with 95 %, since each side's do with 97.5 % (`EACH_SIDE`)."""
    if ours is None or theirs is None or theirs.median <= 0:
        return None
    lo = hi = None
    if ours.lo is not None and ours.hi is not None and theirs.lo and theirs.hi:
        lo, hi = ours.lo / theirs.hi, ours.hi / theirs.lo
    return Figure(ours.median / theirs.median, lo, hi, min(ours.n, theirs.n))


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
