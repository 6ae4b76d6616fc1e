"""Which kernels are gone, new, changed or fused between two stretches; what they cost a call adds up to the difference.

Events are matched by range, kind, name and launch shape, then by name and shape in another range, then by name in
another shape. What is left lies in runs between matched events; runs with the same neighbours stand for each other:
of many kernels before and fewer after the run was *fused*. Each event is in exactly one row.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Literal

import polars as pl

from rope_prof.analysis.diff.side import MOVES, TraceSide

Change = Literal["same", "moved", "other shape", "fused", "split", "replaced", "gone", "new"]
Names = tuple[str, ...]

_EXACT = ("within", "kind", "name", "grid", "block")
_LEVELS: tuple[tuple[Change, tuple[str, ...]], ...] = (
    ("same", _EXACT),
    ("moved", _EXACT[1:]),
    ("other shape", ("kind", "name")),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelChange:
    """One row: the kernels `before` and `after` that stand for each other, events and ns a call on both sides.

    `within`: the innermost range of the launches, None outside all; of a moved kernel the range after.
    """

    change: Change
    copies: bool
    within: str | None
    before: Names
    after: Names
    count_before: Fraction
    count_after: Fraction
    ns_before: Fraction
    ns_after: Fraction

    @property
    def delta_ns(self) -> Fraction:
        """ns a call that this adds (below zero: saves)."""
        return self.ns_after - self.ns_before


def kernel_changes(base: TraceSide, cand: TraceSide) -> tuple[KernelChange, ...]:
    """All rows, the largest difference first; their `delta_ns` add up to that of kernels and copies."""
    left, right = (_prepared(side) for side in (base, cand))
    rows: list[KernelChange] = []
    for change, keys in _LEVELS:
        both = left.filter(~pl.col("done")).join(right.filter(~pl.col("done")), on=keys, how="semi", nulls_equal=True)
        keyed = both.select(keys).unique()
        taken = [_take(frame, keyed, keys) for frame in (left, right)]
        rows += _matched(change, keys, taken[0].filter("now"), taken[1].filter("now"), base.calls, cand.calls)
        left, right = (_settled(frame) for frame in taken)
    rows += _runs(left, right, base.calls, cand.calls)
    return tuple(sorted(rows, key=lambda row: (-abs(row.delta_ns), row.change, row.before, row.after)))


def _prepared(side: TraceSide) -> pl.DataFrame:
    named = pl.col("name").fill_null("(no name)")
    columns = ("call", "occurrence", "within", "kind", "grid", "block", "dur_ns")
    return side.events.select(*columns, named, done=pl.lit(False))


def _take(frame: pl.DataFrame, keyed: pl.DataFrame, keys: tuple[str, ...]) -> pl.DataFrame:
    marked = frame.join(
        keyed.with_columns(now=pl.lit(True)), on=keys, how="left", nulls_equal=True, maintain_order="left"
    )
    return marked.with_columns(now=pl.col("now").fill_null(False) & ~pl.col("done"))


def _settled(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.with_columns(done=pl.col("done") | pl.col("now")).drop("now")


def _matched(
    change: Change, keys: tuple[str, ...], left: pl.DataFrame, right: pl.DataFrame, before: int, after: int
) -> Iterator[KernelChange]:
    sums = (pl.len().alias("count"), pl.col("dur_ns").sum(), pl.col("within").first().alias("in"))
    one, other = (frame.group_by(keys).agg(sums) for frame in (left, right))
    joined = one.join(other, on=keys, how="inner", nulls_equal=True, suffix="_after")
    for row in joined.iter_rows(named=True):
        yield KernelChange(
            change=change,
            copies=row["kind"] in MOVES,
            within=row["in_after"],
            before=(row["name"],),
            after=(row["name"],),
            count_before=Fraction(row["count"], before),
            count_after=Fraction(row["count_after"], after),
            ns_before=Fraction(row["dur_ns"], before),
            ns_after=Fraction(row["dur_ns_after"], after),
        )


def _runs(left: pl.DataFrame, right: pl.DataFrame, before: int, after: int) -> list[KernelChange]:
    """The unmatched events: runs of both sides with the same neighbours as one row, the others gone or new."""
    runs = [_counted(frame) for frame in (left, right)]
    places = [_by_place(one) for one in runs]
    rows: list[KernelChange] = []
    for place in sorted(places[0].keys() | places[1].keys(), key=str):
        gone, new = (side.get(place, {}) for side in places)
        rows += _stood_for(place, gone, new, before, after)
    return _merged(rows)


_Sums = tuple[int, int]  # runs, ns
_Place = tuple[bool, str | None, str | None, str | None]


@dataclass(slots=True)
class _OpenRun:
    """The run of unmatched events that is being read."""

    names: list[str] = field(default_factory=list)
    ns: int = 0
    where: tuple[int, int] | None = None
    previous: str | None = None
    within: str | None = None
    copies: bool = False


def _counted(frame: pl.DataFrame) -> dict[tuple[_Place, Names], _Sums]:
    """How often each run of unmatched events stands between which neighbours, and the ns of all of them."""
    counts: Counter[tuple[_Place, Names]] = Counter()
    ns: Counter[tuple[_Place, Names]] = Counter()
    columns = ("call", "occurrence", "done", "kind", "name", "within", "dur_ns")
    run = _OpenRun()

    def close(following: str | None) -> None:
        if run.names:
            key = ((run.copies, run.within, run.previous, following), tuple(run.names))
            counts[key] += 1
            ns[key] += run.ns
        run.names, run.ns = [], 0

    for call, occurrence, done, kind, name, within, dur in frame.select(columns).iter_rows():
        if (call, occurrence) != run.where:
            close(None)
            run.where, run.previous = (call, occurrence), None
        elif done:
            close(name)
        elif run.names and (kind in MOVES) != run.copies:
            close(None)
        if done:
            run.previous = name
            continue
        run.within, run.copies = within, kind in MOVES
        run.names.append(name)
        run.ns += dur
    close(None)
    return {key: (counts[key], ns[key]) for key in counts}


def _by_place(runs: dict[tuple[_Place, Names], _Sums]) -> dict[_Place, dict[Names, _Sums]]:
    places: dict[_Place, dict[Names, _Sums]] = {}
    for (place, names), sums in runs.items():
        places.setdefault(place, {})[names] = sums
    return places


def _stood_for(
    place: _Place, gone: dict[Names, _Sums], new: dict[Names, _Sums], before: int, after: int
) -> Iterator[KernelChange]:
    """The runs before and after at one place: the most frequent of both stand for each other, then the next."""
    ranked = [sorted(side.items(), key=lambda item: (-item[1][0], item[0])) for side in (gone, new)]
    for (was, had), (now, has) in zip(*ranked, strict=False):
        change: Change = "fused" if len(was) > len(now) else "split" if len(was) < len(now) else "replaced"
        yield KernelChange(
            change=change,
            copies=place[0],
            within=place[1],
            before=was,
            after=now,
            count_before=Fraction(had[0] * len(was), before),
            count_after=Fraction(has[0] * len(now), after),
            ns_before=Fraction(had[1], before),
            ns_after=Fraction(has[1], after),
        )
    matched = min(len(gone), len(new))
    yield from (_one_sided("gone", names, sums, before, place) for names, sums in ranked[0][matched:])
    yield from (_one_sided("new", names, sums, after, place) for names, sums in ranked[1][matched:])


def _one_sided(change: Literal["gone", "new"], names: Names, sums: _Sums, calls: int, place: _Place) -> KernelChange:
    count, ns = Fraction(sums[0] * len(names), calls), Fraction(sums[1], calls)
    zero = Fraction(0)
    gone = change == "gone"
    return KernelChange(
        change=change,
        copies=place[0],
        within=place[1],
        before=names if gone else (),
        after=() if gone else names,
        count_before=count if gone else zero,
        count_after=zero if gone else count,
        ns_before=ns if gone else zero,
        ns_after=zero if gone else ns,
    )


def _merged(rows: list[KernelChange]) -> list[KernelChange]:
    """Rows of the same kernels in the same range as one."""
    found: dict[tuple[object, ...], KernelChange] = {}
    for row in rows:
        key = (row.change, row.copies, row.within, row.before, row.after)
        had = found.get(key)
        found[key] = row if had is None else _added(had, row)
    return list(found.values())


def _added(one: KernelChange, other: KernelChange) -> KernelChange:
    return KernelChange(
        change=one.change,
        copies=one.copies,
        within=one.within,
        before=one.before,
        after=one.after,
        count_before=one.count_before + other.count_before,
        count_after=one.count_after + other.count_after,
        ns_before=one.ns_before + other.ns_before,
        ns_after=one.ns_after + other.ns_after,
    )
