"""A run -> the report: what was asked, in the order in which a reviewer reads. Every figure comes from the analysis.

Twelve numbered sections stand in both formats; those without a number are for the page, which has room. A section
without data stays and says that it was not measured.
"""

from __future__ import annotations

from rope_prof.analysis.run.cases import main_case
from rope_prof.units import MISSING, duration, number, percent, significant
from rope_prof.views.blocks.model import Card, Headline, Report, Section
from rope_prof.views.blocks.overview import Overview, overview
from rope_prof.views.report import accuracy as report_accuracy
from rope_prof.views.report import bubbles as report_bubbles
from rope_prof.views.report import kernels as report_kernels
from rope_prof.views.report import method as report_method
from rope_prof.views.report import requests as report_requests
from rope_prof.views.report import sweep as report_sweep
from rope_prof.views.report import timeline as report_timeline
from rope_prof.views.report import verdict as report_verdict
from rope_prof.views.report.data import ReportData
from rope_prof.views.words.figures import error
from rope_prof.views.words.labels import case_words
from rope_prof.views.words.machine import machine_line
from rope_prof.views.words.trust import MARKED, ON_CPU

#: number, key, title: the order that reviewers of kernel pull requests ask for.
TITLES = (
    (1, "verdict", "Verdict"),
    (2, "table", "Paths and modes"),
    (3, "timeline", "Before and after"),
    (4, "kernels", "Kernels gone"),
    (5, "sweep", "Sweep"),
    (6, "accuracy", "Accuracy"),
    (7, "requests", "End to end"),
    (8, "method", "Method"),
    (9, "machine", "Machine and versions"),
    (10, "commands", "Commands"),
    (11, "traces", "Traces"),
    (12, "doubts", "What cannot be trusted"),
)


def report(data: ReportData) -> Report:
    """The whole report of a run."""
    case = main_case(data.run)
    view = None if case is None else overview(data.rows, case.name, data.run.machine.device)
    blocks = {
        "verdict": report_verdict.verdict(data, view),
        "table": report_verdict.table(data, view),
        "timeline": report_timeline.timelines(data, view),
        "kernels": report_kernels.gone(data, view),
        "sweep": report_sweep.sweep(data),
        "accuracy": report_accuracy.accuracy(data, view),
        "requests": report_requests.requests(data.requests),
        "method": report_method.method(data),
        "machine": report_method.machine(data),
        "commands": report_method.commands(data),
        "traces": report_method.traces(data),
        "doubts": report_method.doubts(data),
    }
    sections = [Section(key=key, number=n, title=title, blocks=blocks[key]) for n, key, title in TITLES]
    sections.insert(3, Section(key="bubbles", number=None, title="Bubbles", blocks=report_bubbles.bubbles(data, view)))
    words = [machine_line(data.run.machine), data.run.created[:10]]
    if view is not None:
        words.insert(0, case_words(view.case))
    return Report(
        source=data.source,
        title=f"{data.run.name}: does fusing help?",
        kicker=" · ".join(words),
        headline=None if view is None else _headline(view),
        cards=() if view is None else _cards(view),
        sections=tuple(sections),
    )


def _headline(view: Overview) -> Headline | None:
    side, base = view.candidate, view.baseline
    if side is None or base is None or side.row.speedup is None:
        return None
    faster = side.row.speedup >= 1
    factor = side.row.speedup if faster else 1 / side.row.speedup
    found = side.row.speedup_interval
    walls = [duration(row.wall_ns.median) if row.wall_ns else MISSING for row in (base.row, side.row)]
    bounds = "too few rounds for an interval"
    if found is not None and found.lo is not None and found.hi is not None:
        ends = (found.lo, found.hi) if faster else (1 / found.hi, 1 / found.lo)
        bounds = (
            f"95 % interval of the paired ratio {significant(ends[0])}x to {significant(ends[1])}x, {found.n} rounds"
        )
    on_cpu = f" {ON_CPU}" if ON_CPU in view.doubts else ""
    return Headline(
        factor=f"{significant(factor)}x",
        words=f"{'faster' if faster else 'slower'} with {side.label} than with {base.label}",
        detail=f"{walls[0]} → {walls[1]} a call on the host's clock, unprofiled; {bounds}.{on_cpu}",
        tone="" if faster else "bad",
    )


def _cards(view: Overview) -> tuple[Card, ...]:
    base, side = view.baseline, view.candidate
    if base is None or side is None:
        return ()
    limit = side.row.accuracy.limit if side.row.accuracy else None
    found = (
        Card(
            title="Kernels a call",
            before=number(base.row.kernels_per_call),
            after=number(side.row.kernels_per_call),
            note="median over the captured calls",
        ),
        Card(
            title="Bubble a call",
            before=base.marked(duration(base.row.bubble_corrected_ns)),
            after=side.marked(duration(side.row.bubble_corrected_ns)),
            note=f"{percent(base.bubble_share)} of the call → {percent(side.bubble_share)}; unprofiled"
            + (f"; {MARKED.removesuffix('.')}" if base.denied or side.denied else ""),
        ),
        Card(
            title="Device busy a call",
            before=duration(base.row.busy_ns),
            after=duration(side.row.busy_ns),
            note="union of its device events",
        ),
        Card(
            title="Largest error",
            before=error(base.row.max_error),
            after=error(side.row.max_error),
            note="not checked" if limit is None else f"against float64; tolerance {error(limit)}",
        ),
    )
    return tuple(card for card in found if MISSING not in (card.before, card.after))
