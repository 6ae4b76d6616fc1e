"""What the browser draws for one look at some timelines: the visible window alone, as plain data for JSON.

Arrays travel as base64 of little-endian numbers: `f8` times in ns from zero, `i4` numbers, `u1` flags. Names travel
once, each with its key, shortened for its box; texts are put on the page as text, never as markup.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import partial
from typing import Any, Final

import numpy as np

from rope_prof.analysis.selection.grouping import known_groupings
from rope_prof.units import duration, significant
from rope_prof.views.draw.palette import Palette
from rope_prof.views.timeline.facts import facts
from rope_prof.views.timeline.flame import flames
from rope_prof.views.timeline.lanes import NO_LINK, Cut, cut
from rope_prof.views.timeline.look import Look
from rope_prof.views.timeline.marks import Question, codes_of, drawn, hits, marked
from rope_prof.views.timeline.memory import memory_lanes
from rope_prof.views.timeline.scene import Scene, name_key
from rope_prof.views.timeline.stretch import Stretch, StretchLine, stretch
from rope_prof.views.timeline.wire import SentNames, f8, i4, u1
from rope_prof.views.words.groupings import GROUPING_WORDS

MOST_CALLS: Final = 200
_SPARE: Final = 0.25  # of the window, on either side, so that a pan has something to show


@dataclass(frozen=True, slots=True, kw_only=True)
class CallTime:
    """One call of a side: where its zero lies in the file, and how long it lasts."""

    number: int
    zero_ns: int
    length_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowSide:
    """One picture of several on one scale: a scene, its zero, and the part [`begin_ns`, `end_ns`) that it is about.

    `host_ns` is the part of the host's lanes that belongs to it; None where all of them do.
    """

    id: str
    title: str
    facts: str
    scene: Scene
    zero_ns: int
    end_ns: int
    begin_ns: int = 0
    host_ns: tuple[int, int] | None = None
    trusted: bool = True
    call: int | None = None
    calls: tuple[CallTime, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What is the same for all looks: `id` changes where an old window means nothing.

    `zoom` and `start` are the window and the rest of the look that the address tells.

    `whole` heads the table of sums where no stretch is chosen. Links of the page that begin with `links` and end with a
    window in µs move this timeline instead of opening the page anew.
    """

    id: str
    sides: tuple[WindowSide, ...]
    fit: tuple[float, float]
    axis: str
    source: str
    whole: str
    zoom: tuple[float, float] | None = None
    links: str = ""
    start: Look = field(default_factory=Look)


def limits(sides: Sequence[WindowSide]) -> tuple[float, float]:
    """The widest window: everything that any side holds."""
    lo = min(side.scene.lo_ns - side.zero_ns for side in sides)
    hi = max(side.scene.hi_ns - side.zero_ns for side in sides)
    spare = 0.02 * (hi - lo) + 1
    return lo - spare, hi + spare


def window(shown: Shown, look: Look, palette: Palette) -> dict[str, Any]:
    """The answer to that look: every side's lanes in the window, the picked span's facts, the stretch's table.

    A look at another picture says nothing of this one but how wide and how coloured it is.
    """
    if look.id not in (None, shown.id):
        look = replace(shown.start, width=look.width, seq=look.seq, colour=look.colour)
    groups = _groupings(shown.sides)
    if look.group not in groups:
        look = replace(look, group="name", name=None)
    lo, hi = look.window or shown.zoom or shown.fit
    found, look = _sought(shown.sides, look, lo)
    least, most = limits(shown.sides)
    span = hi - lo
    have = (max(least, lo - _SPARE * span), min(most, hi + _SPARE * span))
    names = SentNames(tuple(side.scene for side in shown.sides), look.group)
    pixel = span / look.width
    sides = [_side(side, look, have, pixel, names) for side in shown.sides]
    return {
        "id": shown.id,
        "seq": look.seq,
        "axis": shown.axis,
        "source": shown.source,
        "links": shown.links,
        "palette": _colours(palette),
        "fit": shown.fit,
        "limits": (least, most),
        "window": (lo, hi),
        "whole": shown.whole,
        "have": have,
        "width": look.width,
        "pixel": pixel,
        "exact": all(lane["exact"] for side in sides for lane in side["lanes"]),
        **{name: getattr(look, name) for name in ("colour", "ops", "overlay", "group", "find", "only", "below")},
        "wanted": look.name,
        "groups": [[by, GROUPING_WORDS[by]] for by in groups],
        "found": found,
        "flameBy": look.flame,
        "flame": flames(_parts(shown.sides, look), look.flame, look.stretch is None) if look.below == "flame" else None,
        "sides": sides,
        "picked": _picked(shown.sides, look),
        "table": _table(shown.sides, look, names),
        "names": names.table(),
        "legend": names.legend(),
    }


