"""What all Plotly figures share.

Every figure sets its own colours and fonts (draw it with `theme=None`), names its run, and has a unit on each axis.
"""

from __future__ import annotations

from typing import Any

from rope_prof.views.draw.palette import Palette
from rope_prof.views.words.names import plotly_text

FONT = "Inter, 'Source Sans', 'Source Sans Pro', 'Segoe UI', system-ui, sans-serif"


def _over(under: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """Both; the title of an axis keeps its font where it gets another text."""
    title = under.get("title", {}) | over.get("title", {})
    return under | over | ({"title": title} if title else {})


def layout(palette: Palette, run: str, height: int, **more: Any) -> dict[str, Any]:
    """What all figures share: ground, font, the name of the run at the bottom right."""
    axis = {
        "gridcolor": palette.rule,
        "zeroline": False,
        "automargin": True,
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
        "margin": {"l": 12, "r": 12, "t": 8, "b": 66},
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
        merged[name] = _over(merged[name], value) if both else value
    signature = {
        "text": plotly_text(run),
        "xref": "paper",
        "yref": "paper",
        "x": 1,
        "y": 0,
        "yshift": -64,
        "xanchor": "right",
        "yanchor": "bottom",
        "showarrow": False,
        "font": {"size": 11, "color": palette.muted},
    }
    merged["annotations"] = [*merged.get("annotations", ()), signature]
    return merged
