"""The words of `compare`: two sides, bounds, how to print; of two traces which part of each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import typer

from rope_prof.commands import words
from rope_prof.commands.words import Store, place

FORMATS = ("text", "markdown", "html", "json", "github", "junit")
_SIDE = "RUN[:PATH[/MODE]] or baseline:NAME[:PATH[/MODE]]"


@dataclass(frozen=True, slots=True, kw_only=True)
class CompareWords:
    """All of them, as typed."""

    base: Annotated[
        str,
        typer.Argument(
            parser=place, metavar="BASE", help=f"{_SIDE}: a run folder, or a path and mode of one; or a TRACE."
        ),
    ]
    cand: Annotated[
        str, typer.Argument(parser=place, metavar="CAND", help=f"{_SIDE}, as run:fused or run:fused/graph.")
    ]
    as_json: words.Json = False
    fail_on: Annotated[
        list[str] | None,
        typer.Option(
            "--fail-on",
            metavar="'wall>3%'",
            help="Exit 1 if wall, device, kernels or bubble grew beyond it; repeatable.",
        ),
    ] = None
    strict: Annotated[bool, typer.Option("--strict", help="A bound that cannot be judged fails: 1, not 4.")] = False
    allow_unknown: words.AllowUnknown = False
    form: Annotated[
        str,
        typer.Option(
            "--format",
            metavar="|".join(FORMATS),
            help="How to print; cleaned, but for text and json. html: two traces.",
        ),
    ] = "text"
    anyway: Annotated[
        bool, typer.Option("--anyway", help="Compare other devices, shapes and dtypes, and the keys of both sides.")
    ] = False
    range_: words.Range = None
    base_range: Annotated[
        str | None, typer.Option("--base-range", metavar="NAME", help="Two traces: what it is called in BASE.")
    ] = None
    device: Annotated[str | None, typer.Option(help="Two traces: the device, else the busiest of each.")] = None
    store: Store = None

    @property
    def printed_as(self) -> str:
        """One of `FORMATS`."""
        return "json" if self.as_json else self.form
