"""A stretch of a timeline in numbers: per kernel (or group of them) and per cause how often, how long, which share.

A span that reaches over an edge counts once and adds only its part inside; the mean is of whole lengths. A call is no
stretch: a kernel of the call before it that still runs is none of its kernels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np

from rope_prof.views.timeline.lanes import Int64s, Lane
from rope_prof.views.timeline.marks import Bools, Question, codes_of, marked
from rope_prof.views.timeline.scene import Scene

ROWS_SHOWN: Final = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Sum:
    """`sum_ns` inside the stretch, `mean_ns` of the whole spans, `share` (None where there is nothing to share).

    Kernels share the summed time of all GPU events in the stretch, causes the stretch itself: theirs may be over 1
    where several devices wait at once.
    """

    count: int
    sum_ns: int
    mean_ns: float
    share: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StretchLine:
    """A kernel name, a group of kernels or a cause, with a figure for each side; None where a side has none of it.

    `tone` is what its spans are: a place in `TONES`.
    """

    name: str
    tone: int
    cells: tuple[Sum | None, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """Lines by summed time, the largest first; `more` kernels are left out, with `more_ns` of time per side."""

    length_ns: tuple[int, ...]
    kernels: tuple[StretchLine, ...]
    causes: tuple[StretchLine, ...]
    more: int = 0
    more_ns: tuple[int, ...] = ()


def stretch(
    sides: Sequence[tuple[Scene, int, int]],
    limit: int = ROWS_SHOWN,
    by: str = "name",
    find: str = "",
    begun: bool = False,
) -> Stretch:
    """Side by side what each scene holds in its [lo, hi), in the file's own times; kernels by that grouping.

    `find`: of the kernels those alone whose name holds it; shares stay those of all. `begun`: those alone that begin
    inside, as a call's do.
    """
    kernels = _lines(sides, "kernel", by, find, begun)
    rest = kernels[limit:]
    return Stretch(
        length_ns=tuple(max(0, hi - lo) for _, lo, hi in sides),
        kernels=kernels[:limit],
        causes=_lines(sides, "bubble", "name", "", False),
        more=len(rest),
        more_ns=tuple(
            sum(cell.sum_ns for cell in column if cell) for column in zip(*(one.cells for one in rest), strict=True)
        ),
    )


def _lines(
    sides: Sequence[tuple[Scene, int, int]], role: str, by: str, find: str, begun: bool
) -> tuple[StretchLine, ...]:
    sums = [_sums(scene, lo, hi, role, by, find, begun) for scene, lo, hi in sides]
    tones = {name: tone for found in sums for name, (_, tone) in found.items()}
    lines = [
        StretchLine(name=name, tone=tone, cells=tuple(found[name][0] if name in found else None for found in sums))
        for name, tone in tones.items()
    ]
    return tuple(sorted(lines, key=lambda line: (-sum(cell.sum_ns for cell in line.cells if cell), line.name)))


@lru_cache(maxsize=24)  # a zoom asks for the same stretch again
def _sums(scene: Scene, lo: int, hi: int, role: str, by: str, find: str, begun: bool) -> dict[str, tuple[Sum, int]]:
    """Of each name its sum and its tone."""
    found: list[_Inside] = []
    names: tuple[str, ...] = ()
    whole = hi - lo if role == "bubble" else 0
    for number, lane in enumerate(scene.lanes):
        if lane.role == role:
            names, codes = codes_of(scene, lane, by)
            one = _inside(lane, codes, lo, hi, begun)
            whole += int(one.clipped.sum()) if role == "kernel" else 0
            found.append(one.of(marked(scene, number, Question(find=find))) if find else one)
    if not found:
        return {}
    codes, clipped, lengths, tones = (np.concatenate([getattr(one, part) for one in found]) for part in _PARTS)
    count, inside, total = (np.bincount(codes, weights=each, minlength=len(names)) for each in (None, clipped, lengths))
    tone = np.zeros(len(names), np.int64)
    tone[codes] = tones
    return {
        names[code]: (
            Sum(
                count=int(count[code]),
                sum_ns=int(inside[code]),
                mean_ns=float(total[code] / count[code]),
                share=float(inside[code] / whole) if whole > 0 else None,
            ),
            int(tone[code]),
        )
        for code in np.flatnonzero(count).tolist()
    }


@dataclass(frozen=True, slots=True)
class _Inside:
    """The spans of one lane that touch the stretch."""

    first: int
    codes: Int64s
    clipped: Int64s
    lengths: Int64s
    tones: Int64s

    def of(self, marks: Bools | None) -> _Inside:
        """Those that are marked; `marks` are of the whole lane."""
        if marks is None:
            return self
        kept = marks[self.first : self.first + len(self.codes)]
        return _Inside(self.first, *(getattr(self, part)[kept] for part in _PARTS))


_PARTS: Final = ("codes", "clipped", "lengths", "tones")


def _inside(lane: Lane, codes: Int64s, lo: int, hi: int, begun: bool) -> _Inside:
    first, last = lane.slice(lo, hi)
    first = int(np.searchsorted(lane.starts, lo)) if begun else first
    starts, ends = lane.starts[first:last], lane.ends[first:last]
    clipped: Int64s = np.clip(ends, lo, hi) - np.clip(starts, lo, hi)
    return _Inside(first, codes[first:last], clipped, ends - starts, lane.tones[first:last])
