"""The words around the figures: a panel's facts, a picture's caption."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from rope_prof.analysis.run.rows import Row
from rope_prof.units import duration, ratio
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
    """One call under its heading: kernels, busy, raw bubble, how much the profiler stretched it, and `base` less it."""
    share = timeline.bubble_share
    idle = "" if share is None else f" ({share:.0%})"
    count = "1 kernel" if timeline.kernels == 1 else f"{timeline.kernels} kernels"
    words = [
        f"call {timeline.call}",
        count,
        f"busy {duration(timeline.busy_ns)}",
        f"bubble {duration(timeline.bubble_ns)}{idle}",
        f"{'period' if timeline.next_call else 'last call, no period'} {duration(timeline.end_ns)}",
    ]
    if row.wall_ns is not None:
        known = base.wall_ns.median if base is not None and base.wall_ns is not None else None
        words.append(f"unprofiled {beside(row.wall_ns.median, known)}, inflation {ratio(row.inflation)}")
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
