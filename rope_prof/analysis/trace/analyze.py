"""The whole answer for one trace: is it sound, what did each device do, why did it idle, what did each range cost."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import asdict, replace
from typing import Any, Final

import polars as pl

from rope_prof.analysis.trace.accounting import NEEDED, DeviceUse, device_use
from rope_prof.analysis.trace.backward import caused_by_forward
from rope_prof.analysis.trace.calls import as_cpu, families, innermost, recorded_on_cpu
from rope_prof.analysis.trace.clocks import early_ns
from rope_prof.analysis.trace.gaps import Host, device_gaps, host
from rope_prof.analysis.trace.groups import parts_of
from rope_prof.analysis.trace.integrity import Integrity, integrity
from rope_prof.analysis.trace.launches import launched
from rope_prof.analysis.trace.modules import module_use, replayed_modules
from rope_prof.analysis.trace.openings import left_open
from rope_prof.analysis.trace.phases import PhaseUse, phase_use
from rope_prof.analysis.trace.ranges import Outside, RangeUse, by_busy_time, outside, range_use
from rope_prof.analysis.trace.sites import LaunchSites
from rope_prof.model.frozen import Frozen
from rope_prof.model.trace import Finding, Format, Trace, proof

SCHEMA_VERSION: Final = 1
#: What starts and ends at 0 is without a time where no other event starts so near to 0.
FAR_NS: Final = 10_000


class Links(Frozen, kw_only=True):
    """GPU events with and without a launch call in the file."""

    linked: int
    unlinked: int


class Analysis(Frozen, kw_only=True):
    """What `analyze` says; `as_json` is the documented contract. `unusable` traces have no devices."""

    schema_version: int
    format: Format
    integrity: Integrity
    devices: tuple[DeviceUse, ...]
    links: Links
    ranges: tuple[RangeUse, ...]
    outside_ranges: Outside | None = None
    phases: tuple[PhaseUse, ...] = ()  # steps of a serving engine
    zero_ns: int | None = None  # the first start of anything: zero of the timeline

    def as_json(self) -> dict[str, Any]:
        """Plain dicts and lists, ready for a JSON writer."""
        return asdict(self)


def analyze(trace: Trace, *, range_pattern: str | re.Pattern[str] | None = None, device: str | None = None) -> Analysis:
    """Judge and account for a trace.

    `range_pattern` picks ranges (None: all): those that are called so or whose family is, else by a search in their
    names; a text that is no pattern is searched for letter by letter. `device="cpu"` takes the leaf operators of a
    trace without GPU events as kernels, which is else done only where the trace's own metadata says device=cpu.
    """
    trace = accounted(trace, device)
    events = launched(trace)
    unlinked = events["launch_start_ns"].null_count()
    host_side = host(trace)
    # one after the other: side by side they would hold their tables at once, and save little time
    judged = integrity(trace, events)
    devices, ranges = _devices(trace, events, host_side), _ranges(trace, events, host_side, range_pattern)
    timelines = (trace.ranges, trace.ops, trace.calls, trace.gpu)
    answer = Analysis(
        schema_version=SCHEMA_VERSION,
        format=trace.format,
        integrity=judged,
        devices=(),
        links=Links(linked=events.height - unlinked, unlinked=unlinked),
        ranges=(),
        zero_ns=min((int(f["start_ns"].min()) for f in timelines if f.height), default=None),  # type: ignore[arg-type]
    )
    if judged.verdict == "unusable":
        return answer
    if trace.totals is not None:
        return replace(answer, devices=tuple(_totals(trace)))
    early = early_ns(events)
    return replace(
        answer,
        devices=tuple(_shared(use, judged, early) for use in devices),
        ranges=tuple(_withheld(use, judged.reason) for use in ranges),
        outside_ranges=outside(trace.ranges, events),
        phases=tuple(_unjudged(use, judged.reason) for use in phase_use(trace.ranges, events, host_side)),
    )


def _devices(trace: Trace, events: pl.DataFrame, host_side: Host) -> tuple[DeviceUse, ...]:
    return tuple(
        device_use(name, trace.device_names.get(name), rows, host_side)
        for name, rows in parts_of(events.select(NEEDED), "device", ordered=True)
    )


def _ranges(
    trace: Trace, events: pl.DataFrame, host_side: Host, picked: str | re.Pattern[str] | None
) -> tuple[RangeUse, ...]:
    shown, modules = trace.ranges, replayed_modules(trace, events)
    if picked is not None:
        shown, modules = ranges_called(shown, picked), ranges_called(modules, picked)
    uses = range_use(shown, events, host_side, caused_by_forward(trace, events))
    return by_busy_time((*uses, *module_use(modules, events, host_side)))


def accounted(trace: Trace, device: str | None = None) -> Trace:
    """The trace without events that have no time and without ends that the profiler drew, or with its leaf operators
    as kernels where it was recorded on a CPU (`analyze` says when)."""
    trace = left_open(_timed(trace))
    if trace.gpu.height or not trace.ops.height or not (device == "cpu" or recorded_on_cpu(trace)):
        return trace
    note = Finding(code="cpu_leaf_operators", detail="recorded on a CPU: kernels are the leaf operators")
    return replace(as_cpu(trace), findings=(*trace.findings, note))


def _timed(trace: Trace) -> Trace:
    """Without GPU events that start and end at 0 far before all others: so CUPTI writes a time that it did not take."""
    if not (trace.gpu["start_ns"] == 0).any():
        return trace
    without = (pl.col("start_ns") == 0) & (pl.col("dur_ns") == 0)
    held = trace.gpu.filter(~without)
    rest = trace.gpu.height - held.height
    if not rest or not held.height or int(held["start_ns"].abs().min()) < FAR_NS:  # type: ignore[arg-type]
        return trace
    detail = (
        "GPU events start and end at 0: the profiler did not take their times. They are left out, and their launches "
        "count as launches without a kernel"
    )
    said = Finding(code="untimed_events", detail=detail, count=rest, events=proof(trace.gpu.filter(without)))
    return replace(trace, gpu=held, findings=(*trace.findings, said))


def _shared(use: DeviceUse, judged: Integrity, early: dict[str, int]) -> DeviceUse:
    if judged.reason is not None or not use.span_ns or use.idle_ns is None:
        return replace(use, reason=judged.reason or "the device's span is 0 ns")
    bound = early[use.device] / use.span_ns if use.device in early else None
    return replace(use, idle_share=use.idle_ns / use.span_ns, idle_share_bound=bound)


def _withheld(use: RangeUse, reason: str | None) -> RangeUse:
    return use if reason is None else replace(use, us_per_call=None, reason=reason)


def _unjudged(use: PhaseUse, reason: str | None) -> PhaseUse:
    return use if reason is None else replace(use, busy_ns=None, span_ns=None, period_ns=None, reason=reason)


def ranges_called(ranges: pl.DataFrame, picked: str | re.Pattern[str]) -> pl.DataFrame:
    """The ranges that `picked` means: those of that name or family, else those whose name holds the pattern.

    `step[DECODE bs=31]` is a name, though it is a pattern too.
    """
    names = ranges["name"].unique().drop_nulls()
    called = names.filter((names == picked) | (families(names) == picked)) if isinstance(picked, str) else names.clear()
    if not len(called):
        try:
            pattern = re.compile(picked)
        except re.error:
            pattern = re.compile(re.escape(str(picked)))
        called = pl.Series([name for name in names if pattern.search(name)], dtype=pl.String)
    return ranges.filter(pl.col("name").is_in(called.implode()))


def _totals(trace: Trace) -> Iterator[DeviceUse]:
    """What a totals-only profile says of each device: executions and kernel time."""
    paths = trace.totals or ()
    for device in sorted({str(path["device"]) for path in paths}):
        here = [path for path in paths if path["device"] == device]
        counts = [path["count"] for path in here]
        yield DeviceUse(
            device=device,
            name=None,
            kernels=None if None in counts else sum(counts),
            kernel_ns=sum(path["kernel_ns"] for path in here),
            reason="a Proton profile holds totals alone: no times, so no busy time, gaps or causes",
        )


def gap_table(trace: Trace) -> pl.DataFrame:
    """Every gap piece of every device (`gaps.device_gaps`) with its device, and where the event after was launched: its
    innermost range, operator and torch modules, null where there is none.

    Rows in the order of device and time.
    """
    tables, sites = [], LaunchSites(trace)
    for device in trace.gpu["device"].unique().sort():
        found = device_gaps(trace, device)
        where = {"range": innermost(trace.ranges, found), "operator": sites.operators(found)}
        told = found.drop("graph", "graph_node").with_columns(**where, module=sites.modules(found))
        tables.append(told.insert_column(0, pl.Series("device", [device] * found.height, pl.String)))
    return pl.concat(tables) if tables else pl.DataFrame(schema={"device": pl.String})
