"""The baseline that the viewer chose, once for every page: its row, and what each key's wall time is against it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import streamlit as st
from rope_prof.dashboard.shell import Seen

from rope_prof.analysis.comparison.compare import Verdict
from rope_prof.analysis.run.rows import Row
from rope_prof.dashboard import loading, view
from rope_prof.errors import RopeProfError
from rope_prof.io.run.folder import RunFolder
from rope_prof.model.run import Case, KeyFacts
from rope_prof.views.draw.sweep import HeldWalls


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """One key of the shown case, of this run or of another one.

    `verdicts` holds key name -> baseline / key of the wall time with its interval, for every case that both runs have;
    `rows` the baseline's row of each case.
    """

    label: str
    folder: RunFolder
    facts: KeyFacts
    row: Row
    rows: Mapping[Case, Row]
    verdicts: Mapping[str, Verdict]
    caveat: str | None

    def of(self, row: Row) -> Row | None:
        """The baseline's row that `row` is held against; None for the baseline itself and for another case."""
        base = self.rows.get(row.case)
        return None if base is None or base is row else base

    def held(self, rows: Iterable[Row]) -> HeldWalls:
        """The baseline's wall time for each of `rows` that has one."""
        found = {row.key: base.wall_ns.median for row in rows if (base := self.of(row)) and base.wall_ns}
        return HeldWalls(label=self.label, walls=found)


def chosen(seen: Seen, own: Sequence[Row] | None = None) -> Baseline | None:
    """The chosen baseline, of the shown run one of `own` (all its rows); None where the viewer wants none.

    Errors: TraceError, RunError of the other run.
    """
    named = loading.runs()
    others = loading.other_runs(named, seen.name)
    found = view.bases(seen.folder.run, seen.case, {name: folder.run for name, folder in others.items()})
    if seen.view.base not in found:
        return None
    name, facts = found[seen.view.base]
    folder = seen.folder if name is None else others[name]
    key = facts.key
    rows = {
        row.case: row
        for row in (own if own is not None and name is None else loading.opened(folder.path).rows)
        if (row.path, row.mode, row.l2, row.rank) == (key.path, key.mode, key.l2, key.rank)
    }
    return Baseline(
        label=view.base_label(seen.view.base, found).removeprefix("vs "),
        folder=folder,
        facts=facts,
        row=rows[key.case],
        rows=rows,
        verdicts=loading.verdicts(seen.folder, folder, (key.path, key.mode, key.l2)),
        caveat=None if name is None else _caveat(seen.folder, folder, name),
    )


def _caveat(mine: RunFolder, other: RunFolder, name: str) -> str:
    here, there = mine.run.machine.device_name, other.run.machine.device_name
    if here != there:
        return f"The baseline is of {name}, recorded on {there}, not {here}: the difference is of the machines too."
    return f"The baseline is of {name}, recorded apart: the interval holds each run's own spread, not the days between."


def guarded_chosen(seen: Seen, own: Sequence[Row] | None = None) -> Baseline | None:
    """`chosen`, or none with a note that says why where the other run cannot be read."""
    try:
        return chosen(seen, own)
    except RopeProfError as error:
        st.session_state.setdefault("notes", []).append(f"no baseline: {error}")
        return None
