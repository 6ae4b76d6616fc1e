"""The page of a comparison as HTML: what differs between the sides, how many of each verdict. Every text is escaped."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from rope_prof.analysis.comparison.sides import Difference
from rope_prof.analysis.run.differences import Unlike
from rope_prof.units import MISSING
from rope_prof.views.words.comparison import Comparison, tally

#: So many facts stand open; the rest is folded.
_OPEN = 7


def differences_panel(base: str, cand: str, must: Sequence[Difference], found: Sequence[Unlike], *, one: bool) -> str:
    """What both sides have not alike, first what a comparison needs alike; `one`: they are of one run."""
    if one:
        words = (
            "Both sides are of one run: one machine, one day, the same rounds; the ratios are paired round by round."
        )
        return f'<section><h2>What differs</h2><p class="rp-key">{words}</p></section>'
    needed = [_line(each.what, ", ".join(each.base), ", ".join(each.cand), tone="rp-slower") for each in must]
    named = {each.what for each in must}
    rest = [_line(each.what, _text(each.base), _text(each.cand)) for each in found if each.what not in named]
    if not needed and not rest:
        body = '<p class="rp-key">Nothing: machine, versions and settings are the same.</p>'
    else:
        head = f"<tr><th></th><th>{escape(base)}</th><th>{escape(cand)}</th></tr>"
        lines = [*needed, *rest]
        body = _rows(head, lines[:_OPEN]) + _folded(head, lines[_OPEN:])
    return f"<section><h2>What differs</h2>{body}</section>"


def _rows(head: str, lines: Sequence[str]) -> str:
    return f'<table class="rp-unlike"><thead>{head}</thead><tbody>{"".join(lines)}</tbody></table>'


def _folded(head: str, lines: Sequence[str]) -> str:
    if not lines:
        return ""
    return f'<details class="rp-chain"><summary>{len(lines)} more</summary>{_rows(head, lines)}</details>'


def _line(what: str, base: str, cand: str, tone: str = "") -> str:
    mark = f' class="{tone}"' if tone else ""
    return f"<tr{mark}><th>{escape(what)}</th><td>{escape(base) or MISSING}</td><td>{escape(cand) or MISSING}</td></tr>"


def _text(value: object) -> str:
    return MISSING if value is None else f"{value:,}" if type(value) is int else str(value)


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


def open_verdicts(lines: Sequence[str]) -> str:
    """Why verdicts are open, as a list; nothing without any."""
    if not lines:
        return ""
    items = "".join(f"<li>{escape(line)}</li>" for line in lines)
    return f'<section><h2>Not decided</h2><ul class="rp-doubts">{items}</ul></section>'
