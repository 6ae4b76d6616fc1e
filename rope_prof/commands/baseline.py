"""`baseline set|list|show|history|rm`: recordings kept under names, in a folder or behind a URL."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from rope_prof.analysis.comparison.changes import NamedHistory, histories
from rope_prof.commands import words
from rope_prof.commands.documents import VERSION, emit
from rope_prof.commands.printing import wide_console
from rope_prof.errors import UsageError
from rope_prof.io.atomic import write_atomic
from rope_prof.io.run.baselines import Baselines
from rope_prof.io.run.redact import cleaner
from rope_prof.model.baseline import PREFIX, NamedRun
from rope_prof.opened.baselines import baseline as made_baseline
from rope_prof.opened.run import open_run
from rope_prof.units import size
from rope_prof.views.blocks.baselines import kept_table, names_table, newest_table
from rope_prof.views.blocks.history import history_blocks, history_report
from rope_prof.views.blocks.model import Words, mapped
from rope_prof.views.report.html import report_html
from rope_prof.views.terminal.writer import plain_table, printed

baseline = typer.Typer(
    help="Recordings kept under names, to compare with; their history over commits.",
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
)
_Name = Annotated[str, typer.Argument(metavar="NAME", help="As main or release-0.2.")]


@baseline.command("set")
def set_(
    name: _Name,
    run: Annotated[Path, typer.Argument(parser=words.path, metavar="RUN", help="The run folder to keep a copy of.")],
    note: Annotated[str, typer.Option(help="What to say of it in the history.")] = "",
    as_json: words.Json = False,
    store: words.Store = None,
) -> None:
    """Keep that run as the newest of NAME, for its operation and kind of machine; older ones stay in the history."""
    opened = open_run(run)
    kept = Baselines(store)
    one = kept.put(made_baseline(name, opened, note), opened.folder)
    if as_json:
        _json([_document(one)])
        return
    typer.echo(
        f"{PREFIX}{name} is now {one.operation} of {one.code} on {one.device}, {one.created[:10]}, "
        f"{len(one.keys)} keys, kept as recorded in {kept.address}"
    )
    typer.echo(f"  python -m rope_prof compare {PREFIX}{name} RUN")


@baseline.command("list")
def list_(as_json: words.Json = False, store: words.Store = None) -> None:
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
def show(name: _Name, as_json: words.Json = False, store: words.Store = None) -> None:
    """Every recording of NAME, and the figures of the newest."""
    found = Baselines(store).all(name)
    if as_json:
        _json([_document(one) for one in found])
        return
    _print([*plain_table(kept_table(found)), "", *plain_table(newest_table(found[-1]))])


@baseline.command()
def history(
    name: _Name,
    out: Annotated[
        Path | None,
        typer.Option(
            "-o", "--out", parser=words.path, metavar="FILE.html", help="Write one page that makes no request."
        ),
    ] = None,
    as_json: words.Json = False,
    store: words.Store = None,
) -> None:
    """The medians of NAME over its recordings, and where their level changed (extra history)."""
    found = histories(Baselines(store).all(name))
    if out is not None:
        if out.is_dir():
            raise UsageError(f"{str(out)!r} is a folder; expected a file to write, as -o history.html")
        clean = cleaner()
        page = report_html(mapped(history_report(found), clean)).encode("utf-8")
        write_atomic(out, lambda part: part.write_bytes(page))
        typer.echo(f"{out}: {size(len(page))}, one page that makes no request; open it in any browser", err=as_json)
        typer.echo(clean.sentence(), err=as_json)
    if as_json:
        emit({"schema_version": VERSION, "name": name, "histories": [_history(one) for one in found]})
    elif out is None:
        console = wide_console()
        for one in found:
            printed(console, [Words(text=f"{one.operation} on {one.device}", tone="strong"), *history_blocks(one)])


def _history(one: NamedHistory) -> dict[str, Any]:
    """Its recordings and lines; each change with its word."""
    lines = [
        asdict(line) | {"changes": [asdict(change) | {"word": change.word} for change in line.changes]}
        for line in one.lines
    ]
    recordings = [_document(each) for each in one.recordings]
    for each in recordings:
        del each["keys"]
    return asdict(one) | {"recordings": recordings, "lines": lines}


@baseline.command()
def rm(name: _Name, as_json: words.Json = False, store: words.Store = None) -> None:
    """Delete NAME with all its recordings and their history."""
    kept = Baselines(store)
    gone = kept.remove(name)
    if as_json:
        emit({"schema_version": VERSION, "name": name, "deleted": gone})
        return
    typer.echo(f"{gone} recordings of {PREFIX}{name} deleted from {kept.address}")


def _document(one: NamedRun) -> dict[str, Any]:
    """What is kept but for the hashes of its files, which say only whether its run is still there."""
    found: dict[str, Any] = msgspec.to_builtins(one)
    return {name: value for name, value in found.items() if name not in {"version", "files", "kept"}} | {
        "run": bool(one.files)
    }


def _json(found: list[dict[str, Any]]) -> None:
    emit({"schema_version": VERSION, "baselines": found})


def _print(lines: list[str]) -> None:
    typer.echo("\n".join(lines))
