"""What the samples of a run's intervals are, how many, and by which method: rounds of one process, or processes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

from rope_prof.analysis.run.rows import Row
from rope_prof.analysis.run.series import repeats
from rope_prof.analysis.stats import Figure, Over
from rope_prof.model.run import Run

_ONE: Mapping[Over, str] = MappingProxyType({"processes": "process", "pairs of processes": "pair of processes"})


def counted_over(found: Iterable[Figure | None]) -> str:
    """`60 rounds`, `6 to 12 rounds`, `2 pairs of processes`: what those figures' intervals are over; empty for none."""
    counts: dict[Over, list[int]] = {}
    for one in found:
        if one is not None:
            counts.setdefault(one.over, []).append(one.n)
    return ", ".join(_told(over, min(ns), max(ns)) for over, ns in counts.items())


def _told(over: Over, least: int, most: int) -> str:
    word = _ONE.get(over, over.removesuffix("s")) if most == 1 else over
    return f"{least if least == most else f'{least:,} to {most:,}'} {word}"


def columns(found: Figure | None) -> dict[str, int | None]:
    """`rounds` and `processes` of a table for other programs: one of them, or none."""
    return {
        "rounds": found.n if found is not None and found.over == "rounds" else None,
        "processes": found.n if found is not None and "processes" in found.over else None,
    }


def planned(run: Run) -> str:
    """`60 planned`, of K processes a side `12 planned of each of 5 fresh processes a side`, and in which order."""
    rounds, of = run.settings.get("rounds"), repeats(run)
    more = f" of each of {of} fresh processes a side, one after another, every other time in the other order (ABBA)"
    return f"{'not stated' if rounds is None else rounds} planned{more if of > 1 else ''}"


def interval_line(rows: Sequence[Row]) -> str:
    """`95 % intervals over 60 rounds, by order statistics; ratios are paired round by round`; of K processes a side
    by Student's t over them, and no figure is over rounds."""
    found = [one for row in rows for one in (row.wall_ns, row.device_ns)]
    others = [row for row in rows if not row.is_baseline]
    ratios = counted_over(one for row in others for one in (row.speedup_interval, row.mode_speedup))
    times = counted_over(found)
    if not times:
        return "no time has an interval"
    if all(one is None or one.over == "rounds" for one in found):
        paired = "; ratios are paired round by round" if ratios else ""
        return f"95 % intervals over {times}, by order statistics{paired}"
    said = f", of ratios over {ratios} that shared their rounds" if ratios else ""
    return f"95 % intervals of times over {times}{said}, by Student's t of logarithms; none is over rounds"
