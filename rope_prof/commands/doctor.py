"""`doctor`: what this machine can do, and what to do about the rest."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from rope_prof.commands import words
from rope_prof.commands.documents import VERSION, emit
from rope_prof.errors import UnavailableError
from rope_prof.io.run.history import history_file, kept_runs
from rope_prof.io.store import answers_kept, compiled_kept, traces_kept
from rope_prof.units import size

#: What is kept in the user's cache folder to be faster, and goes by `--clear-cache`.
KEPT = {"parsed traces": traces_kept, "answers": answers_kept, "compiled code": compiled_kept}


def doctor(
    as_json: words.Json = False,
    clear: Annotated[bool, typer.Option("--clear-cache", help="Delete what is kept of traces and runs.")] = False,
) -> None:
    """What this machine can do, and what to do about the rest."""
    if clear:
        deleted = {what: (store().clear(), store().folder) for what, store in KEPT.items()}
        for what, (held, folder) in deleted.items():
            typer.echo(f"{size(held)} of {what} deleted from {folder}")
        if as_json:
            gone = [{"what": what, "bytes": held, "folder": str(at)} for what, (held, at) in deleted.items()]
            emit({"schema_version": VERSION, "deleted": gone})
        return
    try:
        from rope_prof.record.device.devices import find_device
        from rope_prof.record.device.machine import checks, machine
    except ImportError as error:
        raise UnavailableError(
            f"torch cannot be imported ({error}); pip install -c constraints.txt -e . in the repository"
        ) from error
    found = checks()
    if as_json:
        emit({"schema_version": VERSION, "checks": [asdict(check) for check in found]})
        return
    width = max(len(check.name) for check in found)
    for check in found:
        typer.echo(f"{check.state:<8} {check.name:<{width}}  {check.seen}")
        if check.advice:
            typer.echo(f"{'':<8} {'':<{width}}  -> {check.advice}")
    here = machine(find_device("auto"))
    known = f"{len(kept_runs(here))} runs of machines like this one in {history_file(here)}, for `compare`"
    typer.echo(f"{'':<8} {'history':<{width}}  {known}")
    for what, store in KEPT.items():
        kept = f"{size(store().kept_bytes())} of {what} in {store().folder}; `doctor --clear-cache` deletes them"
        typer.echo(f"{'':<8} {'cache':<{width}}  {kept}")
