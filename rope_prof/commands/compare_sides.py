"""What `compare` prints of two runs, two selections of one, or two traces, and the exit code of its bounds."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import typer

from rope_prof.analysis.comparison.gates import Gate, gate
from rope_prof.analysis.comparison.sides import NotComparableError
from rope_prof.commands.compare_words import CompareWords
from rope_prof.commands.documents import emit
from rope_prof.commands.words import NOT_JUDGED, Stretches
from rope_prof.errors import RunError, UsageError
from rope_prof.io.run.baselines import Baselines
from rope_prof.io.run.redact import cleaner
from rope_prof.opened.baselines import compared_sides
from rope_prof.opened.comparison import cleaned_markdown, comparison
from rope_prof.views.blocks.compare import verdict_table
from rope_prof.views.terminal.writer import plain_table
from rope_prof.views.words.compare_json import compare_json
from rope_prof.views.words.comparison import Comparison, method, reasons
from rope_prof.views.words.comparison import gates as held_lines
from rope_prof.views.words.names import shown

#: The formats of other tools, of one pair of sides.
EXCHANGED = ("github", "junit")


def are_traces(base: str, cand: str) -> bool:
    """Whether both are files, as traces are; a run is a folder. Errors: UsageError where one is and the other not."""
    files = [Path(text).is_file() for text in (base, cand)]
    if files[0] != files[1]:
        one, other = (base, cand) if files[0] else (cand, base)
        raise UsageError(f"{one!r} is a file and {other!r} is none; compare two traces, or two runs")
    return files[0]


def compare_sides(asked: CompareWords) -> None:
    """Print it. Errors: UsageError for words that do not go together, NotComparableError, TraceError."""
    gates = {text: gate(text) for text in asked.fail_on or ()}
    parts = Stretches(name=asked.range_, base_name=asked.base_range, device=asked.device)
    if are_traces(asked.base, asked.cand):
        if gates or asked.strict or asked.allow_unknown:
            raise UsageError(
                "bounds judge recorded runs, whose rounds are samples; two traces have none: leave them out"
            )
        if asked.form in EXCHANGED:
            raise UsageError(
                f"--format {asked.form} holds bounds of recorded runs; of two traces say text, markdown or json"
            )
        from rope_prof.commands.compare_traces import compare_traces  # draws: dear to load

        compare_traces(asked.base, asked.cand, parts, asked.printed_as, anyway=asked.anyway)
        return
    if asked.form == "html":
        raise UsageError("--format html draws two traces; of two runs say markdown, or export each with --to html")
    if parts.given():
        raise UsageError(
            "--range, --base-range and --device pick a part of a trace; these are runs: RUN:PATH/MODE does"
        )
    found = _runs(asked, gates)
    _print(found, asked)
    held = {state for _, _, state in found.checked}
    if "fails" in held or (asked.strict and "undecided" in held):
        raise typer.Exit(1)
    if "undecided" in held and not asked.allow_unknown:
        raise typer.Exit(NOT_JUDGED)


def _runs(asked: CompareWords, gates: Mapping[str, Gate]) -> Comparison:
    try:
        with compared_sides(Baselines(asked.store), asked.base, asked.cand) as ((left, right), paired, known):
            return comparison(
                (asked.base, asked.cand),
                left,
                right,
                paired=paired,
                anyway=asked.anyway,
                bounds=gates,
                strict=asked.strict,
                allow_unknown=asked.allow_unknown,
                known=known,
                store=asked.store,
            )
    except RunError as error:
        raise NotComparableError(str(error)) from error


def _print(found: Comparison, asked: CompareWords) -> None:
    form = asked.printed_as
    if form == "markdown":
        text, removed = cleaned_markdown(found)
        typer.echo(text)
        typer.echo(removed, err=True)
    elif form in EXCHANGED:
        from rope_prof.views.exchange.github import comment  # XML: dear to load
        from rope_prof.views.exchange.judged import judged
        from rope_prof.views.exchange.junit import junit

        clean, write = cleaner(), comment if form == "github" else junit
        typer.echo(clean(write([judged(f"{asked.base} to {asked.cand}", found)])), nl=False)
        typer.echo(clean.sentence(), err=True)
    elif form == "json":
        emit(compare_json(found))
    else:
        typer.echo(compare_text(found))


def compare_text(found: Comparison) -> str:
    """Columns two blanks apart, and under them what bounds said, why verdicts are open and how it was measured."""
    lines = map(shown, [*held_lines(found), *reasons(found), *method(found)])
    return "\n".join([*plain_table(verdict_table(found)), "", *lines])
