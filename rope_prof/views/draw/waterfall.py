"""The waterfall of a fusion's gain: time before, what each term takes away, time after, floor. Draws, computes none.

One row a term on one scale in µs: a term starts where the one before it ends. A negative term adds time, and says so.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from rope_prof.analysis.run.closure import CLOSES_WITHIN
from rope_prof.units import US, duration, microseconds
from rope_prof.views.draw.svg import Drawing, Line, Rect, Shape, Text, fitted, text_width

WIDTH = 1180.0
_ROW = 30.0

#: What the terms leave open although they add up: busy time is traced, in the chain and in a graph's node alike.
SPLIT = (
    "An error of these that is the same for every kernel moves time between inefficiency and device gaps and leaves "
    "the residual as it is."
)

#: Term of the decomposition -> role, and what the picture calls it.
_TERMS = {
    "host bubbles": ("bubble", "host bubbles removed"),
    "bubbles": ("bubble", "bubbles removed"),
    "traffic": ("kernel", "traffic removed"),
    "inefficiency": ("kernel", "inefficiency removed"),
    "busy": ("kernel", "busy time removed"),
    "device gaps": ("bubble_fill", "device gaps removed"),
    "residual": ("unsure", "residual: not explained"),
}


class TermLike(Protocol):
    """A term of `analysis.decomposition`."""

    @property
    def name(self) -> str: ...
    @property
    def saved_ns(self) -> float: ...
    @property
    def lo(self) -> float | None: ...
    @property
    def hi(self) -> float | None: ...
    @property
    def how(self) -> str: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Waterfall:
    """Labels and wall times of both sides in ns, the terms between them, the floor where it is known."""

    before: str
    before_ns: float
    after: str
    after_ns: float
    terms: Sequence[TermLike]
    residual: TermLike | None = None
    floor_ns: float | None = None
    floor: str = "floor"


@dataclass(frozen=True, slots=True)
class _Row:
    label: str
    role: str
    start: float
    end: float
    words: str
    how: str
    whole: bool = False


class ExplainedLike(Protocol):
    """What `analysis.decomposition` says of its terms as a whole."""

    @property
    def residual(self) -> TermLike | None: ...
    @property
    def closes(self) -> bool: ...
    @property
    def reason(self) -> str | None: ...


def explanation(found: ExplainedLike) -> str:
    """How far the terms explain the gain, in words: what is proved, and what rests on the profiler's timestamps."""
    if found.residual is None:
        reason = found.reason or "two terms by difference, which add up by definition"
        return f"{reason[0].upper()}{reason[1:]}."
    closes = (
        f"On each side busy time and gaps add up to its device time within {CLOSES_WITHIN:.0%}"
        if found.closes
        else f"They do not add up: {found.reason}"
    )
    return (
        f"What the terms leave unexplained is the residual. {closes}. Inefficiency is a split of busy time; it and "
        f"device gaps rest on the profiler's timestamps. {SPLIT}"
    )


def waterfall(found: Waterfall) -> Drawing:
    """The picture of it: one row each for before, every term, after, floor."""
    rows = list(_rows(found))
    left = min(320.0, max(text_width(row.label, 13, bold=row.whole) for row in rows) + 18)
    right = max(text_width(row.words) for row in rows) + 20
    low = min(0.0, *(min(row.start, row.end) for row in rows))
    high = max(max(row.start, row.end) for row in rows) or 1.0
    scale = (WIDTH - left - right) / (high - low)
    shapes: list[Shape] = []
    bottom = 6 + _ROW * len(rows)
    for value in _ticks(low / US, high / US):
        x = left + (value * US - low) * scale
        shapes.append(Line(points=((x, 4), (x, bottom)), role="rule"))
        shapes.append(Text(x=x, y=bottom + 16, text=f"{value:,.10g}", role="muted", anchor="middle"))
    for index, row in enumerate(rows):
        shapes += _row(row, 6 + _ROW * index, left, low, scale, last=index == len(rows) - 1)
    shapes.append(Text(x=(left + WIDTH - right) / 2, y=bottom + 34, text="µs a call", role="muted", anchor="middle"))
    title = f"{found.before} {duration(found.before_ns)} to {found.after} {duration(found.after_ns)}, term by term"
    return Drawing(width=WIDTH, height=bottom + 40, title=title, shapes=tuple(shapes))


def _rows(found: Waterfall) -> Iterator[_Row]:
    yield _Row(found.before, "ink", 0.0, found.before_ns, duration(found.before_ns), "wall, unprofiled", whole=True)
    at = found.before_ns
    for term in (*found.terms, *(() if found.residual is None else (found.residual,))):
        role, name = _TERMS.get(term.name, ("unsure", term.name))
        if term.saved_ns < 0:
            name = name.replace("removed", "added")
        yield _Row(name, role, at, at - term.saved_ns, _saved(term), term.how)
        at -= term.saved_ns
    yield _Row(found.after, "ink", 0.0, found.after_ns, duration(found.after_ns), "wall, unprofiled", whole=True)
    if found.floor_ns is not None:
        yield _Row(found.floor, "muted", 0.0, found.floor_ns, duration(found.floor_ns), "measured", whole=True)


def _saved(term: TermLike) -> str:
    sign = "−" if term.saved_ns >= 0 else "+"
    words = f"{sign}{duration(abs(term.saved_ns))}"
    if term.lo is None or term.hi is None:
        return words
    ends = sorted((-term.lo, -term.hi))
    return f"{words}  [{microseconds(ends[0])}, {microseconds(ends[1])}]".replace("-", "−")


def _row(row: _Row, y: float, left: float, low: float, scale: float, *, last: bool) -> Iterator[Shape]:
    label = fitted(row.label, left - 14, 13, bold=row.whole)
    yield Text(x=left - 12, y=y + 19, text=label, size=13, anchor="end", bold=row.whole, title=row.label)
    start, end = sorted((left + (row.start - low) * scale, left + (row.end - low) * scale))
    yield Rect(
        x=start,
        y=y + 5,
        width=max(end - start, 1.0),
        height=20,
        role=row.role,
        title=f"{row.words}, {row.how}",
        radius=2,
    )
    if not last:  # from where this row ends to the next
        x = left + (row.end - low) * scale
        yield Line(points=((x, y + 25), (x, y + _ROW + 5)), role="muted")
    yield Text(x=max(end, left) + 8, y=y + 19, text=row.words, role="ink" if row.whole else "muted")


def _ticks(low: float, high: float) -> list[float]:
    power = 10 ** math.floor(math.log10((high - low) / 6))
    step = next(m * power for m in (1, 2, 5, 10, 20) if (high - low) / (m * power) <= 8)
    return [k * step for k in range(math.ceil(low / step), math.floor(high / step) + 1)]
