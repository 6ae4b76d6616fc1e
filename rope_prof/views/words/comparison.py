"""A comparison in words: what bounds said, why verdicts are open, what the figures mean and where they come from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from rope_prof.analysis.comparison.apart import CAPTURES
from rope_prof.analysis.comparison.compare import METRICS, Verdict, families
from rope_prof.analysis.comparison.gates import Checked
from rope_prof.analysis.comparison.sides import Difference, Side
from rope_prof.analysis.run.differences import Unlike, unsaid
from rope_prof.analysis.run.series import repeats
from rope_prof.analysis.stats import LEAST_APART
from rope_prof.model.frozen import Frozen
from rope_prof.units import MISSING, counted, ratio
from rope_prof.views.words.labels import case_phrases, family_words, short
from rope_prof.views.words.machine import machine_line
from rope_prof.views.words.sampled import counted_over

_HELD = {
    "fails": "FAILS",
    "undecided": "CANNOT BE JUDGED, which is no pass (--allow-unknown passes it)",
    "holds": "holds",
}
_VERDICTS: Final = {"FASTER": "faster", "SLOWER": "slower", "SAME": "the same"}
_PAIRED: Final = {
    "rounds": "the ratio is the median of the rounds' own ratios, its 95 % interval by order statistics.",
    "processes": "each pair of processes gives one ratio, the median of its rounds' own; the ratio is their geometric "
    "mean, its 95 % interval Student's t over the pairs.",
}
_ALLOWED = "allowed by --allow-unknown, not judged"


class Comparison(Frozen, kw_only=True):
    """All that is drawn. `typed`: both sides as they were; `command` can be typed again."""

    typed: tuple[str, str]
    base: Side
    cand: Side
    paired: bool
    command: str
    verdicts: Sequence[Verdict]
    checked: Sequence[Checked] = ()
    allow_unknown: bool = False
    differences: Sequence[Difference] = ()
    unlike: Sequence[Unlike] = ()


def tally(found: Comparison) -> list[tuple[str, list[tuple[str, int]]]]:
    """(metric, how many verdicts of each word) in the order of the table."""
    counted: dict[str, dict[str, int]] = {}
    for v in found.verdicts:
        words = counted.setdefault(v.metric, {})
        words[v.word] = words.get(v.word, 0) + 1
    return [(metric, list(words.items())) for metric, words in counted.items()]


def compare_answer(found: Comparison) -> str:
    """In how many cases the candidate is faster and slower by the wall clock, and by how much at least and at most."""
    walls = [v for v in found.verdicts if v.metric == "wall"]
    ratios = [v.ratio.median for v in walls if v.ratio is not None]
    if not ratios:
        return "Not known: nothing was timed on both sides."
    counts = {word: sum(v.word == word for v in walls) for word in _VERDICTS}
    said = [f"{_VERDICTS[word]} in {count}" for word, count in counts.items() if count]
    ends = " to ".join(dict.fromkeys((ratio(min(ratios)), ratio(max(ratios)))))
    if len(walls) == 1:
        word = _VERDICTS.get(walls[0].word)
        return f"{'Not decided' if word is None else f'The candidate is {word}'}: {ends}."
    return f"Of {counted(len(walls), 'case')} the candidate is {', '.join(said) or 'decided in none'}: {ends}."


def gates(found: Comparison) -> list[str]:
    """What each bound said, a line a failure, else one for all keys of an answer; then which keys are under none."""
    cases = case_phrases([v.case for v in found.verdicts])
    words = _HELD | ({"undecided": _ALLOWED} if found.allow_unknown else {})
    said: dict[tuple[str, str], list[str]] = {}
    for g, v, held in found.checked:
        name = f"{short(v.cand)} ({cases[v.case]})"
        bound = f"{g.metric}>{g.percent:g}%{f' for {name}' if held == 'fails' else ''}"
        said.setdefault((held, bound), []).append(name)
    lines = [
        f"{words[held]}: {bound}" + (f" for {_few(names)}" if held != "fails" else "")
        for (held, bound), names in said.items()
    ]
    metrics = {g.metric for g, _, _ in found.checked}
    free = [
        f"{short(v.cand)}, {v.metric} ({cases[v.case]})" for v in found.verdicts if v.untimed and v.metric in metrics
    ]
    return [*lines, *([f"under no bound, since no side can time them: {_few(free)}"] if free else [])]


def reasons(found: Comparison) -> list[str]:
    """Why a verdict is open; one line for all verdicts of one reason."""
    cases = case_phrases([v.case for v in found.verdicts])
    lines: dict[tuple[str, str], list[str]] = {}
    for v in found.verdicts:
        if v.reason:
            named = f"{short(v.cand)}, {v.metric} ({cases[v.case]})"
            lines.setdefault((v.word, v.reason), []).append(named)
    return [f"{word}, {reason}: {_few(named)}" for (word, reason), named in lines.items()]


def _few(names: Sequence[str], most: int = 4) -> str:
    left = len(names) - most
    return "; ".join(names[:most]) + (f"; and {left} more" if left > 0 else "")


def method(found: Comparison) -> list[str]:
    """What the figures mean, where and how they were measured, and what is in the interval."""
    return [
        "Over 1 the candidate is faster; SAME: the whole interval within 2 % of 1; FASTER and SLOWER: all of it on one "
        "side of 1. Per call; kernels and bubble (wall less the busy time of the capture) come from the traces.",
        _pairing(found),
        *([] if found.paired else _between(found.verdicts)),
        *_families(found),
        f"95 % intervals over {_rounds(found.verdicts)}; L2 state: {_states(found)}{_family(found)}.",
        *_machines(found),
        *([f"The runs differ in {'; '.join(map(_unlike, found.unlike))}."] if found.unlike else []),
        *_unsaid(found),
        *(f"Compared although they differ in {one}." for one in found.differences),
        *_throttled(found),
    ]


def _pairing(found: Comparison) -> str:
    if found.paired:
        graphs = any(v.between for v in found.verdicts)
        return (
            "Both sides were measured in the same rounds, in an order shuffled in each; "
            + _PAIRED["processes" if repeats(found.base.run) > 1 else "rounds"]
            + (f" Of graphs it is widened by {CAPTURES - 1:.2%}, which captures of the same calls differ by." * graphs)
        )
    of = [repeats(side.run) for side in (found.base, found.cand)]
    if min(of) > 1:
        return (
            f"Two runs of {of[0]} and {of[1]} processes a side: the ratio is that of the processes' medians, its "
            "interval Student's t over them, widened by what runs of the same code differ by: all of a run share its "
            "host and hour."
        )
    alike = "" if of[0] == of[1] else f" One of them has {max(of)} processes a side, the other one: by their rounds."
    return (
        "Two runs: the ratio is that of the medians, its interval the ends of both sides' own, each at 97.5 %, widened "
        f"by what runs of the same code differ by.{alike}"
    )


def _between(verdicts: Sequence[Verdict]) -> list[str]:
    """How far runs of the same code differ, by the clock; which verdicts rest on six rounds, or on the same samples."""
    lines = []
    for metric in METRICS:
        known: dict[str, list[float]] = {}
        for v in verdicts:
            if v.metric == metric and v.between:
                known.setdefault(v.between.how, []).append(v.between.share)
        for how, shares in known.items():
            least, most = min(shares), max(shares)
            size = f"{least:.1%}" if f"{least:.1%}" == f"{most:.1%}" else f"{least:.1%} to {most:.1%}"
            lines.append(f"Runs of the same code may differ by {size} by {metric}: {how}.")
    six = [
        v
        for v in verdicts
        if v.within is not None and v.within.lo is not None and v.within.over == "rounds" and v.within.n < LEAST_APART
    ]
    if six:
        lines.append(
            f"{len(six)} verdicts rest on six rounds: the whole range of a side is taken, and both hold at once with "
            "93.8 %, not 95 %. Record at least seven."
        )
    same = {v.base for v in verdicts if v.metric == "wall" and v.within is None and _is_one(v)}
    if same:
        lines.append(f"{len(same)} keys hold the very same samples on both sides: one recording, not two runs.")
    return lines


def _is_one(v: Verdict) -> bool:
    return v.ratio is not None and (v.ratio.lo, v.ratio.median, v.ratio.hi) == (1.0, 1.0, 1.0) and v.p_value is None


def _families(found: Comparison) -> list[str]:
    """`wall: 14 of 16 differ, 0.8 expected by chance alone; 14 after Holm's correction.`"""
    most = "" if found.paired else "at most "
    return [
        f"{one.metric}: {one.differ} of {one.judged} differ, {most}{one.by_chance:.1f} expected by chance alone; "
        f"{one.kept} after Holm's correction for {one.judged} comparisons."
        for one in families(found.verdicts)
    ]


def _unlike(one: Unlike) -> str:
    before, after = (MISSING if value is None else value for value in (one.base, one.cand))
    return f"{one.what} ({before} against {after})"


def _rounds(verdicts: Sequence[Verdict]) -> str:
    return counted_over(v.ratio for v in verdicts if v.metric in METRICS) or MISSING


def _states(found: Comparison) -> str:
    return ", ".join(dict.fromkeys(facts.key.l2 for side in (found.base, found.cand) for facts in side.keys))


def _family(found: Comparison) -> str:
    """What all cases share; none where they are of several families, which the table tells apart."""
    shared = {family_words(v.case) for v in found.verdicts}
    word = shared.pop() if len(shared) == 1 else ""
    return f"; all cases: {word}" if word else ""


def _machines(found: Comparison) -> list[str]:
    base, cand = (
        f"{machine_line(side.run.machine)}, recorded {side.run.created[:10]} by rope_prof {side.run.rope_prof}"
        for side in (found.base, found.cand)
    )
    return [f"Machine: {base}."] if base == cand else [f"Baseline on {base}.", f"Candidate on {cand}."]


def _unsaid(found: Comparison) -> list[str]:
    what = () if found.paired else unsaid(found.base.run, found.cand.run)
    return [f"Neither run says: {', '.join(what)}. They may differ in it."] if what else []


def _throttled(found: Comparison) -> list[str]:
    """A line for each side with samples that were taken while the clock was held down."""
    lines = []
    for side, names in (
        (found.base, {v.base for v in found.verdicts}),
        (found.cand, {v.cand for v in found.verdicts}),
    ):
        mine = side.samples.filter(side.samples["key"].is_in(list(names)))
        held = int(mine["throttled"].sum() or 0)
        if held:
            lines.append(
                f"{side.label}: {held} of {mine.height} samples were taken while the GPU's clock was held down."
            )
    return lines
