"""`show RUN`: the table of a run from its files alone. Needs no torch."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rope_prof.commands import words

if TYPE_CHECKING:
    from rich.console import Console

    from rope_prof.analysis.run.numbers import Numbers
    from rope_prof.analysis.run.rows import CaptureFigures, Row
    from rope_prof.io.run.folder import RunFolder
    from rope_prof.views.blocks.model import Table


def show(
    run: Annotated[Path, typer.Argument(parser=words.path, help="A run folder, as made by record.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print the documented JSON instead.")] = False,
) -> None:
    """The table of a run: kernels, bubbles, times, speedup, accuracy; what modes and fusing buy, and why."""
    from rope_prof.errors import RunError
    from rope_prof.io.run.folder import read_run

    folder = read_run(run)
    print_run(folder, as_json=as_json)
    if folder.dropped_rows:
        typer.echo(
            f"note: rows of the samples left out: {folder.dropped_rows}; they come more than once, as two recordings "
            "into one folder leave them",
            err=True,
        )
    missing = folder.missing_traces()
    if missing:
        raise RunError(
            f"run {str(run)!r} has lost {len(missing)} of its traces ({missing[0]}); their kernels and bubbles are "
            "left out above: restore the files or record again"
        )


def captures_of(folder: RunFolder) -> tuple[dict[str, CaptureFigures], dict[str, CaptureFigures]]:
    """The figures of every capture of `folder`, and of every light one, by key.

    Errors: RunError for a trace that holds other calls than were recorded: a part of it would give wrong figures.
    """
    from dataclasses import replace

    from rope_prof.analysis.run.rows import figures, require_whole
    from rope_prof.io.trace.read import read_trace

    full: dict[str, CaptureFigures] = {}
    light: dict[str, CaptureFigures] = {}
    for facts in folder.run.keys:
        for found, name, is_light in ((full, facts.trace, False), (light, facts.light_trace, True)):
            path = folder.trace_path(facts.key.name, light=is_light)
            if path is not None:
                trace = read_trace(path)
                made = figures(trace, facts.key)
                require_whole(trace, made, replace(facts, trace=name))
                found[facts.key.name] = made
    return full, light


def rows_of(folder: RunFolder) -> tuple[Row, ...]:
    """Every key of `folder` with the figures of its samples and its traces. Errors: see `captures_of`."""
    from rope_prof.analysis.run.rows import summary

    return summary(folder.run, folder.samples, *captures_of(folder))


def numbers_of(folder: RunFolder) -> Numbers:
    """Everything that is computed of `folder`. Errors: see `captures_of`."""
    from rope_prof.analysis.run.numbers import numbers

    return numbers(folder.run, folder.samples, *captures_of(folder))


def print_run(folder: RunFolder, *, as_json: bool = False) -> None:
    """Print the table, or the JSON, of `folder` to standard output."""
    from rope_prof.commands.model import end_to_end_document, print_end_to_end
    from rope_prof.views.blocks.counters import nsight_tables
    from rope_prof.views.blocks.model import Bullets
    from rope_prof.views.terminal.writer import printed
    from rope_prof.views.words.counters import nsight_notes
    from rope_prof.views.words.machine import machine_line
    from rope_prof.views.words.run_json import numbers_json, run_json

    found = numbers_of(folder)
    if as_json:
        typer.echo(run_json(folder.run, found.rows, end_to_end_document(folder.path), numbers_json(found)))
        return
    console = wide_console()
    console.print(f"{folder.run.name} · {machine_line(folder.run.machine)}", markup=False, highlight=False)
    tables, lines = _drawn(found)
    nsight = folder.nsight
    for drawn, said in ((tables, lines), (nsight_tables(nsight), nsight_notes(nsight)) if nsight else ([], [])):
        printed(console, [*drawn, Bullets(items=tuple(said))])
    print_end_to_end(folder.path)


def _drawn(found: Numbers) -> tuple[list[Table], list[str]]:
    """Tables and notes of a run: a table per case, or of a sweep one per family."""
    from rope_prof.analysis.run.rank_spread import rank_spread
    from rope_prof.analysis.run.sweep import sweep
    from rope_prof.views.blocks.numbers import number_tables
    from rope_prof.views.blocks.ranks import rank_tables
    from rope_prof.views.blocks.run import run_tables
    from rope_prof.views.blocks.sweep import sweep_tables
    from rope_prof.views.words.notes import notes
    from rope_prof.views.words.numbers import number_notes
    from rope_prof.views.words.sweep import is_sweep, sweep_notes

    frame = sweep(found.rows)
    if is_sweep(frame):
        return sweep_tables(frame), [*notes(found.run, found.rows), *sweep_notes(frame)]
    over_ranks = rank_tables(rank_spread(found.rows))
    return [*run_tables(found.rows), *over_ranks, *number_tables(found)], [
        *notes(found.run, found.rows),
        *number_notes(found),
    ]


def wide_console() -> Console:
    """Standard output; 140 columns where it is no terminal, so that a table in a file is not broken."""
    from rich.console import Console

    console = Console()
    return console if console.is_terminal else Console(width=140)
