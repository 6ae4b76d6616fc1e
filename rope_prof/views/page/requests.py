"""Whole requests as HTML of the dashboard: the gain in one number, and a table to take away. Every text is escaped.

Computes nothing: medians, intervals and verdicts are those of the analysis.
"""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from rope_prof.analysis.requests.requests import BASELINE, MODES, LogitsAgreement, RequestRow
from rope_prof.analysis.stats import Figure as Interval
from rope_prof.model.end_to_end import STOCK
from rope_prof.units import MS
from rope_prof.views.page.blocks import text
from rope_prof.views.words.requests import share

_FIGURES = ("prefill", "token", "request")


def hero(rows: Sequence[RequestRow]) -> str:
    """The share of a request's time that the best fused path saves of what the library does by itself, decode as it is
    served (CUDA graphs) where that was measured; then the other mode, then the chain as served.
    """
    fused = [row for row in rows if row.path not in (STOCK, BASELINE)]
    stock = any(row.request_over_stock for row in fused)
    saved = {(row.path, row.mode): row.request_over_stock if stock else row.request_gain for row in fused}
    known = {key: gain for key, gain in saved.items() if gain is not None}
    mode = next((mode for mode in MODES if any(m == mode for _, m in known)), None)
    if mode is None:
        return (
            '<div class="rp-hero"><div><h1>No fused path was measured in the model</h1><p>What was measured stands '
            "below; paths that were not say why.</p></div></div>"
        )
    path = max((p for p, m in known if m == mode), key=lambda name: known[name, mode].median)
    word, tone = _verdict(known[path, mode])
    said = [f"Against {STOCK if stock else f'the {BASELINE} chain'}: {share(known[path, mode], bounds=True)}"]
    other = known.get((path, _OTHER[mode]))
    said += [f"{_DECODE[_OTHER[mode]]} {share(other, bounds=True)}"] if other is not None else []
    served = [(row.mode, row.request_gain) for row in fused if row.path == path and row.request_gain and stock]
    words = f"{', '.join(said)}; paired round by round, with the 95 % interval."
    if served:
        words += f" Against the {BASELINE} chain, as served: "
        words += ", ".join(f"{_DECODE[m]} {share(gain, bounds=True)}" for m, gain in served) + "."
    if mode == "eager":
        words += " CUDA graphs were not measured."
    figure = text(share(known[path, mode]).removesuffix("%"))
    return (
        f'<div class="rp-hero"><div class="rp-big{tone}">{figure}<span>%</span></div>'
        f"<div><h1>{text(word)} with {text(path)} in every layer, {text(_DECODE[mode])}</h1>"
        f"<p>{text(words)}</p></div></div>"
    )


_DECODE = {"graph": "under CUDA graphs", "eager": "decode eager"}
_OTHER = {"graph": "eager", "eager": "graph"}


def _verdict(gain: Interval) -> tuple[str, str]:
    if gain.lo is None or gain.hi is None:
        return "of a request’s time saved, with too few rounds for an interval", ""
    if gain.lo > 0:
        return "of a request’s time saved", ""
    return (
        ("of a request’s time saved: slower", " rp-slower") if gain.hi < 0 else ("saved: no detectable difference", "")
    )


def agree(found: Sequence[LogitsAgreement]) -> str:
    """Whether the outputs agree, in a sentence."""
    if not found:
        return "Outputs were not compared."
    far = [one.path for one in found if one.rms > one.allowed]
    if far:
        return f"Outputs differ by more than rounding explains: {', '.join(far)}."
    return "Outputs agree: every path’s logits lie within what rounding the rope explains."


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
        for end, scale, word in (("ns", MS, "ms"), ("gain", 1.0, "saved")):
            found: list[Interval | None] = [getattr(row, f"{part}_{end}") for row in rows]
            for bound, tail in (("median", ""), ("lo", "_lo"), ("hi", "_hi")):
                name = f"{part}_{word}{tail}"
                values = [None if one is None else getattr(one, bound) for one in found]
                columns[name] = [None if value is None else value / scale for value in values]
                kinds[name] = pl.Float64
        columns[f"{part}_rounds"] = [None if one is None else one.n for one in (getattr(r, f"{part}_ns") for r in rows)]
        kinds[f"{part}_rounds"] = pl.Int64
    return pl.DataFrame(columns, schema=kinds)
