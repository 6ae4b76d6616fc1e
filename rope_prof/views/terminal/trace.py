"""An `Analysis` as rich tables for a terminal. Chooses units and what to show first; computes nothing.

Names come from the file: they are shown letter for letter, never read as markup.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from rope_prof.analysis.trace.accounting import DeviceUse
from rope_prof.analysis.trace.analyze import Analysis
from rope_prof.analysis.trace.integrity import Verdict
from rope_prof.analysis.trace.ranges import RangeUse
from rope_prof.units import MISSING, between, duration, significant
from rope_prof.views.words.names import shown

_STYLE: dict[Verdict, str] = {"sound": "green", "suspect": "yellow", "unusable": "red"}
RANGES_SHOWN = 20
STREAMS_SHOWN = 12
#: A name is not broken below this many cells; where figures need the room, a longer one is.
NAME_WIDTH = 12


def trace_tables(analysis: Analysis, source: str) -> Iterator[RenderableType]:
    """Verdict and findings, then one table each for devices, idle causes, streams and ranges."""
    yield _headline(analysis, source)
    for finding in analysis.integrity.findings:
        times = f" x{finding.count}" if finding.count > 1 else ""
        yield Text(f"  {finding.code}{times}: {shown(finding.detail)}")
    if not analysis.devices:
        return
    for use in analysis.devices:
        if use.name:
            yield Text(f"  device {shown(use.device)} is {shown(use.name)}")
    yield _devices(analysis.devices)
    if any(use.idle_by_cause_ns for use in analysis.devices):
        yield _causes(analysis.devices)
    if any(len(use.streams) > 1 for use in analysis.devices):
        yield _streams(analysis.devices)
    if analysis.ranges:
        yield _ranges(analysis.ranges)


def _headline(analysis: Analysis, source: str) -> Text:
    verdict = analysis.integrity.verdict
    line = Text.assemble((verdict, f"bold {_STYLE[verdict]}"), f"  {shown(source)}  ({analysis.format})")
    links = analysis.links
    if links.linked or links.unlinked:
        line.append(f"  {links.linked:,} GPU events with their launch, {links.unlinked:,} without")
    return line


def _table(title: str, *columns: str, names: Iterable[str] = ()) -> Table:
    """A table whose first column holds names; it is as wide as its header and as most of `names`, folding longer."""
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for k, column in enumerate(columns):
        if k:
            table.add_column(column, justify="right", overflow="ellipsis", no_wrap=True)
        else:
            least = max(len(column), *(min(cell_len(text), NAME_WIDTH) for text in names), 0)
            table.add_column(column, overflow="fold", min_width=least)
    return table


def _count(value: int | None) -> str:
    return MISSING if value is None else f"{value:,}"


def _device_name(use: DeviceUse) -> Text:
    return Text(shown(use.device))


def _devices(devices: tuple[DeviceUse, ...]) -> Table:
    """One row a device; of copies, sets and graph launches only those that some device has."""
    kinds = {"copies": "memcpys", "sets": "memsets", "graphs": "graph_launches"}
    held = {head: kind for head, kind in kinds.items() if any(getattr(use, kind) for use in devices)}
    table = _table("Devices", "device", "kernels", *held, "kern. t.", "busy", "span", "idle")
    for use in devices:
        share = MISSING if use.idle_share is None else f"{significant(100 * use.idle_share)} %"
        counts = [_count(use.kernels), *(_count(getattr(use, kind)) for kind in held.values())]
        times = [duration(value) for value in (use.kernel_ns, use.busy_ns, use.span_ns, use.idle_ns)]
        if use.idle_ns is not None:
            times[-1] = f"{times[-1]}, {share}"
        table.add_row(_device_name(use), *counts, *times)
    withheld = {use.reason for use in devices if use.reason and use.idle_share is None}
    if withheld:
        table.caption = Text("idle % withheld: " + shown(" | ".join(sorted(withheld))))
        table.caption_justify = "left"
    return table


def _causes(devices: tuple[DeviceUse, ...]) -> Table:
    table = _table("Idle by cause", "device", "cause", "time", "% of idle")
    for use in devices:
        causes = sorted((use.idle_by_cause_ns or {}).items(), key=lambda item: (-item[1], item[0]))
        for cause, ns in causes:
            share = significant(100 * ns / use.idle_ns) if use.idle_ns and use.idle_share is not None else MISSING
            table.add_row(_device_name(use), cause, duration(ns), share)
        if use.gaps is not None:
            table.add_row(_device_name(use), f"{use.gaps:,} gaps, longest", duration(use.gap_max_ns), "", style="dim")
    return table


def _streams(devices: tuple[DeviceUse, ...]) -> Table:
    table = _table("Streams", "device", "stream", "events", "busy", "idle, two largest causes")
    for use in devices:
        ordered = sorted(use.streams, key=lambda stream: -stream.busy_ns)
        for stream in ordered[:STREAMS_SHOWN]:
            causes = sorted(stream.idle_by_cause_ns.items(), key=lambda item: -item[1])[:2]
            idle = ", ".join(f"{cause} {duration(ns)}" for cause, ns in causes)
            table.add_row(_device_name(use), str(stream.stream), _count(stream.events), duration(stream.busy_ns), idle)
        if len(ordered) > STREAMS_SHOWN:
            table.add_row(_device_name(use), f"{len(ordered) - STREAMS_SHOWN} more", "", "", "", style="dim")
    return table


def _ranges(ranges: tuple[RangeUse, ...]) -> Table:
    """The device is named where there are several: a figure is worth more room than a 0 in every row."""
    names = [shown(use.name) for use in ranges[:RANGES_SHOWN]]
    several = len({use.device for use in ranges}) > 1
    device = ("dev",) if several else ()
    table = _table("Ranges", "range", *device, "calls", "kernels", "busy", "idle", "a call", "10–90 %", names=names)
    for use in ranges[:RANGES_SHOWN]:
        spread = use.us_per_call
        median = MISSING if spread is None else duration(spread.median * 1000)
        ends = MISSING if spread is None else between(spread.lo * 1000, spread.hi * 1000)
        counts = (_count(use.calls), _count(use.kernels), duration(use.busy_ns), duration(use.idle_ns))
        where = (Text(shown(use.device)),) if several else ()
        table.add_row(Text(shown(use.name)), *where, *counts, median, ends)
    if len(ranges) > RANGES_SHOWN:
        table.caption = Text(f"{len(ranges) - RANGES_SHOWN:,} more by less busy time: --json lists all, --range picks")
        table.caption_justify = "left"
    return table
