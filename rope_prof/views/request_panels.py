"""Whole requests as HTML of the dashboard: the gain in one number, and a report's blocks. Every text is escaped.

Computes nothing: medians, intervals and verdicts are those of the analysis.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import polars as pl

from rope_prof.analysis.end_to_end import BASELINE, Agreement, RequestRow
from rope_prof.analysis.stats import Figure as Interval
from rope_prof.model.end_to_end import STOCK
from rope_prof.views import panels
from rope_prof.views.end_to_end_tables import share
from rope_prof.views.palette import Palette
from rope_prof.views.report_model import Block, Bullets, Cell, Code, Figure, Table, Words
from rope_prof.views.svg import svg_file
from rope_prof.views.trace_tables import shown

_FIGURES = ("prefill", "token", "request")


def text(value: str) -> str:
    """That text letter for letter; control characters become visible."""
    return escape(shown(value), quote=True)


def hero(rows: Sequence[RequestRow]) -> str:
    """The share of a request's time that the best fused path saves, eager, with its interval; and under CUDA graphs."""
    gains = {(row.path, row.mode): row.request_gain for row in rows if row.path not in (STOCK, BASELINE)}
    eager = {path: gain for (path, mode), gain in gains.items() if mode == "eager" and gain is not None}
    if not eager:
        return (
            '<div class="rp-hero"><div><h1>No fused path was measured in the model</h1><p>What was measured stands '
            "below; paths that were not say why.</p></div></div>"
        )
    path = max(eager, key=lambda name: eager[name].median)
    word, tone = _verdict(eager[path])
    graph = gains.get((path, "graph"))
    under = "CUDA graphs were not measured." if graph is None else f"Under CUDA graphs {share(graph, bounds=True)}."
    saved = text(share(eager[path]).removesuffix("%"))
    return (
        f'<div class="rp-hero"><div class="rp-big{tone}">{saved}<span>%</span></div>'
        f"<div><h1>{text(word)} with {text(path)} in every layer, decode eager</h1>"
        f"<p>Against the {text(BASELINE)} chain, paired round by round, with the 95 % interval: "
        f"{text(share(eager[path], bounds=True))}. {text(under)}</p></div></div>"
    )


def _verdict(gain: Interval) -> tuple[str, str]:
    if gain.lo is None or gain.hi is None:
        return "of a request’s time saved, with too few rounds for an interval", ""
    if gain.lo > 0:
        return "of a request’s time saved", ""
    return (
        ("of a request’s time saved: slower", " rp-slower") if gain.hi < 0 else ("saved: no detectable difference", "")
    )


def agree(found: Sequence[Agreement]) -> str:
    """Whether the outputs agree, in a sentence."""
    if not found:
        return "Outputs were not compared."
    far = [one.path for one in found if one.rms > one.allowed]
    if far:
        return f"Outputs differ by more than rounding explains: {', '.join(far)}."
    return "Outputs agree: every path’s logits lie within what rounding the rope explains."


def blocks(found: Sequence[Block], palette: Palette) -> str:
    """Those blocks one after the other; needs `panels.wrap` around it."""
    return "".join(_block(block, palette) for block in found)


def _block(block: Block, palette: Palette) -> str:
    if isinstance(block, Words):
        return f'<p class="rp-key">{text(block.text)}</p>'
    if isinstance(block, Bullets) and not block.items:
        return ""
    if isinstance(block, Bullets):
        return f'<ul class="rp-doubts">{"".join(f"<li>{text(item)}</li>" for item in block.items)}</ul>'
    if isinstance(block, Code):
        return "".join(f"<pre>{text(line)}</pre>" for line in block.lines)
    if isinstance(block, Table):
        return _under(block.title, _table(block), folded=block.folded)
    return _figure(block, palette)


def _figure(figure: Figure, palette: Palette) -> str:
    picture = panels.picture(svg_file(figure.drawing, palette), shown(figure.drawing.title))
    return f'{_under(figure.title, picture, folded=figure.folded)}<p class="rp-key">{text(figure.caption)}</p>'


def _under(title: str, body: str, *, folded: bool) -> str:
    if folded:
        return f'<details class="rp-fold"><summary>{text(title)}</summary>{body}</details>'
    return f'<h3 class="rp-head">{text(title)}</h3>{body}' if title else body


def _table(table: Table) -> str:
    head = "".join(f"<th{_right(table, k)}>{text(name)}</th>" for k, name in enumerate(table.head))
    rows = "".join(
        f"<tr>{''.join(f'<td{_right(table, k)}>{_cell(cell)}</td>' for k, cell in enumerate(row))}</tr>"
        for row in table.rows
    )
    grid = f"<thead><tr>{head}</tr></thead><tbody>{rows}</tbody>"
    return f'<div class="rp-scroll"><table class="rp-plain">{grid}</table></div>'


def _right(table: Table, column: int) -> str:
    return ' class="rp-r"' if column in table.right else ""


def _cell(cell: Cell) -> str:
    inside = text(cell.text) + (f"<small>{text(cell.small)}</small>" if cell.small else "")
    return f'<span class="rp-warn">{inside}</span>' if cell.tone == "bad" else inside


def request_frame(rows: Sequence[RequestRow]) -> pl.DataFrame:
    """One row a path and mode: medians and intervals in ms, savings as shares; null where it was not measured."""
    columns: dict[str, list[object]] = {
        "path": [row.path for row in rows],
        "decode": [row.mode for row in rows],
        "status": [row.status for row in rows],
        "reason": [row.reason for row in rows],
    }
    kinds: dict[str, type[pl.DataType]] = dict.fromkeys(columns, pl.String)
    for part in _FIGURES:
        for end, scale, word in (("ns", 1e6, "ms"), ("gain", 1.0, "saved")):
            found: list[Interval | None] = [getattr(row, f"{part}_{end}") for row in rows]
            for bound, tail in (("median", ""), ("lo", "_lo"), ("hi", "_hi")):
                name = f"{part}_{word}{tail}"
                values = [None if one is None else getattr(one, bound) for one in found]
                columns[name] = [None if value is None else value / scale for value in values]
                kinds[name] = pl.Float64
        columns[f"{part}_rounds"] = [None if one is None else one.n for one in (getattr(r, f"{part}_ns") for r in rows)]
        kinds[f"{part}_rounds"] = pl.Int64
    return pl.DataFrame(columns, schema=kinds)
