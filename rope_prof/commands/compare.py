"""`compare BASE CAND`: two runs, two selections of one, or two traces; a verdict each and an exit code for CI."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from rope_prof.commands import words
from rope_prof.commands.kept import private, say_kept
from rope_prof.commands.words import Store, place
from rope_prof.errors import UsageError
from rope_prof.io.layout import RUN_FILE
from rope_prof.io.run.history import history_folder
from rope_prof.model.baseline import PREFIX

FORMATS = ("text", "markdown", "html", "json", "github", "junit")
_SIDE = "RUN[:PATH[/MODE]] or baseline:NAME[:PATH[/MODE]]"


def compare(
    base: Annotated[
        str,
        typer.Argument(
            parser=place, metavar="BASE", help=f"{_SIDE}: a run folder, or a path and mode of one; or a TRACE."
        ),
    ],
    cand: Annotated[
        str, typer.Argument(parser=place, metavar="CAND", help=f"{_SIDE}, as run:fused or run:fused/graph.")
    ],
    as_json: words.Json = False,
    fail_on: Annotated[
        list[str] | None,
        typer.Option(
            "--fail-on",
            metavar="'wall>3%'",
            help="Exit 1 if wall, device, kernels or bubble grew beyond it; repeatable.",
        ),
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="A bound that cannot be judged fails: 1, not 4.")] = False,
    allow_unknown: words.AllowUnknown = False,
    form: Annotated[
        str,
        typer.Option(
            "--format",
            metavar="|".join(FORMATS),
            help="How to print; cleaned, but for text and json. html: two traces.",
        ),
    ] = "text",
    anyway: Annotated[
        bool, typer.Option("--anyway", help="Compare other devices, shapes and dtypes, and the keys of both sides.")
    ] = False,
    range_: words.Range = None,
    base_range: Annotated[
        str | None, typer.Option("--base-range", metavar="NAME", help="Two traces: what it is called in BASE.")
    ] = None,
    device: Annotated[str | None, typer.Option(help="Two traces: the device, else the busiest of each.")] = None,
    store: Store = None,
) -> None:
    """Faster, slower or the same, with intervals.

    Exit: 0 all bounds hold, 1 a bound fails, 2 usage, 3 not comparable, 4 a bound cannot be judged.
    """
    if form not in FORMATS:
        raise UsageError(f"unknown --format {form!r}; expected {', '.join(FORMATS)}")
    if as_json and form not in {"text", "json"}:
        raise UsageError(f"--json and --format {form} ask for two things; say one")
    if strict and allow_unknown:
        raise UsageError("--strict fails what cannot be judged and --allow-unknown passes it; say one")
    for word in (base, cand):
        place(word.partition(":")[0])
    asked: dict[str, Any] = {"form": "json" if as_json else form, "bounds": tuple(fail_on or ()), "strict": strict}
    asked |= {"allow_unknown": allow_unknown, "anyway": anyway}
    asked |= {"name": range_, "base_name": base_range, "device": device, "store": store}
    if base.startswith(PREFIX) or cand.startswith(PREFIX):  # a name means another run tomorrow
        _compare(base, cand, asked)
        return
    inputs = [path for word in (base, cand) for path in _places(word)]
    inputs += [history_folder()] if history_folder().exists() else []
    rest = private() if form not in {"text", "json"} else ""
    say_kept(("compare", base, cand, asked, rest), inputs, partial(_compare, base, cand, asked))


def _compare(base: str, cand: str, asked: dict[str, Any]) -> None:
    from rope_prof.commands.compare_sides import compare_sides  # dear to load, and not needed where the answer is kept

    compare_sides(base, cand, **asked)


def _places(word: str) -> Iterator[Path]:
    """The files and run folders that `RUN[:PATH[/MODE]]` can name; a path and a folder may hold colons."""
    cuts = [len(word), *(i for i, letter in enumerate(word) if letter == ":")]
    for path in (Path(word[:i]) for i in cuts if i):
        if path.is_file() or (path / RUN_FILE).exists():
            yield path
