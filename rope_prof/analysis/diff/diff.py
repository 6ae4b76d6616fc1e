"""What changed between two stretches: terms that close exactly, ranges by what they cost, and how sure that is.

A call's time is kernels + copies + overlap + idle by cause on both sides, in exact fractions of nanoseconds, so the
terms of the difference add up to it without a remainder. Calls are the samples: with fewer than seven on a side there
is no interval of two medians at 95 %, and one call is one call. All times are those of the profiled run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Final, Literal

import polars as pl

from rope_prof.analysis.comparison.sides import NotComparableError
from rope_prof.analysis.diff.kernels import KernelChange, kernel_changes
from rope_prof.analysis.diff.side import TraceSide
from rope_prof.analysis.stats import Figure, figure
from rope_prof.analysis.verdict import Word, judge

#: Two independent medians: each interval at this coverage bounds their ratio at 95 %.
EACH_SIDE: Final = 0.975
#: A range is named for a term where it holds at least this part of it.
_HOLDS: Final = Fraction(3, 5)
#: More matched kernel time than this with another launch shape: the two ran other shapes.
_OTHER_SHAPES: Final = 0.2

Part = Literal["kernels", "copies", "overlap", "idle"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DiffTerm:
    """A part of the difference, in ns a call. `cause`: of idle time. `place`: the range that holds most of it."""

    part: Part
    cause: str | None
    before_ns: Fraction
    after_ns: Fraction
    place: str | None = None

    @property
    def delta_ns(self) -> Fraction:
        """ns a call that this adds (below zero: saves)."""
        return self.after_ns - self.before_ns


@dataclass(frozen=True, slots=True, kw_only=True)
class RangeChange:
    """A range inside the stretch: its busy and idle ns a call of the stretch, before and after (0: not there)."""

    name: str
    calls_before: Fraction
    calls_after: Fraction
    busy_before_ns: Fraction
    busy_after_ns: Fraction
    idle_before_ns: Fraction
    idle_after_ns: Fraction

    @property
    def delta_ns(self) -> Fraction:
        """ns a call that the range costs more (below zero: less)."""
        return self.busy_after_ns + self.idle_after_ns - self.busy_before_ns - self.idle_before_ns


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceDiff:
    """`base` against `cand`. `word` judges the medians of a call, `ratio` is base / cand: over 1 the candidate is
    faster; `lo` and `hi` are None without calls enough. `doubts`: what a reader must know before believing it."""

    base: TraceSide
    cand: TraceSide
    terms: tuple[DiffTerm, ...]
    kernels: tuple[KernelChange, ...]
    ranges: tuple[RangeChange, ...]
    word: Word
    ratio: float | None
    lo: float | None
    hi: float | None
    doubts: tuple[str, ...]

    @property
    def whole(self) -> bool:
        """Whether nothing of it is a call: both sides are a device's whole span."""
        return self.base.name is None and self.cand.name is None

    @property
    def before_ns(self) -> Fraction:
        """Mean ns of a call before: what the terms start from."""
        return Fraction(self.base.span_ns, self.base.calls)

    @property
    def after_ns(self) -> Fraction:
        """Mean ns of a call after: what the terms end at."""
        return Fraction(self.cand.span_ns, self.cand.calls)


def trace_diff(base: TraceSide, cand: TraceSide, *, anyway: bool = False) -> TraceDiff:
    """What changed from `base` to `cand`. Errors: NotComparableError for two kinds of device, unless `anyway`."""
    named = base.device_name, cand.device_name
    if None not in named and named[0] != named[1] and not anyway:
        raise NotComparableError(
            f"{base.source!r} ran on {named[0]!r} and {cand.source!r} on {named[1]!r}; compare traces of one kind of "
            "device, or say --anyway"
        )
    base, cand = _one_wording(base, cand)
    kernels = kernel_changes(base, cand)
    lo, hi = _ends(figure(base.spans_ns, EACH_SIDE), figure(cand.spans_ns, EACH_SIDE))
    medians = figure(base.spans_ns), figure(cand.spans_ns)
    ratio = medians[0].median / medians[1].median if medians[0] and medians[1] and medians[1].median > 0 else None
    return TraceDiff(
        base=base,
        cand=cand,
        terms=_terms(base, cand),
        kernels=kernels,
        ranges=_ranges(base, cand),
        word=judge(lo, hi),
        ratio=ratio,
        lo=lo,
        hi=hi,
        doubts=tuple(_doubts(base, cand, kernels)),
    )


