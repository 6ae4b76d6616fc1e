"""The page's account of bubbles: causes, lengths, the worst gaps with what stands on both sides of each."""

from __future__ import annotations

from collections.abc import Sequence

from rope_prof.analysis.summary import INFLATION_LIMIT
from rope_prof.units import MISSING, duration, microseconds
from rope_prof.views.overview import Overview
from rope_prof.views.report_data import Idle, ReportData, idle, log_bins
from rope_prof.views.report_model import Block, Cell, Figure, Table, Words, cells
from rope_prof.views.report_words import case_words, percent
from rope_prof.views.svg_charts import Bar, Histogram, bars, histograms

#: What a cause means, for a reader who meets the word here.
CAUSES = {
    "host_late": "the host had not begun to launch the next kernel",
    "launch": "the launch call was running",
    "queued": "the launch call began before the gap: the device took its time",
    "sync": "the host waited for the device",
    "profiler": "the profiler was writing",
    "in_graph": "between two kernels of one graph launch",
    "unknown": "the launch is not in the file",
}


def bubbles(data: ReportData, view: Overview | None) -> tuple[Block, ...]:
    """Of the main case's captured sides."""
    if view is None:
        return ()
    found = []
    for side in view.sides:
        one = data.captured.get(side.row.key)
        account = None if one is None else idle(one)
        if account is not None and account.gaps:
            found.append((side, account))
    if not found:
        return ()
    blocks: list[Block] = [
        Words(
            text=f"{case_words(view.case)}, all captured calls. Lengths are those under the profiler; where it "
            f"stretches a call over {INFLATION_LIMIT:g}x they are too long, and the causes' shares lean to the host."
        ),
        Figure(
            name="causes",
            drawing=bars(
                [
                    Bar(
                        label=f"{side.label}: {cause}",
                        parts=(
                            (
                                "bubble" if side.raw_trusted else "unsure",
                                ns / 1e3,
                                f"{cause}: {microseconds(ns)} µs a call",
                            ),
                        ),
                        note=f"{microseconds(ns)} µs, {percent(share)} of its idle time",
                        title=CAUSES.get(cause, ""),
                    )
                    for side, one in found
                    for cause, ns, share in one.causes
                ],
                "µs of idle device time a call",
                "Idle time by cause",
            ),
            title="Idle time by cause",
            caption="; ".join(f"{cause}: {words}" for cause, words in CAUSES.items() if _has(found, cause)) + ".",
        ),
    ]
    edges, counts = log_bins([one.lengths_ns for _, one in found])
    blocks.append(
        Figure(
            name="gaps",
            drawing=histograms(
                [
                    Histogram(label=side.label, counts=row, note=f"{one.gaps:,} gaps, {duration(one.idle_ns)} a call")
                    for (side, one), row in zip(found, counts, strict=True)
                ],
                edges,
                "length of a gap, µs (logarithmic)",
                "How long the gaps are",
            ),
            title="How long the gaps are",
        )
    )
    return (*blocks, _worst([(side.label, one) for side, one in found]))


def _has(found: Sequence[tuple[object, Idle]], cause: str) -> bool:
    return any(cause == name for _, one in found for name, _, _ in one.causes)


def _worst(found: Sequence[tuple[str, Idle]]) -> Table:
    rows = tuple(
        cells(
            label,
            microseconds(gap["gap_dur_ns"]),
            gap["cause"],
            Cell(text=gap["before"] or MISSING, name=True),
            Cell(text=gap["after"] or MISSING, name=True),
            Cell(text=gap["launch_name"] or MISSING, name=True),
        )
        for label, one in found
        for gap in one.worst
    )
    head = ("path · mode", "µs", "cause", "kernel before", "kernel after", "launched by")
    return Table(title="The longest gaps", head=head, rows=rows, right=frozenset({1}), folded=True)
