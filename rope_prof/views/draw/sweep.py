"""A sweep as pictures and as one table: µs a call and share of the roofline over tokens. Draws, computes no figure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from rope_prof.model.run import AxisFacts, OperationFacts, heads
from rope_prof.units import GIGA, MISSING, US, between, duration, in_us, ratio
from rope_prof.views.draw.lines import Axes, LineChart, Point, Series
from rope_prof.views.words.difference import difference
from rope_prof.views.words.labels import counts
from rope_prof.views.words.sweep import sign

#: The column of the swept axis, whatever it is called.
SWEPT = "swept"
FLOOR = "one pass over the bytes"
TIMES, SHARES = "Wall time of a call", "Share of the roofline"
_SIGNS = {"▼": "▼ slower", "≈": "≈ no difference shown", "?": "? too few rounds or processes", "": "faster"}


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldWalls:
    """What every time is held against besides: `walls` is key -> the baseline's ns a call in the same case."""

    label: str = ""
    walls: Mapping[str, float] = field(default_factory=dict)

    def words(self, row: Mapping[str, Any]) -> str:
        """`−94 %`; empty without a baseline, and for the baseline itself."""
        return difference(row["wall_ns"], self.walls.get(row["key"]))


def sweep_charts(
    name: str, rows: pl.DataFrame, operation: OperationFacts, paths: Sequence[str], held: HeldWalls
) -> dict[str, LineChart]:
    """Heading -> µs a call, and share of one pass where it was measured, of one family called `name` (with its run).

    `paths`: all of the run, in whose order they are shaded: a path looks the same whatever is chosen beside it.
    """
    drawn = rows.filter(pl.col("wall_ns") > 0, pl.col("status") == "measured")
    drawn, what = drawn.rename({operation.swept: SWEPT}), counts(operation)
    times = [*_times(drawn, operation, paths, held), *_floor(drawn)]
    shares = _shares(drawn, operation, paths)
    found = {}
    if times:
        axes = Axes(x=what, y="µs a call")
        found[TIMES] = LineChart(series=tuple(times), axes=axes, title=f"{TIMES}: {name}")
    if shares:
        axes = Axes(x=what, y="share of one pass, %", height=340)
        found[SHARES] = LineChart(series=(*shares, _whole(drawn)), axes=axes, title=f"{SHARES}: {name}")
    return found


def _series(drawn: pl.DataFrame, paths: Sequence[str]) -> list[tuple[dict[str, Any], list[dict[str, Any]]]]:
    """(how its line looks, its rows by the swept value) of each path and mode."""
    found = []
    for (path, mode), rows in drawn.group_by("path", "mode", maintain_order=True):
        shade = list(paths).index(str(path))
        look = {"label": f"{path} · {mode}", "shade": shade, "mark": shade}
        look |= {"dash": mode == "graph", "hollow": mode != "eager"}
        found.append((look, rows.sort(SWEPT).to_dicts()))
    return found


def _times(drawn: pl.DataFrame, operation: OperationFacts, paths: Sequence[str], held: HeldWalls) -> list[Series]:
    lines = _series(drawn, paths)
    return [Series(**look, points=tuple(_time(row, operation, held) for row in rows)) for look, rows in lines]


def _time(row: dict[str, Any], operation: OperationFacts, held: HeldWalls) -> Point:
    lo, hi, mark = row["wall_lo_ns"], row["wall_hi_ns"], sign(row)
    return Point(
        x=row[SWEPT],
        y=row["wall_ns"] / US,
        lo=in_us(lo),
        hi=in_us(hi),
        bad=mark == "▼",
        unsure=mark == "?",
        title=_title(row, operation, held),
    )


