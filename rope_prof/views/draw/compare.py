"""Verdicts as a picture: each ratio with its interval on one log axis, beside the band that counts as the same.

Draws what `compare` found, no statistics. A word is told by its mark and its text, never by its colour alone.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rope_prof.analysis.comparison.compare import Verdict
from rope_prof.analysis.verdict import SAME_WITHIN
from rope_prof.units import ratio, significant
from rope_prof.views.draw.scale import Scale, log_scale, log_ticks
from rope_prof.views.draw.svg import Drawing, Line, Marker, Rect, Shape, Text, fitted, text_width
from rope_prof.views.words.difference import difference
from rope_prof.views.words.labels import case_phrases, short
from rope_prof.views.words.sampled import counted_over
from rope_prof.views.words.verdicts import value

WIDTH = 1180.0
#: A picture of more rows is read by nobody: the rest is in the table.
MOST = 120
#: From so many rows on the axis is named above them too.
_TALL = 16
_ROW, _TOP = 24.0, 46.0
_RIGHT = 380.0  # room for verdict, ratio, before and after
#: Word -> role, mark, hollow.
LOOKS = {
    "FASTER": ("ink", "circle", False),
    "SLOWER": ("warn", "triangle", False),
    "SAME": ("muted", "square", False),
    "UNDECIDED": ("unsure", "diamond", True),
    "UNKNOWN": ("unsure", "diamond", True),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ForestChart:
    """Ratios with their intervals, a row a verdict."""

    verdicts: tuple[Verdict, ...]
    title: str

    @property
    def drawing(self) -> Drawing:
        """It still: a row a verdict, in the order of the table, `MOST` at most. Errors: ValueError for none."""
        rows = self.verdicts[:MOST]
        if not rows:
            raise ValueError("no verdict to draw; expected at least one")
        labels = row_labels(rows)
        left = min(420.0, max(text_width(label) for label in labels) + 16)
        low, high = _ends(rows)
        frame = _Frame(log_scale(low, high, left + 10, WIDTH - _RIGHT - 10), left, WIDTH - _RIGHT)
        bottom = _TOP + _ROW * len(rows) + 6
        tall = len(rows) >= _TALL
        shapes = [*_ground(frame, bottom, tall=tall), *_ticks(frame, log_ticks(low, high), bottom, tall=tall)]
        for index, (verdict, label) in enumerate(zip(rows, labels, strict=True)):
            shapes += _row(verdict, label, _TOP + _ROW * (index + 0.5), frame)
        middle = (frame.left + frame.right) / 2
        words = "baseline / candidate, log scale; over 1 the candidate is faster, or has less"
        shapes.append(Text(x=middle, y=bottom + 36, text=words, role="muted", anchor="middle"))
        return Drawing(width=WIDTH, height=bottom + 46, title=self.title, shapes=tuple(shapes))


@dataclass(frozen=True, slots=True)
class _Frame:
    x_of: Scale
    left: float
    right: float


def row_labels(rows: Sequence[Verdict]) -> list[str]:
    """The case, with what else the rows do not share: candidate's path and mode, metric."""
    sides, metrics = {(short(v.base), short(v.cand)) for v in rows}, {v.metric for v in rows}
    cases, labels = case_phrases([v.case for v in rows]), []
    for v in rows:
        words = [cases[v.case]]
        if len(sides) > 1:
            words.append(short(v.cand))
        if len(metrics) > 1:
            words.append(v.metric)
        labels.append(" · ".join(words))
    return labels


def _ends(rows: Sequence[Verdict]) -> tuple[float, float]:
    """What the axis holds: every interval, and the band of the same with some room."""
    found = [value for v in rows if v.ratio for value in (v.ratio.median, v.ratio.lo, v.ratio.hi) if value]
    return min([*found, 1 - 2.5 * SAME_WITHIN]) * 0.99, max([*found, 1 + 2.5 * SAME_WITHIN]) * 1.01


def _ground(frame: _Frame, bottom: float, *, tall: bool) -> Iterator[Shape]:
    lo, hi = frame.x_of(1 - SAME_WITHIN), frame.x_of(1 + SAME_WITHIN)
    yield Rect(x=lo, y=_TOP, width=hi - lo, height=bottom - _TOP, role="unsure_fill")
    one = frame.x_of(1.0)
    yield Line(points=((one, _TOP), (one, bottom)), role="muted")
    words = f"the same: ±{100 * SAME_WITHIN:g} %"
    yield Text(x=one, y=_TOP - (24 if tall else 8), text=words, role="muted", anchor="middle", size=11)
    for x, head in zip(_columns(frame), ("verdict", "ratio", "before → after"), strict=True):
        yield Text(x=x, y=_TOP - 8, text=head, role="muted", size=11)


def _ticks(frame: _Frame, ticks: Sequence[float], bottom: float, *, tall: bool) -> Iterator[Shape]:
    used = -math.inf
    for tick in ticks:
        x, text = frame.x_of(tick), f"{tick:,.6g}"
        yield Line(points=((x, _TOP), (x, bottom)), role="rule")
        if x - text_width(text) / 2 > used + 4:
            for y in (bottom + 16, _TOP - 8) if tall else (bottom + 16,):
                yield Text(x=x, y=y, text=text, role="muted", anchor="middle")
            used = x + text_width(text) / 2


def _columns(frame: _Frame) -> tuple[float, float, float]:
    return frame.right + 16, frame.right + 112, frame.right + 180


def _row(v: Verdict, label: str, y: float, frame: _Frame) -> Iterator[Shape]:
    role, shape, hollow = LOOKS[v.word]
    word, factor, apart = _columns(frame)
    yield Text(x=frame.left - 10, y=y + 4, text=fitted(label, frame.left - 14), anchor="end", title=label)
    yield Text(x=word, y=y + 4, text=v.word, role=role, bold=v.word in {"FASTER", "SLOWER"}, title=v.reason or "")
    found = v.ratio
    if found is None:
        room = WIDTH - factor
        yield Text(x=factor, y=y + 4, text=fitted(v.reason or "", room), role="unsure", title=v.reason or "")
        return
    if found.lo and found.hi:
        yield Line(points=((frame.x_of(found.lo), y), (frame.x_of(found.hi), y)), role=role, width=2)
    if found.median > 0:
        x = frame.x_of(found.median)
        yield Marker(x=x, y=y, role=role, shape=shape, hollow=hollow, title=verdict_facts(v, label))
    yield Text(x=factor, y=y + 4, text=ratio(found.median))
    change = difference(v.after, v.before)
    words = f"{value(v, v.before)} → {value(v, v.after)}{f' ({change})' if change else ''}"
    yield Text(x=apart, y=y + 4, text=fitted(words, WIDTH - apart), role="muted", title=words)


def verdict_facts(v: Verdict, label: str) -> str:
    lines = [f"{label}: {v.word}"]
    if v.ratio is not None:
        ends = (v.ratio.lo, v.ratio.hi)
        interval = f" [{significant(ends[0], 4)}, {significant(ends[1], 4)}]" if ends[0] and ends[1] else ""
        lines.append(f"{v.metric}: {ratio(v.ratio.median)}{interval}, {counted_over([v.ratio])}")
    lines.append(f"{short(v.base)} {value(v, v.before)} → {short(v.cand)} {value(v, v.after)}")
    if v.reason:
        lines.append(v.reason)
    return "\n".join(lines)
