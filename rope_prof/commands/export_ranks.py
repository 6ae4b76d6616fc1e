"""`export DATASET --to perfetto`: the ranks of an analysis of many traces, drawn from their files on one clock."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from rope_prof.analysis.fleet import Recording
    from rope_prof.model.trace import Trace

#: Events of all ranks together that one file can show: the browser's engine holds a few gigabytes.
MOST_EVENTS: Final = 6_000_000


def draw_ranks(folder: Path) -> bytes:
    """All ranks of the dataset in `folder`.

    Errors: RunError where it holds several recordings or too many events for one file; TraceError for a lost trace.
    """
    import polars as pl

    from rope_prof.analysis.fleet import fleet
    from rope_prof.errors import RunError
    from rope_prof.io.fleet_dataset import read_dataset
    from rope_prof.views.perfetto_ranks import ranks_trace

    rows = read_dataset(folder)
    recordings = fleet(rows).recordings
    if len(recordings) != 1:
        names = ", ".join(recording.name for recording in recordings[:6])
        raise RunError(
            f"{str(folder)!r} holds {len(recordings)} recordings ({names}); expected one: analyze one of them alone "
            "into a folder of its own, with -o"
        )
    events = int(rows.filter(pl.col("row") == "trace")["events"].sum() or 0)
    if events > MOST_EVENTS:
        raise RunError(
            f"{str(folder)!r} has {events:,} events, more than the {MOST_EVENTS:,} that one Perfetto file can show; "
            "analyze fewer ranks into a folder of their own, with -o"
        )
    (recording,) = recordings
    try:
        return ranks_trace(recording, _traces(recording))
    except ValueError as error:
        raise RunError(f"nothing to draw in {str(folder)!r}: {error}") from error


def _traces(recording: Recording) -> dict[str, Trace]:
    from rope_prof.io.storage import Source, fetched
    from rope_prof.io.traces import read_trace

    traces = {}
    for rank in recording.ranks:
        if rank.verdict in ("sound", "suspect"):
            with fetched(Source(address=rank.source, size=0, stamp="")) as path:
                traces[rank.label] = read_trace(path)
    return traces
