"""`show RUN`: the table of a run from its files alone. Needs no torch."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from rope_prof.analysis.summary import Row
    from rope_prof.io.run_folder import RunFolder


def show(
    run: Annotated[Path, typer.Argument(help="A run folder, as made by record.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print the documented JSON instead.")] = False,
) -> None:
    """The table of a run: kernels, bubbles, times, speedup, accuracy."""
    from rope_prof.errors import RunError
    from rope_prof.io.run_folder import read_run

    folder = read_run(run)
    print_run(folder, as_json=as_json)
    missing = folder.missing_traces()
    if missing:
        raise RunError(
            f"run {str(run)!r} has lost {len(missing)} of its traces ({missing[0]}); their kernels and bubbles are "
            "left out above: restore the files or record again"
        )


def rows_of(folder: RunFolder) -> tuple[Row, ...]:
    """Every key of `folder` with the figures of its samples and its trace.

    Errors: RunError for a trace that holds other calls than were recorded: a part of it would give wrong figures.
    """
    from rope_prof.analysis.summary import figures, require_whole, summary
    from rope_prof.io.traces import read_trace

    captures = {}
    for facts in folder.run.keys:
        path = folder.trace_path(facts.key.name)
        if path is not None:
            trace = read_trace(path)
            found = figures(trace, facts.key)
            require_whole(trace, found, facts)
            captures[facts.key.name] = found
    return summary(folder.run, folder.samples, captures)


def print_run(folder: RunFolder, *, as_json: bool = False) -> None:
    """Print the table, or the JSON, of `folder` to standard output."""
    from rope_prof.commands.model import end_to_end_document, print_end_to_end
    from rope_prof.views.nsight_tables import nsight_notes, nsight_tables
    from rope_prof.views.tables import machine_line, notes, run_json, run_tables

    rows = rows_of(folder)
    if as_json:
        typer.echo(run_json(folder.run, rows, end_to_end_document(folder.path)))
        return
    console = wide_console()
    console.print(f"{folder.run.name} · {machine_line(folder.run.machine)}", markup=False, highlight=False)
    for table in run_tables(rows):
        console.print(table)
    for line in notes(folder.run, rows):
        console.print(line, markup=False, highlight=False, style="dim")
    nsight = folder.nsight
    if nsight is not None:
        for table in nsight_tables(nsight):
            console.print(table)
        for line in nsight_notes(nsight):
            console.print(line, markup=False, highlight=False, style="dim")
    print_end_to_end(folder.path)


def wide_console() -> Console:
    """Standard output; 140 columns where it is no terminal, so that a table in a file is not broken."""
    from rich.console import Console

    console = Console()
    return console if console.is_terminal else Console(width=140)
