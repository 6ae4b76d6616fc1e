"""`export RUN|TRACE --to FORMAT -o PATH`: what was recorded, in a form for other tools and other people."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rope_prof.commands import words
from rope_prof.commands.export_ranks import draw_ranks
from rope_prof.commands.export_report import export_html, export_markdown
from rope_prof.errors import UsageError
from rope_prof.io.atomic import write_atomic
from rope_prof.io.run.archive import write_archive
from rope_prof.io.run.clean_files import clean_perfetto
from rope_prof.io.run.redact import cleaner
from rope_prof.io.trace.dataset import is_dataset
from rope_prof.opened.exchange import EXCHANGE, exchanged
from rope_prof.opened.pictures import draw_run, draw_trace
from rope_prof.opened.run import open_run
from rope_prof.units import size

FORMATS = ("perfetto", "html", "markdown", "archive", *EXCHANGE)


def export(
    source: Annotated[
        Path,
        typer.Argument(parser=words.path, metavar="RUN|TRACE", help="A run folder, or any trace that analyze reads."),
    ],
    to: Annotated[
        str,
        typer.Option(
            "--to",
            metavar="|".join(FORMATS),
            help="perfetto: one native trace, both sides of each fusion on one timeline. "
            "html: the run as one page that needs nothing else. "
            "markdown: the evidence for a pull request, with pictures. "
            "archive: a copy without host, user, environment and paths. "
            "nvbench: device times as NVBench's JSON. "
            "pytest-benchmark: wall times as its JSON, for its compare. "
            "github-benchmark: customSmallerIsBetter of github-action-benchmark. "
            "openmetrics: text for Prometheus.",
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            "-o",
            "--out",
            parser=words.path,
            metavar="PATH",
            help="FILE.pftrace; FILE.html; a folder for markdown; a folder, .zip, .tar or .tar.gz for archive; "
            "else a file.",
        ),
    ],
    image_base: Annotated[
        str | None,
        typer.Option(
            "--image-base", metavar="URL", help="markdown: where the pictures will lie; without it, beside it."
        ),
    ] = None,
) -> None:
    """Write a run or a trace for Perfetto, a report of a run, a cleaned copy, or its figures for other tools."""
    if image_base is not None and to != "markdown":
        raise UsageError(f"--image-base goes with --to markdown, not with --to {to!r}")
    if to == "perfetto":
        export_perfetto(source, out)
    elif to == "html":
        export_html(source, out)
    elif to == "markdown":
        export_markdown(source, out, image_base)
    elif to == "archive":
        export_archive(source, out)
    elif to in EXCHANGE:
        export_exchange(source, to, out)
    else:
        raise UsageError(f"unknown --to {to!r}; expected one of {', '.join(map(repr, FORMATS))}")


def export_archive(source: Path, out: Path) -> None:
    """A cleaned copy; prints what was cleaned and what could not be."""
    for line in write_archive(source, out).lines():
        typer.echo(line)


def export_exchange(source: Path, to: str, out: Path) -> None:
    """A run in the format of another tool at `out`; prints what was cleaned and which keys are not in it."""
    if out.is_dir():
        raise UsageError(f"{str(out)!r} is a folder; expected a file to write, as -o {to}.json")
    text, said = exchanged(open_run(source), to)
    write_atomic(out, lambda part: part.write_text(text, encoding="utf-8"))
    for line in (f"{out}: {size(len(text.encode()))}", *said):
        typer.echo(line)


def export_perfetto(source: Path, out: Path) -> None:
    """One native trace at `out`, cleaned of private words, secrets and paths, written whole or not at all."""
    if out.is_dir():
        raise UsageError(f"{str(out)!r} is a folder; expected a file to write, as -o fusion.pftrace")
    notes: list[str] = []
    if is_dataset(source):
        ranks = draw_ranks(source)
        data, notes = ranks.data, [f"{name}: not in it, none of its ranks has a GPU event" for name in ranks.left_out]
    elif source.is_dir():
        data = draw_run(open_run(source)).data
    else:
        data = draw_trace(source)
    clean = cleaner()
    data = clean_perfetto(data, clean)
    write_atomic(out, lambda part: part.write_bytes(data))
    typer.echo(f"{out}: {size(len(data))}; open it with `rope_prof open {out}` or at https://ui.perfetto.dev")
    typer.echo(clean.sentence())
    for note in notes:
        typer.echo(note)
