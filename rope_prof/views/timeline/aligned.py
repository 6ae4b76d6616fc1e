"""Two stretches of traces, one call of each under the other on one scale: what a page shows and what a file holds.

Zero is the first GPU event of each call. Times are as profiled: a foreign trace has no others.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import polars as pl

from rope_prof.analysis.diff.diff import TraceDiff
from rope_prof.analysis.diff.side import TraceSide
from rope_prof.units import counted, duration
from rope_prof.views.draw.svg import CAUSE, Drawing, Rect, Shape, Text, TimeAxis, fitted
from rope_prof.views.timeline.lanes import TONES, Lane, cut
from rope_prof.views.timeline.picture import WIDTH, time_ticks
from rope_prof.views.timeline.scene import Scene
from rope_prof.views.timeline.window import WindowSide
from rope_prof.views.words.causes import CAUSE_WORDS, cause_name
from rope_prof.views.words.names import short_name, shown

_LEFT: Final = 112.0
_LANE: Final = 24.0
_HEAD: Final = 34.0
_TOP: Final = 26.0
#: Lanes of a role that a picture has room for; a page has all.
_MOST: Final = {"range": 3, "launch": 2, "kernel": 6, "bubble": 1}
#: Of a pixel: what is shorter is merged with its neighbours.
_FINE: Final = 0.7
_ROLES: Final = {"kernel": "kernel", "copy": "copy", "launch": "launch", "call": "muted", "range": "rule"}
_LEGEND: Final = (("launch", "launch call"), ("muted", "other host call"), ("kernel", "kernel"), ("copy", "copy"))


def calls_of(side: TraceSide) -> list[int]:
    """The numbers of the side's calls, in the order of `spans_ns`."""
    return side.events["call"].unique().sort().to_list()


