"""baseline x candidate -> one verdict per key and metric, with ratio, interval and reason. Pure.

The ratio is baseline / candidate: over 1 the candidate is faster, or has fewer kernels. Two selections of one run are
paired round by round, which cancels the machine's drift. Two runs share no rounds (`evidence` says what is then known),
and where nobody knows what runs of the same code differ by, the verdict is UNDECIDED. Two runs that hold the very same
samples of a key are one recording, and the same.

`bubble` is the wall time of a call less the busy time of its capture; `kernels` are counted in the capture and have no
interval. Differences stand only if they stand among all of their metric (`family`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from rope_prof.analysis.comparison.apart import Between
from rope_prof.analysis.comparison.evidence import BothSides, BubbleParts, Evidence, Known, WithheldError, evidence
from rope_prof.analysis.comparison.family import ALPHA, Family, holm
from rope_prof.analysis.comparison.sides import NotComparableError, Side, differences, partners, refusal
from rope_prof.analysis.stats import Figure
from rope_prof.analysis.verdict import SAME_WITHIN, Word, judge
from rope_prof.errors import UsageError
from rope_prof.model.frozen import Frozen
from rope_prof.model.run import Case, KeyFacts

#: What the samples alone tell.
METRICS = ("wall", "device")
#: What the captures tell too.
ALL_METRICS = (*METRICS, "kernels", "bubble")


class Verdict(Frozen, kw_only=True):
    """One metric of one pair of keys. `ratio` is baseline / candidate; `reason` says why it is UNKNOWN or UNDECIDED.

    `before` and `after`: the medians of both sides, in ns per call; of `kernels` their number per call.
    Of two runs: `within` is the ratio by their rounds alone, `between` how far runs of the same code differ, which
    `ratio` has in its interval; of graphs of one run it is captures of the same calls. `p_value`: how likely such a
    difference is of sides that have none; `chance`: it is no more than so many comparisons give. `untimed`: a key that
    the device of neither side can time.
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
    chances: bool = True,
) -> tuple[Verdict, ...]:
    """The verdicts of every pair of keys, in the baseline's order. `paired`: both sides are of one run.

    `known`: how far two runs of the same code differed before; the larger of that and of what their reference calls say
    counts. Without `chances` verdicts of one run have no `p_value`, and each is told by itself.

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
    sides = BothSides(base, cand, paired, known, chances or not paired)
    verdicts = tuple(_verdict(sides, left, right, metric) for left, right in pairs for metric in metrics)
    return _corrected(verdicts)


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
    words = "differs by itself, but not among all verdicts of its metric (Holm); record more of it"
    return tuple(
        replace(v, word="UNDECIDED", reason=words, chance=True)
        if (v.metric, v.base) in lost and v.word in {"FASTER", "SLOWER"}
        else v
        for v in verdicts
    )


def _verdict(sides: BothSides, left: KeyFacts, right: KeyFacts, metric: str) -> Verdict:
    both, withheld = sides.with_facts(left, right), None
    halves = both if metric == "bubble" and (left.status, right.status) == ("measured", "measured") else ()
    try:
        made = evidence(sides, left, right, metric)
    except WithheldError as error:
        before, after = [one.plain_bubble() for one in halves] or [None, None]
        made, withheld = Evidence(None, before, after), str(error)
    word, why = _judge_counts(made.ratio) if metric == "kernels" else _judge_times(made)
    if metric == "wall" and word in {"FASTER", "SLOWER"} and why is None:
        why = _replayed_once(*(one.step_of_one_replay() for one in both))
    parts = [one.parts() for one in halves] or [None, None]
    return Verdict(
        case=left.key.case,
        base=left.key.name,
        cand=right.key.name,
        metric=metric,
        word=word,
        ratio=made.ratio,
        reason=withheld or why,
        before=made.before,
        after=made.after,
        within=made.within,
        between=made.between,
        p_value=made.p_value,
        untimed={left.status, right.status} <= {"unavailable", "checked"},
        before_parts=parts[0],
        after_parts=parts[1],
    )


def _replayed_once(ours: int | None, theirs: int | None) -> str | None:
    """What a wall verdict carries where a sample is one replay of so many calls on one side, and on the other not."""
    if (ours is None) == (theirs is None):
        return None
    return (
        f"by wall, and a sample of the graph is one replay: a {ours or theirs}th of its launch and of the wait "
        "for its end is in each call, of the other side's hardly anything; judge these two by the device's clock"
    )


def _judge_counts(ratio: Figure | None) -> tuple[Word, str | None]:
    """A count is exact: any difference is one."""
    if ratio is None:
        return "UNKNOWN", None
    return "SAME" if ratio.median == 1 else "FASTER" if ratio.median > 1 else "SLOWER", None


def _judge_times(found: Evidence) -> tuple[Word, str | None]:
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
    more, hint = ("rounds", "") if ratio.over == "rounds" else ("processes", " (--repeats)")
    if word == "UNKNOWN":
        return word, f"{ratio.n} {more} are too few for an interval; record more"
    if word == "UNDECIDED":
        return word, f"the interval holds 1 and reaches beyond {SAME_WITHIN * 100:g} %; record more {more}{hint}"
    return word, None
