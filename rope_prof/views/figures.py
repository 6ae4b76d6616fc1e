"""Timelines -> Plotly figures. Draws what it is given: no statistic is computed here.

Every figure sets its own colours and fonts (draw it with `theme=None`), names its run, and has a unit on each axis.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go
import polars as pl

from rope_prof.views.names import folded, plotly_text, short_name
from rope_prof.views.palette import Palette
from rope_prof.views.timeline import CallTimeline

FONT = "Inter, 'Source Sans', 'Source Sans Pro', 'Segoe UI', system-ui, sans-serif"
MONO = "'Source Code Pro', ui-monospace, Menlo, Consolas, monospace"

_LANE = 34  # pixels
_HEAD = 52
_FOOT = 14
_BAR = 0.74  # of a lane


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One call of the timeline figure: heading, the facts at its right, and whether its bubbles can be believed."""

    title: str
    facts: str
    timeline: CallTimeline
    trusted: bool = True


def layout(palette: Palette, run: str, height: int, **more: Any) -> dict[str, Any]:
    """What all figures share: ground, font, the name of the run at the bottom right."""
    axis = {
        "gridcolor": palette.rule,
        "zeroline": False,
        "separatethousands": True,
        "exponentformat": "none",
        "linecolor": palette.rule,
        "tickfont": {"color": palette.muted, "size": 12},
        "title": {"font": {"color": palette.muted, "size": 12}},
    }
    merged: dict[str, Any] = {
        "height": height,
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"family": FONT, "size": 13, "color": palette.ink},
        "margin": {"l": 12, "r": 12, "t": 8, "b": 52},
        "showlegend": False,
        "hoverlabel": {
            "bgcolor": palette.panel,
            "bordercolor": palette.rule,
            "font": {"family": FONT, "size": 12, "color": palette.ink},
            "align": "left",
        },
        "xaxis": axis,
        "yaxis": axis,
        "bargap": 0,
        "separators": ".,",
    }
    for name, value in more.items():
        both = isinstance(value, dict) and isinstance(merged.get(name), dict)
        merged[name] = {**merged[name], **value} if both else value
    signature = {
        "text": plotly_text(run),
        "xref": "paper",
        "yref": "paper",
        "x": 1,
        "y": 0,
        "yshift": -44,
        "xanchor": "right",
        "yanchor": "bottom",
        "showarrow": False,
        "font": {"size": 11, "color": palette.muted},
    }
    merged["annotations"] = [*merged.get("annotations", ()), signature]
    return merged


def timeline_figure(panels: Sequence[Panel], palette: Palette, run: str) -> go.Figure:
    """One call per panel under the other, all on one time scale in µs; zero is each call's first device event.

    Row positions are pixels from the top (the axis is reversed), so that every panel's lanes are equally high.
    """
    figure = go.Figure()
    annotations: list[dict[str, Any]] = []
    shapes: list[dict[str, Any]] = []
    ticks: list[tuple[float, str]] = []
    top = 0.0
    low, high = _extent(panels)
    for panel in panels:
        body = top + _HEAD
        height = _LANE * max(1, len(panel.timeline.lanes))
        annotations += _headings(panel.title, panel.facts, top, palette)
        shapes.append(_ground(panel.timeline, body, height, palette))
        ticks += [(body + _LANE * (i + 0.5), plotly_text(lane.label)) for i, lane in enumerate(panel.timeline.lanes)]
        _draw_bubbles(figure, panel, body, height, palette)
        _draw_links(figure, panel.timeline, body, palette)
        _draw_spans(figure, panel.timeline, body, palette)
        top = body + height + _FOOT
    figure.update_layout(
        **layout(
            palette,
            run,
            int(top) + 62,
            annotations=annotations,
            shapes=shapes,
            barmode="overlay",
            dragmode="pan",
            xaxis={
                "title": {
                    "text": "µs from the call's first device event",
                    "font": {"color": palette.muted, "size": 12},
                },
                "range": [low, high],
                "side": "bottom",
                "ticksuffix": "",
            },
            yaxis=_row_axis(top, ticks),
            uniformtext={"minsize": 10, "mode": "hide"},
        )
    )
    return figure


