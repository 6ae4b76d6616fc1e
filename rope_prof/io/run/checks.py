"""Whether what was read of a run can be true: facts no recording has, samples nothing can be computed of.

Checked once, where the files are read, so that the analysis behind divides by no zero and counts no sample twice.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import polars as pl

from rope_prof.errors import RunError
from rope_prof.model.run import Run

_SIZES = ("cpu_cores", "multiprocessors", "l2_bytes", "memory_bytes")


def require_facts(run: Run, path: Path) -> None:
    """RunError that names the first of `run`, read from `path`, that no recording writes."""
    seen = _impossible(run)
    if seen is not None:
        raise RunError(f"{str(path)!r} is damaged: {seen}; restore the file or record again")


def _impossible(run: Run) -> str | None:
    if run.seed < 0:
        return f"it has the seed {run.seed}, expected a whole number from 0"
    for name in _SIZES:
        value = getattr(run.machine, name)
        if value is not None and value < 0:
            return f"its machine has {name} {value}, expected a number from 0"
    names = [facts.key.name for facts in run.keys] + [ceiling.key_name for ceiling in run.ceilings]
    name, count = next(iter(Counter(names).most_common(1)), ("", 0))
    if count > 1:
        return f"it has the key {name!r} {count} times, expected each key once"
    for facts in run.keys:
        low = next((name for name, value in facts.key.case.values if isinstance(value, int) and value < 1), None)
        if low is not None:
            return f"its key {facts.key.name!r} has {low} {facts.key.case[low]}, expected at least 1"
    if not run.operation.baseline:
        return "its operation names no baseline, expected the path that all others are held against"
    return None


def unambiguous(frame: pl.DataFrame) -> pl.DataFrame:
    """`frame` with one row for each key, round and clock: rows that say the same twice once, rows that disagree not.

    Two writers of one folder leave such rows; which of two different times is right cannot be told afterwards.
    """
    once = frame.unique(maintain_order=True)
    again = pl.struct("key", "round", "clock").is_duplicated()
    return frame if once.height == frame.height and not once.select(again.any()).item() else once.filter(~again)


def require_samples(frame: pl.DataFrame, path: Path, remedy: str = "record again") -> None:
    """RunError that names the first row of `frame`, read from `path`, of which no time a call can be told."""
    named = pl.any_horizontal(pl.col("key", "round", "clock").is_null())
    counted = pl.any_horizontal(pl.col("calls", "ns").fill_null(0) < 1)
    again = pl.struct("key", "round", "clock").is_duplicated()
    for wrong, expected in (
        (named, "a key, a round and a clock in each row"),
        (counted, "calls and ns of at least 1 in each row"),
        (again, "one row for each key, round and clock"),
    ):
        bad = frame.with_row_index("row").filter(wrong)
        if bad.height:
            row = bad.row(0, named=True)
            fields = ", ".join(f"{name} {row[name]!r}" for name in ("key", "round", "clock", "calls", "ns"))
            raise RunError(
                f"{str(path)!r} is damaged: row {row['row']} has {fields}; expected {expected} "
                f"({bad.height} of {frame.height} rows differ): restore the file or {remedy}"
            )
