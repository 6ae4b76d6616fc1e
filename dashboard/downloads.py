"""The Download button of a page: its picture, its table, its traces. A file is made when it is asked for.

What is given away is an export: everything in it, and its name, goes through the one cleaner of all exports.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from html import escape
from pathlib import Path

import polars as pl
import streamlit as st
from rope_prof.dashboard.shell import Seen, plain

from rope_prof.dashboard import view
from rope_prof.errors import RunError
from rope_prof.io.font import picture_font
from rope_prof.io.run.clean_files import REPORTS, clean_file
from rope_prof.io.run.clean_model import clean_frame
from rope_prof.io.run.redact import Cleaner, cleaner
from rope_prof.model.run import KeyFacts
from rope_prof.units import size
from rope_prof.views.blocks.model import Block, mapped
from rope_prof.views.draw.palette import Palette
from rope_prof.views.draw.svg import Drawing
from rope_prof.views.page.files import csv_of, markdown_of, png_of, svg_of
from rope_prof.views.report.markdown import blocks_markdown

#: A larger trace is on this machine anyway; a copy through the browser helps nobody.
MOST_BYTES = 256 << 20
CLEANED = "Without secrets, host and user names, home folders and paths of people."


@dataclass(frozen=True, slots=True)
class Offered:
    """One file to take away: what its button says, and what makes it."""

    label: str
    name: str
    mime: str
    make: Callable[[], bytes]


@dataclass(frozen=True, slots=True)
class OfPage:
    """What a page has to give, as `offer` takes it."""

    drawing: Callable[[], Drawing] | None
    table: Callable[[], pl.DataFrame] | None
    lines: Sequence[str]
    markdown: tuple[str, Callable[[Cleaner], bytes]] | None


def offer(
    seen: Seen,
    page: str,
    *,
    drawing: Callable[[], Drawing] | None = None,
    table: Callable[[], pl.DataFrame] | None = None,
    lines: Sequence[str] = (),
    traces: Sequence[tuple[str, Path]] = (),
    stem: str | None = None,
    markdown: tuple[str, Callable[[Cleaner], bytes]] | None = None,
) -> None:
    """A button that opens the list of what can be had of this page; files are named RUN-CASE-PAGE, or after `stem`.

    `markdown`: label and text of a page that writes its own, with the cleaner given; else it is the table.
    """
    clean, what = cleaner(), OfPage(drawing, table, lines, markdown)
    name = clean(stem or "-".join((seen.name.replace("/", "-"), seen.case, page))).replace("/", "-")
    kept = [(label, path) for label, path in traces if path.is_file()]
    with st.popover("Download", key=f"down-{page}"):
        for one in (*made(name, seen.palette, clean, what), *copies(kept, clean)):
            key = f"down-{page}-{one.name}-{one.label}"
            st.download_button(
                plain(one.label), one.make, one.name, one.mime, key=key, on_click="ignore", width="stretch"
            )
        st.html("".join(f"<p>{escape(said)}</p>" for said in (CLEANED, *withheld(kept))))


def made(name: str, colours: Palette, clean: Cleaner, what: OfPage) -> Iterator[Offered]:
    """The files that are made of the page itself."""
    drawing, table = what.drawing, what.table
    if drawing is not None:
        yield Offered(
            "Picture, PNG",
            f"{name}.png",
            "image/png",
            lambda: png_of(mapped(drawing(), clean), colours, picture_font()),
        )
        yield Offered("Picture, SVG", f"{name}.svg", "image/svg+xml", lambda: svg_of(mapped(drawing(), clean), colours))
    if table is not None:
        yield Offered("Table, CSV", f"{name}.csv", "text/csv", lambda: csv_of(clean_table(table(), clean)))
        label, text = what.markdown or ("Table, Markdown", as_markdown(name, table, what.lines))
        yield Offered(label, f"{name}.md", "text/markdown", partial(text, clean))


def as_markdown(title: str, table: Callable[[], pl.DataFrame], lines: Sequence[str] = ()) -> Callable[[Cleaner], bytes]:
    """A heading, sentences and a table as a page's own text."""
    return lambda clean: markdown_of(clean(title), clean_table(table(), clean), [clean(line) for line in lines])


def as_blocks(title: str, blocks: Sequence[Block]) -> Callable[[Cleaner], bytes]:
    """Blocks as a page's own text, without their pictures."""
    return lambda clean: blocks_markdown(clean(title), mapped(tuple(blocks), clean), clean(title)).encode()


def traces_of(seen: Seen, facts: Sequence[KeyFacts]) -> list[tuple[str, Path]]:
    """The traces of those keys that are there, with what names each."""
    found = ((view.side(one.key), seen.folder.trace_path(one.key.name)) for one in facts)
    return [(name, path) for name, path in found if path is not None]


def clean_table(table: pl.DataFrame, clean: Cleaner) -> pl.DataFrame:
    """`table` with its texts and the names of its columns cleaned."""
    names: list[str] = []
    for name in map(clean, table.columns):
        names.append(name if name not in names else f"{name} {len(names)}")
    made = clean_frame(table, clean)
    return made.rename(dict(zip(made.columns, names, strict=True)))


def copies(kept: Sequence[tuple[str, Path]], clean: Cleaner) -> Iterator[Offered]:
    """The files that lie there, each as it is in an archive."""
    for label, path in kept:
        if path.stat().st_size <= MOST_BYTES and not path.name.endswith(REPORTS):
            mime = "application/gzip" if path.suffix == ".gz" else "application/octet-stream"
            yield Offered(f"Trace, {label}", clean(path.name).replace("/", "-"), mime, partial(_trace, path, clean))


def _trace(path: Path, clean: Cleaner) -> bytes:
    """The file as it is in an archive. Errors: RunError where it is damaged or cannot be cleaned."""
    made = clean_file(path.name, path.read_bytes(), clean.words)
    if made.data is None:
        raise RunError(f"{path.name!r} is not given away: {made.note}; it lies on this machine")
    return made.data


def withheld(kept: Sequence[tuple[str, Path]]) -> Iterator[str]:
    """The files that are not given away, and why."""
    for _, path in kept:
        length = path.stat().st_size
        if path.name.endswith(REPORTS):
            yield f"{path.name} cannot be cleaned: take it from {path.parent} yourself, or see export --to archive."
        elif length > MOST_BYTES:
            yield f"{path.name} has {size(length)}; export --to archive makes a clean copy of a file of any size."
