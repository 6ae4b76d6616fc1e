"""`compare BASE CAND`: two runs, two selections of one, or two traces; a verdict each and an exit code for CI."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rope_prof.commands.words import place

if TYPE_CHECKING:
    from rope_prof.analysis.comparison.gates import Gate
    from rope_prof.analysis.comparison.sides import Side
    from rope_prof.analysis.run.rows import CaptureFigures
    from rope_prof.io.run.folder import RunFolder
    from rope_prof.io.run.redact import Words
    from rope_prof.model.run import KeyFacts
    from rope_prof.model.trace import Trace
    from rope_prof.views.words.comparison import Comparison

FORMATS = ("text", "markdown", "json")
#: The exit code of a bound that is neither kept nor broken, as far as anybody can tell.
NOT_JUDGED = 4
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
        str, typer.Option("--format", metavar="|".join(FORMATS), help="How to print; markdown is cleaned for others.")
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
    from rope_prof.analysis.comparison.sides import NotComparableError
    from rope_prof.commands.compare_traces import Stretches, are_traces, compare_traces
    from rope_prof.errors import RunError, UsageError
    from rope_prof.views.terminal.compare import compare_json, compare_text

    if form not in FORMATS:
        raise UsageError(f"unknown --format {form!r}; expected {', '.join(FORMATS)}")
    if as_json and form not in {"text", "json"}:
        raise UsageError(f"--json and --format {form} ask for two things; say one")
    if strict and allow_unknown:
        raise UsageError("--strict fails what cannot be judged and --allow-unknown passes it; say one")
    bounds = bounds_of(fail_on or [])
    parts = Stretches(name=range_, base_name=base_range, device=device)
    if are_traces(base, cand):
        if bounds or strict or allow_unknown:
            raise UsageError(
                "bounds judge recorded runs, whose rounds are samples; two traces have none: leave them out"
            )
        compare_traces(base, cand, parts, "json" if as_json else form, anyway=anyway)
        return
    if parts.given():
        raise UsageError(
            "--range, --base-range and --device pick a part of a trace; these are runs: RUN:PATH/MODE does"
        )
    try:
        (left, left_folder), (right, right_folder) = side(base), side(cand)
    except RunError as error:
        raise NotComparableError(str(error)) from error
    paired = left_folder.resolve() == right_folder.resolve()
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
    else:
        typer.echo((compare_json if as_json or form == "json" else compare_text)(found))
    held = {state for _, _, state in found.checked}
    if "fails" in held or (strict and "undecided" in held):
        raise typer.Exit(1)
    if "undecided" in held and not allow_unknown:
        raise typer.Exit(NOT_JUDGED)


def bounds_of(fail_on: list[str]) -> dict[str, Gate]:
    """Each bound as typed, and read. Errors: UsageError for one that is none."""
    from rope_prof.analysis.comparison.gates import gate

    return {text: gate(text) for text in fail_on}


def comparison(
    words: tuple[str, str],
    base: Side,
    cand: Side,
    *,
    paired: bool,
    anyway: bool = False,
    bounds: Mapping[str, Gate] | None = None,
    strict: bool = False,
    allow_unknown: bool = False,
) -> Comparison:
    """All that `compare` prints of two sides, which were typed as `words`. Errors: those of `compare.compare`."""
    from rope_prof.analysis.comparison.compare import ALL_METRICS
    from rope_prof.analysis.comparison.compare import compare as verdicts_of
    from rope_prof.analysis.comparison.gates import check
    from rope_prof.analysis.comparison.sides import differences
    from rope_prof.analysis.run.differences import unlike_clocks, unlike_machines
    from rope_prof.views.words.comparison import Comparison

    known = bounds or {}
    verdicts = verdicts_of(base, cand, paired=paired, anyway=anyway, metrics=ALL_METRICS)
    return Comparison(
        typed=words,
        base=base,
        cand=cand,
        paired=paired,
        command=typed(*words, list(known), strict=strict, anyway=anyway, allow_unknown=allow_unknown),
        verdicts=verdicts,
        checked=check(list(known.values()), verdicts),
        allow_unknown=allow_unknown,
        differences=differences(base, cand),
        unlike=() if paired else (*unlike_machines(base.run, cand.run), *unlike_clocks(base.samples, cand.samples)),
    )


def cleaned_markdown(found: Comparison, words: Words | None = None) -> tuple[str, str]:
    """The Markdown of `found` for everybody, without private words as a report's, and the line that says what went.

    `words`: what counts as private besides tokens and paths; by default this machine's own.
    """
    from rope_prof.io.run.redact import Cleaner, private_words
    from rope_prof.views.blocks.model import mapped
    from rope_prof.views.terminal.compare import compare_markdown, texts

    clean = Cleaner(private_words() if words is None else words)
    said = mapped(texts(found), clean)
    return compare_markdown(said, clean.notice()), clean.sentence()


def typed(base: str, cand: str, fail_on: list[str], *, strict: bool, anyway: bool, allow_unknown: bool = False) -> str:
    """The command, so that it can be typed again."""
    import shlex

    bounds = [word for text in fail_on for word in ("--fail-on", text)]
    said = {"--strict": strict, "--allow-unknown": allow_unknown, "--anyway": anyway}
    flags = [flag for flag, on in said.items() if on]
    return shlex.join(["python", "-m", "rope_prof", "compare", base, cand, *bounds, *flags])


def side(text: str) -> tuple[Side, Path]:
    """The run folder, path and mode of `RUN[:PATH[/MODE]]`. A path may itself hold a colon (`module:function`).

    Errors: RunError for no run; BadParameter for an empty RUN; UsageError for a path or mode that the run has not.
    """
    from rope_prof.errors import UsageError
    from rope_prof.io.run.folder import is_run, read_run

    place(text.partition(":")[0])
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
    return picked(text, found, path or None, mode or None), found.path


def picked(
    text: str,
    folder: RunFolder,
    path: str | None,
    mode: str | None,
    capture_of: Callable[[RunFolder, KeyFacts], CaptureFigures | str] | None = None,
) -> Side:
    """That path and mode of a run (None: all of them), with the figures of their captures; `text` is what was typed."""
    from dataclasses import replace

    from rope_prof.analysis.comparison.sides import Side

    found = Side(label=repr(text), run=folder.run, samples=folder.samples, path=path, mode=mode)
    figures_of = capture_of or capture
    return replace(found, captures={facts.key.name: figures_of(folder, facts) for facts in found.keys})


def capture(folder: RunFolder, facts: KeyFacts, read: Callable[[Path], Trace] | None = None) -> CaptureFigures | str:
    """The figures of the trace of `facts`, or why there are none: the other metrics do not need it."""
    from rope_prof.analysis.run.rows import figures, require_whole
    from rope_prof.errors import RunError, TraceError
    from rope_prof.io.trace.read import read_trace

    label = f"{facts.key.path} {facts.key.mode}"
    path = folder.trace_path(facts.key.name)
    if path is None:
        return f"{label} was not captured" if facts.trace is None else f"the trace {facts.trace!r} is missing"
    try:
        trace = (read or read_trace)(path)
        found = figures(trace, facts.key)
        require_whole(trace, found, facts)
    except (RunError, TraceError) as error:
        return str(error)
    return found