def _extent(panels: Sequence[Panel]) -> tuple[float, float]:
    """The shared window in µs: the longest call, and at most a quarter of it for what the host did before zero."""
    end = max((panel.timeline.reach_ns for panel in panels), default=1)
    lead = min((panel.timeline.lead_ns for panel in panels), default=0)
    return max(lead, -end // 4) / 1e3 - 0.01 * end / 1e3, 1.01 * end / 1e3


def _headings(title: str, facts: str, top: float, palette: Palette) -> list[dict[str, Any]]:
    """A panel's title at the left and its facts at the right, on paper so that no grid line runs through them."""
    both = {
        "xref": "paper",
        "yref": "y",
        "y": top + _HEAD - 20,
        "yanchor": "middle",
        "showarrow": False,
        "bgcolor": palette.paper,
        "borderpad": 3,
    }
    left = {
        "text": f"<b>{plotly_text(title)}</b>",
        "x": 0,
        "xanchor": "left",
        "font": {"size": 16, "color": palette.ink},
    }
    right = {"text": plotly_text(facts), "x": 1, "xanchor": "right", "font": {"size": 13, "color": palette.muted}}
    return [{**both, **left}, {**both, **right}]


def _ground(timeline: CallTimeline, body: float, height: float, palette: Palette) -> dict[str, Any]:
    """The pale band of the window itself: where it ends, the next call begins."""
    return {
        "type": "rect",
        "xref": "x",
        "yref": "y",
        "x0": 0,
        "x1": timeline.end_ns / 1e3,
        "y0": body,
        "y1": body + height,
        "fillcolor": palette.panel,
        "line": {"width": 0},
        "layer": "below",
    }


def _draw_bubbles(figure: go.Figure, panel: Panel, body: float, height: float, palette: Palette) -> None:
    """Bubbles over the device's lanes, labelled in µs; grey and hatched where the profiler made too much of them."""
    bubbles = panel.timeline.bubbles
    if bubbles.is_empty():
        return
    first = next((i for i, lane in enumerate(panel.timeline.lanes) if lane.side == "device"), 0)
    y = body + _LANE * first + (height - _LANE * first) / 2
    colour = palette.bubble_fill if panel.trusted else palette.unsure_fill
    duration = [ns / 1e3 for ns in bubbles["dur_ns"]]
    figure.add_bar(
        orientation="h",
        base=[ns / 1e3 for ns in bubbles["start_ns"]],
        x=duration,
        y=[y] * len(duration),
        width=[height - _LANE * first] * len(duration),
        marker={
            "color": colour,
            "line": {"width": 0},
            "pattern": {
                "shape": "" if panel.trusted else "/",
                "fillmode": "overlay",
                "fgcolor": palette.unsure,
                "fgopacity": 0.3,
                "size": 9,
                "solidity": 0.16,
            },
        },
        text=[f"{us:,.3g}" if us < 10 else f"{us:,.0f}" for us in duration],
        textposition="inside",
        insidetextanchor="middle",
        textangle=0,
        textfont={"color": palette.bubble_ink if panel.trusted else palette.ink, "size": 11},
        customdata=[[cause or "not told apart"] for cause in bubbles["cause"]],
        hovertemplate="<b>bubble</b> %{x:,.3f} µs<br>from %{base:,.3f} µs<br>cause: %{customdata[0]}<extra></extra>",
        name="bubble",
    )


def _draw_links(figure: go.Figure, timeline: CallTimeline, body: float, palette: Palette) -> None:
    """A thin line from the end of each launch to the start of what it launched."""
    xs: list[float | None] = []
    ys: list[float | None] = []
    linked = timeline.spans.filter(pl.col("queue_ns").is_not_null())
    for start, queue, lane, from_lane in linked.select("start_ns", "queue_ns", "lane", "launch_lane").iter_rows():
        xs += [(start - queue) / 1e3, start / 1e3, None]
        ys += [body + _LANE * (from_lane + 0.5 + _BAR / 2), body + _LANE * (lane + 0.5 - _BAR / 2), None]
    if xs:
        line = {"color": palette.muted, "width": 1}
        figure.add_scatter(x=xs, y=ys, mode="lines", line=line, opacity=0.55, hoverinfo="skip", name="launch → kernel")


def _draw_spans(figure: go.Figure, timeline: CallTimeline, body: float, palette: Palette) -> None:
    """Kernels, copies and launches: one bar trace per role."""
    edge_ns = timeline.reach_ns / 250  # an edge around a narrower span would hide it
    colours = {"launch": palette.launch, "kernel": palette.kernel, "copy": palette.copy}
    for role, colour in colours.items():
        spans = timeline.spans.filter(pl.col("role") == role)
        if spans.is_empty():
            continue
        rows = spans.to_dicts()
        figure.add_bar(
            orientation="h",
            base=[row["start_ns"] / 1e3 for row in rows],
            x=[row["dur_ns"] / 1e3 for row in rows],
            y=[body + _LANE * (row["lane"] + 0.5) for row in rows],
            width=[_LANE * _BAR] * len(rows),
            marker={
                "color": colour,
                "line": {"color": palette.paper, "width": [0.5 if row["dur_ns"] > edge_ns else 0 for row in rows]},
            },
            text=[plotly_text(short_name(row["name"], 28)) for row in rows],
            textposition="inside",
            insidetextanchor="middle",
            textangle=0,
            textfont={"color": palette.on_fill, "size": 11},
            customdata=[[_facts(row)] for row in rows],
            hovertemplate="%{customdata[0]}<extra></extra>",
            name=role,
        )


def _facts(row: dict[str, Any]) -> str:
    """The hover text of a span: all that the trace knows about it."""
    lines = [f"<b>{folded(row['name'])}</b>", f"{row['dur_ns'] / 1e3:,.3f} µs from {row['start_ns'] / 1e3:,.3f} µs"]
    if row["grid"]:
        lines.append(plotly_text(f"grid {row['grid']}, block {row['block'] or 'not in the trace'}"))
    if row["registers"] is not None:
        lines.append(f"{row['registers']} registers a thread, {row['shared_bytes'] or 0:,} B shared")
    if row["bytes"] is not None:
        lines.append(f"{row['bytes']:,} bytes")
    if row["launch"]:
        lines.append(
            f"launched by {plotly_text(row['launch'])}; started {row['queue_ns'] / 1e3:,.3f} µs after it returned"
        )
    return "<br>".join(lines)


def _row_axis(top: float, ticks: list[tuple[float, str]]) -> dict[str, Any]:
    """The vertical axis of a picture made of rows, first row on top: `ticks` are (place, label)."""
    return {
        "range": [top, 0],
        "tickvals": [y for y, _ in ticks],
        "ticktext": [text for _, text in ticks],
        "showgrid": False,
        "fixedrange": True,
        "automargin": True,
        "ticklabelstandoff": 6,
    }
