"""Why the device idled, as blocks: causes by share, how long the gaps are, the longest with the host call behind each.

Draws accounts of `analysis.trace.idle` and rows of the summary; for the report and for the page of the dashboard alike.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from rope_prof.analysis.run.capture import call_pattern
from rope_prof.analysis.run.rows import INFLATION_LIMIT
from rope_prof.analysis.trace.idle import Idle, log_bins
from rope_prof.units import MISSING, US, duration, in_us, microseconds, percent, ratio
from rope_prof.views.blocks.model import Block, Cell, Picture, Table, Tone, cells, charted
from rope_prof.views.blocks.overview import OverviewSide
from rope_prof.views.draw.charts import Bar, BarChart, Histogram, HistogramChart
from rope_prof.views.draw.svg import CAUSE, Drawing
from rope_prof.views.words.causes import CAUSE_WORDS, cause_name
from rope_prof.views.words.difference import beside, change
from rope_prof.views.words.trust import DENIED

#: The two parts of a bubble that no profiler stretches, in the hues of the causes that they are akin to.
_PARTS = ((f"{CAUSE}host_late", "host"), (f"{CAUSE}queued", "queue"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Bubbles:
    """One captured side of a case with the account of its idle time; None where no gap lies between its events."""

    side: OverviewSide
    idle: Idle | None

    @property
    def label(self) -> str:
        return self.side.label

    @property
    def trusted(self) -> bool:
        """Whether the capture is so like the unprofiled calls that its gaps mean something."""
        return self.side.row.raw_trusted


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldBubbles:
    """The chosen baseline that every figure is held against; itself is held against nothing."""

    label: str
    bubbles: Bubbles

    def of(self, one: Bubbles) -> Bubbles | None:
        """What `one` is held against."""
        return None if self.bubbles.side.row is one.side.row else self.bubbles


def lean(found: Sequence[Bubbles]) -> str:
    """What must be said of those sides whose capture is unlike the unprofiled calls; empty where there is none."""
    grey = [(one.label, one.side.row.inflation) for one in found if not one.trusted]
    wide = [label for label, inflation in grey if inflation is not None and inflation > 1]
    tight = [label for label, inflation in grey if inflation is not None and inflation < 1]
    unknown = [label for label, inflation in grey if inflation is None]
    words = []
    if wide:
        words.append(
            f"Grey: the profiler stretches {', '.join(wide)} over {INFLATION_LIMIT:g}x. Unprofiled these "
            "gaps are shorter and the host has a smaller share of them; the corrected bubble, which no profiler "
            "stretches, says how much idle time there is."
        )
    if tight:
        words.append(
            f"Grey: captured, {', '.join(tight)} took under 1/{INFLATION_LIMIT:g} of the unprofiled "
            "time: the host was held up then, or the clock was another; these gaps are not those of the timed calls."
        )
    if unknown:
        words.append(f"Grey: {', '.join(unknown)} was not timed without the profiler.")
    return " ".join(words)


def parts_figure(found: Sequence[Bubbles], name: str) -> Iterator[Picture]:
    """The bubble of an unprofiled call, by host and queue, on one scale; nothing where no side was timed so."""
    told = [one for one in found if one.side.row.bubble_corrected_ns is not None]
    if not told:
        return
    parts = any(one.side.row.bubble_host_ns is not None for one in told)
    chart = BarChart(
        rows=tuple(map(_parts, told)),
        unit="µs of a call, unprofiled",
        title=f"Bubble of a call: {name}",
        legend=_PARTS if parts else (("bubble", "bubble"),),
    )
    words = "host: the call takes longer than its device work with a full queue; queue: the device idles in that work."
    yield charted(chart, "bubble", title="Bubble of a call, unprofiled", caption=words if parts else "")


def _parts(one: Bubbles) -> Bar:
    row = one.side.row
    host, queue = row.bubble_host_ns, row.bubble_queue_ns
    whole = one.side.marked(duration(row.bubble_corrected_ns))
    split = [
        (role, ns / US, f"{word}: {duration(ns)} a call")
        for (role, word), ns in zip(_PARTS, (host, queue), strict=True)
        if ns
    ]
    rest = [("bubble", (row.bubble_corrected_ns or 0.0) / US, f"bubble: {whole} a call")]
    return Bar(
        label=one.label, parts=tuple(split or rest), note=f"{whole}, {percent(one.side.bubble_share)} of the call"
    )


def bubble_answer(found: Sequence[Bubbles]) -> str:
    """How long the device idles in a call of the side that idles longest, mostly why, and of the shortest."""
    known = [one for one in found if one.side.bubble_share is not None]
    known.sort(key=lambda one: -(one.side.row.bubble_corrected_ns or 0.0))
    if not known:
        return "Not known: no captured call was timed without the profiler too."
    most, least = known[0], known[-1]
    causes = () if most.idle is None else most.idle.causes
    why = f", mostly because {CAUSE_WORDS[max(causes, key=lambda cause: cause[1])[0]]}" if causes else ""
    said = f"{most.label} idles for {_idle(most)}{why}"
    return f"{said}; {least.label} for {_idle(least)}." if least is not most else f"{said}."


def _idle(one: Bubbles) -> str:
    return f"{duration(one.side.row.bubble_corrected_ns)} of a call ({percent(one.side.bubble_share)})"


def causes_figure(found: Sequence[Bubbles], name: str) -> Picture:
    """The idle time of each side by cause, as shares of it. Errors: ValueError where no side has a gap."""
    told = [(one, one.idle) for one in found if one.idle is not None]
    if not told:
        raise ValueError("no side has a gap; expected at least one")
    used = [cause for cause in CAUSE_WORDS if any(idle.cause_ns(cause) for _, idle in told)]
    title = f"Idle time by cause, as profiled: {name}"
    chart = BarChart(
        rows=tuple(_bar(one, idle) for one, idle in told),
        unit="share of the idle time under the profiler, %",
        title=title,
        legend=tuple((f"{CAUSE}{cause}", cause_name(cause)) for cause in used),
    )
    words = "; ".join(f"{cause_name(cause)}: {CAUSE_WORDS[cause]}" for cause in used)
    return charted(chart, "causes", title="Idle time by cause, as profiled", caption=f"{words}.")


def _bar(one: Bubbles, idle: Idle) -> Bar:
    order = [*CAUSE_WORDS]  # the same from bar to bar, so that one cause stands above the other
    parts = [
        (
            cause,
            100 * share,
            f"{cause_name(cause)}: {duration(ns)} a call, {percent(share)} of the idle time\n{CAUSE_WORDS[cause]}",
        )
        for cause, ns, share in sorted(idle.causes, key=lambda one: order.index(one[0]))
    ]
    row = one.side.row
    return Bar(
        label=one.label,
        parts=tuple((f"{CAUSE}{c}" if one.trusted else "unsure_fill", value, title) for c, value, title in parts),
        inside=() if one.trusted else tuple(f"{cause_name(c)} {value:.0f} %" for c, value, _ in parts),
        note=f"{duration(idle.idle_ns)} a call, {'inflation ' + ratio(row.inflation) if row.inflation else 'no wall'}",
    )


def lengths_figure(found: Sequence[Bubbles], name: str) -> Picture:
    """How many gaps are how long, on one log scale. Errors: ValueError where no side has a gap."""
    told = [(one, one.idle) for one in found if one.idle is not None]
    if not told:
        raise ValueError("no side has a gap; expected at least one")
    edges, counts = log_bins([idle.lengths_ns for _, idle in told])
    rows = tuple(
        Histogram(
            label=one.label,
            counts=row,
            note=f"{idle.gaps:,} gaps, most {max(row):,}",
            role="bubble" if one.trusted else "unsure",
        )
        for (one, idle), row in zip(told, counts, strict=True)
    )
    title = f"How long the gaps are, as profiled: {name}"
    unit = "length of a gap, µs (logarithmic)"
    return charted(
        HistogramChart(rows=rows, edges_us=tuple(edges), unit=unit, title=title),
        "gaps",
        title="How long the gaps are, as profiled",
        caption="Number of gaps by length, of all captured calls; each row is as high as its fullest column (“most”).",
    )


def account_table(found: Sequence[Bubbles], held: HeldBubbles | None = None) -> Table:
    """The sides side by side: what is true without the profiler."""
    plain: list[tuple[str, Callable[[Bubbles], float | None]]] = [
        ("whole call, unprofiled", lambda one: one.side.row.wall_ns.median if one.side.row.wall_ns else None),
        ("bubble, unprofiled", lambda one: one.side.row.bubble_corrected_ns),
        ("of it by the host", lambda one: one.side.row.bubble_host_ns),
        ("of it in the queue", lambda one: one.side.row.bubble_queue_ns),
    ]
    told = [(name, of) for name, of in plain if any(of(one) is not None for one in found)]
    rows = [cells(name, *(_held(one, of, held) for one in found)) for name, of in told]
    rows.append(
        cells("bubble, share of that call", *(one.side.marked(percent(one.side.bubble_share)) for one in found))
    )
    if any(one.side.denied for one in found):
        by_replay = (duration(one.side.row.bubble_by_replay_ns) if one.side.denied else "" for one in found)
        rows.append(cells(f"{DENIED} the same by graph replay, which disagrees", *by_replay))
    return _account("A call of each path, unprofiled", rows, found, held)


def profiled_table(found: Sequence[Bubbles], held: HeldBubbles | None = None) -> Table:
    """The idle time under the profiler by cause, beside how far it stretches a call."""
    causes = [c for c in CAUSE_WORDS if any(one.idle is not None and one.idle.cause_ns(c) for one in found)]
    rows = [cells("inflation by the profiler", *(_inflation(one) for one in found))]
    raw: list[tuple[str, Callable[[Bubbles], float | None]]] = [
        ("idle", lambda one: 0.0 if one.idle is None else one.idle.idle_ns),
        *((cause_name(c), lambda one, c=c: 0.0 if one.idle is None else one.idle.cause_ns(c)) for c in causes),
    ]
    rows += [cells(f"{name}, profiled", *(_raw(one, of, held) for one in found)) for name, of in raw]
    return _account("The same under the profiler", rows, found, held)


def _account(title: str, rows: Sequence[tuple[Cell, ...]], found: Sequence[Bubbles], held: HeldBubbles | None) -> Table:
    against = "" if held is None else f"; in brackets the difference to {held.label}"
    return Table(
        title=f"{title}{against}",
        head=("", *(one.label for one in found)),
        rows=tuple(rows),
        right=frozenset(range(1, len(found) + 1)),
    )


def _raw(one: Bubbles, of: Callable[[Bubbles], float | None], held: HeldBubbles | None) -> Cell:
    tone: Tone = "" if one.trusted else "muted"
    return Cell(text=_held(one, of, held), tone=tone)


def _held(one: Bubbles, of: Callable[[Bubbles], float | None], held: HeldBubbles | None) -> str:
    base = None if held is None else held.of(one)
    return beside(of(one), None if base is None else of(base))


def _inflation(one: Bubbles) -> Cell:
    tone: Tone = "" if one.trusted else "bad"
    return Cell(text=ratio(one.side.row.inflation), tone=tone)


Link = Callable[[Bubbles, Mapping[str, Any]], str]


def worst_table(found: Sequence[Bubbles], link: Link | None = None, *, folded: bool = False) -> Table:
    """The longest gaps of each side: the kernels on both sides and the host call responsible.

    `link` gives the address of the timeline at a gap.
    """
    rows = tuple(
        _worst(one, gap, "" if link is None else link(one, gap))
        for one in found
        if one.idle is not None
        for gap in one.idle.worst
    )
    head = ("path · mode", "call", "µs", "cause", "kernel before", "kernel after", "launched by", "thread", "inside")
    return Table(title="The longest gaps, as profiled", head=head, rows=rows, right=frozenset({1, 2}), folded=folded)


def _worst(one: Bubbles, gap: Mapping[str, Any], link: str) -> tuple[Cell, ...]:
    tone: Tone = "" if one.trusted else "muted"
    return cells(
        one.label,
        Cell(text=str(gap["call"]), link=link),
        Cell(text=microseconds(gap["gap_dur_ns"]), tone=tone, link=link),
        cause_name(gap["cause"]),
        *(_name(gap[part]) for part in ("before", "after", "launch_name")),
        MISSING if gap["launch_thread"] is None else str(gap["launch_thread"]),
        _name(inside(gap, one.side.row.key)),
    )


def inside(gap: Mapping[str, Any], key: str) -> str | None:
    """The operator in which the launch was made, else the range; None where the file has neither.

    The recorder's range around a whole call of `key` is told as that call.
    """
    found = gap["operator"] if gap["operator"] is not None else gap["range"]
    if found is None:
        return None
    return f"call {found.rpartition('#')[2]}" if call_pattern(key).fullmatch(found) else str(found)


def _name(name: str | None) -> Cell:
    return Cell(text=MISSING) if name is None else Cell(text=name, name=True)


def bubble_blocks(found: Sequence[Bubbles], name: str) -> tuple[Block, ...]:
    """What a report shows: what is true first, then what the profiler saw, the longest gaps to unfold."""
    return (
        *parts_figure(found, name),
        account_table(found),
        profiled_table(found),
        causes_figure(found, name),
        lengths_figure(found, name),
        worst_table(found, folded=True),
    )


def bubble_drawings(found: Sequence[Bubbles], name: str) -> list[Drawing]:
    """The pictures of the page, to give away."""
    figures = (*parts_figure(found, name), causes_figure(found, name), lengths_figure(found, name))
    return [figure.drawing for figure in figures]


#: Columns of `gap_frame` that come from the gaps as they are.
_FACTS = (
    *("call", "gap_dur_ns", "cause", "before", "before_stream", "after", "after_stream"),
    *("launch_name", "launch_start_ns", "launch_process", "launch_thread", "range", "operator"),
)


def gap_frame(found: Mapping[str, tuple[pl.DataFrame, bool]]) -> pl.DataFrame:
    """Every gap, one row each: label -> (`analysis.trace.idle.whole_gaps`, whether its lengths can be trusted)."""
    frames = [
        gaps.select(
            pl.lit(label).alias("path"),
            pl.lit(trusted).alias("trusted"),
            (pl.col("gap_start_ns") - pl.col("call_start_ns")).alias("start_in_call_ns"),
            *_FACTS,
        )
        for label, (gaps, trusted) in found.items()
    ]
    return pl.concat(frames)


def account_frame(found: Sequence[Bubbles], held: HeldBubbles | None = None) -> pl.DataFrame:
    """One row per side and cause: µs a call, share of the idle time, change to the baseline's same cause."""
    rows = [
        {
            "path": one.label,
            "cause": cause,
            "µs a call, profiled": ns / US,
            "share of idle time": share,
            "inflation": one.side.row.inflation,
            "trusted": one.trusted,
            "bubble corrected, µs a call": in_us(one.side.row.bubble_corrected_ns),
        }
        | ({} if held is None else {f"change to {held.label}": _change(one, cause, ns, held)})
        for one in found
        if one.idle is not None
        for cause, ns, share in one.idle.causes
    ]
    return pl.DataFrame(rows, infer_schema_length=None)


def _change(one: Bubbles, cause: str, ns: float, held: HeldBubbles) -> float | None:
    base = held.of(one)
    return None if base is None or base.idle is None else change(ns, base.idle.cause_ns(cause))
