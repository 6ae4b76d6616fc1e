"""What the browser draws for one look at some timelines: the visible window alone, as plain data for JSON.

Arrays travel as base64 of little-endian numbers: `f8` times in ns from zero, `i4` numbers, `u1` flags. Names travel
once, each with its key, shortened for its box; texts are put on the page as text, never as markup.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from functools import partial
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from rope_prof.units import duration, significant
from rope_prof.views.draw.palette import Palette
from rope_prof.views.timeline.facts import facts
from rope_prof.views.timeline.lanes import NO_LINK, Cut, Lane, cut
from rope_prof.views.timeline.look import Look
from rope_prof.views.timeline.scene import Scene, name_key
from rope_prof.views.timeline.stretch import Stretch, StretchLine, stretch
from rope_prof.views.words.causes import CAUSE_WORDS, cause_name
from rope_prof.views.words.names import short_name

#: A name is sent whole up to here; a click on it brings all of it.
LONGEST_NAME: Final = 400
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
    """What is the same for all looks: `id` changes where an old window means nothing; `zoom` is the address's.

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
        look = Look(width=look.width, seq=look.seq, colour=look.colour)
    lo, hi = look.window or shown.zoom or shown.fit
    least, most = limits(shown.sides)
    span = hi - lo
    have = (max(least, lo - _SPARE * span), min(most, hi + _SPARE * span))
    names = _Sent(shown.sides)
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
        "colour": look.colour,
        "ops": look.ops,
        "overlay": look.overlay,
        "wanted": look.name,
        "sides": sides,
        "picked": _picked(shown.sides, look),
        "table": _table(shown.sides, look, names),
        "names": names.table(),
        "legend": names.legend(),
    }


def _colours(palette: Palette) -> dict[str, Any]:
    found = {field.name: getattr(palette, field.name) for field in fields(palette)}
    return found | {"causes": dict(palette.causes)}


class _Sent:
    """The names that one answer needs, numbered in the order in which they are met."""

    def __init__(self, sides: Sequence[WindowSide]) -> None:
        self._at: dict[str, int] = {}
        time: dict[str, int] = {}
        for scene in {id(side.scene): side.scene for side in sides}.values():
            for code in np.flatnonzero(scene.kernel_ns).tolist():
                time[scene.names[code]] = time.get(scene.names[code], 0) + int(scene.kernel_ns[code])
        ordered = sorted(time, key=lambda name: (-time[name], name))
        self._hues = {name: hue for hue, name in enumerate(ordered)}

    def number(self, name: str) -> int:
        return self._at.setdefault(name, len(self._at))

    def entry(self, name: str) -> list[Any]:
        """What the browser knows of a name: key, name, short name, place among the kernels by time or -1."""
        short = cause_name(name) if name in CAUSE_WORDS else short_name(name, 60)
        return [name_key(name), _sent(name), short, self._hues.get(name, -1)]

    def table(self) -> list[list[Any]]:
        """The entry of each, by its number."""
        return [self.entry(name) for name in self._at]

    def legend(self) -> list[int]:
        """The numbers of the kernels that take the most time, the most expensive first."""
        found = [name for name in self._hues if name in self._at][:8]
        return [self._at[name] for name in found]


def _sent(name: str) -> str:
    """The name, cut where it is very long."""
    return name if len(name) <= LONGEST_NAME else f"{name[:LONGEST_NAME]}…"


def _side(side: WindowSide, look: Look, have: tuple[float, float], pixel: float, names: _Sent) -> dict[str, Any]:
    scene = side.scene
    lo, hi = int(have[0]) + side.zero_ns, int(have[1]) + side.zero_ns + 1
    wanted = scene.code_of(look.name)
    lanes = [
        _lane(number, lane, cut(lane, lo, hi, pixel, wanted=wanted), side, names)
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
        "calls": _overlaid(side, have, pixel) if look.overlay else None,
        "hasCalls": len(side.calls) > 1,
    }


def _lane(number: int, lane: Lane, found: Cut, side: WindowSide, names: _Sent) -> dict[str, Any]:
    part = found.part
    codes, back = np.unique(part.codes, return_inverse=True)
    numbers = np.array([names.number(side.scene.names[code]) for code in codes.tolist()], np.int64)
    sent: dict[str, Any] = {
        "lane": number,
        "label": lane.label,
        "role": lane.role,
        "exact": found.exact,
        "start": _f8(part.starts - side.zero_ns),
        "end": _f8(part.ends - side.zero_ns),
        "name": _i4(numbers[back] if len(numbers) else back),
        "item": _i4(part.items),
        "tone": _u1(part.tones),
    }
    if not found.exact:
        extent = np.maximum(part.ends - part.starts, 1)
        sent |= {"count": _i4(part.counts), "fill": _u1(np.clip(255 * part.busy / extent, 1, 255))}
        sent["hit"] = _u1(found.hit)
    if lane.links is not None and lane.link_lanes is not None:
        single = np.where(part.counts == 1, lane.links[part.items], NO_LINK)
        known = single != NO_LINK
        sent["link"] = _f8(np.where(known, single - side.zero_ns, np.nan))
        sent["linkLane"] = _i4(np.where(known, lane.link_lanes[part.items], -1))
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
        "row": _i4(np.concatenate(rows or empty)),
        "start": _f8(np.concatenate(starts or empty)),
        "end": _f8(np.concatenate(ends or empty)),
        "tone": _u1(np.concatenate(tones or empty)),
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
    return {
        "side": side.id,
        "lane": number,
        "item": item,
        "start": int(lane.starts[item]) - side.zero_ns,
        "end": int(lane.ends[item]) - side.zero_ns,
        "role": lane.role,
        "of": len(lane.starts),
        "key": name_key(name),
        "name": name,
        "where": f"{side.title} · {lane.label or lane.role}",
        "facts": facts(side.scene, lane, item, side.zero_ns),
    }


def _table(sides: Sequence[WindowSide], look: Look, names: _Sent) -> dict[str, Any]:
    """The table of the stretch, or of each side's own part where none is chosen."""
    spans = [look.stretch or (side.begin_ns, side.end_ns) for side in sides]
    found = stretch(
        [
            (side.scene, side.zero_ns + round(lo), side.zero_ns + round(hi))
            for side, (lo, hi) in zip(sides, spans, strict=True)
        ]
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


def _line(names: _Sent, line: StretchLine) -> dict[str, Any]:
    return {"name": names.entry(line.name), "tone": line.tone, "cells": list(_cells(line))}


def _cells(line: StretchLine) -> Iterator[list[str] | None]:
    for cell in line.cells:
        share = "" if cell is None or cell.share is None else f"{significant(100 * cell.share)} %"
        yield None if cell is None else [f"{cell.count:,}", duration(cell.sum_ns), duration(cell.mean_ns), share]


def _more(found: Stretch) -> str:
    if not found.more:
        return ""
    return f"{found.more:,} more kernel names with {', '.join(duration(ns) for ns in found.more_ns)}"


def _b64(array: npt.NDArray[Any]) -> str:
    return b64encode(np.ascontiguousarray(array).tobytes()).decode("ascii")


def _f8(array: npt.NDArray[Any]) -> str:
    return _b64(array.astype("<f8"))


def _i4(array: npt.NDArray[Any]) -> str:
    return _b64(array.astype("<i4"))


def _u1(array: npt.NDArray[Any]) -> str:
    return _b64(array.astype("u1"))
