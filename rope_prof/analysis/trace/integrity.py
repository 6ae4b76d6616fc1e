"""Is the file to be trusted? Coded findings and a verdict, before any figure is read.

`unusable`: there is nothing to account for. `suspect`: something in it makes shares wrong or doubtful. `sound`: else.
Findings that only inform (`INFORMS`) change no verdict.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Literal

import polars as pl

from rope_prof.analysis.trace.accounting import NEEDED
from rope_prof.analysis.trace.clocks import clocks
from rope_prof.analysis.trace.copies import BOUND as COPY_BOUND
from rope_prof.analysis.trace.copies import copy_use, only_copies_ns
from rope_prof.analysis.trace.gaps import by_profiler, host, pieces, segments
from rope_prof.analysis.trace.graph_nodes import graph_nodes
from rope_prof.analysis.trace.groups import parts_of
from rope_prof.analysis.trace.identity import identity
from rope_prof.analysis.trace.missing import missing
from rope_prof.analysis.trace.overlaps import overlaps
from rope_prof.analysis.trace.proof import shown
from rope_prof.analysis.trace.spans import frame_union, gaps, total_time, window
from rope_prof.model.frozen import Frozen
from rope_prof.model.trace import Finding, Trace, proof
from rope_prof.units import SECOND, counted

Verdict = Literal["sound", "suspect", "unusable"]

UNUSABLE: Final = frozenset(("no_events", "no_gpu_events"))
#: These say something a reader should know and make no figure wrong.
INFORMS: Final = frozenset(
    (
        "coarse_clock",
        "captured_launches",
        "copies_without_way",
        "copy_bound",
        "cut",
        "damaged_unread_events",
        "duplicate_metadata",
        "duplicate_unread_keys",
        "empty_moves",
        "graph_replays_differ",
        "gzip_trailing",
        "kernels_without_launch",
        "launches_after_last_record",
        "mended_events",
        "stream_overlap",
        "totals_only",
        "unclosed_ranges",
        "untested_schema",
        "zero_duration",
        "cpu_leaf_operators",
        "unmatched_launches",
        "unnamed_replays",
    )
)
#: Suspect, yet what the file holds still adds up to the share that is shown.
KEEPS_SHARES: Final = frozenset(("no_window_end", "early_starts", "merged_ranks"))

_RECORD_AGAIN: Final = {"kineto": "record with CUDA activity on", "nsys": "record with nsys profile --trace=cuda,nvtx"}

LONGEST_EVENT_NS: Final = 3_600_000_000_000
FARTHEST_NS: Final = 86_400_000_000_000
OVERHEAD_SHARE: Final = 0.2
ONE_WAIT_SHARE: Final = 0.5
ONE_WAIT_NS: Final = 100_000


class Integrity(Frozen, kw_only=True):
    """The verdict and why."""

    verdict: Verdict
    findings: tuple[Finding, ...]

    @property
    def reason(self) -> str | None:
        """Why shares are withheld: the findings that make them untrustworthy; None where nothing does."""
        doubts = [f for f in self.findings if f.code not in INFORMS and f.code not in KEEPS_SHARES]
        return "; ".join(f"{f.title}: {f.detail}" for f in doubts) or None


def integrity(trace: Trace, events: pl.DataFrame) -> Integrity:
    """Judge a trace; `events` is its `launched` frame."""
    findings = list(trace.findings)
    if trace.totals is not None:
        detail = "a Proton profile holds totals per call path: no times, no gaps, no host side"
        findings.append(Finding(code="totals_only", detail=detail))
    elif not trace.gpu.height:
        findings.append(_no_gpu_events(trace))
    else:
        for check in (
            _copies,
            _times,
            identity,
            clocks,
            missing,
            graph_nodes,
            _window_end,
            _overhead,
            _one_wait,
            _oddities,
        ):
            findings.extend(check(trace, events))
    findings.sort(key=lambda found: found.code != "copy_bound")  # what the device waits for is said first
    codes = {f.code for f in findings}
    verdict: Verdict = "unusable" if codes & UNUSABLE else "suspect" if codes - INFORMS else "sound"
    return Integrity(verdict=verdict, findings=tuple(shown(f, trace) for f in findings))


def _no_gpu_events(trace: Trace) -> Finding:
    held = {"CPU operators": trace.ops, "runtime and driver calls": trace.calls, "ranges": trace.ranges}
    parts = ", ".join(f"{frame.height} {name}" for name, frame in held.items() if frame.height)
    advice = _RECORD_AGAIN.get(trace.format, "docs/formats.md says what is read of such a file and how to record it")
    detail = f"no GPU events in {counted(trace.events, 'event')} ({parts or 'nothing that is known'}); {advice}"
    return Finding(code="no_gpu_events", detail=detail)


def _copies(_: Trace, events: pl.DataFrame) -> Iterator[Finding]:
    for device, rows in parts_of(events, "device"):
        copies = rows.filter(pl.col("kind") == "memcpy")
        start, end = window(rows)
        most = total_time(copies)  # at least as long as copies run alone
        alone = only_copies_ns(rows) if most > COPY_BOUND * (end - start) else 0
        if end > start and alone > COPY_BOUND * (end - start):
            use = copy_use(rows)[0]
            detail = (
                f"device {device} does nothing but copy for {100 * alone / (end - start):.0f} % of its window, most of "
                f"it {use.direction}{f' from {use.memory} memory' if use.memory else ''}: it is busy, and waits "
                "for data"
            )
            yield Finding(code="copy_bound", detail=detail, count=copies.height, events=proof(copies))


def _times(trace: Trace, _: pl.DataFrame) -> Iterator[Finding]:
    everything = [trace.gpu, trace.calls, trace.ops]
    starts = pl.concat([frame["start_ns"] for frame in everything if frame.height])
    middle = int(starts.median() or 0)  # type: ignore[arg-type]
    near = starts.filter((starts - middle).abs() <= FARTHEST_NS)
    reach = int(near.max()) - int(near.min()) if len(near) else 0  # type: ignore[arg-type]
    limit = min(LONGEST_EVENT_NS, max(10_000_000_000, 10 * reach))
    found: dict[str, list[tuple[pl.DataFrame, str]]] = {}
    for frame, kind in zip(everything, ("gpu", "host", "host"), strict=True):
        for code, wrong in (
            ("negative_duration", pl.col("dur_ns") < 0),
            ("impossible_duration", pl.col("dur_ns") > limit),
            ("impossible_time", (pl.col("start_ns") - middle).abs() > FARTHEST_NS),
        ):
            if (rows := frame.filter(wrong)).height:
                found.setdefault(code, []).append((rows, kind))
    for code, detail in (
        ("negative_duration", "events end before they start"),
        ("impossible_duration", f"events last longer than {limit / SECOND:g} s"),
        ("impossible_time", "events start more than a day from the others"),
    ):
        if code in found:
            count = sum(rows.height for rows, _ in found[code])
            yield Finding(code=code, detail=detail, count=count, events=proof(*found[code][0]))


def _window_end(trace: Trace, _: pl.DataFrame) -> Iterator[Finding]:
    if trace.window_end is False:
        detail = "no 'Record Window End' event: the file was cut short or filtered"
        yield Finding(code="no_window_end", detail=detail)


def _overhead(trace: Trace, events: pl.DataFrame) -> Iterator[Finding]:
    records = by_profiler(trace)
    if not records.height:
        return
    start, end = window(events)
    spent = frame_union(records)
    edges = pl.Series([start, end]).to_numpy()
    inside = int(spent.measure(edges)[1] - spent.measure(edges)[0])
    if end > start and inside > OVERHEAD_SHARE * (end - start):
        detail = f"the profiler itself spent {inside} of the window's {end - start} ns"
        yield Finding(code="profiler_overhead", detail=detail, count=records.height, events=proof(records, "host"))


def _one_wait(trace: Trace, events: pl.DataFrame) -> Iterator[Finding]:
    """One gap is most of a device's window, and the GPU waited in it with work queued (or nobody knows why)."""
    events = events.select(NEEDED)
    for device, rows in parts_of(events, "device", ordered=True):
        found = gaps(rows)
        if not found.height:
            continue
        start, end = window(rows)
        longest = found[[int(found["dur_ns"].arg_max() or 0)]]
        if longest["dur_ns"][0] <= max(ONE_WAIT_NS, ONE_WAIT_SHARE * (end - start)):
            continue
        parts = pieces(segments(longest, rows), host(trace))
        outside = parts.filter(pl.col("cause").is_in(["queued", "launch", "unknown"]))["dur_ns"].sum()
        if 2 * outside > longest["dur_ns"][0]:
            after = int(longest["after"][0])
            launch = (
                "its launch was not late" if rows["launch_start_ns"][after] is not None else "its launch is not there"
            )
            detail = (
                f"device {device}: one gap of {longest['dur_ns'][0]} ns before {rows['name'][after]!r} is most of the "
                f"window of {end - start} ns, and {launch}: it waits on work outside the file"
            )
            both = rows[[int(longest["before"][0]), after]]
            yield Finding(code="one_wait", detail=detail, events=proof(both))


def _oddities(trace: Trace, events: pl.DataFrame) -> Iterator[Finding]:
    zero = events.filter((pl.col("dur_ns") == 0) & (pl.col("kind") == "kernel"))
    if zero.height:
        detail = "kernels have a duration of 0"
        yield Finding(code="zero_duration", detail=detail, count=zero.height, events=proof(zero))
    yield from overlaps(trace, events)
    unclosed = trace.ranges.filter(pl.col("dur_ns").is_null())
    if unclosed.height:
        detail = "ranges are open when recording ends: they own what was launched in them, and are no calls"
        yield Finding(code="unclosed_ranges", detail=detail, count=unclosed.height, events=proof(unclosed, "host"))
