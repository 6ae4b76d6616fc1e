"""Figures as a report writes them: counts, shares, errors, intervals, the names of cases and sides."""

from __future__ import annotations

from collections.abc import Sequence

from rope_prof.analysis.run.rows import Row
from rope_prof.analysis.stats import Figure
from rope_prof.model.run import Case, Key
from rope_prof.units import MISSING, significant

#: Tables longer than this are folded; losing cells beyond it are counted.
LONG = 14


def count(value: float | None) -> str:
    return MISSING if value is None else f"{value:,.4g}"


def percent(share: float | None) -> str:
    return MISSING if share is None else f"{100 * share:.0f} %"


def error(value: float | None) -> str:
    return MISSING if value is None else f"{value:.2g}"


def between(found: Figure | None, scale: float = 1.0, digits: int = 3) -> str:
    """`60.1 to 65.0`; nothing without an interval."""
    if found is None or found.lo is None or found.hi is None:
        return ""
    return f"{significant(found.lo / scale, digits)} to {significant(found.hi / scale, digits)}"


def key_words(key: Key) -> str:
    """`fused · eager at 973 tokens`."""
    return f"{key.path} · {key.mode} at {key.case.tokens:,} tokens"


def side_label(row: Row | Key, rows: Sequence[Row | Key]) -> str:
    """`fused · eager`, with the L2 state where the run has both."""
    name = f"{row.path} · {row.mode}"
    return f"{name} · {row.l2}" if len({other.l2 for other in rows}) > 1 else name


def case_words(case: Case) -> str:
    """`28b · TP 1 · 973 tokens · bf16 · image prompt`."""
    tokens = "1 token" if case.tokens == 1 else f"{case.tokens:,} tokens"
    return f"{case.model} · TP {case.tp} · {tokens} · {case.dtype} · {case.prompt} prompt"


def family_words(case: Case) -> str:
    """`28b · TP 1 · bf16 · image prompt`: what the cases of one sweep share."""
    return f"{case.model} · TP {case.tp} · {case.dtype} · {case.prompt} prompt"