def _one_wording(base: TraceSide, cand: TraceSide) -> tuple[TraceSide, TraceSide]:
    """Both sides with the words taken off their range names that stand before what the two compared names share.

    `unfused.decode.step#*` against `fused.decode.step#*`: the ranges `unfused.decode.rope` and `fused.decode.rope`
    are one range, `decode.rope`.
    """
    if base.name is None or cand.name is None or base.name == cand.name:
        return base, cand
    one, other = base.name.split("."), cand.name.split(".")
    shared = 0
    while shared < min(len(one), len(other)) - 1 and one[-1 - shared] == other[-1 - shared]:
        shared += 1
    if not shared:
        return base, cand
    return _without(base, ".".join(one[:-shared]) + "."), _without(cand, ".".join(other[:-shared]) + ".")


def _without(side: TraceSide, prefix: str) -> TraceSide:
    within = pl.col("within").str.strip_prefix(prefix)
    ranges = tuple(replace(use, name=use.name.removeprefix(prefix)) for use in side.ranges)
    return replace(side, events=side.events.with_columns(within), ranges=ranges)


def _ends(before: Figure | None, after: Figure | None) -> tuple[float | None, float | None]:
    if before is None or after is None or before.lo is None or before.hi is None:
        return None, None
    if after.lo is None or after.hi is None or after.lo <= 0:
        return None, None
    return before.lo / after.hi, before.hi / after.lo


def _terms(base: TraceSide, cand: TraceSide) -> tuple[DiffTerm, ...]:
    work: Sequence[tuple[Part, int, int]] = (
        ("kernels", base.kernel_ns, cand.kernel_ns),
        ("copies", base.copy_ns, cand.copy_ns),
        ("overlap", base.overlap_ns, cand.overlap_ns),
    )
    terms = [
        DiffTerm(part=part, cause=None, before_ns=Fraction(was, base.calls), after_ns=Fraction(now, cand.calls))
        for part, was, now in work
        if was or now
    ]
    for cause in base.idle_by_cause_ns.keys() | cand.idle_by_cause_ns.keys():
        was, now = (Fraction(side.idle_by_cause_ns.get(cause, 0), side.calls) for side in (base, cand))
        place = _place(base, cand, cause, now - was)
        terms.append(DiffTerm(part="idle", cause=cause, before_ns=was, after_ns=now, place=place))
    return tuple(sorted(terms, key=lambda term: (-abs(term.delta_ns), term.part, term.cause or "")))


def _place(base: TraceSide, cand: TraceSide, cause: str, delta: Fraction) -> str | None:
    """The shortest range inside which most of that difference lies; None where no range holds it."""
    if not delta:
        return None
    sides = [{use.name: use for use in side.ranges} for side in (base, cand)]
    held: list[tuple[int, str]] = []
    for name in sides[0].keys() | sides[1].keys():
        uses = [side.get(name) for side in sides]
        parts = [
            Fraction(use.idle_by_cause_ns.get(cause, 0), of.calls) if use else Fraction(0)
            for use, of in zip(uses, (base, cand), strict=True)
        ]
        if (parts[1] - parts[0]) / delta >= _HOLDS:
            held.append((sum(use.busy_ns + use.idle_ns for use in uses if use), name))
    return min(held)[1] if held else None


