"""`record` under torchrun: every rank measures at once; the first one prints the run and the spread over ranks."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from rope_prof.commands.printing import emit_recorded, print_run
from rope_prof.commands.progress import NoProgress, RichProgress
from rope_prof.commands.recorded import default_folder, next_commands
from rope_prof.opened.run import open_run
from rope_prof.record.ranks import Place, agreed, joined, ranked, record_rank

if TYPE_CHECKING:
    from rope_prof.record.loop.plan import Options


def record_on_ranks(
    options: Options, here: Place, *, device: str, name: str | None, out: Path | None, as_json: bool = False
) -> None:
    """Record on this rank, at once with the others, into one run folder. Errors: LostRankError names a dead rank."""
    from rope_prof.record.device.devices import find_device
    from rope_prof.record.loop.plan import fitted
    from rope_prof.record.session import fresh_run

    with joined(here), ExitStack() as held:
        found = find_device(here.device_name(device))
        options, word = fitted(options, found.kind)
        if word is not None and here.rank == 0:
            typer.echo(word, err=True)
        run = ranked(fresh_run(options, found, name), here)
        run, folder = agreed(run, out if out is not None else default_folder(run), held)
        with RichProgress() if here.rank == 0 else NoProgress() as progress:
            record_rank(run, found, folder, here, progress)
    if here.rank:
        return
    print_run(open_run(folder))
    folder = folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder
    typer.echo(f"\nrecorded on {here.size} ranks in {folder}\n\nnext:")
    for line in next_commands(folder):
        typer.echo(f"  {line}")
    typer.echo(f"  python -m rope_prof analyze {folder}    # the ranks' traces side by side")
    if as_json:
        emit_recorded(folder)
