"""`compare BASE CAND`: two runs, two selections of one, or two traces; a verdict each and an exit code for CI."""

from __future__ import annotations

from typing import Annotated

import typer

from rope_prof.analysis.comparison.gates import Gate, gate
from rope_prof.analysis.comparison.sides import NotComparableError
from rope_prof.commands.compare_traces import Stretches, are_traces, compare_traces
from rope_prof.commands.words import NOT_JUDGED, place
from rope_prof.errors import RunError, UsageError
from rope_prof.io.run.redact import cleaner
from rope_prof.opened.comparison import cleaned_markdown, comparison, sides
from rope_prof.views.blocks.compare import verdict_table
from rope_prof.views.exchange.github import comment
from rope_prof.views.exchange.judged import judged
from rope_prof.views.exchange.junit import junit
from rope_prof.views.terminal.writer import plain_table
from rope_prof.views.words.compare_json import compare_json
from rope_prof.views.words.comparison import Comparison, gates, method, reasons
from rope_prof.views.words.names import shown

FORMATS = ("text", "markdown", "json", "github", "junit")
#: The formats of other tools, of one pair of sides.
EXCHANGED = {"github": comment, "junit": junit}
_SIDE = "RUN[:PATH[/MODE]]"


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
    as_json: Annotated[bool, typer.Option("--json", help="The same as --format json.")] = False,
    fail_on: Annotated[
        list[str] | None,
        typer.Option(
            "--fail-on",
            metavar="'wall>3%'",
            help="Exit 1 if wall, device, kernels or bubble grew beyond it; repeatable.",
        ),
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="A bound that cannot be judged fails: 1, not 4.")] = False,
    allow_unknown: Annotated[
        bool, typer.Option("--allow-unknown", help="A bound that cannot be judged passes, and the output says so.")
    ] = False,
    form: Annotated[
        str,
        typer.Option(
            "--format", metavar="|".join(FORMATS), help="How to print; markdown, github and junit are cleaned."
        ),
    ] = "text",
    anyway: Annotated[
        bool, typer.Option("--anyway", help="Compare other devices, shapes and dtypes, and the keys of both sides.")
    ] = False,
    range_: Annotated[
        str | None,
        typer.Option("--range", metavar="NAME", help="Two traces: the calls of this range, as step or ProfilerStep#*."),
    ] = None,
    base_range: Annotated[
        str | None, typer.Option("--base-range", metavar="NAME", help="Two traces: what it is called in BASE.")
    ] = None,
    device: Annotated[str | None, typer.Option(help="Two traces: the device, else the busiest of each.")] = None,
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
    bounds = bounds_of(fail_on or [])
    for word in (base, cand):
        place(word.partition(":")[0])
    parts = Stretches(name=range_, base_name=base_range, device=device)
    if are_traces(base, cand):
        if bounds or strict or allow_unknown:
            raise UsageError(
                "bounds judge recorded runs, whose rounds are samples; two traces have none: leave them out"
            )
        if form in EXCHANGED:
            raise UsageError(f"--format {form} holds bounds of recorded runs; of two traces say text, markdown or json")
        compare_traces(base, cand, parts, "json" if as_json else form, anyway=anyway)
        return
    if parts.given():
        raise UsageError(
            "--range, --base-range and --device pick a part of a trace; these are runs: RUN:PATH/MODE does"
        )
    try:
        (left, right), paired = sides(base, cand)
    except RunError as error:
        raise NotComparableError(str(error)) from error
    found = comparison(
        (base, cand),
        left,
        right,
        paired=paired,
        anyway=anyway,
        bounds=bounds,
        strict=strict,
        allow_unknown=allow_unknown,
    )
    if form == "markdown":
        text, removed = cleaned_markdown(found)
        typer.echo(text)
        typer.echo(removed, err=True)
    elif form in EXCHANGED:
        clean = cleaner()
        typer.echo(clean(EXCHANGED[form]([judged(f"{base} to {cand}", found)])), nl=False)
        typer.echo(clean.sentence(), err=True)
    else:
        typer.echo((compare_json if as_json or form == "json" else compare_text)(found))
    held = {state for _, _, state in found.checked}
    if "fails" in held or (strict and "undecided" in held):
        raise typer.Exit(1)
    if "undecided" in held and not allow_unknown:
        raise typer.Exit(NOT_JUDGED)


def compare_text(found: Comparison) -> str:
    """Columns two blanks apart, and under them what bounds said, why verdicts are open and how it was measured."""
    lines = map(shown, [*gates(found), *reasons(found), *method(found)])
    return "\n".join([*plain_table(verdict_table(found)), "", *lines])


def bounds_of(fail_on: list[str]) -> dict[str, Gate]:
    """Each bound as typed, and read. Errors: UsageError for one that is none."""
    return {text: gate(text) for text in fail_on}
