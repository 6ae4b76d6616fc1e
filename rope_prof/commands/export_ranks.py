"""`export DATASET --to perfetto`: the ranks of an analysis of many traces, drawn from their files on one clock."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

import polars as pl

from rope_prof.analysis.ranks.rank import RankUse
from rope_prof.analysis.ranks.ranks import Recording, ranks_report
from rope_prof.errors import RunError
from rope_prof.io.layout import NATIVE_SUFFIX
from rope_prof.io.trace.dataset import read_dataset
from rope_prof.io.trace.read import read_trace
from rope_prof.io.trace.storage import Source, fetched
from rope_prof.model.trace import Trace
from rope_prof.views.perfetto.ranks import RanksDrawn, ranks_trace

#: Events of all ranks together that one file can show: the browser's engine holds a few gigabytes.
MOST_EVENTS: Final = 6_000_000
#: Traces that a command can name and still be read.
MOST_WORDS: Final = 16


def draw_ranks(folder: Path, clean: Callable[[str], str]) -> RanksDrawn:
    """All recordings of the dataset in `folder` with all their ranks, their texts as `clean` gives them.

    Errors: RunError where it holds too many events for one file, or none; TraceError for a lost trace.
    """
    rows = read_dataset(folder)
    recordings = ranks_report(rows).recordings
    events = dict(rows.filter(pl.col("row") == "trace").select("source", pl.col("events").fill_null(0)).iter_rows())
    if sum(events[rank.source] for one in recordings for rank in _usable(one)) > MOST_EVENTS:
        raise RunError(_too_many(folder, recordings, events))
    try:
        return ranks_trace([(recording, _traces(recording)) for recording in recordings], clean)
    except ValueError as error:
        raise RunError(f"nothing to draw in {str(folder)!r}: {error}") from error


def _too_many(folder: Path, recordings: Sequence[Recording], events: Mapping[str, int]) -> str:
    """What does not fit, and the command that takes out the smallest recording, where that one fits."""
    sums = {k: sum(events[rank.source] for rank in _usable(one)) for k, one in enumerate(recordings)}
    total = sum(sums.values())
    seen = f"{str(folder)!r} has {total:,} events, more than the {MOST_EVENTS:,} that one Perfetto file can show"
    drawable = [k for k, one in enumerate(recordings) if any(rank.start_ns is not None for rank in _usable(one))]
    least = min(drawable, key=lambda k: sums[k], default=None)
    if least is None or len(recordings) == 1 or sums[least] > MOST_EVENTS:
        return f"{seen}; analyze fewer ranks into a folder of their own, with -o"
    one, sources = recordings[least], sorted(rank.source for rank in recordings[least].ranks)
    if len(sources) > MOST_WORDS:
        return f"{seen}; analyze the {len(sources)} traces of {one.name!r} into a folder of their own, with -o"
    if len(sources) == 1 and "://" not in sources[0]:
        words = ["export", *sources, "--to", "perfetto", "-o", f"{folder}-one{NATIVE_SUFFIX}"]
    else:
        words = ["analyze", *sources, "-o", f"{folder}-one"]
    command = shlex.join(["python", "-m", "rope_prof", *words])
    return f"{seen}; take out one of its {len(recordings)} recordings, as {one.name!r} by: {command}"


def _usable(recording: Recording) -> list[RankUse]:
    """The ranks that have a timeline to draw."""
    return [rank for rank in recording.ranks if rank.verdict in ("sound", "suspect")]


def _traces(recording: Recording) -> dict[str, Trace]:
    traces = {}
    for rank in _usable(recording):
        with fetched(Source(address=rank.source, size=0, stamp="")) as path:
            traces[rank.label] = read_trace(path)
    return traces
