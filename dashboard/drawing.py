"""Blocks of a page: as HTML, and what a viewer can zoom into as Plotly figures between them.

Bars are drawn still, their facts under the mouse: they need no zoom, and Plotly takes longer to load than all else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING

import streamlit as st

from rope_prof.dashboard import shell
from rope_prof.views.blocks.model import Block, Picture
from rope_prof.views.draw.charts import BarChart
from rope_prof.views.draw.plotly_charts import plotly_chart
from rope_prof.views.page.blocks import blocks, key, wrap
from rope_prof.views.page.writer import heading

PLOT = {"displaylogo": False, "scrollZoom": True, "modeBarButtonsToRemove": ["select2d", "lasso2d", "autoScale2d"]}

if TYPE_CHECKING:
    import plotly.graph_objects as go


def plot(figure: Callable[[], go.Figure], name: str) -> None:
    """What `figure` makes, to hover and to zoom; `name` tells it from the others of the page."""
    import_module("pandas")  # whole: Plotly looks into it while another thread may still be importing it
    st.plotly_chart(figure(), theme=None, config=PLOT, key=name)


def draw(found: Iterable[Block | None], source: str, name: str) -> None:
    """Those blocks one after the other; charts are signed with `source`, and `name` tells them from another call's."""
    palette = shell.seen().palette
    still: list[Block] = []

    def flush(*more: str) -> None:
        if still or more:
            st.html(wrap(palette, blocks(still, palette), *more))
            still.clear()

    for number, block in enumerate(found):
        if not isinstance(block, Picture) or block.chart is None or isinstance(block.chart, BarChart):
            still += [] if block is None else [block]
            continue
        flush(heading(block.title))
        plot(partial(plotly_chart, block.chart, palette, source), f"{name}-{number}-{block.name}")
        if block.caption:
            st.html(wrap(palette, key(block.caption)))
    flush()
