"""Chains as a rich table for a terminal: what repeats, what fusing it could save. Computes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

from rich.box import SIMPLE_HEAD
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from rope_prof.analysis.chains import Chain, Chains
from rope_prof.units import MISSING, duration
from rope_prof.views.trace_tables import shown

CHAINS_SHOWN = 10
NAME_CHARS = 60


def chain_tables(found: Chains) -> Iterator[RenderableType]:
    """One table of all chains, then the kernels of the most promising one, in order."""
    if not found.chains:
        yield Text("Chains: no sequence of small kernels repeats more often than chance would have it")
        return
    yield _overview(found)
    yield _kernels(found.chains[0])


def _overview(found: Chains) -> Table:
    title = "Chains of small kernels" + ("" if found.steps is None else f", {found.steps:,} steps")
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    devices = len({chain.device for chain in found.chains}) > 1
    table.add_column("#", no_wrap=True)
    table.add_column("first kernel", overflow="fold", min_width=12)
    for column in ("kernels", "calls", "kernel t.", "bubbles", "saves from", "to", "% of span"):
        table.add_column(column, justify="right", no_wrap=True)
    for chain in found.chains[:CHAINS_SHOWN]:
        name = short(chain.names[0], 24) + (f" (device {shown(chain.device)})" if devices else "")
        figures = (_count(chain), f"{chain.calls:,}", duration(chain.kernel_ns), duration(chain.bubble_ns))
        table.add_row(str(chain.rank), Text(name), *figures, *_saving(chain))
    notes = []
    if len(found.chains) > CHAINS_SHOWN:
        notes.append(f"{len(found.chains) - CHAINS_SHOWN} more: --json lists all")
    reasons = sorted({chain.reason for chain in found.chains if chain.reason is not None})
    if reasons:
        notes.append("savings withheld: " + shown(" | ".join(reasons)))
    if notes:
        table.caption = Text("\n".join(notes))
        table.caption_justify = "left"
    return table


def _count(chain: Chain) -> str:
    others = chain.events - chain.kernels
    return f"{chain.kernels}" + (f" + {others}" if others else "")


def _saving(chain: Chain) -> tuple[str, str, str]:
    saving = chain.saving
    if saving is None:
        return MISSING, MISSING, MISSING
    return duration(saving.lo_ns), duration(saving.hi_ns), f"{100 * saving.lo_share:.1f}–{100 * saving.hi_share:.1f}"


def _kernels(chain: Chain) -> Table:
    table = Table(title=f"Chain {chain.rank}, in order", title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    floor = (
        f"at least {duration(chain.floor_ns)} a call" if chain.floor_ns is not None else f"none: {chain.floor_reason}"
    )
    table.caption, table.caption_justify = Text(f"byte floor: {floor}"), "left"
    table.add_column("times", justify="right")
    table.add_column("kernel", overflow="fold")
    for name, run in groupby(chain.names):
        table.add_row(str(sum(1 for _ in run)), Text(short(name)))
    return table


def short(name: str, chars: int = NAME_CHARS) -> str:
    """The name on one line, cut in its middle: both ends tell kernels apart."""
    text = shown(name)
    half = (chars - 1) // 2
    return text if len(text) <= chars else f"{text[:half]}…{text[-half:]}"
