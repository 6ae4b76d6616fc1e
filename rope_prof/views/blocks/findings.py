"""The findings on a trace: what was seen, the events that prove it with their place on the timeline, what to do.

The timeline is that of the dashboard's page Any trace, whose address carries its window. Computes nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any
from urllib.parse import quote

from rope_prof.analysis.trace.analyze import Analysis
from rope_prof.model.trace import Finding
from rope_prof.units import duration, zoom_text
from rope_prof.views.blocks.model import Cell, Table, Words, cells, name

#: Beside an event so many times its own length are shown, and at least so much.
_AROUND = 2
_LEAST_NS = 5_000


def finding_words(analysis: Analysis, source: str) -> Iterator[Words]:
    """Each finding as lines: name and detail, what to do, the events that prove it and where to look at the first."""
    for finding in analysis.integrity.findings:
        yield Words(text=f"  {finding_title(finding)}: {finding.detail}")
        if finding.do:
            yield Words(text=f"    do: {finding.do}", tone="muted")
        if finding.events:
            shown = [f"{event['name']!r} at {_at(analysis, event)}" for event in finding.events]
            addresses = filter(None, (timeline_address(analysis.zero_ns, event, source) for event in finding.events))
            yield Words(text=f"    see: {'; '.join((', '.join(shown), *islice(addresses, 1)))}", tone="muted")
    if any(finding.events for finding in analysis.integrity.findings):
        text = "  times are from the trace's first event; addresses are of rope_prof dashboard --folder FOLDER"
        yield Words(text=text, tone="muted")


def findings_table(analysis: Analysis, source: str | None) -> Iterator[Table]:
    """What proves each finding, an event a row, with a link to its place; `source` None: the page has no address."""
    rows = []
    for finding in analysis.integrity.findings:
        for event in finding.events:
            link = "" if source is None else timeline_address(analysis.zero_ns, event, source)
            at = Cell(text=_at(analysis, event), link=link)
            rows.append(cells(finding_title(finding), name(event["name"] or ""), at))
        if not finding.events and finding.do:
            rows.append(cells(finding_title(finding), "", ""))
    if rows:
        head = ("finding", "event", "at, from the first event")
        done = [f"{finding.title}: {finding.do}" for finding in analysis.integrity.findings if finding.do]
        note = "\n".join(dict.fromkeys(done))
        yield Table(title="What proves it", head=head, rows=tuple(rows), right=frozenset({2}), note=note, folded=True)


def timeline_address(zero_ns: int | None, event: dict[str, Any], source: str) -> str:
    """The page Any trace with its window around that event; empty where the file does not say when it was."""
    if event["start_ns"] is None:
        return ""
    start = event["start_ns"] - (zero_ns or 0)
    taken = max(event.get("dur_ns") or 0, 0)
    around = max(_AROUND * taken, _LEAST_NS)
    window = zoom_text((start - around, start + taken + around))
    return f"{timeline_of(source)}{window}"


def timeline_of(source: str) -> str:
    """The page Any trace with that trace, as far as its window."""
    return f"any_trace?trace={quote(source, safe='')}&trace_zoom="


def finding_title(finding: Finding) -> str:
    """`kernels without launch ×2,276`."""
    return f"{finding.title}{f' ×{finding.count:,}' if finding.count > 1 else ''}"


def _at(analysis: Analysis, event: dict[str, Any]) -> str:
    return "no readable time" if event["start_ns"] is None else duration(event["start_ns"] - (analysis.zero_ns or 0))
