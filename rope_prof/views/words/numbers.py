"""What must be said under the numbers that a run proves: what does not close, and by which ways ceilings were found."""

from __future__ import annotations

from collections.abc import Sequence

from rope_prof.analysis.run.ceilings import Ceilings
from rope_prof.analysis.run.closure import CLOSES_WITHIN
from rope_prof.analysis.run.decomposition import Decomposition
from rope_prof.analysis.run.numbers import Numbers
from rope_prof.analysis.run.series import repeats
from rope_prof.units import GIGA, duration
from rope_prof.views.words.labels import apart, case_phrases, told
from rope_prof.views.words.sampled import interval_line
from rope_prof.views.words.verdicts import MEANING


def decomposed(found: Numbers, one: Decomposition) -> str:
    """`fused eager, rank 1`: whose gain that is, with what tells it from the others."""
    return f"{one.cand.path} {one.cand.mode}" + told(one.cand, apart([d.cand for d in found.decompositions]))


def number_notes(found: Numbers) -> list[str]:
    """What does not close and why, and by which ways the ceilings were found."""
    named = case_phrases([one.cand.case for one in found.decompositions])
    whole = [one for one in found.decompositions if one.residual is not None]
    reached: dict[tuple[str, str], list[str]] = {}
    for one in whole:
        if one.reason:
            reached.setdefault((one.reason, named[one.cand.case]), []).append(decomposed(found, one))
    lines = [f"{', '.join(of)}, {case} does not close: {reason}" for (reason, case), of in reached.items()]
    if whole:
        lines.append(
            f"a decomposition closes where on each side what busy and gaps leave of its device time is under "
            f"{CLOSES_WITHIN:.0%} of that, and its bytes are possible; intervals are 95 %, drawn over the "
            + ("rounds" if repeats(found.run) < 2 else "processes")
        )
    reasons = dict.fromkeys(one.reason for one in found.decompositions if one.residual is None and one.reason)
    lines += [f"by difference: {reason}" for reason in reasons]
    lines += _ceilings_notes(found.ceilings)
    if found.modes:
        meaning = f": {MEANING}" if any(row.fusing for row in found.modes) else ""
        lines.append(interval_line(found.rows) + meaning)
    return lines


def _ceilings_notes(ceilings: Sequence[Ceilings]) -> list[str]:
    """The ceilings of the first case that has some, with its name: the copy and the launches hardly depend on it."""
    measured = [one for one in ceilings if one.measured]
    if not measured:
        return []
    first, ranked = measured[0], len({one.rank for one in measured}) > 1
    at = case_phrases([one.case for one in measured])[first.case] + (f", rank {first.rank}" if ranked else "")
    more = f"; those of the other {len(measured) - 1}: show --json" if len(measured) > 1 else ""
    return [ceilings_line(first, at) + more]


def ceilings_line(limits: Ceilings, at: str = "") -> str:
    """`ceilings: copy 3,013 GB/s (eager), ...`, or `ceilings at 64 tokens: ...` where `at` names their case."""
    how = limits.methods
    parts = []
    if limits.copy_bytes_per_s is not None:
        parts.append(f"copy {limits.copy_bytes_per_s / GIGA:,.0f} GB/s ({how['copy']})")
    if limits.empty_launch_ns is not None:
        parts.append(f"empty launch {duration(limits.empty_launch_ns)} ({how['empty_launch']})")
    if limits.graph_node_ns is not None:
        parts.append(f"graph node {duration(limits.graph_node_ns)} ({how['graph_node']})")
    for l2, gap in limits.graph_gap_ns.items():
        parts.append(f"of a plain chain {duration(gap)} beyond its own busy time, {l2}")
    where = f"ceilings at {at}: " if at else "ceilings: "
    return where + ", ".join(parts) if parts else "no ceiling was measured"
