"""An opened run on standard output: what `show` prints, and `record` and `model` when they are done."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console

from rope_prof.analysis.run.numbers import Numbers
from rope_prof.analysis.run.sweep import sweep
from rope_prof.commands.documents import VERSION, emit
from rope_prof.opened.run import OpenedRun, open_run
from rope_prof.views.blocks.counters import nsight_tables
from rope_prof.views.blocks.model import Bullets, Table
from rope_prof.views.blocks.numbers import number_tables
from rope_prof.views.blocks.ranks import run_blocks
from rope_prof.views.blocks.requests import request_blocks
from rope_prof.views.blocks.run import run_tables
from rope_prof.views.blocks.sweep import sweep_tables
from rope_prof.views.terminal.writer import printed
from rope_prof.views.words.comparable import comparable_line
from rope_prof.views.words.counters import nsight_notes
from rope_prof.views.words.headline import best_lines
from rope_prof.views.words.machine import machine_line, ran_line
from rope_prof.views.words.notes import notes
from rope_prof.views.words.numbers import number_notes
from rope_prof.views.words.ranks import cause_lines
from rope_prof.views.words.requests import layer_lines
from rope_prof.views.words.run_json import end_to_end_json, numbers_json, run_json
from rope_prof.views.words.sweep import is_sweep, sweep_notes


def print_run(opened: OpenedRun, *, as_json: bool = False) -> None:
    """Print the table, or the JSON, of `opened` to standard output."""
    found = opened.numbers
    if as_json:
        emit(run_document(opened))
        return
    console = wide_console()
    console.print(f"{opened.run.name} · {machine_line(opened.run.machine)}", markup=False, highlight=False)
    ran = ran_line(opened.run, opened.samples)
    if ran is not None:
        console.print(ran, markup=False, highlight=False)
    tables, lines = _drawn(found)
    nsight = opened.nsight
    for drawn, said in ((tables, lines), (nsight_tables(nsight), nsight_notes(nsight)) if nsight else ([], [])):
        printed(console, [*drawn, Bullets(items=tuple(said))])
    print_requests(opened)


def run_document(opened: OpenedRun) -> str:
    """The JSON of `opened`, as `show --json` prints it."""
    found = opened.numbers
    return run_json(opened.run, found.rows, _requests_json(opened), numbers_json(found))


def emit_recorded(folder: Path) -> None:
    """The document of a command that recorded into `folder`: where that is, and what `show` says of it."""
    emit({"schema_version": VERSION, "folder": str(folder), "show": json.loads(run_document(open_run(folder)))})


def _drawn(found: Numbers) -> tuple[list[Table], list[str]]:
    """Tables and notes of a run: a table per case, or of a sweep one per family."""
    frame = sweep(found.rows)
    operation = found.run.operation
    if is_sweep(frame, operation):
        said = [comparable_line(found.run), *notes(found.run, found.rows), *sweep_notes(frame, operation)]
        return sweep_tables(frame, operation), said
    over_ranks = [block for block in run_blocks(found) if isinstance(block, Table)]
    return [*run_tables(found.rows), *over_ranks, *number_tables(found)], [
        *best_lines([one for one in found.headlines if one.rank == 0]),
        comparable_line(found.run),
        *notes(found.run, found.rows),
        *cause_lines(found.ranks, found.run.settings.get("alone_rounds")),
        *number_notes(found),
    ]


def print_requests(opened: OpenedRun) -> None:
    """Print the tables of whole requests, held against the run's own calls; nothing where there are none."""
    found = opened.requests
    if found is None:
        return
    profiled = found.profiles
    blocks = request_blocks(found.facts, found.rows, found.agreed, profiled.steps, profiled.predicted, profiled.doubts)
    agree = layer_lines(opened.per_layer)
    printed(wide_console(), [*blocks, *([Bullets(items=tuple(agree))] if agree else [])])


def _requests_json(opened: OpenedRun) -> dict[str, Any] | None:
    """What `show --json` says of whole requests; None where there are none."""
    found = opened.requests
    if found is None:
        return None
    profiled = found.profiles
    document = end_to_end_json(found.facts, found.rows, found.agreed, profiled.steps, profiled.predicted)
    return document | {"per_layer": [asdict(one) for one in opened.per_layer]}


def wide_console() -> Console:
    """Standard output; 140 columns where it is no terminal, so that a table in a file is not broken."""
    console = Console()
    return console if console.is_terminal else Console(width=140)
