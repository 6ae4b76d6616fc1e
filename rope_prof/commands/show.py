"""`show RUN`: the table of a run from its files alone. Needs no torch."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rope_prof.commands import words
from rope_prof.commands.kept import say_kept
from rope_prof.errors import RunError


def show(
    run: Annotated[Path, typer.Argument(parser=words.path, help="A run folder, as made by record.")],
    as_json: words.Json = False,
) -> None:
    """The table of a run: kernels, bubbles, times, speedup, accuracy; what modes and fusing buy, and why."""
    say_kept(("show", run, as_json), (run,), lambda: _show(run, as_json))


def _show(run: Path, as_json: bool) -> None:
    from rope_prof.commands.printing import print_run  # dear to load, and not needed where the answer is kept
    from rope_prof.opened.run import open_run

    opened = open_run(run)
    print_run(opened, as_json=as_json)
    if opened.folder.dropped_rows:
        typer.echo(
            f"note: rows of the samples left out: {opened.folder.dropped_rows}; they come more than once, as two "
            "recordings into one folder leave them",
            err=True,
        )
    missing = opened.folder.missing_traces()
    if missing:
        raise RunError(
            f"run {str(run)!r} has lost {len(missing)} of its traces ({missing[0]}); their kernels and bubbles are "
            "left out above: restore the files or record again"
        )
