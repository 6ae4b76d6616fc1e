"""Cases and keys in words: the one home of how they are named, on every screen and in every file.

A case is named by the axes that it has; only `axes` knows which. In a label an axis stands in its form (`TP 2`, `n64`),
in a sentence with its noun (`64 tokens`, `image prompt`). A key is its path and mode, and of the rest only what tells
the keys at hand apart: whatever all of them share is left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeAlias

from rope_prof.model.frozen import Frozen
from rope_prof.model.run import AxisFacts, Case, Key, OperationFacts

if TYPE_CHECKING:
    from rope_prof.analysis.run.floors import Floor
    from rope_prof.analysis.run.modes import ModeRow
    from rope_prof.analysis.run.rows import Row

#: What a path, a mode, an L2 state and a rank tell apart.
Keyed: TypeAlias = "Key | Row"
#: What an L2 state and a rank tell apart, of one path in one case.
Placed: TypeAlias = "Keyed | Floor | ModeRow"


class AxisValue(Frozen):
    """One axis of a case. `form` writes it in a label; `noun` is what a number counts, or what follows a word."""

    name: str
    value: str | int
    form: str = "{}"
    noun: str = ""

    @property
    def label(self) -> str:
        """`TP 2`, `n64`, `bf16`."""
        return self.form.format(self.value)

    @property
    def phrase(self) -> str:
        """`64 tokens`, `image prompt`; its label where it has no noun."""
        return AxisFacts(name=self.name, form=self.form, noun=self.noun).phrase(self.value)


def axes(case: Case) -> tuple[AxisValue, ...]:
    """The axes of that case, in the order in which they are named."""
    return tuple(AxisValue(axis.name, case[axis.name], axis.form, axis.noun) for axis in case.operation.axes)


def counts(operation: OperationFacts) -> str:
    """What a sweep counts, as the head of a column and of an axis: `tokens`."""
    return operation.swept_axis.noun + "s" if operation.swept_axis.noun else operation.swept


def family_words(case: Case, l2: str = "") -> str:
    """`28b · TP 1 · bf16 · image prompt`: what the cases of one sweep share; with ` · cold L2` where it is given."""
    words = [axis.phrase for axis in axes(case) if axis.name != case.operation.swept]
    return " · ".join([*words, *([f"{l2} L2"] if l2 else [])])


def apart(rows: Sequence[Placed]) -> tuple[bool, bool]:
    """Whether L2 state and rank tell rows apart."""
    return len({row.l2 for row in rows}) > 1, len({row.rank for row in rows}) > 1


def told(row: Placed, differ: tuple[bool, bool]) -> str:
    """What follows the name of a path: ` cold`, `, rank 1`."""
    states, ranks = differ
    return (f" {row.l2}" if states else "") + (f", rank {row.rank}" if ranks else "")


def side(path: str, mode: str) -> str:
    """`fused · eager`."""
    return f"{path} · {mode}"


def side_label(row: Keyed, rows: Sequence[Keyed]) -> str:
    """`fused · eager`, with the L2 state where `rows` have both."""
    name = side(row.path, row.mode)
    return f"{name} · {row.l2}" if len({other.l2 for other in rows}) > 1 else name


def key_words(key: Key) -> str:
    """`fused · eager at 973 tokens`."""
    return f"{side(key.path, key.mode)} at {swept(key.case).phrase}"


def swept(case: Case) -> AxisValue:
    """The axis that a sweep runs over, with the case's value of it."""
    return next(axis for axis in axes(case) if axis.name == case.operation.swept)


def name_parts(key_name: str) -> tuple[str, str, str, str]:
    """(path, mode, L2 state, case) of a key's name; a path may hold dots of its own, the rest holds none."""
    path, mode, l2, case, _ = key_name.rsplit(".", 4)
    return path, mode, l2, case


def short(key_name: str) -> str:
    """`fused eager cold` of a key's name."""
    return " ".join(name_parts(key_name)[:3])


def _differing(cases: Sequence[Case]) -> set[str]:
    found = [axes(case) for case in cases]
    return {column[0].name for column in zip(*found, strict=True) if len({axis.value for axis in column}) > 1}


def _case_label(case: Case, names: set[str]) -> str:
    return " ".join(axis.label for axis in axes(case) if axis.name in names)


def case_labels(cases: Sequence[Case]) -> dict[Case, str]:
    """The cell of a column of tokens: `8,192` where nothing else tells the cases apart, else `424b TP 2 n8192`."""
    names = _differing(cases)
    if names <= {case.operation.swept for case in cases}:
        return {case: f"{case.swept:,}" for case in cases}
    return {case: _case_label(case, names | {case.operation.swept}) for case in cases}


def case_phrases(cases: Sequence[Case]) -> dict[Case, str]:
    """The same where people read: `8,192 tokens`, or `424b · TP 2 · 8,192 tokens`."""
    names = _differing(cases) | {case.operation.swept for case in cases}
    return {case: " · ".join(axis.phrase for axis in axes(case) if axis.name in names) for case in cases}


def key_labels(rows: Sequence[Keyed]) -> list[str]:
    """`fused eager 424b TP 2 n64 cold rank 1` of each row: only what differs among the rows.

    Without a comma, so that labels can be listed.
    """
    names, (states, ranks) = _differing([row.case for row in rows]), apart(rows)
    return [
        " ".join(filter(None, (row.path, row.mode, _case_label(row.case, names), *_place(row, states, ranks))))
        for row in rows
    ]


def _place(row: Placed, states: bool, ranks: bool) -> tuple[str, str]:
    return row.l2 if states else "", f"rank {row.rank}" if ranks else ""
