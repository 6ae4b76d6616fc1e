"""Lanes of a timeline: sorted spans that never overlap, held as arrays so that a window of a million is cut at once.

Knows arrays and rows; knows no trace, no colour, no pixel.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

Int64s = npt.NDArray[np.int64]

#: What a span is, as the picture tells it: the code of an item is the place of its word here.
TONES = ("kernel", "copy", "launch", "call", "range", "op", "bubble")
#: Stands in `link` where the file holds no launch.
NO_LINK = np.iinfo(np.int64).min
_LEVELS_FROM: Final = 20_000
_LEVELS_TO: Final = 4_000
_CELL: Final = 1.5  # pixels that one merged block stands for


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Part:
    """Spans by start that never overlap, one by one or merged with their neighbours.

    A merged one reaches from its first start to its last end; `counts` is how many it holds, `busy` their summed
    length, `codes` and `tones` those of the longest, `items` the place of the longest in the lane.
    """

    starts: Int64s
    ends: Int64s
    codes: Int64s  # of the name
    tones: Int64s
    items: Int64s
    counts: Int64s
    busy: Int64s

    def slice(self, lo: int, hi: int) -> tuple[int, int]:
        """First and last+1 of the spans that touch [lo, hi)."""
        first = int(np.searchsorted(self.ends, lo, side="right"))
        return first, max(first, int(np.searchsorted(self.starts, hi, side="left")))

    def of(self, first: int, last: int) -> Part:
        """Those from `first` to before `last`."""
        return Part(**{name: getattr(self, name)[first:last] for name in _ARRAYS})


_ARRAYS: Final = ("starts", "ends", "codes", "tones", "items", "counts", "busy")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Lane:
    """One row of the picture. Arrays have one entry a span, by start; `rows` are those of the frame it came from.

    `label` is empty on the second and later rows of one thread or stream. `links`: of a kernel the end of its launch
    call, on the lane numbered in `link_lanes`; None elsewhere. `levels`: the lane merged beforehand, by the ns of a
    pixel, so that a window of a million spans need not look at each.
    """

    label: str
    role: str  # range | op | launch | kernel | bubble
    spans: Part
    rows: Int64s
    links: Int64s | None = None
    link_lanes: Int64s | None = None
    levels: tuple[tuple[float, Part], ...] = ()

    @property
    def starts(self) -> Int64s:
        return self.spans.starts

    @property
    def ends(self) -> Int64s:
        return self.spans.ends

    @property
    def codes(self) -> Int64s:
        return self.spans.codes

    @property
    def tones(self) -> Int64s:
        return self.spans.tones

    def slice(self, lo: int, hi: int) -> tuple[int, int]:
        """First and last+1 of the spans that touch [lo, hi)."""
        return self.spans.slice(lo, hi)


def lane(
    label: str, role: str, starts: Int64s, ends: Int64s, codes: Int64s, tones: Int64s, rows: Int64s,
    items: Int64s | None = None,
) -> Lane:  # fmt: skip
    """The lane of spans that are sorted and do not overlap, with its levels where it is long.

    `items`: the places of the spans in the lane that they were taken of, whose `rows` those are.
    """
    spans = Part(
        starts=starts, ends=ends, codes=codes, tones=tones, items=np.arange(len(starts)) if items is None else items,
        counts=np.ones(len(starts), np.int64), busy=ends - starts,
    )  # fmt: skip
    return Lane(label=label, role=role, spans=spans, rows=rows, levels=tuple(_levels(spans)))


def _levels(spans: Part) -> Iterator[tuple[float, Part]]:
    """Each level four times as coarse as the one before, from four spans a pixel on, while it is worth it."""
    if len(spans.starts) < _LEVELS_FROM:
        return
    step = 4.0 * float(spans.ends[-1] - spans.starts[0]) / len(spans.starts)
    part = spans
    while len(part.starts) > _LEVELS_TO:
        part = merged(part, int(spans.starts[0]), step)
        yield step, part
        step *= 4


class Names:
    """Numbers for names, in the order in which they are met."""

    def __init__(self) -> None:
        self._codes: dict[str, int] = {}

    def codes(self, names: pl.Series) -> Int64s:
        """The number of each name; a null is the empty name."""
        filled = names.fill_null("")
        distinct = filled.unique(maintain_order=True)
        table = {name: self._codes.setdefault(name, len(self._codes)) for name in distinct}
        numbered = filled.replace_strict(table, return_dtype=pl.Int64) if table else pl.Series([], dtype=pl.Int64)
        return numbered.to_numpy().astype(np.int64)

    def all(self) -> tuple[str, ...]:
        """Every name, by its number."""
        return tuple(self._codes)


def lanes_of(
    frame: pl.DataFrame, by: list[str], role: str, label: dict[tuple[object, ...], str], names: Names, last_ns: int
) -> Iterator[Lane]:
    """The lanes of each value of `by`: as many rows as its spans overlap, an outer span above the ones it holds.

    `frame` has start_ns, dur_ns (null: never closed, drawn to `last_ns`), name and tone. Spans without a start are
    left out; a negative length is drawn as none.
    """
    rows = frame.with_row_index("row").filter(pl.col("start_ns").is_not_null())
    length = pl.col("dur_ns").fill_null(last_ns - pl.col("start_ns")).clip(lower_bound=0)
    rows = rows.with_columns(end=pl.col("start_ns") + length, code=pl.Series(names.codes(rows["name"])))
    ordered = rows.sort(*by, "start_ns", "end", descending=[*(False for _ in by), False, True], nulls_last=True)
    for key, group in ordered.group_by(by, maintain_order=True):
        starts, ends = (group[name].to_numpy().astype(np.int64) for name in ("start_ns", "end"))
        depths = depth_of(starts, ends)
        arrays = [group[name].to_numpy().astype(np.int64) for name in ("code", "tone", "row")]
        for depth in range(int(depths.max(initial=0)) + 1):
            at = np.flatnonzero(depths == depth)
            codes, tones, places = (array[at] for array in arrays)
            yield lane(label[key] if depth == 0 else "", role, starts[at], ends[at], codes, tones, places)


def depth_of(starts: Int64s, ends: Int64s) -> Int64s:
    """For spans sorted by start: the first row, from the top, on which each does not overlap the one before it."""
    depths = np.zeros(len(starts), np.int64)
    reach = np.maximum.accumulate(ends)
    if not len(starts) or np.all(starts[1:] >= reach[:-1]):
        return depths
    free: list[int] = []
    for place, (start, end) in enumerate(zip(starts.tolist(), ends.tolist(), strict=True)):
        for depth, until in enumerate(free):
            if until <= start:
                free[depth] = end
                depths[place] = depth
                break
        else:
            depths[place] = len(free)
            free.append(end)
    return depths


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Cut:
    """The part of a lane inside a window: spans of a pixel and a half or more one by one, shorter neighbours merged.

    `hit`: whether any span of an entry is marked. `exact`: nothing is merged.
    """

    part: Part
    hit: npt.NDArray[np.bool_]
    exact: bool


def cut(
    lane: Lane, lo: int, hi: int, pixel_ns: float, *, keep: int = 600, marks: npt.NDArray[np.bool_] | None = None
) -> Cut:
    """That lane in [lo, hi) at `pixel_ns` a pixel; up to `keep` spans are never merged; `marks`: of each span."""
    first, last = lane.slice(lo, hi)
    if last - first <= keep:
        part = lane.spans.of(first, last)
    else:
        base = next((level for step, level in reversed(lane.levels) if step <= pixel_ns / 2), lane.spans)
        part = merged(base.of(*base.slice(lo, hi)), lo, max(_CELL * pixel_ns, 1.0))
    return Cut(part=part, hit=_hit(lane, first, last, part, marks), exact=bool(np.all(part.counts == 1)))


def merged(part: Part, origin: int, step: float) -> Part:
    """Neighbours shorter than `step` whose starts lie in one cell of that length from `origin`, as one."""
    if not len(part.starts):
        return part
    cells = ((part.starts - origin) * (1 / step)).astype(np.int64)
    small = (part.ends - part.starts) < step
    opens = np.concatenate(([True], ~small[1:] | ~small[:-1] | (cells[1:] != cells[:-1])))
    heads = np.flatnonzero(opens)
    if len(heads) == len(cells):
        return part
    longest = _longest(part.busy, heads, np.cumsum(opens) - 1)
    return Part(
        starts=part.starts[heads],
        ends=part.ends[np.append(heads[1:], len(cells)) - 1],
        codes=part.codes[longest],
        tones=part.tones[longest],
        items=part.items[longest],
        counts=np.add.reduceat(part.counts, heads),
        busy=np.add.reduceat(part.busy, heads),
    )


def _longest(busy: Int64s, heads: Int64s, group: Int64s) -> Int64s:
    """Of each group the place of its first member of the greatest length."""
    most = np.flatnonzero(busy == np.maximum.reduceat(busy, heads)[group])
    return most[np.concatenate(([True], group[most][1:] != group[most][:-1]))]


def _hit(lane: Lane, first: int, last: int, part: Part, marks: npt.NDArray[np.bool_] | None) -> npt.NDArray[np.bool_]:
    if marks is None:
        return np.zeros(len(part.starts), bool)
    begun = lane.starts[first:last][marks[first:last]]
    ends = np.maximum(part.ends, part.starts + 1)
    found: npt.NDArray[np.bool_] = np.searchsorted(begun, ends) > np.searchsorted(begun, part.starts)
    return found