def _title(row: dict[str, Any], operation: OperationFacts, held: HeldWalls) -> str:
    lines = [f"{row['path']} · {row['mode']}, {row[SWEPT]:,} {counts(operation)}: {duration(row['wall_ns'])} a call"]
    if row["wall_lo_ns"] is not None and row["wall_hi_ns"] is not None:
        lines.append(f"95 % interval {between(row['wall_lo_ns'], row['wall_hi_ns'])}")
    if row["speedup"] is not None:
        lines.append(f"{ratio(row['speedup'])} of {operation.baseline} in this mode, {_SIGNS[sign(row)]}")
    if held.words(row):
        lines.append(f"{held.words(row)} to {held.label}")
    return "\n".join(lines)


def _floor(drawn: pl.DataFrame) -> list[Series]:
    known = drawn.filter(pl.col("byte_floor_ns") > 0).unique(SWEPT, keep="first").sort(SWEPT)
    points = tuple(Point(x=n, y=ns / US) for n, ns in known.select(SWEPT, "byte_floor_ns").iter_rows())
    return [Series(label=FLOOR, points=points, bound=True, dash=True)] if points else []


def _shares(drawn: pl.DataFrame, operation: OperationFacts, paths: Sequence[str]) -> list[Series]:
    known = drawn.filter(pl.col("roofline_share") > 0)
    return [
        Series(**look, points=tuple(_share(row, operation) for row in rows)) for look, rows in _series(known, paths)
    ]


def _share(row: dict[str, Any], operation: OperationFacts) -> Point:
    percent = 100 * row["roofline_share"]
    what = f"{row['path']} · {row['mode']}, {row[SWEPT]:,} {counts(operation)}: {percent:.3g} % of one pass"
    times = f"device {duration(row['device_ns'])}, one pass {duration(row['byte_floor_ns'])}"
    mark = sign(row)
    return Point(x=row[SWEPT], y=percent, bad=mark == "▼", unsure=mark == "?", title=f"{what}\n{times}")


def _whole(drawn: pl.DataFrame) -> Series:
    values = drawn.filter(pl.col("roofline_share") > 0)[SWEPT].unique().sort()
    return Series(label=FLOOR, points=tuple(Point(x=n, y=100.0) for n in values), bound=True, dash=True)


def sweep_table(rows: pl.DataFrame, operation: OperationFacts, held: HeldWalls) -> pl.DataFrame:
    """One line per case, path and mode, as the page shows it; units in the heads.

    Of the axes those that differ, and the swept one.
    """
    shown = [a for a in operation.axes if a.name == operation.swept or rows[a.name].n_unique() > 1]
    columns: dict[str, Any] = {
        "path": pl.String,
        "mode": pl.String,
        "L2": pl.String,
        "µs a call": pl.Float64,
        "from": pl.Float64,
        "to": pl.Float64,
        f"over {operation.baseline}, same mode": pl.String,
        "for sure": pl.String,
        "device, µs": pl.Float64,
        "share of one pass, %": pl.Float64,
        "GB/s": pl.Float64,
        "rests on": pl.String,
    } | ({f"to {held.label}": pl.String} if held.label else {})
    axes: dict[str, Any] = {head: rows.schema[name] for name, head in heads(shown, columns).items()}
    return pl.DataFrame([_line(row, shown, held) for row in rows.iter_rows(named=True)], axes | columns, orient="row")


def _line(row: dict[str, Any], shown: Sequence[AxisFacts], held: HeldWalls) -> tuple[Any, ...]:
    share, rate = row["roofline_share"], row["bytes_per_s"]
    judged = row["speedup"] is not None
    words = (held.words(row) or MISSING,) if held.label else ()
    return (
        *(row[axis.name] for axis in shown),
        *(row[name] for name in ("path", "mode", "l2")),
        *(in_us(row[name]) for name in ("wall_ns", "wall_lo_ns", "wall_hi_ns")),
        ratio(row["speedup"]) if judged else MISSING,
        row["status"] if row["status"] != "measured" else _SIGNS[sign(row)] if judged or sign(row) else MISSING,
        in_us(row["device_ns"]),
        None if share is None else 100 * share,
        None if rate is None else rate / GIGA,
        f"{row['counted']} {row['counted_over']}",
        *words,
    )
