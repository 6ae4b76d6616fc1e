"""Tables of what a run proves: modes, decomposition, floors, sweep. Draws what the analysis computed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rope_prof.analysis.run.ceilings import Floor
from rope_prof.analysis.run.decomposition import Term
from rope_prof.analysis.run.numbers import Numbers
from rope_prof.model.run import MODES, Case
from rope_prof.units import MISSING, microseconds, significant
from rope_prof.views.words.labels import apart, case_labels, told
from rope_prof.views.words.numbers import _side
from rope_prof.views.words.verdicts import gain

if TYPE_CHECKING:
    from rich.table import Table


def number_tables(found: Numbers) -> list[Table]:
    """The modes, the decompositions and the floors of a run; a table without rows is left out."""
    tables = (modes_table(found), decomposition_table(found), difference_table(found), floors_table(found))
    return [table for table in tables if table is not None]


def _table(title: str, *columns: str, left: int = 2) -> Table:
    from rich import box
    from rich.table import Table

    made = Table(
        title=title,
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        collapse_padding=True,
    )
    for i, name in enumerate(columns):
        made.add_column(name, justify="left" if i < left else "right", no_wrap=True)
    return made


def _add(table: Table, *cells: str, style: str = "") -> None:
    """A row letter for letter: a path's name may look like markup."""
    from rich.text import Text

    table.add_row(*(Text(cell) for cell in cells), style=style)


def modes_table(found: Numbers) -> Table | None:
    """Walls in every mode, what the mode alone buys, what fusing by hand buys in it; None with a single mode."""
    if len({mode for row in found.modes for mode in row.wall_ns}) < 2:
        return None
    fusing = [mode for mode in MODES if any(mode in row.wall_ns for row in found.modes)]
    alone = [mode for mode in ("compile", "graph") if mode in fusing]
    table = _table(
        "what a mode buys alone, and what fusing by hand buys in it",
        *("tokens", "path", *(f"{mode}\nµs" for mode in fusing)),
        *({"compile": "compiler\nalone", "graph": "graph\nalone"}[mode] for mode in alone),
        *(f"fusing,\nin {mode}" for mode in fusing),
        "best against best\n(unfused in/this in)",
    )
    named, last = case_labels([row.case for row in found.modes]), None
    differ = apart(found.modes)
    for row in found.modes:
        if last is not None and row.case != last:
            table.add_section()
        best = MISSING
        if row.fastest is not None:
            best = f"{gain(row.after_all)} {row.fastest[0]}/{row.fastest[1]}"
        _add(
            table,
            named[row.case] if row.case != last else "",
            row.path + told(row, differ),
            *(microseconds(row.wall_ns[mode].median) if mode in row.wall_ns else MISSING for mode in fusing),
            *(gain(row.compiler if mode == "compile" else row.graph) for mode in alone),
            *(gain(row.fusing.get(mode)) for mode in fusing),
            best,
        )
        last = row.case
    return table


def _term(term: Term | None) -> str:
    """`542` over `[530, 556]`, µs."""
    if term is None:
        return MISSING
    value = microseconds(term.saved_ns)
    if term.lo is None or term.hi is None or term.lo == term.hi:
        return value
    return f"{value}\n[{significant(term.lo / 1e3)}, {significant(term.hi / 1e3)}]"


def decomposition_table(found: Numbers) -> Table | None:
    """The terms that were measured one by one; None where no decomposition has them."""
    whole = [one for one in found.decompositions if one.residual is not None]
    if not whole:
        return None
    names = list(dict.fromkeys(term.name for one in whole for term in one.terms))
    table = _table(
        "where the saved time comes from: µs a call against unfused in the same mode",
        *("tokens", "path", "saved", *names, "residual", "of saved", "closes"),
    )
    named = case_labels([one.cand.case for one in found.decompositions])
    for one in whole:
        terms = {term.name: term for term in one.terms}
        _add(
            table,
            named[one.cand.case],
            _side(found, one),
            _term(one.total),
            *(_term(terms.get(name)) for name in names),
            _term(one.residual),
            MISSING if one.residual_share is None else f"{one.residual_share:.1%}",
            "yes" if one.closes else "NO",
            style="" if one.closes else "yellow",
        )
    return table


def difference_table(found: Numbers) -> Table | None:
    """Bubble and busy by difference, where there was no more to measure."""
    plain = [one for one in found.decompositions if one.residual is None]
    if not plain:
        return None
    table = _table(
        "bubble and busy by difference: µs a call against unfused in the same mode",
        *("tokens", "path", "saved", "bubbles, by difference", "busy, traced"),
    )
    named = case_labels([one.cand.case for one in found.decompositions])
    for one in plain:
        cells = (_term(term).replace("\n", " ") for term in (one.total, *one.terms))
        _add(table, named[one.cand.case], _side(found, one), *cells)
    return table


def floors_table(found: Numbers) -> Table | None:
    """Each path against the floors of its case; None where no ceiling was measured."""
    floors = [floor for floor in found.floors if floor.floor_ns is not None]
    if not floors:
        return None
    modes = [mode for mode in MODES if any(floor.mode == mode for floor in floors)]
    table = _table(
        "against the floors: one launch, one pass over the bytes, each by its best known way",
        *("tokens", "path", "pass\nµs", "launch\nµs", "node\nµs"),
        *(f"floor/wall\n{mode}" for mode in modes),
        *(f"win taken\n{mode}" for mode in modes),
    )
    named, last = case_labels([floor.case for floor in floors]), None
    differ = apart(floors)
    for (case, path, _, _), by_mode in _by_path(floors).items():
        if last is not None and case != last:
            table.add_section()
        one, node = next(iter(by_mode.values())), by_mode.get("graph")
        eager = by_mode.get("eager") or by_mode.get("compile")
        _add(
            table,
            named[case] if case != last else "",
            path + told(one, differ),
            microseconds(one.bytes_ns),
            microseconds(eager.launch_ns if eager else None),
            microseconds(node.launch_ns if node else None),
            *(_percent(by_mode[mode].share if mode in by_mode else None) for mode in modes),
            *(_percent(by_mode[mode].won if mode in by_mode else None) for mode in modes),
        )
        last = case
    return table


def _by_path(floors: Sequence[Floor]) -> dict[tuple[Case, str, str, int], dict[str, Floor]]:
    found: dict[tuple[Case, str, str, int], dict[str, Floor]] = {}
    for floor in floors:
        found.setdefault((floor.case, floor.path, floor.l2, floor.rank), {}).setdefault(floor.mode, floor)
    return found


def _percent(share: float | None) -> str:
    return MISSING if share is None else f"{share:.1%}"
