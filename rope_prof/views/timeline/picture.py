"""Calls of several paths under each other on one time scale, as a drawing: launches, kernels, bubbles, arrows.

Draws what `views.timeline.layout` found; zero is each call's first device event. Computes no statistic.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rope_prof.model.frozen import Frozen
from rope_prof.units import US, duration, microseconds
from rope_prof.views.draw.svg import Drawing, Line, Rect, Shape, Text, TimeAxis, fitted, text_width
from rope_prof.views.timeline.layout import CallTimeline
from rope_prof.views.words.causes import cause_name
from rope_prof.views.words.names import short_name, shown

WIDTH = 1180.0
_LEFT = 92.0
_RIGHT = 12.0
_LANE = 26.0
_HEAD = 34.0
_FOOT = 12.0
_LEGEND = 26.0
#: Spans of one call that are drawn; what is over is counted behind the panel's facts.
MOST = 3000

LEGEND = (
    ("launch", "launch call on the host"),
    ("kernel", "kernel"),
    ("copy", "copy or set"),
    ("bubble_fill", "bubble: the device waits (µs)"),
    ("unsure_fill", "bubble that the profiler stretches too much to be believed"),
)


class Panel(Frozen, kw_only=True):
    """One call: heading, the facts at its right, whether its bubbles can be believed."""

    label: str
    facts: str
    timeline: CallTimeline
    trusted: bool = True


def timeline_drawing(panels: Sequence[Panel], title: str, name: str = "") -> Drawing:
    """All panels on the scale of the longest call."""
    low, high = extent(panels)
    height = _LEGEND + sum(_HEAD + _LANE * len(p.timeline.lanes) + _FOOT for p in panels)
    axis = TimeAxis(lo=low, hi=high, x0=_LEFT, x1=WIDTH - _RIGHT, y0=_LEGEND, y1=height)
    shapes: list[Shape] = list(_legend(panels))
    top = _LEGEND
    for panel in panels:
        shapes += _panel(panel, top)
        top += _HEAD + _LANE * len(panel.timeline.lanes) + _FOOT
    words = "µs, from the start of each call's first device event"
    shapes.append(Text(x=(axis.x0 + axis.x1) / 2, y=height + 34, text=words, role="muted", anchor="middle"))
    return Drawing(
        width=WIDTH,
        height=height + 42,
        title=title,
        shapes=tuple(shapes),
        ticks=tuple(time_ticks(axis)),
        axis=axis,
        name=name,
    )


def extent(panels: Sequence[Panel]) -> tuple[float, float]:
    """The shared window in ns: the longest call, and at most a quarter of it for what the host did before zero."""
    end = max((panel.timeline.reach_ns for panel in panels), default=1)
    lead = min((panel.timeline.lead_ns for panel in panels), default=0)
    return max(lead, -end // 4) - 0.01 * end, 1.01 * end


def _legend(panels: Sequence[Panel]) -> Iterator[Shape]:
    roles = {str(role) for panel in panels for role in panel.timeline.spans["role"]}
    roles |= {"bubble_fill" if panel.trusted else "unsure_fill" for panel in panels if panel.timeline.bubbles.height}
    x = _LEFT
    for role, words in LEGEND:
        if role in roles:
            yield Rect(x=x, y=5, width=12, height=12, role=role, radius=2)
            yield Text(x=x + 18, y=15.5, text=words, role="muted")
            x += 18 + text_width(words) + 24


def nice_ticks(low: float, high: float) -> list[float]:
    """Round numbers in [low, high], at most ten, a step of 1, 2 or 5 apart."""
    raw = (high - low) / 10
    power = 10 ** math.floor(math.log10(raw)) if raw > 0 else 1.0
    step = next((m * power for m in (1, 2, 5, 10) if m * power >= raw), 10 * power)
    first = math.ceil(low / step)
    return [k * step + 0.0 for k in range(first, math.floor(high / step) + 1)]


def time_ticks(axis: TimeAxis) -> Iterator[Shape]:
    """Lines at round times, with their µs under them."""
    for us in nice_ticks(axis.lo / US, axis.hi / US):
        x = axis.at(us * US)
        yield Line(points=((x, axis.y0), (x, axis.y1)), role="rule")
        yield Text(x=x, y=axis.y1 + 16, text=f"{us:,.10g}", role="muted", anchor="middle")


def _panel(panel: Panel, top: float) -> Iterator[Shape]:
    timeline = panel.timeline
    body = top + _HEAD
    label = fitted(panel.label, 320, 14, bold=True)
    yield Rect(x=0, y=top + 6, width=WIDTH, height=_HEAD - 8, role="paper")
    yield Text(x=0, y=top + 22, text=label, size=14, bold=True, title=panel.label if label != panel.label else "")
    room = WIDTH - _RIGHT - text_width(label, 14, bold=True) - 24
    over = max(0, timeline.spans.height - MOST)
    facts = f"{panel.facts}  ·  {over:,} more events not drawn" if over else panel.facts
    yield Text(x=WIDTH - _RIGHT, y=top + 22, text=fitted(facts, room), role="muted", anchor="end")
    height = _LANE * len(timeline.lanes)
    yield Rect(y=body, height=height, role="panel", time=(0, timeline.end_ns))
    for index, lane in enumerate(timeline.lanes):
        text = fitted(lane.label, _LEFT - 12)
        yield Text(x=_LEFT - 10, y=body + _LANE * (index + 0.5) + 4, text=text, role="muted", anchor="end")
    yield from _bubbles(panel, body)
    yield from _spans(timeline, body)


def _device_lanes(timeline: CallTimeline) -> tuple[int, int]:
    rows = [i for i, lane in enumerate(timeline.lanes) if lane.side == "device"]
    return (rows[0], len(rows)) if rows else (0, 0)


def _bubbles(panel: Panel, body: float) -> Iterator[Shape]:
    first, lanes = _device_lanes(panel.timeline)
    y, height = body + first * _LANE, lanes * _LANE
    fill, ink = ("bubble_fill", "bubble_ink") if panel.trusted else ("unsure_fill", "muted")
    for row in panel.timeline.bubbles.head(MOST).iter_rows(named=True):
        span = (row["start_ns"], row["start_ns"] + row["dur_ns"])
        cause = f", {cause_name(row['cause'])}" if row["cause"] else ""
        doubt = "" if panel.trusted else "; the capture is unlike the unprofiled calls: not to be trusted"
        title = f"bubble: {duration(row['dur_ns'])}{cause}{doubt}\n{_at(row['start_ns'])}"
        yield Rect(y=y, height=height, role=fill, title=title, time=span)
        text = microseconds(row["dur_ns"])
        yield Text(y=y + height / 2 + 4, text=text, role=ink, size=11, time=span)


def _spans(timeline: CallTimeline, body: float) -> Iterator[Shape]:
    drawn = timeline.spans.head(MOST)
    for row in drawn.iter_rows(named=True):
        if row["launch_lane"] is not None and row["queue_ns"] is not None:
            y1, y2 = (body + _LANE * (row["launch_lane"] + 0.85), body + _LANE * (row["lane"] + 0.15))
            span = (row["start_ns"] - row["queue_ns"], row["start_ns"])
            yield Line(points=((0, y1), (0, y2)), role="unsure", width=0.9, time=span)
    for row in drawn.iter_rows(named=True):
        span = (row["start_ns"], row["start_ns"] + row["dur_ns"])
        y = body + _LANE * row["lane"] + _LANE * 0.13
        box = Rect(y=y, height=_LANE * 0.74, role=row["role"], title=span_facts(row), radius=1.5, time=span)
        yield box
        yield Text(y=y + _LANE * 0.37 + 4, text=short_name(row["name"], 30), role="on_fill", size=11, time=span)


def _at(start_ns: int) -> str:
    return (
        f"starts {duration(start_ns)} after the call's zero"
        if start_ns >= 0
        else f"starts {duration(-start_ns)} before the call's zero"
    )


def span_facts(row: Mapping[str, Any]) -> str:
    """All that is known of one span, a line each."""
    lines = [shown(row["name"]), f"{row['role']}: {duration(row['dur_ns'])}", _at(row["start_ns"])]
    shape = [f"{word} {row[word]}" for word in ("grid", "block") if row[word]]
    shape += [f"{row['registers']} registers"] if row["registers"] is not None else []
    shape += [f"{row['shared_bytes']:,} B shared"] if row["shared_bytes"] is not None else []
    shape += [f"{row['bytes']:,} B"] if row["bytes"] is not None else []
    if shape:
        lines.append(", ".join(shape))
    if row["launch"]:
        queue = row["queue_ns"]
        waited = "" if queue is None else f", {duration(abs(queue))} {'after' if queue >= 0 else 'before'} its end"
        lines.append(f"launched by {shown(row['launch'])}{waited}")
    return "\n".join(lines)