def median_of(side: TraceSide) -> int:
    """The call of (lower) median length."""
    ordered = sorted(zip(side.spans_ns, calls_of(side), strict=True))
    return ordered[(len(ordered) - 1) // 2][1]


def aligned_side(side: TraceSide, lanes: Scene, name: str, title: str, call: int | None = None) -> WindowSide:
    """One call of a side (None: the median one) in the picture of its whole trace, zero at its first GPU event."""
    number = median_of(side) if call is None else call
    known = calls_of(side)
    events = side.events.filter(pl.col("call") == number)
    zero, end, begun, launched = events.select(
        pl.col("start_ns").min().alias("zero"),
        (pl.col("start_ns") + pl.col("dur_ns")).max().alias("end"),
        pl.col("launch_start_ns").min().alias("begun"),
        (pl.col("launch_start_ns") + pl.col("launch_dur_ns").fill_null(0)).max().alias("launched"),
    ).row(0)
    of = f" of {side.name}" if side.name and not side.name.startswith("call #") else ""
    which = f"call #{known.index(number)} of {len(known)}{of}" if side.name else "the whole device"
    kernels = counted(int(events["kind"].is_in(["kernel"]).sum()), "kernel")
    return WindowSide(
        id=name,
        title=title,
        facts="  ·  ".join((which, kernels, f"{duration(end - zero)}, as profiled")),
        scene=lanes,
        zero_ns=zero,
        end_ns=end - zero,
        host_ns=(0, 0) if begun is None else (begun - zero, launched - zero),
        call=number,
    )


def aligned_pair(
    diff: TraceDiff, lanes: Sequence[Scene], names: Sequence[str], calls: Sequence[int | None] = (None, None)
) -> tuple[WindowSide, WindowSide]:
    """One call of each side (None: its median one), `before` over `after`."""
    before, after = (
        aligned_side(side, one, id, f"{id}: {name}", call)
        for side, one, id, name, call in zip(
            (diff.base, diff.cand), lanes, ("before", "after"), names, calls, strict=True
        )
    )
    return before, after


def common_window(sides: Sequence[WindowSide]) -> tuple[float, float]:
    """Both calls, and at most a quarter of the longer one for what the host did before zero."""
    end = max(side.end_ns for side in sides)
    lead = min((side.host_ns[0] for side in sides if side.host_ns is not None), default=0)
    return max(min(lead, 0), -end // 4) - 0.01 * end, 1.01 * end


#: One lane of a side, and its place.
_Row = tuple[Lane, float]


def aligned_drawing(sides: Sequence[WindowSide], title: str) -> Drawing:
    """Those calls on one scale; what is short is merged with its neighbours, as high as it is filled."""
    lo, hi = common_window(sides)
    rows: list[tuple[float, list[_Row]]] = []
    top = _TOP
    for side in sides:
        lanes = list(_lanes(side, lo))
        rows.append((top, [(lane, top + _HEAD + _LANE * k) for k, lane in enumerate(lanes)]))
        top += _HEAD + _LANE * len(lanes) + 8
    axis = TimeAxis(lo=lo, hi=hi, x0=_LEFT, x1=WIDTH - 12, y0=_TOP, y1=top)
    shapes: list[Shape] = list(_legend(sides))
    for side, (y, mine) in zip(sides, rows, strict=True):
        shapes += _side(side, y, mine, axis)
    words = "µs as profiled, from the start of each side's first GPU event"
    shapes.append(Text(x=(axis.x0 + axis.x1) / 2, y=top + 34, text=words, role="muted", anchor="middle"))
    ticks = tuple(time_ticks(axis))
    return Drawing(
        width=WIDTH, height=top + 42, title=title, shapes=tuple(shapes), ticks=ticks, axis=axis, name="aligned"
    )


def _extent(side: WindowSide, lane: Lane, lo: float) -> tuple[int, int]:
    """Where the call's spans of that lane lie, in the file's time: launches before zero, the device from zero on."""
    if lane.role in ("kernel", "bubble"):
        return side.zero_ns, side.zero_ns + side.end_ns
    begun, ended = side.host_ns or (0, side.end_ns)
    return side.zero_ns + max(begun, int(lo)), side.zero_ns + min(ended, side.end_ns)


def _lanes(side: WindowSide, lo: float) -> Iterator[Lane]:
    """The lanes that hold something of the call, as many of a role as there is room for."""
    drawn = dict.fromkeys(_MOST, 0)
    for lane in side.scene.lanes:
        first, last = lane.slice(*_extent(side, lane, lo))
        if drawn.get(lane.role, 0) < _MOST.get(lane.role, 0) and last > first:
            drawn[lane.role] += 1
            yield lane


def _legend(sides: Sequence[WindowSide]) -> Iterator[Shape]:
    causes = {side.scene.names[code] for side in sides for code in _codes(side)}
    idle = [(f"{CAUSE}{cause}", f"idle: {cause_name(cause)}") for cause in CAUSE_WORDS if cause in causes]
    x = _LEFT
    for role, words in (*_LEGEND, *idle):
        yield Rect(x=x, y=5, width=12, height=12, role=role, radius=2)
        yield Text(x=x + 18, y=15.5, text=words, role="muted")
        x += 34 + 6.6 * len(words)


def _codes(side: WindowSide) -> set[int]:
    """The causes of the idle time inside the call."""
    found: set[int] = set()
    for lane in side.scene.lanes:
        if lane.role == "bubble":
            first, last = lane.slice(side.zero_ns, side.zero_ns + side.end_ns)
            found |= set(lane.codes[first:last].tolist())
    return found


def _side(side: WindowSide, top: float, rows: Sequence[_Row], axis: TimeAxis) -> Iterator[Shape]:
    yield Text(x=0, y=top + 22, text=fitted(side.title, 420, 14, bold=True), size=14, bold=True, title=side.title)
    yield Text(x=WIDTH - 12, y=top + 22, text=fitted(side.facts, 640), role="muted", anchor="end")
    yield Rect(y=top + _HEAD, height=_LANE * len(rows), role="panel", time=(0, side.end_ns))
    for row in rows:
        lane, y = row
        label = fitted(lane.label, _LEFT - 14)
        yield Text(x=_LEFT - 10, y=y + 16, text=label, role="muted", anchor="end", title=lane.label)
        yield from _spans(side, row, axis)


def _spans(side: WindowSide, row: _Row, axis: TimeAxis) -> Iterator[Shape]:
    (lane, y), pixel = row, (axis.hi - axis.lo) / (axis.x1 - axis.x0)
    lo, hi = _extent(side, lane, axis.lo)
    part = cut(lane, lo, hi, _FINE * pixel, keep=200).part
    columns = (part.starts, part.ends, part.codes, part.tones, part.counts, part.busy)
    for start, end, code, tone, count, busy in zip(*(column.tolist() for column in columns), strict=True):
        name, word = side.scene.names[code], TONES[tone]
        span = (max(start, lo) - side.zero_ns, min(end, hi) - side.zero_ns)
        height = (_LANE - 6) * max(0.15, busy / max(end - start, 1)) if count > 1 else _LANE - 6
        told = cause_name(name) if word == "bubble" else short_name(shown(name), 60)
        much = f"{count:,} spans, {duration(busy)}; the longest: {told}" if count > 1 else f"{told}: {duration(busy)}"
        role = _ROLES.get(word, f"{CAUSE}{name}")
        yield Rect(y=y + _LANE - 3 - height, height=height, role=role, title=much, radius=1, time=span)
        if count == 1 and (end - start) / pixel > 3 * _LANE:
            ink = "ink" if word in ("range", "bubble") else "on_fill"
            yield Text(y=y + 16, text=short_name(told, 30), role=ink, size=11, time=span)
