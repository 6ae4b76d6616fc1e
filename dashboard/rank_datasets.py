"""Analyses of many traces that lie in permitted folders, read once; the aligned timelines of chosen ranks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from rope_prof.dashboard.kept import kept

from rope_prof.analysis.ranks.rank import RankUse
from rope_prof.analysis.ranks.ranks import RanksReport, Recording, common_zero, ranks_report
from rope_prof.analysis.trace.analyze import accounted
from rope_prof.dashboard import allowed_files
from rope_prof.io.trace.cache import worth_caching
from rope_prof.io.trace.dataset import DEFAULT_DATASET, is_dataset, read_dataset
from rope_prof.io.trace.read import read_trace
from rope_prof.units import duration
from rope_prof.views.timeline.scene import Scene, scene
from rope_prof.views.timeline.window import WindowSide

_KEEP: Final = 4
RANKS_AT_ONCE: Final = 8
RANKS_AT_FIRST: Final = 4


def datasets(folders: Mapping[str, Path]) -> dict[str, Path]:
    """Name -> folder: the permitted folders that are analyses, their direct children, and `./rope_prof-fleet`."""
    found: dict[str, Path] = {}
    own = Path(DEFAULT_DATASET)
    if is_dataset(own):
        found[own.name] = own.resolve()
    for name, folder in folders.items():
        if is_dataset(folder):
            found.setdefault(name, folder)
        for child in sorted(folder.iterdir()):
            if child.is_dir() and not child.is_symlink() and is_dataset(child):
                found.setdefault(f"{name}/{child.name}", child)
    return found


@kept(_KEEP)
def report(folder: Path) -> RanksReport:
    """The report on the analysis in `folder`. Errors: RunError."""
    return ranks_report(read_dataset(folder))


def first_ranks(recording: Recording) -> list[str]:
    """The ranks to draw where none is chosen: the late ones, then the first that are usable."""
    usable = [rank.label for rank in recording.ranks if rank.start_ns is not None]
    late = [one.rank for one in recording.stragglers]
    chosen = list(dict.fromkeys([*late, *usable]))[:RANKS_AT_FIRST]
    return [label for label in usable if label in chosen]


def sides(recording: Recording, labels: Sequence[str], folders: Mapping[str, Path]) -> tuple[WindowSide, ...]:
    """A timeline a rank, on the recording's common clock; each is about its own span, as the table has it.

    Errors: UsageError for a trace outside the permitted folders, TraceError, ValueError for one without a span.
    """
    zeros, _ = common_zero(recording)
    ranks = {rank.label: rank for rank in recording.ranks}
    found = []
    for label in labels:
        path = allowed_files.resolve(folders, ranks[label].source)
        base, lanes = _drawn(path)
        zero = zeros[label] - base
        begin = (ranks[label].start_ns or zeros[label]) - zeros[label]
        span = ranks[label].span_ns
        side = WindowSide(
            id=f"rank-{label}",
            title=label if recording.unranked else f"rank {label}",
            facts=_facts(ranks[label]),
            scene=lanes,
            zero_ns=zero,
            begin_ns=begin,
            end_ns=lanes.hi_ns - zero if span is None else begin + span,
        )
        found.append(side)
    return tuple(found)


@kept(2 * RANKS_AT_ONCE)
def _drawn(path: Path) -> tuple[int, Scene]:
    """The base time of the trace in `path` and its lanes."""
    trace = accounted(read_trace(path, cache=worth_caching(path)))
    return trace.base_time_ns or 0, scene(trace)


def _facts(rank: RankUse) -> str:
    late = "" if rank.arrivals is None else f" · last to {rank.arrivals.last:,} collectives"
    return f"busy {duration(rank.busy_ns)} · idle {duration(rank.idle_ns)}{late}"
