"""The words around the figures: a panel's facts, a picture's caption."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from rope_prof.analysis.run.rows import Row
from rope_prof.units import counted, duration, ratio
from rope_prof.views.timeline.layout import CallTimeline
from rope_prof.views.words.difference import beside
from rope_prof.views.words.trust import ON_CPU


@dataclass(frozen=True, slots=True, kw_only=True)
class CallPanel:
    """One call under its heading: the facts at its right, and whether its bubbles can be believed."""

    title: str
    facts: str
    timeline: CallTimeline
    trusted: bool = True


def panel(label: str, timeline: CallTimeline, row: Row, base: Row | None = None) -> CallPanel:
    """One call under its heading: what it takes unprofiled (beside `base`), then what is drawn, which is profiled."""
    words = [f"call #{timeline.call}", counted(timeline.kernels, "kernel")]
    if row.wall_ns is not None:
        known = base.wall_ns.median if base is not None and base.wall_ns is not None else None
        bubble = "" if row.bubble_corrected_ns is None else f", bubble {duration(row.bubble_corrected_ns)}"
        words.append(f"unprofiled {beside(row.wall_ns.median, known)}{bubble}")
    period = "period" if timeline.next_call else "no period, length"
    inflation = "" if row.inflation is None else f", inflation {ratio(row.inflation)}"
    words.append(
        f"drawn as profiled: {period} {duration(timeline.end_ns)}, busy {duration(timeline.busy_ns)}, "
        f"idle {duration(timeline.bubble_ns)}{inflation}"
    )
    return CallPanel(title=label, facts="  ·  ".join(words), timeline=timeline, trusted=row.raw_trusted)


def call_table(panels: Sequence[CallPanel]) -> pl.DataFrame:
    """Every span of the drawn calls, in ns from each call's zero."""
    return pl.concat([p.timeline.spans.select(pl.lit(p.title).alias("path"), pl.all()) for p in panels])


def call_caption(panels: Sequence[CallPanel], limit: float) -> str:
    """What the timeline shows and how far to believe it."""
    if not panels:
        return ""
    clipped = [p.title for p in panels if -p.timeline.lead_ns > max(q.timeline.reach_ns for q in panels) // 4]
    text = (
        "As the profiler saw it: zero is each call's first device event, the pale ground ends where the next call "
        "begins, and what belongs to other calls is paler. "
    )
    if any(lane.label == "operators" for p in panels for lane in p.timeline.lanes):
        text += f"{ON_CPU} "
    if any(not p.trusted for p in panels):
        text += (
            f"Grey bubbles: the profiler stretches this path over {limit:g}x, unprofiled they are narrower; or the "
            f"captured calls took under 1/{limit:g} of the unprofiled time, and they tell nothing. "
        )
    if clipped:
        text += f"The host launched {', '.join(clipped)} earlier than is drawn: drag to the right to see it. "
    return text.strip()
