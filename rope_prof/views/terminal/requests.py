"""An end-to-end measurement as text: times and gains, agreement, the profiled steps, prediction and outcome."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rope_prof.analysis.requests.requests import Agreement, RequestRow
from rope_prof.units import MISSING, significant
from rope_prof.views.words.requests import Steps, milliseconds, same_tokens, share, step_kernels, step_ms

if TYPE_CHECKING:
    from rich.table import Table


def request_table(rows: Sequence[RequestRow]) -> Table:
    """Time to first token, ms per token, request time; each with what it saves against the unfused chain."""
    table = _table("whole requests")
    table.add_column("path", no_wrap=True)
    for name in ("decode", "first token ms", "saves", "ms per token", "saves", "request ms", "saves [95 %]"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        if row.token_ns is None and (row.prefill_ns is None or row.mode != "eager"):
            continue
        style = "" if row.status == "measured" else "dim"
        table.add_row(
            row.path if row.status != "wrong" else f"{row.path} (wrong)",
            row.mode,
            milliseconds(row.prefill_ns),
            share(row.prefill_gain),
            milliseconds(row.token_ns),
            share(row.token_gain),
            milliseconds(row.request_ns),
            share(row.request_gain, bounds=True),
            style=style,
        )
    return table


def agreement_table(found: Sequence[Agreement]) -> Table:
    """How far the logits lie from those with the oracle's rope, and how far the greedy tokens are stock's.

    Of tokens that differ: the margin by which the first of them was chosen.
    """
    table = _table("do the outputs agree?")
    table.add_column("path", no_wrap=True)
    for name in (
        "logits off",
        "by rounding",
        "tokens as stock's",
        "graph off eager",
        "tokens as eager's",
    ):
        table.add_column(name, justify="right", no_wrap=True)
    for one in found:
        table.add_row(
            one.path,
            significant(one.rms),
            significant(one.allowed),
            same_tokens(one.same_tokens, one.tokens, one.margin),
            MISSING if one.graph_rms is None else significant(one.graph_rms),
            same_tokens(one.graph_same_tokens, one.tokens, one.graph_margin),
            style="" if one.rms <= one.allowed else "red",
        )
    return table


def steps_table(steps: Steps) -> Table:
    """Where the device's time of a profiled step went; under a profiler bubbles are too wide."""
    table = _table("one profiled step, ms of device time (bubbles stretched by the profiler)")
    table.add_column("path", no_wrap=True)
    for name in ("phase", "step", "rope kernels", "rope bubbles", "other kernels", "other bubbles", "kernels"):
        table.add_column(name, justify="right", no_wrap=True)
    for (path, phase), one in steps.items():
        table.add_row(path, phase, *map(significant, step_ms(one)), step_kernels(one))
    return table


def _table(title: str) -> Table:
    from rich import box
    from rich.table import Table

    return Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
