"""baseline x candidate -> one verdict per key and metric, with ratio, interval and reason. Pure.

The ratio is baseline / candidate: over 1 the candidate is faster. Two selections of one run are paired round by round,
which cancels the machine's drift. Two runs share no rounds: the ratio is that of the medians, its interval the ends of
both sides' own intervals, each at 97.5 %, so that both hold at once with at least 95 %. How far a machine differs from
one run to the next is in neither.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from rope_prof.analysis.stats import COVERAGE, Figure, figure, paired_ratio
from rope_prof.errors import RopeProfError, UsageError
from rope_prof.model.run import Case, Key, KeyFacts, Run

if TYPE_CHECKING:
    import polars as pl

Word = Literal["FASTER", "SLOWER", "SAME", "UNDECIDED", "UNKNOWN"]
Held = Literal["holds", "fails", "undecided"]

#: SAME: the whole interval of the ratio lies within this of 1.
SAME_WITHIN = 0.02
METRICS = ("wall", "device")
_GATE = re.compile(r"\s*(wall|device)\s*>\s*(\d+(?:\.\d+)?)\s*%\s*")


class NotComparableError(RopeProfError):
    """The sides differ in what must be alike: the device, or the keys that they hold."""

    exit_code = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One side: a run, and the path and mode picked from it (None: all of them)."""

    label: str
    run: Run
    samples: pl.DataFrame
    path: str | None = None
    mode: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """One metric of one pair of keys. `ratio` is baseline / candidate; `reason` says why it is UNKNOWN or UNDECIDED."""

    case: Case
    base: str
    cand: str
    metric: str
    word: Word
    ratio: Figure | None
    reason: str | None


@dataclass(frozen=True, slots=True)
class Gate:
    """`wall>3%`: the candidate may not take over 3 % more wall than the baseline."""

    metric: str
    percent: float

    def check(self, verdict: Verdict) -> Held:
        """fails: the whole interval of the growth lies beyond the bound; undecided: it holds the bound, or is none."""
        ratio = verdict.ratio
        if verdict.word == "UNKNOWN" or ratio is None or ratio.lo is None or ratio.hi is None:
            return "undecided"
        bound = 1 + self.percent / 100
        if 1 / ratio.hi > bound:
            return "fails"
        return "holds" if 1 / ratio.lo <= bound else "undecided"


def gate(text: str) -> Gate:
    """Errors: UsageError for anything but `wall>3%` or `device>3%`."""
    found = _GATE.fullmatch(text)
    if found is None:
        raise UsageError(f"cannot read --fail-on {text!r}; expected METRIC>PERCENT%, as 'wall>3%' or 'device>5%'")
    return Gate(found[1], float(found[2]))


def compare(base: Side, cand: Side, *, paired: bool, anyway: bool = False) -> tuple[Verdict, ...]:
    """The verdicts of every pair of keys, in the baseline's order. `paired`: both sides are of one run.

    Errors: NotComparableError for another device or for keys that only one side has; with `anyway` the keys of both
    are compared, and the error is left for no such key. UsageError where a key would meet itself.
    """
    if not anyway and base.run.machine.device_name != cand.run.machine.device_name:
        raise NotComparableError(
            f"{base.label} was recorded on {base.run.machine.device_name!r}, {cand.label} on "
            f"{cand.run.machine.device_name!r}; expected one device: record both on it, or say --anyway"
        )
    left, right = _by_match(base, cand), _by_match(cand, base)
    both = [match for match in left if match in right]
    alone = [facts.key.name for match, facts in (left | right).items() if match not in both]
    if not both or (alone and not anyway):
        cure = "say --anyway to compare what both have" if both else "pick a path and mode that both have"
        raise NotComparableError(
            f"{len(alone)} of {len(left | right)} keys are on one side alone ({', '.join(alone[:2]) or 'none'}); "
            f"expected the same cases and paths in {base.label} and {cand.label}: {cure}"
        )
    if paired and any(left[match].key == right[match].key for match in both):
        raise UsageError(
            f"{base.label} and {cand.label} are the same keys of one run; pick two, as RUN:unfused RUN:fused"
        )
    return tuple(
        _verdict(left[match], right[match], metric, base.samples, cand.samples, paired=paired)
        for match in both
        for metric in METRICS
    )


def _by_match(side: Side, other: Side) -> dict[tuple[object, ...], KeyFacts]:
    """What a key must share with its partner -> its facts. A path or mode picked on both sides may differ."""
    picked_path = side.path is not None and other.path is not None
    picked_mode = side.mode is not None and other.mode is not None

    def match(key: Key) -> tuple[object, ...]:
        return (key.case, key.l2, key.rank, None if picked_path else key.path, None if picked_mode else key.mode)

    return {
        match(facts.key): facts
        for facts in side.run.keys
        if side.path in {None, facts.key.path} and side.mode in {None, facts.key.mode}
    }


def _verdict(
    base: KeyFacts, cand: KeyFacts, metric: str, left: pl.DataFrame, right: pl.DataFrame, *, paired: bool
) -> Verdict:
    ratio: Figure | None = None
    reason = next((_bad(facts) for facts in (base, cand) if facts.status != "measured"), None)
    if reason is None:
        ours, theirs = _per_call(left, base.key.name, metric), _per_call(right, cand.key.name, metric)
        ratio = paired_ratio(ours, theirs) if paired else apart_ratio(ours, theirs)
    word, why = judge(ratio)
    return Verdict(
        case=base.key.case,
        base=base.key.name,
        cand=cand.key.name,
        metric=metric,
        word=word,
        ratio=ratio,
        reason=reason or why,
    )


def _bad(facts: KeyFacts) -> str:
    return f"{facts.key.path} {facts.key.mode} is {facts.status}" + (f": {facts.reason}" if facts.reason else "")


def _per_call(samples: pl.DataFrame, key: str, metric: str) -> dict[int, float]:
    mine = samples.filter((samples["key"] == key) & (samples["clock"] == metric))
    return {row["round"]: row["ns"] / row["calls"] for row in mine.iter_rows(named=True)}


def apart_ratio(base: Mapping[int, float], cand: Mapping[int, float]) -> Figure | None:
    """Ratio of the medians of two runs; its ends hold with 95 %, since each side's do with 97.5 %."""
    each = 1 - (1 - COVERAGE) / 2
    ours, theirs = figure(list(base.values()), each), figure(list(cand.values()), each)
    if ours is None or theirs is None or theirs.median <= 0:
        return None
    lo = hi = None
    if ours.lo is not None and ours.hi is not None and theirs.lo and theirs.hi:
        lo, hi = ours.lo / theirs.hi, ours.hi / theirs.lo
    return Figure(ours.median / theirs.median, lo, hi, min(ours.n, theirs.n))


def judge(ratio: Figure | None) -> tuple[Word, str | None]:
    """The word for an interval of baseline / candidate, and why where it decides nothing."""
    if ratio is None:
        return "UNKNOWN", "no samples that both sides have"
    if ratio.lo is None or ratio.hi is None:
        return "UNKNOWN", f"{ratio.n} rounds are too few for an interval; record more"
    if ratio.lo >= 1 - SAME_WITHIN and ratio.hi <= 1 + SAME_WITHIN:
        return "SAME", None
    if ratio.lo > 1:
        return "FASTER", None
    if ratio.hi < 1:
        return "SLOWER", None
    return "UNDECIDED", "the interval holds 1 and reaches beyond 2 %; record more rounds"
