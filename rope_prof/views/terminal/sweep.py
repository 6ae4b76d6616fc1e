"""A run over many cases as few tables: µs a call, speedup over the chain in the same mode, share of the roofline."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl

from rope_prof.analysis.run.series import BASELINE
from rope_prof.analysis.run.sweep import turning_points, widths
from rope_prof.analysis.stats import LEAST
from rope_prof.analysis.verdict import Word
from rope_prof.model.run import Case, Key
from rope_prof.units import MISSING, microseconds, ratio
from rope_prof.views.words.labels import family_labels, key_labels
from rope_prof.views.words.verdicts import MEANING, SIGNS

if TYPE_CHECKING:
    from rich.table import Table

#: From so many cases on a run is shown as a sweep.
MANY_CASES = 9
_FAMILY = ("model", "tp", "dtype", "prompt", "l2")


def is_sweep(frame: pl.DataFrame) -> bool:
    """Whether tables by tokens tell more than a table per case."""
    return frame.select("model", "tp", "tokens", "dtype", "prompt").n_unique() >= MANY_CASES


def families(frame: pl.DataFrame) -> list[tuple[str, pl.DataFrame]]:
    """(`28b · TP 1 · bf16 · image prompt · cold L2`, its rows on the first rank) of each family of cases."""
    first = frame.filter(pl.col("rank") == 0)
    return [
        (" · ".join((f"{model}", f"TP {tp}", f"{dtype}", f"{prompt} prompt", f"{l2} L2")), rows)
        for (model, tp, dtype, prompt, l2), rows in first.group_by(*_FAMILY, maintain_order=True)
    ]


def sweep_tables(frame: pl.DataFrame) -> list[Table]:
    """One table per model, TP, dtype, prompt and L2 state: a row per token count, a column per path and mode."""
    return [_table(title, rows) for title, rows in families(frame)]


def _table(title: str, rows: pl.DataFrame) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    sides = list(dict.fromkeys(rows.select("path", "mode").iter_rows()))
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    table.collapse_padding = True
    table.add_column("tokens", justify="right", no_wrap=True)
    for path, mode in sides:
        table.add_column(Text(f"{path}\n{mode}"), justify="right", no_wrap=True)
    cells = {(row["tokens"], row["path"], row["mode"]): cell(row) for row in rows.iter_rows(named=True)}
    for tokens in rows["tokens"].unique().sort():
        shown = (cells.get((tokens, *side), MISSING) for side in sides)
        table.add_row(f"{tokens:,}", *(Text(one, style="red" if "▼" in one else "") for one in shown))
    return table


def cell(row: dict[str, Any]) -> str:
    """`6.68 12.0x 97%`: µs a call, speedup over unfused in that mode, share of the roofline.

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
    """The mark of its verdict against unfused in that mode.

    Of unfused itself, which is held against nothing, `?` alone where its time has no interval.
    """
    if row["speedup"] is None:
        return "?" if row["wall_lo_ns"] is None else ""
    word: Word = row["verdict"] or "UNKNOWN"
    return SIGNS[word]


def sweep_notes(frame: pl.DataFrame) -> list[str]:
    """Where fusing stops to matter, a line per family; how certain the figures are, and what a cell says."""
    lines = turning_notes(frame)
    if frame.height:
        lines.append(uncertainty_note(frame.filter(pl.col("rank") == 0)))
        lines.append(
            f"a cell: µs a call, speedup over {BASELINE} in the same mode, share of one pass over the bytes; {MEANING}"
        )
    return lines


def turning_notes(frame: pl.DataFrame) -> list[str]:
    """Where fusing stops to matter, a line per family, path and mode."""
    turns = turning_points(frame.filter(pl.col("rank") == 0)).rows(named=True)
    return [f"{label}: {turning_words(row)}" for label, row in zip(family_labels(turns), turns, strict=True)]


def uncertainty_note(frame: pl.DataFrame) -> str:
    """`each cell rests on 6 to 12 rounds; 95 % intervals, of their medians: of times ...`: how far to read the digits.

    The middle and the widest interval of times and of speedups, and the key of the widest. `frame` has a row.
    """
    counts = sorted(frame["rounds"].unique())
    keys = [_key(row) for row in frame.iter_rows(named=True)]
    labels = key_labels(keys)
    said = []
    for found, what in ((widths(frame, "wall"), "times"), (widths(frame, "speedup"), "speedups")):
        if found is None:
            continue
        none = f", {found.without} without one (under {LEAST} rounds)" if found.without else ""
        said.append(
            f"{what} {found.middle:.1%} wide in the middle, at most {found.widest:.1%} "
            f"({labels[found.widest_at]}){none}"
        )
    rounds = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    return f"each cell rests on {rounds} rounds; " + (
        f"95 % intervals, as parts of the medians: {'; '.join(said)}" if said else "too few for any interval"
    )


def _key(row: dict[str, Any]) -> Key:
    case = Case(**{name: row[name] for name in ("model", "tp", "tokens", "dtype", "prompt")})
    return Key(case=case, path=row["path"], mode=row["mode"], l2=row["l2"], rank=row["rank"])


def turning_words(row: dict[str, Any]) -> str:
    """`fusing matters up to 256 tokens, not for sure at 1,024; slower at 4,096`, of a row of `turning_points`."""
    if row["stops_at"] is None:
        return f"fusing matters at every count up to {row['matters_to']:,} tokens"
    words = f"fusing matters up to {row['matters_to']:,} tokens" if row["matters_to"] is not None else ""
    if row["stops_at"] in row["undecided"]:
        words += f"{', ' if words else ''}not decided at {row['stops_at']:,} (too few rounds)"
    else:
        words += f"{', ' if words else ''}not for sure at {row['stops_at']:,}"
    if row["loses_at"]:
        words += f"; slower at {', '.join(f'{n:,}' for n in row['loses_at'])}"
    return words
