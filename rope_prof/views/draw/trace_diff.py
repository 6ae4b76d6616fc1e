"""The waterfall of two traces as a Plotly figure: a call before, what each part adds or takes away, a call after.

A bar's hue says what the time is, as everywhere: kernels, copies, idle by its cause. Its label says the sign.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rope_prof.analysis.diff.diff import DiffTerm, TraceDiff
from rope_prof.units import MS, US, duration, significant
from rope_prof.views.draw.palette import Palette
from rope_prof.views.draw.plotly_figures import layout
from rope_prof.views.words.differences import signed, term_words
from rope_prof.views.words.names import plotly_text

if TYPE_CHECKING:
    import plotly.graph_objects as go

_ROW = 34
_ENDS = 110
_MS_FROM = 1e7
_BEFORE, _AFTER = "a call before", "a call after"


def diff_figure(diff: TraceDiff, palette: Palette, title: str) -> go.Figure:
    """Rows from the top: before, the parts by their change, after; values and places on hover."""
    import plotly.graph_objects as go

    terms = [term for term in diff.terms if term.delta_ns]
    before, after = float(diff.before_ns), float(diff.after_ns)
    deltas = [float(term.delta_ns) for term in terms]
    bases = [0.0, *(before + sum(deltas[:k]) for k in range(len(deltas))), 0.0]
    most = max((*bases, before, after), default=1.0)
    scale, unit = (MS, "ms") if most >= _MS_FROM else (US, "µs")
    bars = go.Bar(
        orientation="h",
        y=[_BEFORE, *(term_words(term) for term in terms), _AFTER],
        base=[ns / scale for ns in bases],
        x=[ns / scale for ns in (before, *deltas, after)],
        text=[duration(before), *(signed(term.delta_ns) for term in terms), duration(after)],
        textposition="outside",
        cliponaxis=False,
        marker={"color": [palette.muted, *(_colour(term, palette) for term in terms), palette.muted]},
        hovertext=[duration(before), *map(_hover, terms), duration(after)],
        hovertemplate="%{y}<br>%{hovertext}<extra></extra>",
    )
    shape = layout(
        palette,
        title,
        _ENDS + _ROW * (len(terms) + 2),
        xaxis={"title": {"text": f"{unit} a call, profiled"}, "range": [0, most / scale * 1.12]},
        yaxis={"autorange": "reversed", "automargin": True},
        bargap=0.35,
    )
    return go.Figure(data=[bars], layout=shape)


def _colour(term: DiffTerm, palette: Palette) -> str:
    if term.cause is not None:
        return palette.causes.get(term.cause, palette.bubble)
    return {"kernels": palette.kernel, "copies": palette.copy}.get(term.part, palette.rule)


def _hover(term: DiffTerm) -> str:
    place = f"<br>most of it in {plotly_text(term.place)}" if term.place else ""
    share = "" if not term.before_ns else f" ({significant(float(100 * term.delta_ns / term.before_ns))} %)"
    was, now = duration(float(term.before_ns)), duration(float(term.after_ns))
    return f"{was} → {now}: {signed(term.delta_ns)}{share}{place}"
