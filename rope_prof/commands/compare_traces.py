"""`compare BEFORE AFTER` of two traces: what changed, where, and what each part adds or saves."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import typer
from rich.console import Console

from rope_prof.analysis.diff.diff import TraceDiff, trace_diff
from rope_prof.analysis.diff.side import common_range, range_uses, trace_side
from rope_prof.analysis.trace.replays import own_named, own_range
from rope_prof.commands.documents import emit
from rope_prof.commands.words import Stretches
from rope_prof.io.run.redact import cleaner
from rope_prof.io.trace.cache import worth_caching
from rope_prof.io.trace.read import read_trace
from rope_prof.model.trace import Trace
from rope_prof.views.blocks.model import Bullets, mapped
from rope_prof.views.blocks.trace_diff import diff_blocks, diff_json
from rope_prof.views.report.html import report_html
from rope_prof.views.report.markdown import blocks_markdown
from rope_prof.views.report.trace_diff import diff_report
from rope_prof.views.terminal.writer import printed
from rope_prof.views.timeline.aligned import aligned_drawing, aligned_pair
from rope_prof.views.timeline.scene import scene


def compare_traces(base: str, cand: str, parts: Stretches, form: str, *, anyway: bool) -> None:
    """Print what changed. Errors: TraceError for what cannot be read, NotComparableError for other devices."""
    files = [read_trace(Path(path), cache=worth_caching(Path(path))) for path in (base, cand)]
    parts = replace(
        parts, name=own_range(files[1], parts.name), base_name=own_range(files[0], parts.base_name or parts.name)
    )
    traces = [own_named(file) for file in files]
    found = compared(traces, parts, anyway=anyway)
    if form == "json":
        emit(diff_json(found))
    elif form in ("markdown", "html"):
        clean = cleaner()
        names = Path(base).name, Path(cand).name
        if form == "html":
            drawn = zip(traces, (found.base, found.cand), strict=True)
            lanes = [scene(trace, side.device) for trace, side in drawn]
            picture = aligned_drawing(aligned_pair(found, lanes, names), " → ".join(names))
            typer.echo(report_html(mapped(diff_report(found, names, picture), clean)))
        else:
            again = Bullets(items=(), typed=_typed(found, base, cand, anyway=anyway))
            title = clean(" → ".join(names))
            typer.echo(blocks_markdown(title, mapped((*diff_blocks(found), again), clean), title))
        typer.echo(clean.sentence(), err=True)
    else:
        printed(Console(), diff_blocks(found))


def _typed(diff: TraceDiff, base: str, cand: str, *, anyway: bool) -> str:
    """The command, with what was compared said in full, so that it can be typed again."""
    words = [f"--base-range={diff.base.name}", f"--range={diff.cand.name}"] if diff.base.name and diff.cand.name else []
    words += [f"--device={diff.cand.device}"] if diff.base.device == diff.cand.device else []
    return shlex.join(["python", "-m", "rope_prof", "compare", base, cand, *words, *(["--anyway"] if anyway else [])])


def compared(traces: Sequence[Trace], parts: Stretches, *, anyway: bool = False) -> TraceDiff:
    """The stretches of both traces held against each other."""
    name = parts.name
    base_name = parts.base_name or name
    if name is None and base_name is None:
        name = base_name = common_range(*(range_uses(trace) for trace in traces))
    sides = [trace_side(trace, one, parts.device) for trace, one in zip(traces, (base_name, name), strict=True)]
    return trace_diff(*sides, anyway=anyway)
