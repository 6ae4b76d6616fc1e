"""A run's traces as a page, before one is opened in Perfetto: a section a case, with a link to each of its traces."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby

from rope_prof.analysis.run.rows import Row
from rope_prof.model.run import Run
from rope_prof.units import MISSING, duration, ratio, size
from rope_prof.views.blocks.model import Block, Cell, Report, Section, Table, cells
from rope_prof.views.blocks.overview import overview
from rope_prof.views.blocks.overview_tables import calls_picture
from rope_prof.views.words.machine import machine_line

_HEAD = ("trace", "kernels", "busy", "bubble", "wall", "speedup", "size")
_NOTE = "Bubbles from the unprofiled time; struck out where only the profiler's time is known."


def trace_index(
    run: Run, rows: Sequence[Row], links: Mapping[str, str], sizes: Mapping[str, int], together: Mapping[str, str]
) -> Report:
    """`links` holds the address of each key's trace, `sizes` its bytes; a key without one says why.

    `together`: of each case (by name) the address of all its traces as one.
    """
    cases = enumerate(groupby(rows, key=lambda row: row.case), start=1)
    sections = tuple(
        Section(
            key=case.name,
            number=number,
            title=case.words,
            blocks=tuple(_blocks(run, list(mine), links, sizes, together.get(case.name, ""))),
        )
        for number, (case, mine) in cases
    )
    words = "each link opens a trace in the offline Perfetto UI"
    return Report(
        source=run.name,
        title=f"{run.name}: traces",
        kicker=" · ".join((machine_line(run.machine), run.created, words)),
        headline=None,
        cards=(),
        sections=sections,
    )


def _blocks(
    run: Run, rows: Sequence[Row], links: Mapping[str, str], sizes: Mapping[str, int], together: str
) -> Iterator[Block]:
    first = cells(Cell(text="all paths on one timeline, call by call", link=together), *[""] * (len(_HEAD) - 1))
    lines = [_line(row, links[row.key], sizes[row.key]) if row.key in links else _absent(row) for row in rows]
    body = (*((first,) if together else ()), *lines)
    yield Table(head=_HEAD, rows=body, right=frozenset(range(1, len(_HEAD))), note=_NOTE)
    yield from calls_picture(overview(rows, rows[0].case.name, run.machine.device))


def _line(row: Row, link: str, count: int) -> tuple[Cell, ...]:
    known = row.bubble_corrected_ns is not None
    bubble = duration(row.bubble_corrected_ns if known else row.bubble_raw_ns)
    return cells(
        Cell(text=_label(row), link=link, small="" if row.status == "measured" else row.status),
        MISSING if row.kernels_per_call is None else f"{row.kernels_per_call:g}",
        duration(row.busy_ns),
        Cell(text=bubble, tone="" if known else "doubt"),
        duration(row.wall_ns.median) if row.wall_ns else MISSING,
        ratio(row.speedup),
        size(count),
    )


def _absent(row: Row) -> tuple[Cell, ...]:
    why = f"no trace · {row.status}{f': {row.reason}' if row.reason else ''}"
    return cells(Cell(text=_label(row), small=why), *[""] * (len(_HEAD) - 1), tone="muted")


def _label(row: Row) -> str:
    return f"{row.path} {row.mode} {row.l2}"
