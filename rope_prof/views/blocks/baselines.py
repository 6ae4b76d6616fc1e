"""Baselines as tables: the names of a store, the recordings of a name, the figures of one."""

from __future__ import annotations

from collections.abc import Sequence

from rope_prof.model.baseline import KeptFigure, NamedRun
from rope_prof.units import MISSING, between, duration
from rope_prof.views.blocks.model import Cell, Table, cells, name


def names_table(found: Sequence[NamedRun]) -> Table:
    """A row for each name, operation and kind of machine: its newest recording and how many there are."""
    groups: dict[tuple[str, str, str], list[NamedRun]] = {}
    for one in found:
        groups.setdefault((one.name, one.operation, one.machine), []).append(one)
    rows = tuple(
        (name(ones[-1].name), name(ones[-1].operation), *_about(ones[-1]), *cells(f"{len(ones):,}"))
        for ones in groups.values()
    )
    head = ("name", "operation", "recorded", "code", "device", "same code within", "note", "recordings")
    return Table(head=head, rows=rows, right=frozenset({7}), apart=2)


def kept_table(found: Sequence[NamedRun], title: str = "") -> Table:
    """A row a recording, as given; whether its run is still there to compare with."""
    rows = tuple(
        (*cells(str(number)), name(one.operation), *_about(one), *cells("yes" if one.files else "figures alone"))
        for number, one in enumerate(found, start=1)
    )
    head = ("", "operation", "recorded", "code", "device", "same code within", "note", "run")
    return Table(title=title, head=head, rows=rows, right=frozenset({0}), apart=2)


def _about(one: NamedRun) -> tuple[Cell, ...]:
    return cells(one.created[:16].replace("T", " "), one.code, name(one.device), spread_words(one), name(one.note))


def spread_words(one: NamedRun) -> str:
    """`±3 %`: what runs of the same code stayed within on that machine, the widest of modes and clocks."""
    factors = [factor for clocks in one.spread.values() for factor in clocks.values()]
    return f"±{(max(factors) - 1) * 100:.1f} %" if factors else MISSING


def newest_table(one: NamedRun) -> Table:
    """A row a key of one recording: its time by each clock, with the interval."""
    rows = tuple(
        (
            *(name(text) for text in (key.case, key.path, key.mode, key.l2)),
            *cells(*(figure_words(key.figures_ns.get(clock)) for clock in ("wall", "device"))),
        )
        for key in one.keys.values()
    )
    return Table(head=("case", "path", "mode", "L2", "wall", "device"), rows=rows, right=frozenset({4, 5}), apart=2)


def figure_words(found: KeptFigure | None) -> str:
    """`8.12 µs, 8.10–8.15 µs`."""
    if found is None:
        return MISSING
    if found.lo is None or found.hi is None:
        return duration(found.median)
    return f"{duration(found.median)}, {between(found.lo, found.hi)}"
