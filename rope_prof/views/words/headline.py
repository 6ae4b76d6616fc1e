"""The answer of a run in words: best against best first, then mode by mode, then eager by the device's clock."""

from __future__ import annotations

from collections.abc import Sequence

from rope_prof.analysis.run.headline import BestAgainstBest
from rope_prof.units import duration, ratio
from rope_prof.views.words.labels import case_phrases
from rope_prof.views.words.verdicts import gain

_RIVALS = 5


def best_lines(found: Sequence[BestAgainstBest]) -> list[str]:
    """`fused, best against best by wall: 22.7x (graph against unfused graph) at 1 token, ...`, a line a path."""
    named = case_phrases([one.case for one in found])
    by_path: dict[str, list[str]] = {}
    for one in found:
        modes = f"{one.best.cand_mode} against {one.baseline} {one.best.base_mode}"
        by_path.setdefault(one.path, []).append(f"{gain(one.best.ratio)} ({modes}), {named[one.case]}")
    return [f"{path}, best mode against best mode by wall: {'; '.join(said)}" for path, said in by_path.items()]


def more_words(found: BestAgainstBest) -> str:
    """`In the same mode: compile 0.659x, graph 13.4x, eager 54.2x (19.0x by the device's clock).`"""
    said = [f"{one.base_mode} {ratio(one.ratio.median)}" for one in found.same]
    if not said:
        return ""
    device = f" ({ratio(found.device.ratio.median)} by the device's clock)" if found.device is not None else ""
    eager = device if found.same[-1].base_mode == "eager" else ""
    return f"In the same mode: {', '.join(said)}{eager}."


def rival_words(found: Sequence[BestAgainstBest]) -> str:
    """`Other paths at their best: rope-then-write 6.23 µs (graph).`, five by name; nothing where there is none."""
    said = [f"{one.path} {duration(one.best.after_ns)} ({one.best.cand_mode})" for one in found[:_RIVALS]]
    more = f" and {len(found) - _RIVALS} more" if len(found) > _RIVALS else ""
    return f"Other paths at their best: {', '.join(said)}{more}." if said else ""
