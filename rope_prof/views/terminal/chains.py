"""Chains as a rich table for a terminal: what repeats, what fusing it could save. Computes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

from rich.box import SIMPLE_HEAD
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from rope_prof.analysis.chains.chains import Chain, Chains
from rope_prof.analysis.chains.saving import HI_ASSUMES, LO_ASSUMES
from rope_prof.units import MISSING, between, duration, significant
from rope_prof.views.words.names import short_name, shown

CHAINS_SHOWN = 10
NAME_CHARS = 64


def chain_tables(found: Chains) -> Iterator[RenderableType]:
    """All chains, what they come to per step and per call, then the kernels of the most promising one, in order."""
    if not found.chains:
        yield Text("Chains: no sequence of small kernels repeats more often than chance would have it")
        return
    yield from _overview(found)
    if found.steps is not None or any(chain.floor_ns is not None for chain in found.chains):
        yield from _parts(found)
    yield from _kernels(found.chains[0])


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("#", no_wrap=True)
    for column in columns:
        table.add_column(column, justify="right", no_wrap=True)
    return table


def _overview(found: Chains) -> Iterator[RenderableType]:
    table = _table("Chains of small kernels", "kernels", "calls", "kern. t.", "bubbles", "saves", "% of span")
    devices = len({chain.device for chain in found.chains}) > 1
    table.add_column("first kernel", overflow="fold", min_width=12)
    for chain in found.chains[:CHAINS_SHOWN]:
        name = _name(chain.names[0], 40) + (f" (device {shown(chain.device)})" if devices else "")
        figures = (_count(chain), f"{chain.calls:,}", duration(chain.kernel_ns), duration(chain.bubble_ns))
        table.add_row(str(chain.rank), *figures, *_saving(chain), Text(name))
    notes = []
    if len(found.chains) > CHAINS_SHOWN:
        notes.append(f"{len(found.chains) - CHAINS_SHOWN} more: --json lists all")
    reasons = sorted({chain.reason for chain in found.chains if chain.reason is not None})
    if any(chain.saving is not None for chain in found.chains):
        notes += [f"saves from: {LO_ASSUMES}", f"to: {HI_ASSUMES}"]
    if reasons:
        notes.append("savings withheld: " + shown(" | ".join(reasons)))
    yield table
    yield from map(Text, notes)


def _count(chain: Chain) -> str:
    others = chain.events - chain.kernels
    return f"{chain.kernels}" + (f" + {others}" if others else "")


def _saving(chain: Chain) -> tuple[str, str]:
    saving = chain.saving
    if saving is None:
        return MISSING, MISSING
    shares = f"{100 * saving.lo_share:.1f}–{100 * saving.hi_share:.1f}"
    return between(saving.lo_ns, saving.hi_ns), shares


def _parts(found: Chains) -> Iterator[RenderableType]:
    """What the sums of the first table are in one step, and the byte floor of one call."""
    steps = () if found.steps is None else ("kernels a step", "bubbles a step", "saves a step")
    title = "A call" if found.steps is None else f"A step ({found.steps:,} in the trace) and a call"
    table = _table(title, *steps, "byte floor a call")
    for chain in found.chains[:CHAINS_SHOWN]:
        cells = () if found.steps is None else _step(chain)
        table.add_row(str(chain.rank), *cells, duration(chain.floor_ns))
    rates = [
        f"byte floor at {speed.bytes_a_ns:,.0f} GB/s: {speed.source}"
        for speed in dict.fromkeys(found.bandwidths.values())
        if speed.bytes_a_ns is not None
    ]
    reasons = dict.fromkeys(c.floor_reason for c in found.chains[:CHAINS_SHOWN] if c.floor_reason is not None)
    yield table
    yield from map(Text, (*rates, *(f"no byte floor: {shown(reason)}" for reason in reasons)))


def _step(chain: Chain) -> tuple[str, str, str]:
    saving, kernels = chain.saving, chain.kernels_per_step
    saved = MISSING
    if saving is not None and saving.lo_ns_per_step is not None and saving.hi_ns_per_step is not None:
        saved = between(saving.lo_ns_per_step, saving.hi_ns_per_step)
    return MISSING if kernels is None else significant(kernels), duration(chain.bubble_ns_per_step), saved


def _kernels(chain: Chain) -> Iterator[RenderableType]:
    table = Table(title=f"Chain {chain.rank}, in order", title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    floor = (
        f"at least {duration(chain.floor_ns)} a call" if chain.floor_ns is not None else f"none: {chain.floor_reason}"
    )
    table.add_column("times", justify="right")
    table.add_column("kernel", overflow="fold")
    for name, run in groupby(chain.names):
        table.add_row(str(sum(1 for _ in run)), Text(_name(name)))
    yield table
    yield Text(f"byte floor: {shown(floor)}")


def _name(name: str, chars: int = NAME_CHARS) -> str:
    """The name on one line: a C++ template by what tells it from its like, another cut in its middle."""
    return short_name(shown(name), chars)
