"""The words around the figures: a panel's facts, a picture's caption."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from rope_prof.analysis.run.rows import INFLATION_LIMIT, Row
from rope_prof.units import MISSING, counted, duration, ratio
from rope_prof.views.timeline.layout import CallTimeline
from rope_prof.views.timeline.picture import Panel
from rope_prof.views.timeline.unprofiled import unprofiled
from rope_prof.views.words.difference import beside
from rope_prof.views.words.trust import ON_CPU


def unprofiled_panel(label: str, timeline: CallTimeline, row: Row, which: str) -> Panel:
    """A call of `row` on the unprofiled clock; as profiled, and said to be, where its gaps cannot be scaled to it."""
    wall = None if row.wall_ns is None else row.wall_ns.median
    found = unprofiled(timeline, wall)
    if found is None or wall is None:
        return call_panel(label, timeline, row, which=which)
    bubble = "" if row.bubble_corrected_ns is None else f", bubble {duration(row.bubble_corrected_ns)}"
    scale = f"gaps {ratio(found.bubble_ns / timeline.bubble_ns)}"
    drawn = f"drawn: busy {duration(found.busy_ns)}, idle {duration(found.bubble_ns)}, {scale} the profiled ones"
    words = (which, counted(timeline.kernels, "kernel"), f"unprofiled {duration(wall)}{bubble}", drawn)
    return Panel(label=label, facts="  ·  ".join(words), timeline=found)


def call_panel(label: str, timeline: CallTimeline, row: Row, base: Row | None = None, which: str = "") -> Panel:
    """A call of `row` under its heading, its time beside that of `base`; `which` names it where a number does not."""
    words = ""
    if row.wall_ns is not None:
        known = base.wall_ns.median if base is not None and base.wall_ns is not None else None
        bubble = "" if row.bubble_corrected_ns is None else f", bubble {duration(row.bubble_corrected_ns)}"
        words = f"unprofiled {beside(row.wall_ns.median, known)}{bubble}"
    facts = panel_facts(which or f"call #{timeline.call}", timeline, words, row.inflation)
    return Panel(label=label, facts=facts, timeline=timeline, trusted=row.raw_trusted)


def panel_facts(what: str, timeline: CallTimeline, unprofiled: str, inflation: float | None) -> str:
    """What stands beside a heading: `what` takes so long `unprofiled`, and then what is drawn, which is profiled."""
    share, period = timeline.bubble_share, "period" if timeline.next_call else "no period, length"
    drawn = (
        f"drawn as profiled: {period} {duration(timeline.end_ns)}, busy {duration(timeline.busy_ns)}, "
        f"idle {duration(timeline.bubble_ns)}{'' if share is None else f' ({share:.0%})'}"
        f"{'' if inflation is None else f', inflation {ratio(inflation)}'}"
    )
    return "  ·  ".join(filter(None, (what, counted(timeline.kernels, "kernel"), unprofiled, drawn)))


def doubt_words(panels: Sequence[Panel]) -> str:
    """Why bubbles are grey; nothing where all can be believed."""
    if all(panel.trusted for panel in panels):
        return ""
    return (
        f"Grey bubbles: under the profiler it takes over {INFLATION_LIMIT:g}x its unprofiled time, in which they are "
        f"narrower, or under 1/{INFLATION_LIMIT:g} of it, or nobody knows how much, and they tell nothing. "
    )


def call_table(panels: Sequence[Panel]) -> pl.DataFrame:
    """Every span of the drawn calls, in ns from each call's zero."""
    return pl.concat([p.timeline.spans.select(pl.lit(p.label).alias("path"), pl.all()) for p in panels])


def call_answer(sides: Sequence[tuple[str, Row]]) -> str:
    """Kernels and unprofiled time of a call, of the side where it takes longest and of the one where it takes least.

    The picture below is on the profiled clock: so it says, and how far the profiler stretches them.
    """
    timed = sorted(((row.wall_ns.median, label, row) for label, row in sides if row.wall_ns), key=lambda one: -one[0])
    if not timed:
        return "No call of these was timed without the profiler."
    ends = (timed[0], timed[-1]) if len(timed) > 1 else timed
    counts = (row.kernels_per_call for _, _, row in ends)
    kernels = [MISSING if count is None else counted(count, "kernel") for count in counts]
    said = (f"{label}: {kernel}, {duration(ns)}" for (ns, label, _), kernel in zip(ends, kernels, strict=True))
    found = sorted(row.inflation for _, row in sides if row.inflation is not None)
    stretch = " to ".join(dict.fromkeys(ratio(one) for one in (*found[:1], *found[-1:])))
    stretched = f", {stretch} as long" if found else ""
    return f"{'; '.join(said)}, without the profiler. Drawn as profiled{stretched}."


def call_caption(panels: Sequence[Panel]) -> str:
    """What the timeline shows and how far to believe it."""
    if not panels:
        return ""
    clipped = [p.label for p in panels if -p.timeline.lead_ns > max(q.timeline.reach_ns for q in panels) // 4]
    text = (
        "As the profiler saw it: zero is each call's first device event, the pale ground ends where the next call "
        "begins, and what belongs to other calls is paler. "
    )
    if any(lane.label == "operators" for p in panels for lane in p.timeline.lanes):
        text += f"{ON_CPU} "
    text += doubt_words(panels)
    if clipped:
        text += f"The host launched {', '.join(clipped)} earlier than is drawn: drag to the right to see it. "
    return text.strip()