def _groupings(sides: Sequence[WindowSide]) -> list[str]:
    """The groupings that any side tells of."""
    known = {by for side in sides for by in known_groupings(side.scene.trace)}
    return [by for by in GROUPING_WORDS if by in known]


def _sought(sides: Sequence[WindowSide], look: Look, lo: float) -> tuple[dict[str, Any], Look]:
    """What the search finds, side by side by time, and the look with the hit that it asks for picked.

    `next`: the number of the first hit that begins in the window or later.
    """
    found = [
        hits(
            side.scene,
            look.find,
            (side.zero_ns + side.begin_ns, side.zero_ns + side.end_ns),
            None if side.host_ns is None else (side.zero_ns + side.host_ns[0], side.zero_ns + side.host_ns[1]),
        )
        for side in sides
    ]
    counts = [len(one.starts) for one in found]
    at, told = look.hit, {"text": look.find, "count": sum(counts), "at": None, "next": 0}
    before = 0
    for side, one, count in zip(sides, found, counts, strict=True):
        later = int(np.searchsorted(one.starts, lo + side.zero_ns))
        if later < count:
            told["next"] = before + later
            break
        before += count
    for side, one, count in zip(sides, found, counts, strict=True):
        if at is not None and at < count:
            lane = int(one.lanes[at])
            picked = (side.id, lane, int(one.items[at]))
            ops = look.ops or side.scene.lanes[lane].role == "op"
            return told | {"at": look.hit}, replace(look, picked=picked, ops=ops)
        at = None if at is None else at - count
    return told, replace(look, hit=None)


def _colours(palette: Palette) -> dict[str, Any]:
    found = {field.name: getattr(palette, field.name) for field in fields(palette)}
    return found | {"causes": dict(palette.causes)}


def _side(side: WindowSide, look: Look, have: tuple[float, float], pixel: float, names: SentNames) -> dict[str, Any]:
    scene = side.scene
    lo, hi = int(have[0]) + side.zero_ns, int(have[1]) + side.zero_ns + 1
    lanes = [
        _lane(number, side, _cut_lane(scene, number, look.question, (lo, hi), pixel), look.group, names)
        for number, lane in enumerate(scene.lanes)
        if look.ops or lane.role != "op"
    ]
    hidden = [f"{count:,} more {role} lanes" for role, count in scene.hidden.items() if role != "op" or look.ops]
    return {
        "id": side.id,
        "title": side.title,
        "facts": side.facts,
        "begin": side.begin_ns,
        "end": side.end_ns,
        "host": side.host_ns,
        "trusted": side.trusted,
        "hasOps": any(lane.role == "op" for lane in scene.lanes),
        "note": f"not drawn: {', '.join(hidden)}" if hidden else "",
        "lanes": lanes,
        "memory": memory_lanes(scene, side.zero_ns, (lo, hi), pixel),
        "calls": _overlaid(side, have, pixel) if look.overlay else None,
        "hasCalls": len(side.calls) > 1,
    }


def _cut_lane(scene: Scene, number: int, question: Question, window: tuple[int, int], pixel: float) -> Cut:
    lane = drawn(scene, number, question)
    marks = marked(scene, number, question)
    if lane is not scene.lanes[number]:  # only what is marked
        marks = np.ones(len(lane.starts), np.bool_)
    return cut(lane, *window, pixel, marks=marks)


def _lane(number: int, side: WindowSide, found: Cut, by: str, names: SentNames) -> dict[str, Any]:
    lane, part = side.scene.lanes[number], found.part
    sent: dict[str, Any] = {
        "lane": number,
        "label": lane.label,
        "role": lane.role,
        "exact": found.exact,
        "start": f8(part.starts - side.zero_ns),
        "end": f8(part.ends - side.zero_ns),
        "name": i4(names.numbers(side.scene.names, part.codes)),
        "item": i4(part.items),
        "tone": u1(part.tones),
        "hit": u1(found.hit),
    }
    if lane.role == "kernel" and by != "name":
        groups, codes = codes_of(side.scene, lane, by)
        sent["group"] = i4(names.numbers(groups, codes[part.items]))
    if not found.exact:
        extent = np.maximum(part.ends - part.starts, 1)
        sent |= {"count": i4(part.counts), "fill": u1(np.clip(255 * part.busy / extent, 1, 255))}
    if lane.links is not None and lane.link_lanes is not None:
        single = np.where(part.counts == 1, lane.links[part.items], NO_LINK)
        known = single != NO_LINK
        sent["link"] = f8(np.where(known, single - side.zero_ns, np.nan))
        sent["linkLane"] = i4(np.where(known, lane.link_lanes[part.items], -1))
    return sent


