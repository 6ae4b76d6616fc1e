"""`compare BASE CAND`: two runs, or two selections of one, with a verdict each and an exit code for CI."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rope_prof.compare import Gate, Held, Side, Verdict

FORMATS = ("text", "markdown", "json")
_SIDE = "RUN[:PATH[/MODE]]"


def compare(
    base: Annotated[str, typer.Argument(metavar="BASE", help=f"{_SIDE}: a run folder, or a path and mode of one.")],
    cand: Annotated[str, typer.Argument(metavar="CAND", help=f"{_SIDE}, as run:fused or run:fused/graph.")],
    as_json: Annotated[bool, typer.Option("--json", help="The same as --format json.")] = False,
    fail_on: Annotated[
        list[str] | None,
        typer.Option(
            "--fail-on", metavar="'wall>3%'", help="Exit 1 if wall or device time grew beyond it; repeatable."
        ),
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="A bound that stays undecided fails too.")] = False,
    form: Annotated[str, typer.Option("--format", metavar="|".join(FORMATS), help="How to print.")] = "text",
    anyway: Annotated[
        bool, typer.Option("--anyway", help="Compare other devices, and the keys that both sides have.")
    ] = False,
) -> None:
    """Faster, slower or the same, with intervals. Exit: 0 holds, 1 a bound fails, 2 usage, 3 not comparable."""
    from rope_prof.compare import compare as verdicts_of
    from rope_prof.compare import gate
    from rope_prof.errors import UsageError
    from rope_prof.views.compare_tables import compare_json, compare_markdown, compare_text

    if form not in FORMATS:
        raise UsageError(f"unknown --format {form!r}; expected {', '.join(FORMATS)}")
    gates = [gate(text) for text in fail_on or ()]
    left, left_folder = side(base)
    right, right_folder = side(cand)
    paired = left_folder.resolve() == right_folder.resolve()
    verdicts = verdicts_of(left, right, paired=paired, anyway=anyway)
    checked = check(gates, verdicts)
    if as_json or form == "json":
        typer.echo(compare_json(base, cand, verdicts, checked, paired=paired))
    else:
        draw = compare_markdown if form == "markdown" else compare_text
        typer.echo(draw(verdicts, checked, paired=paired))
    held = {state for _, _, state in checked}
    if "fails" in held or (strict and "undecided" in held):
        raise typer.Exit(1)


def check(gates: list[Gate], verdicts: tuple[Verdict, ...]) -> list[tuple[Gate, Verdict, Held]]:
    """Every bound against every verdict of its metric."""
    return [(g, v, g.check(v)) for g in gates for v in verdicts if v.metric == g.metric]


def side(text: str) -> tuple[Side, Path]:
    """The run folder, path and mode of `RUN[:PATH[/MODE]]`. A path may itself hold a colon (`module:function`).

    Errors: RunError for no run; UsageError for a path or mode that the run has not.
    """
    from rope_prof.compare import Side
    from rope_prof.errors import UsageError
    from rope_prof.io.run_folder import is_run, read_run

    cuts = [len(text), *(i for i, letter in enumerate(text) if letter == ":")]
    cut = next((i for i in cuts if is_run(Path(text[:i]))), cuts[0])
    found = read_run(Path(text[:cut]))
    path, _, mode = text[cut + 1 :].partition("/")
    for what, name, known in (
        ("path", path, {facts.key.path for facts in found.run.keys}),
        ("mode", mode, {facts.key.mode for facts in found.run.keys}),
    ):
        if name and name not in known:
            raise UsageError(f"no {what} {name!r} in run '{found.path}'; it has {', '.join(sorted(known))}")
    picked = Side(label=repr(text), run=found.run, samples=found.samples, path=path or None, mode=mode or None)
    return picked, found.path
