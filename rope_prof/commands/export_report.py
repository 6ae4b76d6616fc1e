"""`export RUN --to html|markdown`: the files of a run in, a report out. All that is read and written is here."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from rope_prof.analysis.requests.requests import RequestRow
    from rope_prof.io.run.folder import RunFolder
    from rope_prof.io.run.redact import Words
    from rope_prof.io.run.requests import EndToEndFolder
    from rope_prof.model.trace import Trace
    from rope_prof.views.blocks.model import Report
    from rope_prof.views.report.data import ReportData, TraceFile, WholeRequests
    from rope_prof.views.timeline.picture import Panel

MARKDOWN_FILE = "report.md"


def export_html(source: Path, out: Path) -> None:
    """One page at `out`, written whole or not at all."""
    from rope_prof.errors import UsageError
    from rope_prof.units import size

    if out.is_dir():
        raise UsageError(f"{str(out)!r} is a folder; expected a file to write, as -o report.html")
    made, removed = cleaned_report(source)
    typer.echo(f"{out}: {size(write_page(made, out))}, one page that makes no request; open it in any browser")
    typer.echo(removed)


def export_markdown(source: Path, out: Path, image_base: str | None) -> None:
    """`report.md` and its pictures in the folder `out`."""
    from rope_prof.errors import UsageError

    if out.is_file():
        raise UsageError(f"{str(out)!r} is a file; expected a folder to write into, as -o report")
    base = "" if not image_base else image_base.rstrip("/") + "/"
    if any(c.isspace() or c in "<>\"'()\\" for c in base):
        raise UsageError(f"--image-base {image_base!r} is no address; expected one as https://example.com/pictures")
    made, removed = cleaned_report(source)
    letters = write_text(made, out, base)
    typer.echo(f"{out / MARKDOWN_FILE}: {letters:,} characters, pictures beside it")
    typer.echo(removed)


def write_page(made: Report, out: Path) -> int:
    """The page of `made` at `out`; its bytes."""
    from rope_prof.views.report.html import report_html

    data = report_html(made).encode("utf-8")
    _write(out, data)
    return len(data)


def write_text(made: Report, out: Path, base: str = "") -> int:
    """The Markdown of `made` and its pictures in the folder `out`, the text last; its letters."""
    from rope_prof.views.draw.palette import palette
    from rope_prof.views.draw.png import png
    from rope_prof.views.draw.svg import svg_file
    from rope_prof.views.report.markdown import GROUNDS, picture_file, pictures, report_markdown

    font = picture_font()
    for figure in pictures(made):
        for ground in GROUNDS:
            colours = palette(ground)
            _write(out / picture_file(figure, ground, "svg"), svg_file(figure.drawing, colours).encode("utf-8"))
            _write(out / picture_file(figure, ground, "png"), png(figure.drawing, colours, font))
    text = report_markdown(made, base)
    _write(out / MARKDOWN_FILE, text.encode("utf-8"))
    return len(text)


def _write(path: Path, data: bytes) -> None:
    from rope_prof.io.run.folder import write_atomic

    write_atomic(path, lambda part: part.write_bytes(data))


def cleaned_report(source: Path, words: Words | None = None) -> tuple[Report, str]:
    """The report of the run in `source` without private words, and the line that says what went.

    Errors: RunError for no run or a damaged one, TraceError for a trace that cannot be read.
    """
    from dataclasses import replace

    from rope_prof.io.run.clean_model import clean_run, clean_trace
    from rope_prof.io.run.folder import read_run
    from rope_prof.io.run.redact import Cleaner, private_words
    from rope_prof.io.trace.read import read_trace
    from rope_prof.views.blocks.model import Words as Paragraph
    from rope_prof.views.blocks.model import mapped, with_blocks
    from rope_prof.views.report.report import report

    clean = Cleaner(private_words() if words is None else words)
    folder = read_run(source)
    named = replace(folder, run=clean_run(folder.run, clean))  # before a long text is cut: half a secret has no form
    made = mapped(report(gathered(named, lambda path: clean_trace(read_trace(path), clean))), clean)
    return with_blocks(made, "doubts", Paragraph(text=clean.notice())), clean.sentence()


def gathered(folder: RunFolder, read: Callable[[Path], Trace] | None = None) -> ReportData:
    """Everything that the report of `folder` is made from; each trace is read once, by `read`."""
    from rope_prof.analysis.run.rows import figures, require_whole, summary
    from rope_prof.io.trace.read import read_trace
    from rope_prof.views.report.data import ReportData, captured

    captures, calls = {}, {}
    for facts in folder.run.keys:
        path = folder.trace_path(facts.key.name)
        if path is not None:
            trace = (read or read_trace)(path)
            captures[facts.key.name] = figures(trace, facts.key)
            require_whole(trace, captures[facts.key.name], facts)
            calls[facts.key.name] = captured(trace, facts)
    return ReportData(
        run=folder.run,
        rows=summary(folder.run, folder.samples, captures),
        samples=folder.samples,
        captured=calls,
        requests=_requests(folder),
        files=tuple(_files(folder)),
        lost=folder.missing_traces(),
        source=str(folder.path),
    )


def _requests(folder: RunFolder) -> WholeRequests | None:
    from functools import cache

    from rope_prof.analysis.requests.requests import agreements, request_rows
    from rope_prof.analysis.run.noise import noise
    from rope_prof.commands.model import profiled
    from rope_prof.io.trace.read import read_trace
    from rope_prof.views.report.data import WholeRequests

    found = folder.end_to_end
    if found is None:
        return None
    read = cache(read_trace)
    steps, predicted, doubts = profiled(found, read)
    rows = request_rows(found.facts, found.samples)
    return WholeRequests(
        facts=found.facts,
        rows=rows,
        agreed=agreements(found.facts),
        steps=steps,
        predicted=tuple(predicted),
        doubts=tuple(doubts),
        noise=noise(found.samples),
        layers=_layers(found, rows, read),
    )


def _layers(
    found: EndToEndFolder, rows: Sequence[RequestRow], read: Callable[[Path], Trace]
) -> dict[str, tuple[int, tuple[Panel, ...]]]:
    """The layer in the middle of the step of median period, of every profiled path. A path without it is left out."""
    from contextlib import suppress

    from rope_prof.analysis.requests.steps import step_calls
    from rope_prof.analysis.trace.analyze import accounted
    from rope_prof.analysis.trace.gaps import device_gaps
    from rope_prof.views.draw.requests import step_times
    from rope_prof.views.timeline.step import step_panel, usual_step

    times, layer = step_times(rows), found.facts.model.layers // 2
    panels: dict[str, list[Panel]] = {}
    for one in found.facts.paths:
        for phase in one.traces or {}:
            path = found.trace_path(one.path, phase)
            if path is None:
                continue
            trace = accounted(read(path))
            calls = step_calls(trace, one.path, phase)
            step = usual_step(calls)
            row = None if step is None else calls.call("layer", step, layer)
            if row is not None:
                gaps = None if row["device"] is None else device_gaps(trace, row["device"])
                with suppress(ValueError):  # it ran nothing on the device
                    panel = step_panel(one.path, calls, row, trace, gaps, times.get((one.path, phase)))
                    panels.setdefault(phase, []).append(panel)
    return {phase: (layer, tuple(drawn)) for phase, drawn in panels.items()}


def _files(folder: RunFolder) -> Iterator[TraceFile]:
    """The traces that the run names and the folder holds, with their SHA-256."""
    import hashlib

    from rope_prof.views.report.data import TraceFile
    from rope_prof.views.words.labels import key_words

    named = {f.trace: key_words(f.key) for f in folder.run.keys if f.trace}
    named |= {f.light_trace: f"{key_words(f.key)}, light" for f in folder.run.keys if f.light_trace}
    found = folder.end_to_end
    for one in found.facts.paths if found is not None else ():
        named |= {name: f"whole requests: {one.path}, {phase}" for phase, name in (one.traces or {}).items()}
    for name, what in named.items():
        path = folder.path / name
        if path.is_file():
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            yield TraceFile(name=name, what=what, size=path.stat().st_size, sha256=digest)


def picture_font() -> bytes:
    """The font of the pictures: the dashboard's own, out of the Streamlit package, which is not loaded for it.

    Errors: UnavailableError where Streamlit is not installed and the system has no DejaVu Sans either.
    """
    from importlib.util import find_spec

    from rope_prof.errors import UnavailableError

    spec = find_spec("streamlit")
    roots = [Path(p) for p in (spec.submodule_search_locations or ())] if spec is not None else []
    fonts = [font for root in roots for font in sorted(root.glob("static/static/media/SourceSansVF-Upright*"))]
    fonts += [p for p in (Path("/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf"),) if p.is_file()]
    if not fonts:
        raise UnavailableError(
            "no font for the pictures (Streamlit's Source Sans and the system's DejaVu Sans are both missing); "
            "install one: pip install streamlit, or apt-get install fonts-dejavu-core"
        )
    return fonts[0].read_bytes()
