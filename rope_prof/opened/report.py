"""The report of an opened run: all that it is made from, and the same without private words."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace

from rope_prof.analysis.run.cases import main_case
from rope_prof.io.run.clean_model import clean_folder, clean_trace
from rope_prof.io.run.redact import PrivateWords, cleaner
from rope_prof.io.trace.read import read_trace
from rope_prof.opened.run import OpenedRun
from rope_prof.views.blocks.model import Report, mapped, with_blocks
from rope_prof.views.blocks.model import Words as Paragraph
from rope_prof.views.report.data import Captured, ReportData, TraceFile
from rope_prof.views.report.report import report
from rope_prof.views.words.labels import key_words


def cleaned_report(run: OpenedRun, words: PrivateWords | None = None, *, page: bool = True) -> tuple[Report, str]:
    """The report of `run` without private words, and the line that says what went; without `page` for a text.

    `words`: what counts as private besides tokens and paths; by default this machine's own. Errors: those of
    `gathered`.
    """
    clean = cleaner(words)
    named = clean_folder(run.folder, clean)  # before a long text is cut: half a secret has no form
    opened = OpenedRun(named, lambda path: clean_trace(read_trace(path), clean))
    made = mapped(report(gathered(opened, page=page)), clean)
    return with_blocks(made, "doubts", Paragraph(text=clean.notice())), clean.sentence()


def gathered(run: OpenedRun, *, page: bool = True) -> ReportData:
    """Everything that the report of `run` is made from; without `page` what a text does not show is left out.

    Errors: TraceError for a trace that cannot be read, RunError for a part of one.
    """
    requests = run.requests
    return ReportData(
        run=run.run,
        captured=dict(_captured(run, page)),
        rows=run.rows,
        samples=run.samples,
        headlines=run.headlines,
        requests=None if requests is None else replace(requests.whole(), per_layer=run.per_layer),
        files=tuple(_files(run)),
        lost=run.folder.missing_traces(),
        source=str(run.path),
    )


def _captured(run: OpenedRun, page: bool) -> Iterator[tuple[str, Captured]]:
    """Each key's trace is checked and told of while it is at hand. All of the main case is shown, of the others a call
    on a page, and why there is none.
    """
    main = main_case(run.run)
    for facts in run.run.keys:
        found = run.figures(facts)
        whole = main is not None and facts.key.case.name == main.name
        if found is not None and (whole or page or found.busy_ns is None):
            one = run.account(facts, whole=whole)
            if one is not None:
                yield facts.key.name, one


def _files(run: OpenedRun) -> Iterator[TraceFile]:
    """The traces that the run names and the folder holds, with their SHA-256."""
    named = {f.trace: key_words(f.key) for f in run.run.keys if f.trace}
    named |= {f.light_trace: f"{key_words(f.key)}, light" for f in run.run.keys if f.light_trace}
    for one in run.requests.facts.paths if run.requests is not None else ():
        named |= {name: f"whole requests: {one.path}, {phase}" for phase, name in (one.traces or {}).items()}
    for name, what in named.items():
        path = run.path / name
        if path.is_file():
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            yield TraceFile(name=name, what=what, size=path.stat().st_size, sha256=digest)
