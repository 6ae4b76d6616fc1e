"""Ranks against ranges as a Plotly heat map: how much longer a call takes on one rank than on the middle of them."""

from __future__ import annotations

import plotly.graph_objects as go

from rope_prof.analysis.ranks.rank import RangeAcross
from rope_prof.analysis.ranks.ranks import Recording
from rope_prof.units import duration, ratio
from rope_prof.views.draw.palette import Palette
from rope_prof.views.draw.plotly_figures import layout
from rope_prof.views.words.names import folded, plotly_text, short_name

RANGES_DRAWN = 24
#: A map of even ranks is not to look like one of late ranks: its scale ends here at least.
LEAST_TOP = 1.1
_ROW, _HEAD = 26, 96


def heat_figure(recording: Recording, palette: Palette, source: str) -> go.Figure:
    """Ranges by busy time downwards, ranks to the right; the colour is the rank's call over the ranks' median.

    A call at or under the median has the ground's colour; a range that a rank lacks is a hole.
    """
    drawn = recording.ranges[:RANGES_DRAWN]
    ratios = [[_over(across, ns) for ns in across.call_ns] for across in drawn]
    known = [value for row in ratios for value in row if value is not None]
    figure = go.Figure(
        go.Heatmap(
            z=ratios,
            x=[f"{plotly_text(rank.label)}\u200b" for rank in recording.ranks],  # a word: an axis of names, not numbers
            y=list(range(len(drawn))),
            customdata=[[_hover(across, k, recording) for k in range(len(recording.ranks))] for across in drawn],
            hovertemplate="%{customdata}<extra></extra>",
            colorscale=[[0, palette.panel], [1, palette.warn]],
            zmin=1,
            zmax=max([LEAST_TOP, *known]),
            xgap=1,
            ygap=1,
            colorbar={
                "title": {"text": "a call / median", "font": {"color": palette.muted, "size": 12}},
                "tickfont": {"color": palette.muted, "size": 12},
                "outlinewidth": 0,
                "thickness": 12,
            },
        )
    )
    ticks = [plotly_text(short_name(across.name, 34)) for across in drawn]
    figure.update_layout(
        **layout(
            palette,
            source,
            _HEAD + _ROW * max(len(drawn), 3),
            xaxis={"title": {"text": "rank", "font": {"color": palette.muted, "size": 12}}, "type": "category"},
            yaxis={
                "autorange": "reversed",
                "tickmode": "array",
                "tickvals": list(range(len(drawn))),
                "ticktext": ticks,
                "title": {"text": ""},
                "automargin": True,
            },
        )
    )
    return figure


def _over(across: RangeAcross, ns: float | None) -> float | None:
    return None if ns is None or not across.median_ns else ns / across.median_ns


def _hover(across: RangeAcross, k: int, recording: Recording) -> str:
    ns = across.call_ns[k]
    return (
        f"{folded(across.name)}<br>rank {plotly_text(recording.ranks[k].label)}: {duration(ns)} a call"
        f"<br>median of the ranks: {duration(across.median_ns)} · {ratio(_over(across, ns))}"
    )
