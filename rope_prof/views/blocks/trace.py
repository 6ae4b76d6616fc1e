"""An `Analysis` as blocks: verdict and findings, then devices, idle causes, streams and ranges. Computes nothing.

Names come from the file and are shown letter for letter.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import polars as pl

from rope_prof.analysis.trace.accounting import DeviceUse
from rope_prof.analysis.trace.analyze import Analysis
from rope_prof.analysis.trace.integrity import Integrity, Verdict
from rope_prof.analysis.trace.phases import PhaseUse
from rope_prof.analysis.trace.ranges import Outside, RangeUse
from rope_prof.units import MISSING, US, between, counted, duration, number, percent, significant, size, whole
from rope_prof.views.blocks.findings import finding_title, finding_words, findings_table
from rope_prof.views.blocks.model import Block, Bullets, Cell, Table, Tone, Words, cells, charted, name
from rope_prof.views.draw.trace import idle_chart
from rope_prof.views.words.causes import CAUSE_WORDS, cause_name

TONES: dict[Verdict, Tone] = {"sound": "good", "suspect": "doubt", "unusable": "bad"}
RANGES_SHOWN = 20
STREAMS_SHOWN = 12
PHASES_SHOWN = 16


def trace_blocks(analysis: Analysis, source: str) -> Iterator[Block]:
    """The verdict on the file called `source` and every finding, then one table each."""
    judged, links = analysis.integrity, analysis.links
    line = f"{judged.verdict}  {source}  ({analysis.format})"
    if links.linked or links.unlinked:
        line += f"  {links.linked:,} GPU events with their launch, {links.unlinked:,} without"
    yield Words(text=line, tone=TONES[judged.verdict])
    yield from finding_words(analysis, source)
    for use in analysis.devices:
        if use.name:
            yield Words(text=f"  device {use.device} is {use.name}")
    yield from account(analysis)


def verdict_words(judged: Integrity) -> str:
    """What the findings say of the file as a whole, in a sentence that none of them contradicts."""
    if judged.verdict == "sound":
        return _SOUND if judged.findings else "Sound: nothing in the file speaks against its figures."
    return _VERDICTS[judged.verdict]


_SOUND = "Sound: its figures stand, with what follows in mind."
_VERDICTS: dict[Verdict, str] = {
    "suspect": "Suspect: read the figures with what follows in mind.",
    "unusable": "Unusable: there is nothing here to account for.",
}


def page_blocks(analysis: Analysis, source: str) -> Iterator[Block]:
    """What a page shows at once: the verdict with the names of what was found, and a bar a device."""
    judged = analysis.integrity
    named = ", ".join(dict.fromkeys(one.title for one in judged.findings))
    text = f"{judged.verdict.capitalize()}. Found: {named}." if named else verdict_words(judged)
    yield Words(text=text, tone="bad" if judged.verdict == "unusable" else "strong")
    chart = idle_chart(analysis, source)
    if chart is not None:
        yield charted(chart, "idle", title="Busy and idle by cause")


def page_folds(analysis: Analysis, events: int, address: str | None = None) -> dict[str, tuple[Block, ...]]:
    """What unfolds under it, by title: each finding with what proves it, what the causes mean, the tables but that of
    the ranges. `address`: the trace as the page's address names it, where it does.
    """
    judged, links = analysis.integrity, analysis.links
    linked = f", {links.linked:,} GPU events with their launch, {links.unlinked:,} without" if links.linked else ""
    used = {cause for use in analysis.devices for cause in use.idle_by_cause_ns or {}}
    found = tuple(f"{finding_title(one)}: {one.detail}" for one in judged.findings)
    return {
        "Findings": (
            Words(text=verdict_words(judged)),
            Words(text=f"{analysis.format} · {counted(events, 'event')}{linked}"),
            Bullets(items=found),
            *(replace(table, folded=False) for table in findings_table(analysis, address)),
        ),
        "In figures": (
            Bullets(items=tuple(f"{cause_name(one)}: {CAUSE_WORDS[one]}" for one in CAUSE_WORDS if one in used)),
            *account(analysis, ranges=False),
        ),
    }


def account(analysis: Analysis, *, ranges: bool = True) -> Iterator[Table]:
    """Devices, idle causes, copies, communication, streams and ranges: of each a table, where there is one."""
    if not analysis.devices:
        return
    yield _devices(analysis.devices)
    if any(use.idle_by_cause_ns for use in analysis.devices):
        yield _causes(analysis.devices)
    if any(use.copies for use in analysis.devices):
        yield _copies(analysis.devices)
    if any(use.communication for use in analysis.devices):
        yield _communication(analysis.devices)
    if any(len(use.streams) > 1 for use in analysis.devices):
        yield _streams(analysis.devices)
    if analysis.phases:
        yield phase_table(analysis.phases)
    if ranges and analysis.ranges:
        yield _ranges(analysis.ranges, outside_words(analysis.outside_ranges))


def figures(title: str, *head: str, rows: list[tuple[Cell, ...]], note: str = "", names: int = 1) -> Table:
    """A table whose first `names` columns are names, the rest figures."""
    right = frozenset(range(names, len(head)))
    return Table(title=title, head=head, rows=tuple(rows), right=right, note=note)


def _devices(devices: tuple[DeviceUse, ...]) -> Table:
    """One row a device; of copies, sets and graph launches only those that some device has."""
    kinds = {"copies": "memcpys", "sets": "memsets", "graphs": "graph_launches"}
    held = {head: kind for head, kind in kinds.items() if any(getattr(use, kind) for use in devices)}
    rows = []
    for use in devices:
        share = MISSING if use.idle_share is None else f"{significant(100 * use.idle_share)} %"
        counts = (whole(use.kernels), *(whole(getattr(use, kind)) for kind in held.values()))
        times = (duration(ns) for ns in (use.kernel_ns, use.busy_ns, use.span_ns))
        idle = duration(use.idle_ns) + ("" if use.idle_ns is None else f", {share}")
        rows.append(cells(name(use.device), *counts, *times, idle))
    withheld = sorted({use.reason for use in devices if use.reason and use.idle_share is None})
    note = f"idle % withheld: {' | '.join(withheld)}" if withheld else ""
    return figures("Devices", "device", "kernels", *held, "kern. t.", "busy", "span", "idle", rows=rows, note=note)


def _causes(devices: tuple[DeviceUse, ...]) -> Table:
    rows = []
    for use in devices:
        for cause, ns in sorted((use.idle_by_cause_ns or {}).items(), key=lambda item: (-item[1], item[0])):
            share = significant(100 * ns / use.idle_ns) if use.idle_ns and use.idle_share is not None else MISSING
            rows.append(cells(name(use.device), cause_name(cause), duration(ns), share))
        if use.gaps is not None:
            longest = (f"{use.gaps:,} gaps, longest", duration(use.gap_max_ns), "")
            rows.append(cells(Cell(text=use.device, name=True, tone="muted"), *longest, tone="muted"))
    return figures("Idle by cause", "device", "cause", "time", "% of idle", rows=rows)


def _copies(devices: tuple[DeviceUse, ...]) -> Table:
    """A row for each direction and host memory; what the file does not say is missing."""
    rows = [
        cells(
            name(use.device),
            f"{moved.direction} {moved.memory or ''}".strip(),
            whole(moved.copies),
            duration(moved.time_ns),
            MISSING if moved.bytes is None else size(moved.bytes),
            MISSING if moved.gb_per_s is None else significant(moved.gb_per_s),
        )
        for use in devices
        for moved in use.copies
    ]
    alone = [
        f"device {use.device} does nothing but copy for {duration(use.copies_only_ns)}, "
        f"{significant(100 * use.copies_only_ns / use.span_ns)} % of its span"
        for use in devices
        if use.copies_only_ns and use.span_ns
    ]
    head = ("device", "copies", "count", "time", "bytes", "GB/s")
    return figures("Copies", *head, rows=rows, note="\n".join(alone), names=2)


def _communication(devices: tuple[DeviceUse, ...]) -> Table:
    rows = [
        cells(
            name(use.device),
            whole(found.kernels),
            *(duration(ns) for ns in (found.busy_ns, found.exposed_ns, found.overlapped_ns)),
            percent(found.exposed_ns / use.span_ns if use.span_ns else None),
        )
        for use in devices
        if (found := use.communication) is not None
    ]
    note = "exposed: no other kernel runs on the device; overlapped: hidden behind compute"
    head = ("device", "kernels", "busy", "exposed", "overlapped", "exposed, of span")
    return figures("Communication", *head, rows=rows, note=note)


def outside_words(found: Outside | None) -> str:
    """What no range owns; nothing where ranges own all or there are none."""
    if found is None or not (found.kernels or found.unlinked):
        return ""
    parts = []
    if found.kernels:
        parts.append(f"{counted(found.kernels, 'kernel')}, {duration(found.kernel_ns)}, in no range")
    if found.unlinked:
        parts.append(f"{counted(found.unlinked, 'kernel')} without a launch in the file: of which range is not known")
    return "; ".join(parts)


def _streams(devices: tuple[DeviceUse, ...]) -> Table:
    rows = []
    for use in devices:
        ordered = sorted(use.streams, key=lambda stream: -stream.busy_ns)
        for stream in ordered[:STREAMS_SHOWN]:
            causes = sorted(stream.idle_by_cause_ns.items(), key=lambda item: -item[1])[:2]
            idle = ", ".join(f"{cause_name(cause)} {duration(ns)}" for cause, ns in causes)
            facts = (str(stream.stream), whole(stream.events), duration(stream.busy_ns), idle)
            rows.append(cells(name(use.device), *facts))
        if len(ordered) > STREAMS_SHOWN:
            more = f"{len(ordered) - STREAMS_SHOWN} more"
            rows.append(cells(Cell(text=use.device, name=True, tone="muted"), more, "", "", "", tone="muted"))
    return figures("Streams", "device", "stream", "events", "busy", "idle, two largest causes", rows=rows)


def phase_table(phases: tuple[PhaseUse, ...]) -> Table:
    """Steps of a serving engine: medians of a step, and the two causes that most of their idle time has."""
    several = len({use.device for use in phases}) > 1
    rows = []
    for use in phases[:PHASES_SHOWN]:
        causes = sorted(use.idle_by_cause_ns.items(), key=lambda item: -item[1])[:2]
        idle = ", ".join(f"{cause_name(cause)} {duration(ns / use.steps)}" for cause, ns in causes)
        place = (name(f"{use.phase}, {use.batch}"), *((name(use.device),) if several else ()))
        times = (duration(ns) for ns in (use.busy_ns, use.span_ns, use.period_ns))
        rows.append(cells(*place, whole(use.steps), number(use.kernels), *times, idle))
    left = len(phases) - PHASES_SHOWN
    reasons = sorted({f"times withheld: {use.reason}" for use in phases if use.reason})
    note = "\n".join((*((f"{left:,} more, shorter ones: --json lists all",) if left > 0 else ()), *reasons))
    head = ("phase, requests", *(("dev",) if several else ()), "steps", "kernels", "busy", "a step", "to the next")
    return figures("Steps by phase and batch size", *head, "idle a step, two largest causes", rows=rows, note=note)


def _ranges(ranges: tuple[RangeUse, ...], outside: str) -> Table:
    """The device is named where there are several: a figure is worth more room than a 0 in every row."""
    several = len({use.device for use in ranges}) > 1
    rows = []
    for use in ranges[:RANGES_SHOWN]:
        spread = use.us_per_call
        median = MISSING if spread is None else duration(spread.median * US)
        ends = MISSING if spread is None else between(spread.lo * US, spread.hi * US)
        counts = (whole(use.calls), whole(use.kernels), duration(use.busy_ns), duration(use.idle_ns))
        rows.append(cells(name(use.name), *((name(use.device),) if several else ()), *counts, median, ends))
    note = "\n".join(filter(None, (more_ranges(len(ranges) - RANGES_SHOWN), outside)))
    head = ("range", *(("dev",) if several else ()), "calls", "kernels", "busy", "idle", "a call", "10–90 %")
    return figures("Ranges", *head, rows=rows, note=note)


def more_ranges(left: int) -> str:
    """How many ranges a table leaves out; nothing where it has all."""
    return f"{left:,} more by less busy time: --json lists all, --range picks" if left > 0 else ""


def range_table(ranges: Sequence[RangeUse]) -> pl.DataFrame:
    """Ranges by busy time, as people read them; names letter for letter."""
    several = len({use.device for use in ranges}) > 1
    frame = pl.DataFrame(
        {
            "range": [use.name for use in ranges],
            "device": [use.device for use in ranges],
            "calls": [use.calls for use in ranges],
            "kernels": [use.kernels for use in ranges],
            "busy, µs": [round(use.busy_ns / US, 1) for use in ranges],
            "idle, µs": [round(use.idle_ns / US, 1) for use in ranges],
            "µs a call, median": [
                None if use.us_per_call is None else round(use.us_per_call.median, 3) for use in ranges
            ],
            "10 %": [None if use.us_per_call is None else round(use.us_per_call.lo, 3) for use in ranges],
            "90 %": [None if use.us_per_call is None else round(use.us_per_call.hi, 3) for use in ranges],
        },
        schema_overrides={"µs a call, median": pl.Float64, "10 %": pl.Float64, "90 %": pl.Float64},
    )
    return frame if several else frame.drop("device")
