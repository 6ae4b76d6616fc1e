"""The page of a sweep as HTML: where fusing stops to matter, and the pictures of a family. Every text is escaped."""

from __future__ import annotations

from html import escape
from typing import Any

import polars as pl

from rope_prof.analysis.run.sweep import turning_points
from rope_prof.model.run import OperationFacts
from rope_prof.views.words.sweep import turning_words

MARKS = (
    "▼: slower than the baseline in the same mode, the whole interval of the paired ratio below 1. "
    "?: too few rounds for an interval. Whiskers: 95 % interval of the median; most are smaller than their point."
)
FLOOR = (
    "One pass over the bytes reads and writes each byte once and computes nothing, measured in the same run: "
    "the device can do no better. Share of it: that pass / the path's device time; the lines above are the host's wall "
    "time, which holds the launches too."
)


def matters(baseline: str) -> str:
    """What the sentences above the pictures mean, and where the chosen baseline's difference stands."""
    words = "Fusing matters where it is faster than the baseline in the same mode for sure."
    return f"{words} The difference to {baseline} is in the table and at each point." if baseline else words


def one_count(run: str, operation: OperationFacts) -> str:
    """What to do where there is nothing to draw a line through."""
    return f"What is chosen of run {run} has one value of {operation.swept}: no line to draw. This records a sweep:"


def family_head(title: str, rows: pl.DataFrame, operation: OperationFacts) -> str:
    """One family of cases: its name, and a sentence a path and mode."""
    return f'<section class="rp-family"><h2>{escape(title)}</h2>{turnings(rows, operation)}</section>'


def turnings(rows: pl.DataFrame, operation: OperationFacts) -> str:
    """`fused · eager: fusing matters up to 4,096 tokens`, a line each; why there is none where nothing was judged."""
    turns = turning_points(rows, operation).to_dicts()
    if not turns:
        return '<p class="rp-key">Only the baseline is shown: choose a path to hold against it.</p>'
    return f'<ul class="rp-turns">{"".join(_turn(turn, operation) for turn in turns)}</ul>'


def _turn(turn: dict[str, Any], operation: OperationFacts) -> str:
    tone = ' class="rp-slower"' if turn["loses_at"] else ""
    side = escape(f"{turn['path']} · {turn['mode']}")
    return f"<li{tone}><b>{side}</b>: {escape(turning_words(turn, operation))}</li>"
