"""A stranger's trace as a picture and as sentences, for files to take away. Draws what `analyze` found."""

from __future__ import annotations

from rope_prof.analysis.trace.accounting import DeviceUse
from rope_prof.analysis.trace.analyze import Analysis
from rope_prof.units import duration, significant
from rope_prof.views.draw.charts import Bar, bars
from rope_prof.views.draw.svg import Drawing
from rope_prof.views.words.causes import CAUSE_WORDS


def idle_drawing(analysis: Analysis, name: str) -> Drawing:
    """Busy time and idle time by cause of each device, one bar each, on one scale in ms."""
    rows = [row for use in analysis.devices for row in _rows(use, several=len(analysis.devices) > 1)]
    return bars(rows or [Bar(label="nothing ran on a device", parts=())], "ms", f"{name}: busy and idle by cause")


def _rows(use: DeviceUse, *, several: bool) -> list[Bar]:
    before = f"device {use.device}: " if several else ""
    if use.busy_ns is None:
        return [Bar(label=f"{before}kernel time", parts=(("kernel", use.kernel_ns / 1e6, ""),))]
    parts = [("busy", use.busy_ns, "kernel")]
    causes = sorted((use.idle_by_cause_ns or {}).items(), key=lambda item: (-item[1], item[0]))
    parts += [(cause, ns, "bubble") for cause, ns in causes]
    return [
        Bar(
            label=f"{before}{cause}",
            parts=((role, ns / 1e6, CAUSE_WORDS.get(cause, "")),),
            note=f"{duration(ns)}{_share(ns, use)}",
        )
        for cause, ns, role in parts
    ]


def _share(ns: int, use: DeviceUse) -> str:
    withheld = use.reason is not None or not use.span_ns
    return "" if withheld else f" ({significant(100 * ns / (use.span_ns or 1))} %)"


def verdict_lines(analysis: Analysis) -> list[str]:
    """The verdict on the file and every finding, a sentence each."""
    judged = analysis.integrity
    found = [f"{finding.code}: {finding.detail}" for finding in judged.findings]
    return [f"The trace is {judged.verdict}.", *found]
