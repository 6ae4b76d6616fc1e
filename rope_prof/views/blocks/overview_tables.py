"""One case in figures, as blocks: where a call's time goes, and where fusing pays. Draws what `overview` holds."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from rope_prof.analysis.stats import Figure
from rope_prof.units import MISSING, US, duration, microseconds, percent, ratio, significant
from rope_prof.views.blocks.model import Cell, Picture, Table, Tone, cells, charted
from rope_prof.views.blocks.overview import Overview, OverviewSide, PayoffCell
from rope_prof.views.draw.charts import Bar, BarChart
from rope_prof.views.words.difference import difference
from rope_prof.views.words.labels import counts
from rope_prof.views.words.sampled import columns
from rope_prof.views.words.trust import MARKED
from rope_prof.views.words.verdicts import MEANING, SIGNS

_LEGEND = (("kernel", "device busy"), ("bubble", "bubble: the device runs nothing"))
_WHOLE = ("muted", "whole call: no capture tells busy from bubble")
#: So many columns of figures have their intervals under them, or a page is too narrow.
_BESIDE = 6


def calls_picture(view: Overview) -> Iterator[Picture]:
    """Where a call's time goes, a bar a side; whole where it was not captured. Nothing where no side was timed."""
    sides = [one for one in view.sides if one.row.wall_ns is not None and one.row.status != "wrong"]
    if not sides:
        return
    captured = [one for one in sides if one.row.busy_ns is not None]
    legend = (*(_LEGEND if captured else ()), *(() if len(captured) == len(sides) else (_WHOLE,)))
    title = f"Where a call's time goes, {view.case.words}"
    chart = BarChart(rows=tuple(map(_bar, sides)), unit="µs a call, unprofiled wall time", title=title, legend=legend)
    words = "Bubble = unprofiled wall time − busy time of the capture; a negative one is not drawn." if captured else ""
    words += f" {MARKED}" if any(one.denied for one in view.sides) else ""
    yield charted(chart, "calls", title="Where a call's time goes", caption=words, where="page")


def _bar(one: OverviewSide) -> Bar:
    row, wall, bubble = one.row, _median(one.row.wall_ns) or 0.0, one.row.bubble_corrected_ns or 0.0
    if row.busy_ns is None:
        words = f"{microseconds(wall)} µs"
        return Bar(label=one.label, parts=((_WHOLE[0], wall / US, f"{words}, not captured"),), note=words)
    busy = min(row.busy_ns or 0.0, wall)
    return Bar(
        label=one.label,
        parts=(
            ("kernel", busy / US, f"busy {microseconds(row.busy_ns)} µs"),
            ("bubble", max(0.0, bubble) / US, f"bubble {one.marked(microseconds(bubble) + ' µs')}"),
        ),
        note=f"{microseconds(wall)} µs, bubble {one.marked(percent(one.bubble_share))}",
    )


def sides_table(view: Overview) -> Table:
    """Of each timed side what a call takes, against the baseline, and how much of it is bubble; raw ones beside.

    A column without a figure is left out.
    """
    rows = [_side(one, view.baseline) for one in view.sides if one.row.wall_ns]
    head = ("path · mode", "µs a call", "to baseline", "busy", "bubble", "of the call", "by replay", "raw", "inflation")
    told = [k for k in range(len(head)) if any(row[k].text != MISSING for row in rows)]
    note = "raw: share of the profiled call; struck out where the profiler stretches the call too much."
    return Table(
        title="Every path and mode",
        head=tuple(head[k] for k in told),
        rows=tuple(tuple(row[k] for k in told) for row in rows),
        right=frozenset(range(1, len(told))),
        note=note if "raw" in (head[k] for k in told) else "",
    )


def _side(one: OverviewSide, base: OverviewSide | None) -> tuple[Cell, ...]:
    row, wall = one.row, _median(one.row.wall_ns)
    apart = "" if base is None else "baseline" if base.row is row else difference(wall, _median(base.row.wall_ns))
    raw = Cell(text=percent(one.raw_share), tone="" if row.raw_trusted else "doubt")
    figures = (microseconds(wall), apart, duration(row.busy_ns), one.marked(duration(row.bubble_corrected_ns)))
    replay = duration(row.bubble_by_replay_ns)
    return cells(one.label, *figures, one.marked(percent(one.bubble_share)), replay, raw, ratio(row.inflation))


def payoff_table(view: Overview) -> Iterator[Table]:
    """Speedup over the baseline per side and swept value; where it loses is marked. Nothing without a baseline."""
    if not view.cells or view.baseline is None:
        return
    head = tuple(_swept(count, view) for count in view.swept)
    yield Table(
        title="When it pays",
        head=("", *head),
        rows=tuple(cells(name, *map(_payoff, found)) for name, found in view.cells),
        right=frozenset(range(1, len(head) + 1)),
        wraps=len(head) > _BESIDE,
        note=f"Speedup over {view.baseline.label}, wall time a call, with the 95 % interval of the ratio. {MEANING}.",
    )


def _swept(count: int, view: Overview) -> str:
    noun = view.case.operation.swept_axis.noun
    words = f"{count:,} {noun if count == 1 and noun else counts(view.case.operation)}"
    return f"{words}, shown" if count == view.case.swept else words


def _payoff(cell: PayoffCell) -> Cell:
    found, row, word = cell.ratio, cell.row, cell.word
    if word == "wrong":
        return Cell(text="✕ wrong", tone="bad")
    if word == "missing" or found is None:
        return Cell(text=MISSING if row is None or row.status != "checked" else "checked", tone="muted")
    tone: Tone = "strong" if word == "FASTER" else "bad" if word == "SLOWER" else "muted"
    bounds = f"{significant(found.lo)} – {significant(found.hi)}" if found.lo and found.hi else ""
    return Cell(text=f"{SIGNS[word]} {significant(found.median)}×".lstrip(), tone=tone, small=bounds)


def _median(found: Figure | None) -> float | None:
    return found.median if found else None


def table(view: Overview) -> pl.DataFrame:
    """The case's sides as one table, times in ns: what the page shows, for other programs."""
    return pl.DataFrame([_line(side) for side in view.sides], infer_schema_length=None)


def _line(side: OverviewSide) -> dict[str, str | float | int | None]:
    row, wall, found = side.row, side.row.wall_ns, side.ratio
    return {
        "case": row.case.name,
        "path": row.path,
        "mode": row.mode,
        "l2": row.l2,
        "status": row.status,
        "kernels_per_call": row.kernels_per_call,
        "wall_ns": None if wall is None else wall.median,
        "wall_lo_ns": None if wall is None else wall.lo,
        "wall_hi_ns": None if wall is None else wall.hi,
        **columns(wall),
        "busy_ns": row.busy_ns,
        "bubble_corrected_ns": row.bubble_corrected_ns,
        "bubble_by_replay_ns": row.bubble_by_replay_ns,
        "bubbles_agree": row.bubbles_agree,
        "bubble_share": side.bubble_share,
        "inflation": row.inflation,
        "baseline_over_this": None if found is None else found.median,
        "ratio_lo": None if found is None else found.lo,
        "ratio_hi": None if found is None else found.hi,
        "max_error": row.max_error,
        "reason": row.reason,
    }
