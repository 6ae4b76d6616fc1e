"""The charts of `draw.chart` as Plotly figures: hover values, a legend, zoom; coloured as still.

A colour is that of its role in the palette; paths are told apart by mark and shade, modes by dash and hollow marks.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from rope_prof.analysis.comparison.compare import Verdict
from rope_prof.analysis.verdict import SAME_WITHIN
from rope_prof.units import GIGA, MEGA, SECOND, counted, gigabytes_per_s, microseconds, ratio, significant
from rope_prof.views.draw.chart import Zoomed
from rope_prof.views.draw.charts import HistogramChart
from rope_prof.views.draw.compare import LOOKS, MOST, ForestChart, row_labels, verdict_facts
from rope_prof.views.draw.lines import MARKS, LineChart, Series
from rope_prof.views.draw.palette import Palette
from rope_prof.views.draw.plotly_figures import layout
from rope_prof.views.draw.roofline import RooflineChart, Spot
from rope_prof.views.draw.scale import log_ticks, spans_a_decade
from rope_prof.views.draw.svg import colour
from rope_prof.views.words.names import plotly_text

_SYMBOLS = {"circle": "circle", "square": "square", "diamond": "diamond", "triangle": "triangle-up"}
_HOVER = "%{customdata}<extra></extra>"
_LEGEND = {"orientation": "h", "x": 0, "y": 1, "xanchor": "left", "yanchor": "bottom", "itemsizing": "constant"}
_ROW, _HIST = 24, 84


def plotly_chart(chart: Zoomed, palette: Palette, source: str) -> go.Figure:
    """That chart on the palette's ground, signed with what it is drawn from. Draw it with `theme=None`."""
    if isinstance(chart, LineChart):
        return _lines(chart, palette, source)
    if isinstance(chart, HistogramChart):
        return _histograms(chart, palette, source)
    return _forest(chart, palette, source) if isinstance(chart, ForestChart) else _roofline(chart, palette, source)


def _text(words: str) -> str:
    """Several lines letter for letter."""
    return "<br>".join(map(plotly_text, words.split("\n")))


def _symbol(mark: int, *, hollow: bool) -> str:
    return _SYMBOLS[MARKS[mark % len(MARKS)]] + ("-open" if hollow else "")


def _axis(title: str, log: Sequence[float] = (), **more: Any) -> dict[str, Any]:
    """`log`: the values of a logarithmic axis, which is labelled at 1, 2 and 5, or closer where they lie close."""
    if not log:
        return {"title": {"text": title}, **more}
    low, high = min(log), max(log)
    decades = range(math.floor(math.log10(low)) - 1, math.ceil(math.log10(high)) + 2)
    steps = (1,) if high / low > 1e4 else (1, 2, 5)
    ticks = log_ticks(low, high) if high / low < 4 else [step * 10.0**e for e in decades for step in steps]
    words = [f"{tick:,.6g}" for tick in ticks]
    return {"title": {"text": title}, "type": "log", "tickmode": "array", "tickvals": ticks, "ticktext": words, **more}


def _lines(chart: LineChart, palette: Palette, source: str) -> go.Figure:
    """A line a series with its intervals as whiskers; what loses and what is unsure carries its sign."""
    xs = sorted({p.x for one in chart.series for p in one.points})
    ys = [p.y for one in chart.series for p in one.points]
    log = chart.axes.log
    figure = go.Figure([_line(one, palette) for one in chart.series])
    log_y = spans_a_decade(ys) if log is None else log
    figure.update_layout(
        **layout(
            palette,
            source,
            int(chart.axes.height),
            showlegend=True,
            legend={"x": 1.01, "y": 1, "xanchor": "left", "itemsizing": "constant"},
            xaxis=_axis(
                chart.axes.x,
                xs if (spans_a_decade(xs) if log is None else log) else (),
                tickmode="array",
                tickvals=xs,
                ticktext=[f"{x:,.6g}" for x in xs],
            ),
            yaxis=_axis(chart.axes.y, ys) if log_y else _axis(chart.axes.y, rangemode="tozero"),
        )
    )
    return figure


def _line(one: Series, palette: Palette) -> go.Scatter:
    paint, points = colour(palette, one.role), one.points
    known = any(p.lo is not None and p.hi is not None for p in points)
    whiskers = {
        "type": "data",
        "symmetric": False,
        "array": [0 if p.hi is None else p.hi - p.y for p in points],
        "arrayminus": [0 if p.lo is None else p.y - p.lo for p in points],
        "thickness": 1.2,
        "width": 3,
    }
    return go.Scatter(
        x=[p.x for p in points],
        y=[p.y for p in points],
        name=plotly_text(one.label),
        mode="lines" if one.bound else "lines+markers+text",
        line={"color": paint, "width": 1.2 if one.bound else 1.6, "dash": "dash" if one.dash else "solid"},
        marker={
            "symbol": _symbol(one.mark, hollow=one.hollow),
            "size": 9,
            "color": [colour(palette, "warn") if p.bad else paint for p in points],
            "line": {"width": 1.6},
        },
        text=[plotly_text(p.sign) for p in points],
        textposition="top center",
        textfont={"color": [colour(palette, "warn") if p.bad else paint for p in points]},
        error_y=whiskers if known and not one.bound else None,
        customdata=[_text(p.title or f"{one.label}: {significant(p.y)} at {p.x:,.6g}") for p in points],
        cliponaxis=False,
        hovertemplate=_HOVER,
    )


