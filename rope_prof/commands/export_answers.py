"""The files that `export` writes and what it says of them, as bytes by name: all that is dear about an export.

Each is cleaned of private words. `said`: what went, for who writes the file. Each answer loads what it alone needs.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from rope_prof.io.kept import Answer
from rope_prof.io.run.redact import cleaner
from rope_prof.io.trace.read import read_trace
from rope_prof.opened.run import open_run

if TYPE_CHECKING:
    from rope_prof.views.blocks.model import Report


def html_answer(source: Path) -> Answer:
    """`file`: the report of a run or a trace."""
    from rope_prof.views.report.html import report_html

    made, removed = _report(source)
    return {"file": report_html(made).encode(), "said": removed.encode()}


def markdown_answer(source: Path, base: str) -> Answer:
    """`text`: the report of a run or a trace; its pictures by the names that it gives them, to lie at `base`."""
    made, removed = _report(source, page=False)
    return {**markdown_files(made, base), "said": removed.encode()}


def _report(source: Path, *, page: bool = True) -> tuple[Report, str]:
    if source.is_file():
        from rope_prof.opened.trace_report import cleaned_trace_report

        return cleaned_trace_report(source)
    from rope_prof.opened.report import cleaned_report

    return cleaned_report(open_run(source), page=page)


def markdown_files(made: Report, base: str = "") -> dict[str, bytes]:
    """`text` and every picture of it."""
    from rope_prof.io.font import picture_font
    from rope_prof.views.draw.palette import palette
    from rope_prof.views.draw.png import png
    from rope_prof.views.draw.svg import svg_file
    from rope_prof.views.report.markdown import GROUNDS, picture_file, pictures, report_markdown

    font = picture_font()
    files = {}
    for figure in pictures(made):
        for ground in GROUNDS:
            colours = palette(ground)
            files[picture_file(figure, ground, "svg")] = svg_file(figure.drawing, colours).encode()
            files[picture_file(figure, ground, "png")] = png(figure.drawing, colours, font)
    return {**files, "text": report_markdown(made, base).encode()}


def exchange_answer(source: Path, to: str) -> Answer:
    """`file`: the figures of a run in the format of another tool."""
    from rope_prof.opened.exchange import exchanged

    text, said = exchanged(open_run(source), to)
    return {"file": text.encode(), "said": "\n".join(said).encode()}


def perfetto_answer(source: Path) -> Answer:
    """`file`: a run, a trace or the ranks of a dataset for Perfetto."""
    from rope_prof.io.run.clean_json import clean_word
    from rope_prof.io.trace.dataset import is_dataset
    from rope_prof.opened.pictures import draw_run, draw_trace

    notes: list[str] = []
    clean = cleaner()
    said = partial(clean_word, blank=clean)
    if is_dataset(source):
        from rope_prof.commands.export_ranks import draw_ranks

        ranks = draw_ranks(source, said)
        data, notes = ranks.data, [f"{name}: not in it, none of its ranks has a GPU event" for name in ranks.left_out]
    elif source.is_dir():
        data = draw_run(open_run(source), clean=said).data
    else:
        data = draw_trace(source, said)
    return {"file": data, "said": "\n".join((clean.sentence(), *notes)).encode()}


def part_answer(source: Path, to: str, asked: str, call: str) -> Answer:
    """`file`: a part of a trace, or all of it where `asked` is empty, as JSON of Kineto or for Perfetto."""
    from rope_prof.io.kineto.writer import kineto_bytes
    from rope_prof.io.run.clean_json import clean_word
    from rope_prof.io.run.clean_model import clean_whole_trace
    from rope_prof.opened.cuts import part_of
    from rope_prof.opened.pictures import drawn

    part, said = part_of(read_trace(source), asked or None, int(call) if call else None)
    clean = cleaner()
    part = clean_whole_trace(part, clean)
    data = kineto_bytes(part) if to == "kineto" else drawn(part, source, partial(clean_word, blank=clean))
    return {"file": data, "said": "\n".join((*said, clean.sentence())).encode()}
