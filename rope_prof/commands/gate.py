"""`gate BASE`: this tree against a revision or a baseline, for every operation of a matrix; one answer, an exit code.

Records and compares by the commands of their names; writes what a pull request shows and what a CI system reads.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from rope_prof.analysis.comparison.evidence import Known
from rope_prof.analysis.comparison.gates import gate as bound
from rope_prof.analysis.comparison.sides import NotComparableError
from rope_prof.commands import words
from rope_prof.commands.documents import VERSION, emit
from rope_prof.commands.gate_matrix import FILE, GatedOperation, Matrix, read_matrix, record_words
from rope_prof.errors import UsageError, told_error
from rope_prof.io.atomic import write_atomic
from rope_prof.io.run.baselines import Baselines
from rope_prof.io.run.redact import cleaner
from rope_prof.model.baseline import PREFIX
from rope_prof.opened.baselines import before as known_before
from rope_prof.opened.baselines import is_baseline, newest
from rope_prof.opened.comparison import comparison, side_of
from rope_prof.opened.run import OpenedRun, open_run
from rope_prof.record.worker.sides import known_revision
from rope_prof.views.exchange.github import comment
from rope_prof.views.exchange.judged import Judged, judged, worst
from rope_prof.views.exchange.junit import junit
from rope_prof.views.words.compare_json import compare_json

#: Where GitHub shows what a job says of itself.
SUMMARY = "GITHUB_STEP_SUMMARY"


def gate(
    base: Annotated[
        str | None,
        typer.Argument(
            help="The git revision that this tree is held against, as origin/main; or baseline:NAME, a kept recording."
        ),
    ] = None,
    against: Annotated[
        str | None, typer.Option("--against", metavar="BASE", help="The same, as the option that record has.")
    ] = None,
    out: Annotated[
        Path, typer.Option("-o", "--out", parser=words.path, help="Folder for runs, reports, traces, comment, JUnit.")
    ] = Path("rope_prof-gate"),
    matrix: Annotated[
        Path | None,
        typer.Option(parser=words.path, help=f"Operations, cases and bounds; default ./{FILE} where there is one."),
    ] = None,
    device: words.Device = "auto",
    allow_unknown: words.AllowUnknown = False,
    as_json: words.Json = False,
    store: words.Store = None,
) -> None:
    """Is this tree slower than a revision? Both are measured in turn, in fresh processes.

    Exit: 0 all bounds hold, 1 a bound fails or a path is broken, 2 usage, 4 a bound cannot be judged.
    """
    base = _one_base(base, against)
    asked = read_matrix(matrix)
    kept = GateBaseline(Baselines(store), base.removeprefix(PREFIX)) if is_baseline(base) else None
    if kept is not None:
        newest(kept.store, kept.name)
    else:
        known_revision(base, Path.cwd())
    _make(out)
    found = [
        pair
        for number, one in enumerate(asked.operation)
        for pair in _measured(one, asked, kept or base, out / f"run-{number}", device, allow_unknown)
    ]
    text = _written(found, out)
    typer.echo(text)
    state = worst({one.state for one in found})
    if as_json:
        emit({"schema_version": VERSION, "state": state, "out": str(out), "judged": [_told(one) for one in found]})
    if state != "holds":
        raise typer.Exit(1 if state == "fails" else words.NOT_JUDGED)


def _make(out: Path) -> None:
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(f"{str(out)!r} holds something already; expected a new folder, as -o gate-1")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"cannot make {str(out)!r} ({error.strerror}); expected a new folder, as -o gate-1") from error


def _one_base(base: str | None, against: str | None) -> str:
    if base is not None and against is not None:
        raise UsageError(f"{base!r} and --against {against!r}: expected one of them")
    found = base if against is None else against
    if not found:
        raise UsageError("nothing to hold this tree against; expected a revision, as origin/main, or baseline:NAME")
    return found


def _told(one: Judged) -> dict[str, Any]:
    """One pair of sides as JSON; `comparison` is the document of `compare --json`."""
    broken = [
        {"key": key.facts.key.name, "status": key.facts.status, "reason": key.facts.reason, "fails": key.fails}
        for key in one.broken
    ]
    compared = None if one.comparison is None else json.loads(compare_json(one.comparison))
    return {"name": one.name, "state": one.state, "reason": one.error, "broken": broken, "comparison": compared}


@dataclass(frozen=True, slots=True)
class GateBaseline:
    """The base is a baseline of that name."""

    store: Baselines
    name: str


def _measured(
    one: GatedOperation, asked: Matrix, base: str | GateBaseline, folder: Path, device: str, allow_unknown: bool
) -> Iterator[Judged]:
    """Every judged path of that operation; a sentence in its place where nothing could be recorded or compared."""
    revision = base if isinstance(base, str) else None
    command = [sys.executable, "-m", "rope_prof", *record_words(one, asked, revision, folder, device)]
    done = subprocess.run([*command, "--json"], stdout=subprocess.PIPE, check=False)
    if not (folder / "run.json").is_file():
        said = told_error(done.stdout) or f"record ended with {done.returncode}"
        yield Judged(name=one.title, error=said, ours=True)
        return
    run = open_run(folder)
    bounds = {text: bound(text) for text in (asked.bounds if one.bounds is None else one.bounds)}
    with ExitStack() as files:
        try:
            before, label, known = _base(run, base, files)
        except NotComparableError as error:
            yield Judged(name=one.title, error=str(error))
            return
        for path, other in _pairs(run, before, one.paths, label):
            sides = side_of(f"{label}:{other}", before, other, None), side_of(f"{folder.name}:{path}", run, path, None)
            typed = (f"{label}:{other}", f"{folder}:{path}")
            try:
                paired = before is run
                found = comparison(
                    typed, *sides, paired=paired, bounds=bounds, allow_unknown=allow_unknown, known=known
                )
            except NotComparableError as error:
                yield Judged(name=f"{one.title} {path}", error=str(error))
                continue
            yield judged(f"{one.title} {path}", found)


def _base(run: OpenedRun, base: str | GateBaseline, files: ExitStack) -> tuple[OpenedRun, str, Known | None]:
    """(the run that holds the base, how it is typed, what is known of such runs): `run` itself of a revision."""
    if isinstance(base, str):
        return run, str(run.path), None
    one = newest(base.store, base.name, run.run)
    return open_run(files.enter_context(base.store.opened(one))), f"{PREFIX}{base.name}", known_before(base.store, one)


def _pairs(run: OpenedRun, base: OpenedRun, asked: Sequence[str], label: str) -> list[tuple[str, str]]:
    """(a path, the same of the base): `fused` and `fused@1a2b3c4`, or of a baseline `fused` and its own.

    Errors: UsageError for a path that has no such.
    """
    ending = f"@{run.run.settings.get('against') or ''}" if base is run else ""
    known, theirs = ([facts.key.path for facts in one.run.keys] for one in (run, base))
    pairs = [(path, f"{path}{ending}") for path in dict.fromkeys(known) if f"{path}{ending}" in theirs]
    lost = [path for path in asked if path not in dict(pairs)]
    if lost or not pairs:
        raise UsageError(
            f"no path {', '.join(lost) or 'of both sides'} in the run and {label}; "
            f"they have {', '.join(dict.fromkeys((*known, *theirs)))}"
        )
    return [pair for pair in pairs if not asked or pair[0] in asked]


def _written(found: Sequence[Judged], out: Path) -> str:
    """The comment, cleaned as every export is; beside it JUnit, and of each run its page and its traces."""
    clean = cleaner()
    text = clean(comment(found, "Artifacts: the runs, their reports as HTML and their traces for Perfetto."))
    for name, content in (("comment.md", text), ("junit.xml", clean(junit(found)))):
        _write(out / name, content)
    for folder in sorted(path for path in out.iterdir() if (path / "run.json").is_file()):
        for form, suffix in (("html", "html"), ("perfetto", "pftrace")):
            made = out / f"{folder.name}.{suffix}"
            command = [sys.executable, "-m", "rope_prof", "export", str(folder), "--to", form, "-o", str(made)]
            subprocess.run(command, stdout=sys.stderr, check=False)  # nothing was captured, say: it says so itself
    summary = os.environ.get(SUMMARY)
    if summary:
        with Path(summary).open("a", encoding="utf-8") as file:
            file.write(text)
    return text


def _write(path: Path, text: str) -> None:
    write_atomic(path, lambda part: part.write_text(text, encoding="utf-8"))
