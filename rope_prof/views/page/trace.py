"""The verdict on a stranger's trace as HTML, and its ranges as a frame. Every text is escaped; nothing is computed."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import polars as pl

from rope_prof.analysis.trace.analyze import Analysis
from rope_prof.analysis.trace.ranges import RangeUse
from rope_prof.units import US

_WORDS = {
    "sound": "Sound: nothing in the file speaks against its figures.",
    "suspect": "Suspect: read the figures with what follows in mind.",
    "unusable": "Unusable: there is nothing here to account for.",
}


def verdict(analysis: Analysis, events: int) -> str:
    """Is the file sound, and what must a reader know."""
    judged = analysis.integrity
    tone = {"sound": "rp-sound", "suspect": "rp-suspect", "unusable": "rp-unusable"}[judged.verdict]
    items = "".join(
        f"<li><b>{escape(finding.code)}{f' ×{finding.count:,}' if finding.count > 1 else ''}</b> "
        f"{escape(finding.detail)}</li>"
        for finding in judged.findings
    )
    links = analysis.links
    linked = f", {links.linked:,} GPU events with their launch, {links.unlinked:,} without" if links.linked else ""
    return (
        f'<section class="rp-verdict {tone}"><h2>{escape(_WORDS[judged.verdict])}</h2>'
        f'<p class="rp-key">{escape(analysis.format)} · {events:,} events{linked}</p>'
        f"{f'<ul class=rp-doubts>{items}</ul>' if items else ''}</section>"
    )


def range_table(ranges: Sequence[RangeUse]) -> pl.DataFrame:
    """Ranges by busy time, as people read them; names letter for letter."""
    several = len({use.device for use in ranges}) > 1
    frame = pl.DataFrame(
        {
            "range": [use.name for use in ranges],
            "device": [use.device for use in ranges],
            "calls": [use.calls for use in ranges],
            "kernels": [use.kernels for use in ranges],
            "busy, µs": [round(use.busy_ns / US, 1) for use in ranges],
            "idle, µs": [round(use.idle_ns / US, 1) for use in ranges],
            "µs a call, median": [
                None if use.us_per_call is None else round(use.us_per_call.median, 3) for use in ranges
            ],
            "10 %": [None if use.us_per_call is None else round(use.us_per_call.lo, 3) for use in ranges],
            "90 %": [None if use.us_per_call is None else round(use.us_per_call.hi, 3) for use in ranges],
        },
        schema_overrides={"µs a call, median": pl.Float64, "10 %": pl.Float64, "90 %": pl.Float64},
    )
    return frame if several else frame.drop("device")
