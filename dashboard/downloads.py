"""The Download button of a page: its picture, its table, its traces. A file is made when it is asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import polars as pl
import streamlit as st
from rope_prof.dashboard.shell import Seen, plain

from rope_prof.io.font import picture_font
from rope_prof.units import size
from rope_prof.views.draw.svg import Drawing
from rope_prof.views.page.files import csv_of, markdown_of, png_of, svg_of

#: A larger trace is on this machine anyway; a copy through the browser helps nobody.
MOST_BYTES = 256 << 20


def offer(
    seen: Seen,
    page: str,
    *,
    drawing: Callable[[], Drawing] | None = None,
    table: Callable[[], pl.DataFrame] | None = None,
    lines: Sequence[str] = (),
    traces: Sequence[tuple[str, Path]] = (),
    stem: str | None = None,
    markdown: tuple[str, Callable[[], bytes]] | None = None,
) -> None:
    """A button that opens the list of what can be had of this page; files are named RUN-CASE-PAGE, or after `stem`.

    `markdown`: label and text of a page that writes its own; else it is the table.
    """
    name = stem or "-".join((seen.name.replace("/", "-"), seen.case, page))
    with st.popover("Download", key=f"down-{page}"):
        if drawing is not None:
            _one(
                page,
                "Picture, PNG",
                f"{name}.png",
                "image/png",
                lambda: png_of(drawing(), seen.palette, picture_font()),
            )
            _one(page, "Picture, SVG", f"{name}.svg", "image/svg+xml", lambda: svg_of(drawing(), seen.palette))
        if table is not None:
            _one(page, "Table, CSV", f"{name}.csv", "text/csv", lambda: csv_of(table()))
            label, text = markdown or ("Table, Markdown", lambda: markdown_of(name, table(), lines))
            _one(page, label, f"{name}.md", "text/markdown", text)
        for label, path in traces:
            _trace(page, label, path)


def _one(page: str, label: str, name: str, mime: str, make: Callable[[], bytes]) -> None:
    st.download_button(
        plain(label), make, name, mime, key=f"down-{page}-{name}-{label}", on_click="ignore", width="stretch"
    )


def _trace(page: str, label: str, path: Path) -> None:
    if not path.is_file():
        return
    length = path.stat().st_size
    if length <= MOST_BYTES:
        mime = "application/gzip" if path.suffix == ".gz" else "application/octet-stream"
        _one(page, f"Trace, {label}", path.name, mime, path.read_bytes)
    else:
        st.html(f"<p>The trace has {size(length)}; copy the file itself.</p>")