def _histograms(chart: HistogramChart, palette: Palette, source: str) -> go.Figure:
    """A row of columns each on one log scale; each row as high as its fullest column."""
    figure = make_subplots(rows=len(chart.rows), cols=1, shared_xaxes=True, vertical_spacing=0.28 / len(chart.rows))
    edges = chart.edges_us
    for number, row in enumerate(chart.rows, 1):
        paint = colour(palette, row.role)
        bins = zip(row.counts, edges, edges[1:], strict=False)
        words = [f"{counted(n, 'gap')} of {significant(low)} to {significant(high)} µs" for n, low, high in bins]
        figure.add_scatter(
            row=number,
            col=1,
            x=edges,
            y=[*row.counts, 0],
            line={"shape": "hv", "color": paint, "width": 1},
            fill="tozeroy",
            fillcolor=paint,
            name=plotly_text(row.label),
            customdata=[_text(f"{row.label}\n{text}") for text in [*words, ""]],
            hovertemplate=_HOVER,
        )
        figure.add_annotation(
            text=f"<b>{plotly_text(row.label)}</b>  {plotly_text(row.note)}",
            xref="paper",
            yref=f"y{number if number > 1 else ''} domain",
            x=0.005,
            y=1,
            yanchor="bottom",
            showarrow=False,
            font={"size": 12, "color": palette.ink},
        )
    shared = layout(
        palette,
        source,
        76 + _HIST * len(chart.rows),
        annotations=list(figure.layout.annotations),
        margin={"l": 12, "r": 12, "t": 24, "b": 66},
    )
    axis = {name: shared["xaxis"][name] for name in ("gridcolor", "linecolor", "tickfont", "zeroline", "automargin")}
    figure.update_layout(**{name: value for name, value in shared.items() if not name.startswith(("xaxis", "yaxis"))})
    figure.update_xaxes(**axis | _axis("", edges))
    figure.update_xaxes(title={"text": chart.unit, "font": {"color": palette.muted, "size": 12}}, row=len(chart.rows))
    figure.update_yaxes(**axis | {"rangemode": "tozero", "nticks": 3})
    return figure


def _roofline(chart: RooflineChart, palette: Palette, source: str) -> go.Figure:
    """Bytes to the right, bytes a second upwards: what ran filled, the whole call hollow, between them the waiting."""
    figure = go.Figure()
    spots, roof = chart.spots, chart.roof
    rates = [rate for spot in spots for rate in (spot.per_s, spot.whole_per_s) if rate]
    moved = [spot.moved for spot in spots] + [at for _, at, _ in roof.passes]
    low, high = min(moved) / 2.5, max(moved) * 2.5
    for label, rate in roof.flat:
        _bound(figure, f"{label}, {gigabytes_per_s(rate)} GB/s", [(low, rate), (high, rate)], palette.kernel)
    for label, ns in roof.launches:
        top = max([rate for _, rate in roof.flat] or [max(rates)])
        start = max(low, min(rates) / 2 * ns / SECOND)
        ends = [(at, at / ns * SECOND) for at in (start, max(start * 1.01, min(high, top * ns / SECOND)))]
        _bound(figure, f"{label}, {microseconds(ns)} µs", ends, palette.launch)
    waits = [spot for spot in spots if spot.per_s and spot.whole_per_s]
    if waits:
        ways: list[tuple[float | None, float | None]] = []
        for spot in waits:
            ways += [(spot.moved, spot.per_s), (spot.moved, spot.whole_per_s), (None, None)]
        _bound(figure, "between: the device waits", ways, palette.bubble)
    for label, shade in chart.labels:
        mine = [spot for spot in spots if spot.shade == shade]
        _spots(figure, f"{label}, while its kernels run", mine, lambda s: s.per_s, palette, hollow=False)
        _spots(figure, f"{label}, the whole call", mine, lambda s: s.whole_per_s, palette, hollow=True)
    for title, at, rate in roof.passes:
        figure.add_scatter(
            x=[at / MEGA],
            y=[rate / GIGA],
            mode="markers",
            name="one pass over the bytes",
            marker={"symbol": "x-thin", "size": 13, "line": {"width": 2.5, "color": palette.kernel}},
            customdata=[_text(title)],
            hovertemplate=_HOVER,
        )
    figure.update_layout(
        **layout(
            palette,
            source,
            460,
            showlegend=True,
            legend={"x": 1.01, "y": 1, "xanchor": "left", "itemsizing": "constant"},
            xaxis=_axis("bytes moved, MB", [low / MEGA, high / MEGA]),
            yaxis=_axis("GB/s", [rate / GIGA for rate in rates]),
        )
    )
    return figure


