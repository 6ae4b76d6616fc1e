"""The waterfall of a fusion's gain: time before, what each term takes away, time after, floor. Computes none.

A negative term adds time, and says so.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rope_prof.analysis.run.closure import CLOSES_WITHIN
from rope_prof.analysis.run.decomposition import Decomposition, Term
from rope_prof.units import US, duration, ends, in_us
from rope_prof.views.draw.charts import Bar, BarChart

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Waterfall:
    """Labels and wall times of both sides in ns, the terms between them, the floor where it is known."""

    before: str
    before_ns: float
    after: str
    after_ns: float
    terms: Sequence[Term]
    residual: Term | None = None
    floor_ns: float | None = None
    floor: str = "floor"


def explanation(found: Decomposition) -> str:
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


def waterfall(found: Waterfall) -> BarChart:
    """A row each for before, every term, after, floor; a term starts where the one before it ends."""
    title = f"{found.before} {duration(found.before_ns)} to {found.after} {duration(found.after_ns)}, term by term"
    return BarChart(rows=tuple(_rows(found)), unit="µs a call", title=title)


def _rows(found: Waterfall) -> Iterator[Bar]:
    at = found.before_ns
    yield _whole(found.before, "ink", at, "wall, unprofiled", end=at)
    for term in (*found.terms, *(() if found.residual is None else (found.residual,))):
        role, name = _TERMS.get(term.name, ("unsure", term.name))
        name = name.replace("removed", "added") if term.saved_ns < 0 else name
        start, at = at, at - term.saved_ns
        words = _saved(term)
        part = (role, abs(term.saved_ns) / US, f"{words}, {term.how}")
        yield Bar(label=name, parts=(part,), note=words, start=min(start, at) / US, end=at / US)
    yield _whole(found.after, "ink", found.after_ns, "wall, unprofiled")
    if found.floor_ns is not None:
        yield _whole(found.floor, "muted", found.floor_ns, "measured")


def _whole(label: str, role: str, ns: float, how: str, end: float | None = None) -> Bar:
    words = duration(ns)
    return Bar(
        label=label, parts=((role, ns / US, f"{words}, {how}"),), note=words, title=label, head=True, end=in_us(end)
    )


def _saved(term: Term) -> str:
    words = f"{'−' if term.saved_ns >= 0 else '+'}{duration(abs(term.saved_ns))}"
    if term.lo is None or term.hi is None:
        return words
    lo, hi = sorted((-term.lo, -term.hi))
    bounds = ends(lo, hi) if words.endswith(" µs") else f"[{duration(lo)}, {duration(hi)}]"
    return f"{words}  {bounds}".replace("-", "−")
