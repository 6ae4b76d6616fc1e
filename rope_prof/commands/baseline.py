"""`baseline set|list|show|rm`: recordings kept under names, in a folder or behind a URL."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from rope_prof.commands import words
from rope_prof.io.run.baselines import Baselines
from rope_prof.model.baseline import PREFIX, NamedRun
from rope_prof.opened.baselines import baseline as made_baseline
from rope_prof.opened.run import open_run
from rope_prof.views.blocks.baselines import kept_table, names_table, newest_table
from rope_prof.views.terminal.writer import plain_table

baseline = typer.Typer(
    help="Recordings kept under names, to compare with; their history over commits.",
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
)
_Name = Annotated[str, typer.Argument(metavar="NAME", help="As main or release-0.2.")]
_Json = Annotated[bool, typer.Option("--json", help="Print it as JSON.")]


@baseline.command("set")
def set_(
    name: _Name,
    run: Annotated[Path, typer.Argument(parser=words.path, metavar="RUN", help="The run folder to keep a copy of.")],
    note: Annotated[str, typer.Option(help="What to say of it in the history.")] = "",
    store: words.Store = None,
) -> None:
    """Keep that run as the newest of NAME, for its operation and kind of machine; older ones stay in the history."""
    opened = open_run(run)
    kept = Baselines(store)
    one = kept.put(made_baseline(name, opened, note), opened.folder)
    typer.echo(
        f"{PREFIX}{name} is now {one.operation} of {one.code} on {one.device}, {one.created[:10]}, "
        f"{len(one.keys)} keys, kept as recorded in {kept.address}"
    )
    typer.echo(f"  python -m rope_prof compare {PREFIX}{name} RUN")


@baseline.command("list")
def list_(as_json: _Json = False, store: words.Store = None) -> None:
    """Every name, with the newest recording of each operation and kind of machine."""
    kept = Baselines(store)
    found = [one for name in kept.names() for one in kept.all(name)]
    if as_json:
        _json([_document(one) for one in found])
    elif not found:
        typer.echo(f"no baseline in {kept.address}; keep one: python -m rope_prof baseline set main RUN")
    else:
        _print(plain_table(names_table(found)))


@baseline.command()
def show(name: _Name, as_json: _Json = False, store: words.Store = None) -> None:
    """Every recording of NAME, and the figures of the newest."""
    found = Baselines(store).all(name)
    if as_json:
        _json([_document(one) for one in found])
        return
    _print([*plain_table(kept_table(found)), "", *plain_table(newest_table(found[-1]))])


@baseline.command()
def rm(name: _Name, store: words.Store = None) -> None:
    """Delete NAME with all its recordings and their history."""
    kept = Baselines(store)
    typer.echo(f"{kept.remove(name)} recordings of {PREFIX}{name} deleted from {kept.address}")


def _document(one: NamedRun) -> dict[str, Any]:
    """What is kept but for the hashes of its files, which say only whether its run is still there."""
    found: dict[str, Any] = msgspec.to_builtins(one)
    return {name: value for name, value in found.items() if name not in {"version", "files", "kept"}} | {
        "run": bool(one.files)
    }


def _json(found: list[dict[str, Any]]) -> None:
    typer.echo(json.dumps({"schema_version": 1, "baselines": found}, indent=1, allow_nan=False))


def _print(lines: list[str]) -> None:
    typer.echo("\n".join(lines))