def _bound(figure: go.Figure, name: str, ends: Sequence[tuple[float | None, float | None]], paint: str) -> None:
    figure.add_scatter(
        x=[None if at is None else at / MEGA for at, _ in ends],
        y=[None if rate is None else rate / GIGA for _, rate in ends],
        mode="lines",
        name=plotly_text(name),
        line={"color": paint, "width": 1.6},
        hovertemplate=f"{plotly_text(name)}<extra></extra>",
    )


def _spots(
    figure: go.Figure,
    name: str,
    spots: Sequence[Spot],
    rate: Callable[[Spot], float | None],
    palette: Palette,
    *,
    hollow: bool,
) -> None:
    known = [(spot, found) for spot in spots if (found := rate(spot))]
    if not known:
        return
    shade = known[0][0].shade
    figure.add_scatter(
        x=[spot.moved / MEGA for spot, _ in known],
        y=[found / GIGA for _, found in known],
        mode="markers+text",
        name=plotly_text(name),
        text=[plotly_text(spot.tag) if hollow else "" for spot, _ in known],
        textposition=["middle left" if spot.left else "middle right" for spot, _ in known],
        textfont={"color": palette.muted, "size": 11},
        marker={
            "symbol": _symbol(shade, hollow=hollow),
            "size": 11,
            "color": colour(palette, f"path{shade}"),
            "line": {"width": 1.6},
        },
        customdata=[_text(spot.title) for spot, _ in known],
        hovertemplate=_HOVER,
    )


def _forest(chart: ForestChart, palette: Palette, source: str) -> go.Figure:
    """Each ratio with its interval beside the band that counts as the same; verdict and ratio at the right."""
    rows = chart.verdicts[:MOST]
    labels, places = row_labels(rows), list(range(len(rows)))
    figure = go.Figure()
    _verdicts(figure, rows, labels, palette)
    ends = [end for v in rows if v.ratio for end in (v.ratio.median, v.ratio.lo, v.ratio.hi) if end]
    said = [f"{v.word}  {ratio(v.ratio.median)}" if v.ratio else v.word for v in rows]
    figure.add_scatter(x=[1] * len(rows), y=places, yaxis="y2", opacity=0, hoverinfo="skip", showlegend=False)
    figure.add_vrect(x0=1 - SAME_WITHIN, x1=1 + SAME_WITHIN, fillcolor=palette.unsure_fill, line_width=0, layer="below")
    figure.add_vline(x=1, line={"color": palette.muted, "width": 1}, layer="below")
    names = {"tickmode": "array", "tickvals": places, "range": [len(rows) - 0.5, -0.5], "automargin": True}
    names |= {"showgrid": False, "zeroline": False, "title": {"text": ""}}
    names |= {"tickfont": {"color": palette.ink, "size": 12}}
    figure.update_layout(
        **layout(
            palette,
            source,
            120 + _ROW * len(rows),
            showlegend=True,
            legend=_LEGEND,
            margin={"l": 12, "r": 12, "t": 34, "b": 72},
            xaxis=_axis("baseline / candidate; over 1 the candidate is faster, or has less", [*ends, 0.95, 1.05]),
            yaxis=names | {"ticktext": [plotly_text(label) for label in labels]},
            yaxis2=names | {"ticktext": said, "overlaying": "y", "side": "right", "matches": "y"},
        )
    )
    figure.layout.annotations[-1].yshift = -68  # the axis has a long title: below it
    return figure


def _verdicts(figure: go.Figure, rows: Sequence[Verdict], labels: Sequence[str], palette: Palette) -> None:
    """The marks of each word, with their intervals."""
    for word, (role, mark, hollow) in LOOKS.items():
        mine = [(k, v.ratio) for k, v in enumerate(rows) if v.word == word and v.ratio and v.ratio.median > 0]
        paint = colour(palette, role)
        figure.add_scatter(
            x=[found.median for _, found in mine],
            y=[k for k, _ in mine],
            mode="markers",
            name=word,
            marker={"symbol": _symbol(MARKS.index(mark), hollow=hollow), "size": 9, "color": paint},
            error_x={
                "type": "data",
                "symmetric": False,
                "array": [(found.hi or found.median) - found.median for _, found in mine],
                "arrayminus": [found.median - (found.lo or found.median) for _, found in mine],
                "color": paint,
                "thickness": 2,
                "width": 0,
            },
            customdata=[_text(verdict_facts(rows[k], labels[k])) for k, _ in mine],
            hovertemplate=_HOVER,
            showlegend=bool(mine),
        )
