"""A sweep in words: a cell, the marks, where fusing stops to matter, how certain the figures are."""

from __future__ import annotations

from typing import Any

import polars as pl

from rope_prof.analysis.run.sweep import family_columns, turning_points, widths
from rope_prof.analysis.stats import LEAST, Figure
from rope_prof.analysis.verdict import Word
from rope_prof.model.run import Key, OperationFacts
from rope_prof.units import microseconds, ratio
from rope_prof.views.words.labels import counts, family_words, key_labels
from rope_prof.views.words.sampled import counted_over
from rope_prof.views.words.verdicts import MEANING, SIGNS

#: From so many cases on a run is shown as a sweep.
MANY_CASES = 9


def is_sweep(frame: pl.DataFrame, operation: OperationFacts) -> bool:
    """Whether tables by the swept axis tell more than a table per case."""
    return bool(frame.height) and frame.select(axis.name for axis in operation.axes).n_unique() >= MANY_CASES


def families(frame: pl.DataFrame, operation: OperationFacts) -> list[tuple[str, pl.DataFrame]]:
    """(`28b · TP 1 · bf16 · image prompt · cold L2`, its rows on the first rank) of each family of cases."""
    if frame.is_empty():
        return []
    first = frame.filter(pl.col("rank") == 0)
    return [
        (family_words(operation.case(rows.row(0, named=True)), str(l2)), rows)
        for (*_, l2), rows in first.group_by(*family_columns(operation), "l2", maintain_order=True)
    ]


def cell(row: dict[str, Any]) -> str:
    """`6.68 12.0x 97%`: µs a call, speedup over the baseline in that mode, share of the roofline.

    The marks are those of `views.words.verdicts`.
    """
    words = [microseconds(row["wall_ns"])]
    if row["status"] != "measured":
        words.append(row["status"])
    if row["speedup"] is not None:
        words.append(f"{sign(row)}{ratio(row['speedup'])}")
    if row["roofline_share"] is not None:
        words.append(f"{row['roofline_share']:.0%}")
    return " ".join(words)


def sign(row: dict[str, Any]) -> str:
    """The mark of its verdict against the baseline in that mode.

    Of the baseline itself, which is held against nothing, `?` alone where its time has no interval.
    """
    if row["speedup"] is None:
        return "?" if row["wall_lo_ns"] is None else ""
    word: Word = row["verdict"] or "UNKNOWN"
    return SIGNS[word]


def sweep_notes(frame: pl.DataFrame, operation: OperationFacts) -> list[str]:
    """Where fusing stops to matter, a line per family; how certain the figures are, and what a cell says."""
    lines = turning_notes(frame, operation)
    if frame.height:
        lines.append(uncertainty_note(frame.filter(pl.col("rank") == 0), operation))
        lines.append(cell_note(operation))
    return lines


def cell_note(operation: OperationFacts) -> str:
    """What a cell says."""
    return (
        f"a cell: µs a call, speedup over {operation.baseline} in the same mode, share of one pass over the bytes; "
        f"{MEANING}"
    )


def turning_notes(frame: pl.DataFrame, operation: OperationFacts) -> list[str]:
    """Where fusing stops to matter, a line per family, path and mode."""
    turns = turning_points(frame.filter(pl.col("rank") == 0), operation).rows(named=True)
    labels = key_labels([_key({operation.swept: 0} | row, operation) for row in turns])
    return [f"{label}: {turning_words(row, operation)}" for label, row in zip(labels, turns, strict=True)]


def uncertainty_note(frame: pl.DataFrame, operation: OperationFacts) -> str:
    """`each cell rests on 6 to 12 rounds; 95 % intervals, of their medians: of times ...`: how far to read the digits.

    The middle and the widest interval of times and of speedups, and the key of the widest. `frame` has a row.
    """
    rests = counted_over(
        Figure(1.0, None, None, n, over) for n, over in frame.select("counted", "counted_over").iter_rows()
    )
    keys = [_key(row, operation) for row in frame.iter_rows(named=True)]
    labels = key_labels(keys)
    said = []
    for found, what in ((widths(frame, "wall"), "times"), (widths(frame, "speedup"), "speedups")):
        if found is None:
            continue
        none = f", {found.without} without one (under {LEAST} rounds, or two processes)" if found.without else ""
        said.append(
            f"{what} {found.middle:.1%} wide in the middle, at most {found.widest:.1%} "
            f"({labels[found.widest_at]}){none}"
        )
    return f"each cell rests on {rests}; " + (
        f"95 % intervals, as parts of the medians: {'; '.join(said)}" if said else "too few for any interval"
    )


def _key(row: dict[str, Any], operation: OperationFacts) -> Key:
    return Key(case=operation.case(row), path=row["path"], mode=row["mode"], l2=row["l2"], rank=row["rank"])


def turning_words(row: dict[str, Any], operation: OperationFacts) -> str:
    """`fusing matters up to 256 tokens, not for sure at 1,024; slower at 4,096`, of a row of `turning_points`."""
    what = counts(operation)
    if row["stops_at"] is None:
        return f"fusing matters at every count up to {row['matters_to']:,} {what}"
    words = f"fusing matters up to {row['matters_to']:,} {what}" if row["matters_to"] is not None else ""
    if row["stops_at"] in row["undecided"]:
        words += f"{', ' if words else ''}not decided at {row['stops_at']:,} (too few rounds)"
    else:
        words += f"{', ' if words else ''}not for sure at {row['stops_at']:,}"
    if row["loses_at"]:
        words += f"; slower at {', '.join(f'{n:,}' for n in row['loses_at'])}"
    return words


def sweep_answer(frame: pl.DataFrame, operation: OperationFacts) -> str:
    """Where fusing pays with the path that is told last, the newest design; that there are more."""
    told = turning_notes(frame, operation)
    if not told:
        return "Choose a path beside the baseline: that alone is shown."
    more = "; the others, path by path, below" if len(told) > 1 else ""
    return f"{told[-1][0].upper()}{told[-1][1:]}{more}."


MARKS = (
    "▼: slower than the baseline in the same mode, the whole interval of the paired ratio below 1. "
    "?: too few rounds for an interval. Whiskers: 95 % interval of the median; most are smaller than their point."
)
FLOOR = (
    "One pass over the bytes reads and writes each byte once and computes nothing, measured in the same run: "
    "the device can do no better. Share of it: that pass / the path's device time; the lines above are the host's wall "
    "time, which holds the launches too."
)


def matters(baseline: str) -> str:
    """What the sentences above the pictures mean, and where the chosen baseline's difference stands."""
    words = "Fusing matters where it is faster than the baseline in the same mode for sure."
    return f"{words} The difference to {baseline} is in the table and at each point." if baseline else words


def one_count(run: str, operation: OperationFacts) -> str:
    """What to do where there is nothing to draw a line through."""
    return f"What is chosen of run {run} has one value of {operation.swept}: no line to draw. This records a sweep:"
