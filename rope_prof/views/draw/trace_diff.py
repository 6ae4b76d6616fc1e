"""The waterfall of two traces as a chart: a call before, what each part adds or takes away, a call after.

A bar's hue says what the time is, as everywhere: kernels, copies, idle by its cause. Its note says the sign.
"""

from __future__ import annotations

from rope_prof.analysis.diff.diff import DiffTerm, TraceDiff
from rope_prof.units import MS, US, duration, significant
from rope_prof.views.draw.charts import Bar, BarChart
from rope_prof.views.draw.palette import LIGHT
from rope_prof.views.draw.svg import CAUSE
from rope_prof.views.words.differences import ends_of, of_each, signed, term_words

_MS_FROM = 10 * MS
_ROLES = {"kernels": "kernel", "copies": "copy"}


def diff_chart(diff: TraceDiff, title: str) -> BarChart:
    """Rows from the top: before, the parts by their change, after; values and places under the mouse."""
    before, after = float(diff.before_ns), float(diff.after_ns)
    scale, unit = (MS, "ms") if max(before, after) >= _MS_FROM else (US, "µs")
    first, last = ends_of(diff)
    rows, at = [_end(first, before, scale, end=before / scale)], before
    for term in diff.terms:
        if term.delta_ns:
            start, at = at, at + float(term.delta_ns)
            part = (_role(term), abs(at - start) / scale, _hover(term))
            low, end = min(start, at) / scale, at / scale
            rows.append(Bar(label=term_words(term), parts=(part,), note=signed(term.delta_ns), start=low, end=end))
    rows.append(_end(last, after, scale))
    return BarChart(rows=tuple(rows), unit=f"{unit}{of_each(diff)}, profiled", title=title)


def _end(label: str, ns: float, scale: float, end: float | None = None) -> Bar:
    words = duration(ns)
    return Bar(label=label, parts=(("muted", ns / scale, words),), note=words, head=True, end=end)


def _role(term: DiffTerm) -> str:
    if term.cause is not None:
        return f"{CAUSE}{term.cause}" if term.cause in LIGHT.causes else "bubble"
    return _ROLES.get(term.part, "rule")


def _hover(term: DiffTerm) -> str:
    place = f"\nmost of it in {term.place}" if term.place else ""
    share = "" if not term.before_ns else f" ({significant(float(100 * term.delta_ns / term.before_ns))} %)"
    was, now = duration(float(term.before_ns)), duration(float(term.after_ns))
    return f"{was} → {now}: {signed(term.delta_ns)}{share}{place}"
