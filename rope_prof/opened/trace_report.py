"""The report of one trace without private words."""

from __future__ import annotations

from pathlib import Path

from rope_prof.analysis.fixes.fixes import losses
from rope_prof.analysis.trace.analyze import accounted, analyze
from rope_prof.io.run.clean_model import clean_whole_trace
from rope_prof.io.run.nsight import counters_beside
from rope_prof.io.run.redact import PrivateWords, cleaner
from rope_prof.io.trace.read import read_trace
from rope_prof.views.blocks.model import Report, mapped
from rope_prof.views.report.trace import trace_report


def cleaned_trace_report(path: Path, words: PrivateWords | None = None) -> tuple[Report, str]:
    """The report of the trace at `path`, and the line that says what was taken out. Errors: TraceError, RunError."""
    clean = cleaner(words)
    trace = accounted(clean_whole_trace(read_trace(path), clean))
    answer = analyze(trace)
    repeated, found = losses(trace, answer, counters_beside(path))
    made = trace_report(answer, found, repeated, source=str(path), name=path.name, events=trace.events)
    return mapped(made, clean), clean.sentence()
