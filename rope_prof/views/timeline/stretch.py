"""A stretch of a timeline in numbers: per kernel and per cause how often, how long, and its share of the stretch.

A span that reaches over an edge counts once and adds only its part inside; the mean is of whole lengths.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
import numpy.typing as npt

from rope_prof.views.timeline.lanes import Int64s, Lane
from rope_prof.views.timeline.scene import Scene

Floats = npt.NDArray[np.float64]

ROWS_SHOWN: Final = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Sum:
    """`sum_ns` inside the stretch, `mean_ns` of the whole spans, `share` of the stretch (None for an empty one).

    Where several devices or streams run at once a share may be over 1.
    """

    count: int
    sum_ns: int
    mean_ns: float
    share: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StretchLine:
    """One kernel name or one cause, with a figure for each side; None where a side has none of it.

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


def stretch(sides: Sequence[tuple[Scene, int, int]], limit: int = ROWS_SHOWN) -> Stretch:
    """Side by side what each scene holds in its [lo, hi), in the file's own times."""
    kernels = _lines(sides, "kernel")
    rest = kernels[limit:]
    return Stretch(
        length_ns=tuple(max(0, hi - lo) for _, lo, hi in sides),
        kernels=kernels[:limit],
        causes=_lines(sides, "bubble"),
        more=len(rest),
        more_ns=tuple(
            sum(cell.sum_ns for cell in column if cell) for column in zip(*(one.cells for one in rest), strict=True)
        ),
    )


def _lines(sides: Sequence[tuple[Scene, int, int]], role: str) -> tuple[StretchLine, ...]:
    sums = [_sums(scene, lo, hi, role) for scene, lo, hi in sides]
    tones = {name: tone for found in sums for name, (_, tone) in found.items()}
    lines = [
        StretchLine(name=name, tone=tone, cells=tuple(found[name][0] if name in found else None for found in sums))
        for name, tone in tones.items()
    ]
    return tuple(sorted(lines, key=lambda line: (-sum(cell.sum_ns for cell in line.cells if cell), line.name)))


@lru_cache(maxsize=12)  # a zoom asks for the same stretch again
def _sums(scene: Scene, lo: int, hi: int, role: str) -> dict[str, tuple[Sum, int]]:
    """Of each name its sum and its tone."""
    count, inside, whole = (np.zeros(len(scene.names)) for _ in range(3))
    tones = np.zeros(len(scene.names), np.int64)
    for lane in scene.lanes:
        if lane.role == role:
            _add(lane, lo, hi, count, inside, whole)
            tones[lane.codes] = lane.tones
    length = hi - lo
    return {
        scene.names[code]: (
            Sum(
                count=int(count[code]),
                sum_ns=int(inside[code]),
                mean_ns=float(whole[code] / count[code]),
                share=float(inside[code] / length) if length > 0 else None,
            ),
            int(tones[code]),
        )
        for code in np.flatnonzero(count).tolist()
    }


def _add(lane: Lane, lo: int, hi: int, count: Floats, inside: Floats, whole: Floats) -> None:
    first, last = lane.slice(lo, hi)
    starts, ends, codes = lane.starts[first:last], lane.ends[first:last], lane.codes[first:last]
    clipped: Int64s = np.clip(ends, lo, hi) - np.clip(starts, lo, hi)
    size = len(count)
    count += np.bincount(codes, minlength=size)
    inside += np.bincount(codes, weights=clipped, minlength=size)
    whole += np.bincount(codes, weights=ends - starts, minlength=size)
