"""A run -> the report: what was asked, in the order in which a reviewer reads. Every figure comes from the analysis.

Twelve numbered sections stand in both formats; those without a number are for the page, which has room. A section
without data stays and says that it was not measured.
"""

from __future__ import annotations

from rope_prof.analysis.run.cases import main_case
from rope_prof.views.blocks.model import Headline, Report, Section
from rope_prof.views.blocks.overview import cards, headline, overview
from rope_prof.views.report import accuracy as report_accuracy
from rope_prof.views.report import brief as report_brief
from rope_prof.views.report import bubbles as report_bubbles
from rope_prof.views.report import kernels as report_kernels
from rope_prof.views.report import method as report_method
from rope_prof.views.report import requests as report_requests
from rope_prof.views.report import sweep as report_sweep
from rope_prof.views.report import timeline as report_timeline
from rope_prof.views.report import verdict as report_verdict
from rope_prof.views.report.data import ReportData
from rope_prof.views.words.losses import verdicts
from rope_prof.views.words.machine import machine_line

_NOTHING = Headline(factor="", words="Nothing to compare", detail="No measured path beside the baseline.")
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

#: What a page shows before a fold, beside the headline and the figures before and after: four screens at most.
OPEN = ("verdict", "timeline")


def report(data: ReportData) -> Report:
    """The whole report of a run."""
    case = main_case(data.run)
    pairs, device = verdicts(data.run, data.samples), data.run.machine.device
    view = None if case is None else overview(data.rows, case.name, device, pairs=pairs, headlines=data.headlines)
    blocks = {
        "verdict": report_verdict.verdict(data, view, pairs),
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
    sections = [
        Section(key=key, number=n, title=title, blocks=blocks[key], folded=key not in OPEN) for n, key, title in TITLES
    ]
    bubbles = report_bubbles.bubbles(data, view)
    sections.insert(3, Section(key="bubbles", number=None, title="Bubbles", blocks=bubbles, folded=True))
    words = [machine_line(data.run.machine), data.run.created[:10]]
    if view is not None:
        words.insert(0, view.case.words)
    return Report(
        source=data.source,
        title=f"{data.run.name}: does fusing help?",
        kicker=" · ".join(words),
        headline=(None if view is None else headline(view)) or _NOTHING,
        cards=() if view is None else cards(view),
        sections=tuple(sections),
        brief=report_brief.brief(data, view, blocks["timeline"]),
    )