def _ranges(base: TraceSide, cand: TraceSide) -> tuple[RangeChange, ...]:
    sides = [{use.name: use for use in side.ranges} for side in (base, cand)]
    found = []
    for name in sides[0].keys() | sides[1].keys():
        cells: list[tuple[Fraction, Fraction, Fraction]] = []
        for uses, of in zip(sides, (base, cand), strict=True):
            use = uses.get(name)
            values = (use.calls, use.busy_ns, use.idle_ns) if use else (0, 0, 0)
            cells.append((Fraction(values[0], of.calls), Fraction(values[1], of.calls), Fraction(values[2], of.calls)))
        (calls, busy, idle), (calls_after, busy_after, idle_after) = cells
        found.append(
            RangeChange(
                name=name,
                calls_before=calls,
                calls_after=calls_after,
                busy_before_ns=busy,
                busy_after_ns=busy_after,
                idle_before_ns=idle,
                idle_after_ns=idle_after,
            )
        )
    return tuple(sorted(found, key=lambda one: (-abs(one.delta_ns), one.name)))


def _doubts(base: TraceSide, cand: TraceSide, kernels: Sequence[KernelChange]) -> list[str]:
    said = []
    for word, side in (("base", base), ("candidate", cand)):
        if side.integrity.reason is not None:
            said.append(f"the {word} is {side.integrity.verdict}: {side.integrity.reason}")
    if None not in (base.own_calls, cand.own_calls) and base.own_calls != cand.own_calls and base.name is None:
        said.append(f"the base holds {base.own_calls} calls of its path, the candidate {cand.own_calls}")
    if base.own_calls and cand.own_calls and base.name == cand.name == "call #*":
        said.append(
            "a call counts from its first kernel to its last: idle time up to the next call is in neither side, and "
            "the run that holds these captures has the unprofiled time of both"
        )
    few = [(word, side.calls) for word, side in (("base", base), ("candidate", cand)) if _too_few(side)]
    if few:
        whole = {word for word, side in (("base", base), ("candidate", cand)) if side.name is None}
        counts = ", ".join(
            f"all of the {word} at once" if word in whole else f"{n} call{'s' if n > 1 else ''} of the {word}"
            for word, n in few
        )
        said.append(f"no interval: {counts}; a verdict takes at least 7 calls on each side")
    matched = [row for row in kernels if row.change in ("same", "moved", "other shape") and not row.copies]
    total = sum(row.ns_before for row in matched)
    other = sum(row.ns_before for row in matched if row.change == "other shape")
    if total and other / total > _OTHER_SHAPES:
        said.append(
            f"{float(100 * other / total):.0f} % of the time of kernels that both sides run has another launch grid: "
            "they may have run other shapes"
        )
    said += _other_inputs(base, cand)
    if None not in (base.device_name, cand.device_name) and base.device_name != cand.device_name:
        said.append(f"the base ran on {base.device_name!r}, the candidate on {cand.device_name!r}")
    if None in (base.device_name, cand.device_name):
        said.append("a file does not name its device: whether both ran on one kind is not known")
    return said


def _other_inputs(base: TraceSide, cand: TraceSide) -> list[str]:
    """What to say where kernels of one name were asked for by operators on shapes that the other side has none of."""
    columns = (pl.col("inputs").unique(), pl.col("dur_ns").sum())
    known = (side.events.filter(pl.col("inputs").is_not_null()).group_by("name").agg(columns) for side in (base, cand))
    before, after = known
    both = before.join(after, on="name", suffix="_after").sort("dur_ns", "name", descending=[True, False])
    apart = both.filter(pl.col("inputs").list.set_intersection("inputs_after").list.len() == 0)
    total, other = (int(frame["dur_ns"].sum()) for frame in (both, apart))
    if not other or other <= _OTHER_SHAPES * total:
        return []
    was, now = (min(apart[name][0]) for name in ("inputs", "inputs_after"))
    return [
        f"{100 * other / total:.0f} % of the time of kernels that both sides run was asked for by operators on other "
        f"shapes, as {was} against {now}"
    ]


def _too_few(side: TraceSide) -> bool:
    """Whether the side has too few calls for an interval of its median."""
    found = figure(side.spans_ns, EACH_SIDE)
    return found is None or found.lo is None
