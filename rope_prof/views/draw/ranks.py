"""Ranks against ranges as a Plotly heat map: how much longer a call takes on one rank than on the middle of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

import plotly.graph_objects as go

from rope_prof.analysis.ranks.late import host_late
from rope_prof.analysis.ranks.ranks import Recording
from rope_prof.units import duration, ratio
from rope_prof.views.draw.palette import Palette
from rope_prof.views.draw.plotly_figures import layout
from rope_prof.views.words.names import folded, plotly_text, short_name

RANGES_DRAWN = 24
#: A map of even ranks is not to look like one of late ranks: its scale ends here at least.
LEAST_TOP = 1.1
#: What is over it has one colour: a range of a millisecond on one host alone is not to pale all others.
MOST_TOP = 3.0
_ROW, _HEAD = 26, 96


@dataclass(frozen=True, slots=True)
class HeatRow:
    """One range by one clock: its label, a call on each rank and the middle of those."""

    name: str
    call_ns: Sequence[float | None]
    median_ns: float | None
    on_host: bool = False

    @property
    def label(self) -> str:
        """`load_batch · host`: by the host's clock."""
        return short_name(self.name, 27) + " · host" if self.on_host else short_name(self.name, 34)

    @property
    def over(self) -> list[float | None]:
        """Each rank over the middle."""
        return [None if ns is None or not self.median_ns else ns / self.median_ns for ns in self.call_ns]


def heat_rows(recording: Recording) -> list[HeatRow]:
    """Ranges in which one rank's host is late, most first; then those with work on the GPU, by busy time."""
    by_name = {across.name: across for across in recording.ranges}
    rows = []
    for late in host_late(recording.ranks, recording.ranges):
        across = by_name[late.range]
        pairs = zip(across.host_ns, across.host_calls, strict=True)
        each = [ns / calls if ns is not None and calls else None for ns, calls in pairs]
        known = [ns for ns in each if ns is not None]
        rows.append(HeatRow(across.name, each, median(known), on_host=True))
    on_gpu = (across for across in recording.ranges if any(ns is not None for ns in across.call_ns))
    return [*rows, *(HeatRow(across.name, across.call_ns, across.median_ns) for across in on_gpu)]


def heat_figure(recording: Recording, palette: Palette, source: str) -> go.Figure:
    """The rows of `heat_rows` downwards, ranks to the right; the colour is the rank's call over the ranks' median.

    A call at or under the median has the ground's colour; a range that a rank lacks is a hole.
    """
    drawn = heat_rows(recording)[:RANGES_DRAWN]
    ratios = [row.over for row in drawn]
    known = [value for row in ratios for value in row if value is not None]
    capped = f", to {MOST_TOP:g}" if max(known, default=1.0) > MOST_TOP else ""
    figure = go.Figure(
        go.Heatmap(
            z=ratios,
            x=[f"{plotly_text(rank.label)}\u200b" for rank in recording.ranks],  # a word: an axis of names, not numbers
            y=list(range(len(drawn))),
            customdata=[[_hover(row, k, recording) for k in range(len(recording.ranks))] for row in drawn],
            hovertemplate="%{customdata}<extra></extra>",
            colorscale=[[0, palette.panel], [1, palette.warn]],
            zmin=1,
            zmax=min(MOST_TOP, max([LEAST_TOP, *known])),
            xgap=1,
            ygap=1,
            colorbar={
                "title": {"text": f"a call / median{capped}", "font": {"color": palette.muted, "size": 12}},
                "tickfont": {"color": palette.muted, "size": 12},
                "outlinewidth": 0,
                "thickness": 12,
            },
        )
    )
    ticks = [plotly_text(row.label) for row in drawn]
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


def _hover(row: HeatRow, k: int, recording: Recording) -> str:
    by = " by the host’s clock" if row.on_host else ""
    return (
        f"{folded(row.name)}<br>rank {plotly_text(recording.ranks[k].label)}: {duration(row.call_ns[k])} a call{by}"
        f"<br>median of the ranks: {duration(row.median_ns)} · {ratio(row.over[k])}"
    )
