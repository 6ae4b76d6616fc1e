"""A comparison in words: what bounds said, why verdicts are open, what the figures mean and where they come from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rope_prof.analysis.comparison.compare import Difference, Gate, Held, Side, Verdict
from rope_prof.units import MISSING
from rope_prof.views.words.labels import short
from rope_prof.views.words.machine import machine_line

Checked = tuple[Gate, Verdict, Held]
_HELD = {"fails": "FAILS", "undecided": "warning, undecided", "holds": "holds"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """All that is drawn. `typed`: both sides as they were; `command` can be typed again."""

    typed: tuple[str, str]
    base: Side
    cand: Side
    paired: bool
    command: str
    verdicts: Sequence[Verdict]
    checked: Sequence[Checked] = ()
    differences: Sequence[Difference] = ()


def tally(found: Comparison) -> list[tuple[str, list[tuple[str, int]]]]:
    """(metric, how many verdicts of each word) in the order of the table."""
    counted: dict[str, dict[str, int]] = {}
    for v in found.verdicts:
        words = counted.setdefault(v.metric, {})
        words[v.word] = words.get(v.word, 0) + 1
    return [(metric, list(words.items())) for metric, words in counted.items()]


def gates(found: Comparison) -> list[str]:
    """What each bound said."""
    return [
        f"{_HELD[held]}: {g.metric}>{g.percent:g}% for {short(v.cand)} ({v.case.name})" for g, v, held in found.checked
    ]


def reasons(found: Comparison) -> list[str]:
    """Why a verdict is open; one line for all verdicts of one reason."""
    lines: dict[tuple[str, str], list[str]] = {}
    for v in found.verdicts:
        if v.reason:
            named = f"{short(v.cand)}, {v.metric} ({v.case.name})"
            lines.setdefault((v.word, v.reason), []).append(named)
    return [f"{word}, {reason}: {_few(named)}" for (word, reason), named in lines.items()]


def _few(names: Sequence[str], most: int = 4) -> str:
    left = len(names) - most
    return "; ".join(names[:most]) + (f"; and {left} more" if left > 0 else "")


def method(found: Comparison) -> list[str]:
    """What the figures mean, where and how they were measured, and what is not in the interval."""
    pairing = (
        "Both sides were measured in the same rounds, in an order shuffled in each; the ratio is the median of the "
        "rounds' own ratios, its 95 % interval by order statistics."
        if found.paired
        else "Two runs: the ratio is that of the medians, its 95 % interval the ends of both sides' own at 97.5 %; it "
        "does not hold how far the machine differs from one run to the next."
    )
    return [
        "Over 1 the candidate is faster; SAME: the whole interval within 2 % of 1; FASTER and SLOWER: all of it on one "
        "side of 1. Per call; kernels and bubble (wall less the busy time of the capture) come from the traces.",
        pairing,
        f"Rounds: {_rounds(found.verdicts)}; L2 state: {_states(found)}.",
        *_machines(found),
        *(f"Compared although they differ in {one}." for one in found.differences),
        *_throttled(found),
    ]


def _rounds(verdicts: Sequence[Verdict]) -> str:
    counts = sorted({v.ratio.n for v in verdicts if v.ratio and v.metric != "kernels"})
    return MISSING if not counts else str(counts[0]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"


def _states(found: Comparison) -> str:
    return ", ".join(dict.fromkeys(facts.key.l2 for side in (found.base, found.cand) for facts in side.keys))


def _machines(found: Comparison) -> list[str]:
    base, cand = (
        f"{machine_line(side.run.machine)}, recorded {side.run.created[:10]} by rope_prof {side.run.rope_prof}"
        for side in (found.base, found.cand)
    )
    return [f"Machine: {base}."] if base == cand else [f"Baseline on {base}.", f"Candidate on {cand}."]


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
