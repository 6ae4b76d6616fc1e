"""Tables of what a run proves: modes, decomposition, floors. Draws what the analysis computed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from rope_prof.analysis.run.decomposition import Term
from rope_prof.analysis.run.floors import Floor
from rope_prof.analysis.run.numbers import Numbers
from rope_prof.model.run import MODES, Case
from rope_prof.units import MISSING, ends, microseconds
from rope_prof.views.blocks.model import Cell, Table, cells
from rope_prof.views.words.labels import apart, case_labels, counts, told
from rope_prof.views.words.numbers import decomposed
from rope_prof.views.words.verdicts import gain

_ALONE = {"compile": "compiler\nalone", "graph": "graph\nalone"}


def number_tables(found: Numbers) -> list[Table]:
    """The modes, the decompositions and the floors of a run; a table without rows is left out."""
    tables = (modes_table(found), decomposition_table(found), difference_table(found), floors_table(found))
    return [table for table in tables if table is not None]


def _table(title: str, head: Sequence[str], rows: Sequence[tuple[Cell, ...]]) -> Table:
    """Case and path at the left, the rest are figures; `_grouped` names a case once."""
    return Table(title=title, head=tuple(head), rows=tuple(rows), right=frozenset(range(2, len(head))))


def _grouped(table: Table) -> Table:
    """The table with a rule before each new case, which is named once."""
    rows, breaks, last = [], set(), None
    for number, row in enumerate(table.rows):
        again = row[0] == last
        if not again and number:
            breaks.add(number)
        last = row[0]
        rows.append((Cell(text="") if again else row[0], *row[1:]))
    return replace(table, rows=tuple(rows), breaks=frozenset(breaks))


_AGAINST = "µs a call against {} in the same mode"


def modes_table(found: Numbers) -> Table | None:
    """Walls in every mode, what the mode alone buys, what fusing by hand buys in it; None with a single mode."""
    if len({mode for row in found.modes for mode in row.wall_ns}) < 2:
        return None
    fusing = [mode for mode in MODES if any(mode in row.wall_ns for row in found.modes)]
    alone = [mode for mode in _ALONE if mode in fusing]
    named, differ = case_labels([row.case for row in found.modes]), apart(found.modes)
    rows = [
        cells(
            named[row.case],
            row.path + told(row, differ),
            *(microseconds(row.wall_ns[mode].median) if mode in row.wall_ns else MISSING for mode in fusing),
            *(gain(row.compiler if mode == "compile" else row.graph) for mode in alone),
            *(gain(row.fusing.get(mode)) for mode in fusing),
            MISSING if row.fastest is None else f"{gain(row.after_all)} {row.fastest[0]}/{row.fastest[1]}",
        )
        for row in found.modes
    ]
    head = (counts(found.run.operation), "path", *(f"{mode}\nµs" for mode in fusing), *(_ALONE[mode] for mode in alone))
    head = (
        *head,
        *(f"fusing,\nin {mode}" for mode in fusing),
        f"best against best\n({found.run.operation.baseline} in/this in)",
    )
    return _grouped(_table("what a mode buys alone, and what fusing by hand buys in it", head, rows))


def _term(term: Term | None) -> str:
    """`542` over `[530, 556]`, µs."""
    if term is None:
        return MISSING
    value = microseconds(term.saved_ns)
    return value if term.lo == term.hi else f"{value}\n{ends(term.lo, term.hi)}".rstrip()


def decomposition_table(found: Numbers) -> Table | None:
    """The terms that were measured one by one; None where no decomposition has them."""
    whole = [one for one in found.decompositions if one.residual is not None]
    if not whole:
        return None
    names = list(dict.fromkeys(term.name for one in whole for term in one.terms))
    named = case_labels([one.cand.case for one in found.decompositions])
    rows = []
    for one in whole:
        terms = {term.name: term for term in one.terms}
        rows.append(
            cells(
                named[one.cand.case],
                decomposed(found, one),
                _term(one.total),
                *(_term(terms.get(term)) for term in names),
                _term(one.residual),
                *(f"{side.share:.1%}" + ("" if side.closes else " NO") for side in one.sides),
                "yes" if one.closes else "NO",
                tone="" if one.closes else "doubt",
            )
        )
    head = (
        counts(found.run.operation),
        "path",
        "saved",
        *names,
        "residual",
        "of base's\ndevice",
        "of its\ndevice",
        "closes",
    )
    return _table(f"where the saved time comes from: {_AGAINST.format(found.run.operation.baseline)}", head, rows)


def difference_table(found: Numbers) -> Table | None:
    """Bubble and busy by difference, where there was no more to measure."""
    plain = [one for one in found.decompositions if one.residual is None]
    if not plain:
        return None
    named = case_labels([one.cand.case for one in found.decompositions])
    rows = [
        cells(
            named[one.cand.case],
            decomposed(found, one),
            *(_term(term).replace("\n", " ") for term in (one.total, *one.terms)),
        )
        for one in plain
    ]
    head = (counts(found.run.operation), "path", "saved", "bubbles, by difference", "busy, traced")
    return _table(f"bubble and busy by difference: {_AGAINST.format(found.run.operation.baseline)}", head, rows)


def floors_table(found: Numbers) -> Table | None:
    """Each path against the floors of its case; None where no ceiling was measured."""
    floors = [floor for floor in found.floors if floor.floor_ns is not None]
    if not floors:
        return None
    modes = [mode for mode in MODES if any(floor.mode == mode for floor in floors)]
    named, differ = case_labels([floor.case for floor in floors]), apart(floors)
    rows = []
    for (case, path, _, _), by_mode in _by_path(floors).items():
        one, node = next(iter(by_mode.values())), by_mode.get("graph")
        eager = by_mode.get("eager") or by_mode.get("compile")
        each = [by_mode.get(mode) for mode in modes]
        rows.append(
            cells(
                named[case],
                path + told(one, differ),
                microseconds(one.bytes_ns),
                *(microseconds(floor.launch_ns if floor else None) for floor in (eager, node)),
                *(_share(floor.share if floor else None) for floor in each),
                *(_share(floor.won if floor else None) for floor in each),
            )
        )
    parts = [f"{part}\n{mode}" for part in ("floor/wall", "win taken") for mode in modes]
    head = (counts(found.run.operation), "path", "pass\nµs", "launch\nµs", "node\nµs", *parts)
    return _grouped(
        _table("against the floors: one launch, one pass over the bytes, each by its best known way", head, rows)
    )


def _by_path(floors: Sequence[Floor]) -> dict[tuple[Case, str, str, int], dict[str, Floor]]:
    found: dict[tuple[Case, str, str, int], dict[str, Floor]] = {}
    for floor in floors:
        found.setdefault((floor.case, floor.path, floor.l2, floor.rank), {}).setdefault(floor.mode, floor)
    return found


def _share(share: float | None) -> str:
    return MISSING if share is None else f"{share:.1%}"
