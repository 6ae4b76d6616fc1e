"""Keys in words: path and mode, and of the rest only what tells the keys at hand apart. The home of that rule.

Model, TP, tokens, dtype, prompt, L2 state and rank are named where they differ among the keys that a table or a list
of notes is about, and left out where all share them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from rope_prof.model.run import Case

_CASE = {"model": "{}", "tp": "TP {}", "tokens": "n{}", "dtype": "{}", "prompt": "{}"}


class Placed(Protocol):
    """What tells two rows of one path and mode of a case apart."""

    @property
    def l2(self) -> str: ...

    @property
    def rank(self) -> int: ...


class Keyed(Placed, Protocol):
    """A key, a row of the table, a floor."""

    @property
    def case(self) -> Case: ...

    @property
    def path(self) -> str: ...

    @property
    def mode(self) -> str: ...


def apart(rows: Sequence[Placed]) -> tuple[bool, bool]:
    """Whether L2 state and rank tell rows apart."""
    return len({row.l2 for row in rows}) > 1, len({row.rank for row in rows}) > 1


def told(row: Placed, differ: tuple[bool, bool]) -> str:
    """What follows the name of a path: ` cold`, `, rank 1`."""
    states, ranks = differ
    return (f" {row.l2}" if states else "") + (f", rank {row.rank}" if ranks else "")


def _differing(cases: Sequence[Case]) -> list[str]:
    return [name for name in _CASE if len({getattr(case, name) for case in cases}) > 1]


def _case_words(case: Case, names: Sequence[str]) -> str:
    return " ".join(_CASE[name].format(getattr(case, name)) for name in _CASE if name in names)


def case_labels(cases: Sequence[Case]) -> dict[Case, str]:
    """The cell of a column of tokens: `8,192` where nothing else tells the cases apart, else `424b TP 2 n8192`."""
    names = _differing(cases)
    if set(names) <= {"tokens"}:
        return {case: f"{case.tokens:,}" for case in cases}
    return {case: _case_words(case, [*names, "tokens"]) for case in cases}


def case_phrases(cases: Sequence[Case]) -> dict[Case, str]:
    """The same inside a sentence: `8,192 tokens`, or `424b TP 2 n8192`."""
    alone = set(_differing(cases)) <= {"tokens"}
    return {
        case: f"{label} {'token' if case.tokens == 1 else 'tokens'}" if alone else label
        for case, label in case_labels(cases).items()
    }


def key_labels(rows: Sequence[Keyed]) -> list[str]:
    """`fused eager 424b TP 2 n64 cold rank 1` of each row: only what differs among the rows.

    Without a comma, so that labels can be listed.
    """
    names, (states, ranks) = _differing([row.case for row in rows]), apart(rows)
    parts = (
        (
            row.path,
            row.mode,
            _case_words(row.case, names),
            row.l2 if states else "",
            f"rank {row.rank}" if ranks else "",
        )
        for row in rows
    )
    return [" ".join(part for part in words if part) for words in parts]


def family_labels(lines: Sequence[Mapping[str, Any]]) -> list[str]:
    """`fused eager, 28b TP 1 cold` of each line of a sweep; dtype and prompt where they differ."""
    named = [name for name in ("dtype", "prompt") if len({line[name] for line in lines}) > 1]
    return [
        f"{line['path']} {line['mode']}, {line['model']} TP {line['tp']} "
        + " ".join(str(line[name]) for name in (*named, "l2"))
        for line in lines
    ]
