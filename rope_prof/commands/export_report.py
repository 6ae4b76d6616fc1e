"""`export RUN --to html|markdown`: the files of a run in, a report out. All that is read and written is here."""

from __future__ import annotations

from pathlib import Path

import typer

from rope_prof.errors import UsageError
from rope_prof.io.atomic import write_atomic
from rope_prof.io.font import picture_font
from rope_prof.opened.report import cleaned_report
from rope_prof.opened.run import open_run
from rope_prof.units import size
from rope_prof.views.blocks.model import Report
from rope_prof.views.draw.palette import palette
from rope_prof.views.draw.png import png
from rope_prof.views.draw.svg import svg_file
from rope_prof.views.report.html import report_html
from rope_prof.views.report.markdown import GROUNDS, picture_file, pictures, report_markdown

MARKDOWN_FILE = "report.md"


def export_html(source: Path, out: Path) -> None:
    """One page at `out`, written whole or not at all."""
    if out.is_dir():
        raise UsageError(f"{str(out)!r} is a folder; expected a file to write, as -o report.html")
    made, removed = cleaned_report(open_run(source))
    typer.echo(f"{out}: {size(write_page(made, out))}, one page that makes no request; open it in any browser")
    typer.echo(removed)


def export_markdown(source: Path, out: Path, image_base: str | None) -> None:
    """`report.md` and its pictures in the folder `out`."""
    if out.is_file():
        raise UsageError(f"{str(out)!r} is a file; expected a folder to write into, as -o report")
    base = "" if not image_base else image_base.rstrip("/") + "/"
    if any(c.isspace() or c in "<>\"'()\\" for c in base):
        raise UsageError(f"--image-base {image_base!r} is no address; expected one as https://example.com/pictures")
    made, removed = cleaned_report(open_run(source))
    letters = write_text(made, out, base)
    typer.echo(f"{out / MARKDOWN_FILE}: {letters:,} characters, pictures beside it")
    typer.echo(removed)


def write_page(made: Report, out: Path) -> int:
    """The page of `made` at `out`; its bytes."""
    data = report_html(made).encode("utf-8")
    _write(out, data)
    return len(data)


def write_text(made: Report, out: Path, base: str = "") -> int:
    """The Markdown of `made` and its pictures in the folder `out`, the text last; its letters."""
    font = picture_font()
    for figure in pictures(made):
        for ground in GROUNDS:
            colours = palette(ground)
            _write(out / picture_file(figure, ground, "svg"), svg_file(figure.drawing, colours).encode("utf-8"))
            _write(out / picture_file(figure, ground, "png"), png(figure.drawing, colours, font))
    text = report_markdown(made, base)
    _write(out / MARKDOWN_FILE, text.encode("utf-8"))
    return len(text)


def _write(path: Path, data: bytes) -> None:
    write_atomic(path, lambda part: part.write_bytes(data))
