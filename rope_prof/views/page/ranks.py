"""A recording of many ranks as HTML and as a table of figures. Every text is escaped; nothing is computed."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import polars as pl

from rope_prof.analysis.ranks.ranks import RanksReport, RankUse, Recording
from rope_prof.units import US
from rope_prof.views.words.ranks import clock_line, late_line


def summary_panel(found: RanksReport, recording: Recording) -> str:
    """Verdicts of all traces, what must be known of the recording, who is late."""
    verdicts = ", ".join(f"{count:,} {escape(verdict)}" for verdict, count in found.verdicts.items())
    late = "".join(f"<li><b>{escape(late_line(one))}</b></li>" for one in recording.stragglers)
    even = "" if late else "<li>No rank makes the others wait by a figure that counts.</li>"
    notes = "".join(f"<li>{escape(note)}</li>" for note in recording.notes)
    tone = "rp-suspect" if recording.stragglers or recording.notes else "rp-sound"
    return (
        f'<section class="rp-verdict {tone}"><h2>{len(recording.ranks):,} ranks of {escape(recording.name)}</h2>'
        f'<p class="rp-key">All traces of the analysis: {verdicts}. {escape(clock_line(recording))}</p>'
        f'<ul class="rp-doubts">{late}{even}{notes}</ul></section>'
    )


def rank_table(ranks: Sequence[RankUse]) -> pl.DataFrame:
    """Ranks side by side, as people read them; times in µs, causes that any rank has."""
    causes = sorted({cause for rank in ranks for cause in rank.idle_by_cause_ns})
    columns: dict[str, list[object]] = {
        "rank": [rank.label for rank in ranks],
        "verdict": [rank.verdict or rank.status for rank in ranks],
        "kernels": [rank.kernels for rank in ranks],
        "kernel time, µs": [_us(rank.kernel_ns) for rank in ranks],
        "busy, µs": [_us(rank.busy_ns) for rank in ranks],
        "idle, µs": [_us(rank.idle_ns) for rank in ranks],
        "last to": [None if rank.arrivals is None else rank.arrivals.last for rank in ranks],
        "costs the others, µs": [None if rank.arrivals is None else _us(rank.arrivals.cost_ns) for rank in ranks],
        "clock, µs": [None if rank.clock is None else _us(rank.clock.offset_ns) for rank in ranks],
    }
    columns |= {f"{cause}, µs": [_us(rank.idle_by_cause_ns.get(cause)) for rank in ranks] for cause in causes}
    columns["why"] = [rank.reason for rank in ranks]
    words = ("rank", "verdict", "why")
    counts = ("kernels", "last to")
    types = {n: pl.String if n in words else pl.Int64 if n in counts else pl.Float64 for n in columns}
    return pl.DataFrame(columns, schema=types, strict=False)


def _us(ns: int | None) -> float | None:
    return None if ns is None else round(ns / US, 1)
