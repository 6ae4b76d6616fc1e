"""How many verdicts of each word a comparison has, as HTML. Every text is escaped."""

from __future__ import annotations

from html import escape

from rope_prof.views.words.comparison import Comparison, tally


def verdict_panel(found: Comparison) -> str:
    """Both sides, and for each metric how many verdicts of each word."""
    base, cand = found.typed
    counts = "".join(
        f"<div><dt>{escape(metric)}</dt><dd>{', '.join(_count(word, n) for word, n in words)}</dd></div>"
        for metric, words in tally(found)
    )
    return (
        f'<section><h2>{escape(cand)} <span class="rp-kicker">against</span> {escape(base)}</h2>'
        f'<dl class="rp-facts">{counts}</dl></section>'
    )


def _count(word: str, number: int) -> str:
    tone = ' class="rp-slower"' if word == "SLOWER" else ' class="rp-doubt"' if word in {"UNDECIDED", "UNKNOWN"} else ""
    return f"<span{tone}><b>{number}</b> {escape(word)}</span>"
