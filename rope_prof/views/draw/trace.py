"""A stranger's trace as a picture and as sentences, for files to take away. Draws what `analyze` found."""

from __future__ import annotations

from rope_prof.analysis.trace.accounting import DeviceUse
from rope_prof.analysis.trace.analyze import Analysis
from rope_prof.units import MS, duration, significant
from rope_prof.views.draw.charts import Bar, BarChart
from rope_prof.views.draw.svg import CAUSE
from rope_prof.views.words.causes import CAUSE_WORDS, cause_name


def idle_chart(analysis: Analysis, name: str) -> BarChart | None:
    """Busy time and idle time by cause of each device, one stacked bar each, in ms; None where nothing ran."""
    rows = tuple(_bar(use) for use in analysis.devices)
    if not rows:
        return None
    used = list(dict.fromkeys(role for row in rows for role, _, _ in row.parts))
    legend = tuple((role, cause_name(role.removeprefix(CAUSE)) if role.startswith(CAUSE) else "busy") for role in used)
    return BarChart(rows=rows, unit="ms", title=f"{name}: busy and idle by cause", legend=legend)


def _bar(use: DeviceUse) -> Bar:
    """One device; of a file without the times of its kernels their sum alone."""
    parts = [("kernel", use.kernel_ns if use.busy_ns is None else use.busy_ns, "busy", "an event runs on the device")]
    parts += [
        (f"{CAUSE}{cause}", ns, cause_name(cause), CAUSE_WORDS.get(cause, ""))
        for cause, ns in sorted((use.idle_by_cause_ns or {}).items(), key=lambda item: (-item[1], item[0]))
    ]
    return Bar(
        label=f"device {use.device}",
        parts=tuple(
            (role, ns / MS, f"{said} {duration(ns)}{_share(ns, use)}\n{words}") for role, ns, said, words in parts
        ),
        note=duration(use.kernel_ns if use.span_ns is None else use.span_ns),
    )


def _share(ns: int, use: DeviceUse) -> str:
    withheld = use.reason is not None or not use.span_ns
    return "" if withheld else f" ({significant(100 * ns / (use.span_ns or 1))} %)"


def verdict_lines(analysis: Analysis) -> list[str]:
    """The verdict on the file and every finding, a sentence each."""
    judged = analysis.integrity
    found = [f"{finding.title}: {finding.detail}" for finding in judged.findings]
    return [f"The trace is {judged.verdict}.", *found]
