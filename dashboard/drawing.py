"""Blocks of a page: as HTML, and what a viewer can zoom into as Plotly figures between them."""

from __future__ import annotations

from collections.abc import Iterable

import streamlit as st

from rope_prof.dashboard import shell
from rope_prof.views.blocks.model import Block, Picture
from rope_prof.views.draw.plotly_charts import plotly_chart
from rope_prof.views.page import overview
from rope_prof.views.page.blocks import blocks, heading, key


def draw(found: Iterable[Block | None], source: str, name: str) -> None:
    """Those blocks one after the other; charts are signed with `source`, and `name` tells them from another call's."""
    palette = shell.seen().palette
    still: list[Block] = []

    def flush(*more: str) -> None:
        if still or more:
            st.html(overview.wrap(palette, blocks(still, palette), *more))
            still.clear()

    for number, block in enumerate(found):
        if not isinstance(block, Picture) or block.chart is None:
            still += [] if block is None else [block]
            continue
        flush(heading(block.title))
        figure = plotly_chart(block.chart, palette, source)
        st.plotly_chart(figure, theme=None, config=shell.PLOT, key=f"{name}-{number}-{block.name}")
        if block.caption:
            st.html(overview.wrap(palette, key(block.caption)))
    flush()