def _overlaid(side: WindowSide, have: tuple[float, float], pixel: float) -> dict[str, Any]:
    """Every call of the side from its own zero, one thin row each: what varies from call to call."""
    rows, starts, ends, tones = [], [], [], []
    calls = side.calls[:MOST_CALLS]
    for row, call in enumerate(calls):
        lo = call.zero_ns + max(0, int(have[0]))
        hi = call.zero_ns + min(call.length_ns, int(have[1]) + 1)
        for lane in side.scene.lanes:
            if lane.role != "kernel" or hi <= lo:
                continue
            part = cut(lane, lo, hi, pixel, keep=100).part
            rows.append(np.full(len(part.starts), row))
            starts.append(np.maximum(part.starts - call.zero_ns, 0))
            ends.append(part.ends - call.zero_ns)
            tones.append(part.tones)
    empty = [np.zeros(0, np.int64)]
    return {
        "numbers": [call.number for call in calls],
        "lengths": [call.length_ns for call in calls],
        "shown": side.call,
        "more": max(0, len(side.calls) - len(calls)),
        "row": i4(np.concatenate(rows or empty)),
        "start": f8(np.concatenate(starts or empty)),
        "end": f8(np.concatenate(ends or empty)),
        "tone": u1(np.concatenate(tones or empty)),
    }


def _picked(sides: Sequence[WindowSide], look: Look) -> dict[str, Any] | None:
    """The picked span with all its facts; a number past either end of its lane means the one at that end."""
    if look.picked is None:
        return None
    wanted, number, item = look.picked
    side = next((side for side in sides if side.id == wanted), None)
    if side is None or number >= len(side.scene.lanes):
        return None
    lane = side.scene.lanes[number]
    if not len(lane.starts):
        return None
    item = min(max(item, 0), len(lane.starts) - 1)
    name = side.scene.names[int(lane.codes[item])]
    groups, codes = codes_of(side.scene, lane, look.group)
    return {
        "side": side.id,
        "lane": number,
        "item": item,
        "start": int(lane.starts[item]) - side.zero_ns,
        "end": int(lane.ends[item]) - side.zero_ns,
        "role": lane.role,
        "of": len(lane.starts),
        "key": name_key(groups[int(codes[item])]),
        "name": name,
        "where": f"{side.title} · {lane.label or lane.role}",
        "facts": facts(side.scene, lane, item, side.zero_ns),
    }


def _parts(sides: Sequence[WindowSide], look: Look) -> list[tuple[str, Scene, int, int]]:
    """Of each side title, scene and the part that is summed: the stretch, or its own part where none is chosen."""
    spans = [look.stretch or (side.begin_ns, side.end_ns) for side in sides]
    return [
        (side.title, side.scene, side.zero_ns + round(lo), side.zero_ns + round(hi))
        for side, (lo, hi) in zip(sides, spans, strict=True)
    ]


def _table(sides: Sequence[WindowSide], look: Look, names: SentNames) -> dict[str, Any]:
    """The table of the stretch, or of each side's own part where none is chosen."""
    found = stretch(
        [(scene, lo, hi) for _, scene, lo, hi in _parts(sides, look)],
        by=look.group,
        find=look.find if look.only else "",
        begun=look.stretch is None,
    )
    lines = partial(map, partial(_line, names))
    return {
        "stretch": look.stretch,
        "titles": [side.title for side in sides],
        "lengths": [duration(length) for length in found.length_ns],
        "kernels": list(lines(found.kernels)),
        "causes": list(lines(found.causes)),
        "more": _more(found),
    }


def _line(names: SentNames, line: StretchLine) -> dict[str, Any]:
    return {"name": names.entry(line.name), "tone": line.tone, "cells": list(_cells(line))}


def _cells(line: StretchLine) -> Iterator[list[str] | None]:
    for cell in line.cells:
        share = "" if cell is None or cell.share is None else f"{significant(100 * cell.share)} %"
        yield None if cell is None else [f"{cell.count:,}", duration(cell.sum_ns), duration(cell.mean_ns), share]


def _more(found: Stretch) -> str:
    if not found.more:
        return ""
    return f"{found.more:,} more with {', '.join(duration(ns) for ns in found.more_ns)}"
