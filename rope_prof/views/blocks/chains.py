"""Chains as blocks: what repeats, what fusing it could save. Computes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

from rope_prof.analysis.chains.chains import Chain, Chains
from rope_prof.analysis.chains.saving import HI_ASSUMES, LO_ASSUMES
from rope_prof.analysis.fixes.fix import WORTH
from rope_prof.units import MISSING, between, duration, significant, span
from rope_prof.views.blocks.model import Block, Cell, Table, Words, cells, name
from rope_prof.views.words.names import short_name, shown

CHAINS_SHOWN = 10
NAME_CHARS = 64
NONE = "no sequence of small kernels repeats more often than chance would have it"


def chain_blocks(found: Chains) -> Iterator[Block]:
    """All chains, what they come to per step and per call, then the kernels of the most promising one, in order."""
    if not found.chains:
        yield Words(text=f"Chains: {NONE}")
        return
    yield from chain_overview(found)
    if found.steps is not None or any(chain.floor_ns is not None for chain in found.chains):
        yield from _parts(found)
    yield from chain_kernels(found.chains[0])


def page_blocks(found: Chains) -> Iterator[Block]:
    """What a page shows: all chains, and the kernels of each to unfold; the first's open, if it is worth fixing."""
    if not found.chains:
        yield Words(text=f"{NONE[0].upper()}{NONE[1:]}.")
        return
    yield from chain_overview(found)
    for chain in found.chains[:CHAINS_SHOWN]:
        yield from chain_kernels(chain, whole=True, folded=chain.rank > 1 or not _worth(chain))


def _worth(chain: Chain) -> bool:
    return chain.saving is None or chain.saving.hi_share >= WORTH


def chain_overview(found: Chains) -> Iterator[Block]:
    """A row a chain, the most worth fusing first, and what its savings assume."""
    devices = len({chain.device for chain in found.chains}) > 1
    rows = []
    for chain in found.chains[:CHAINS_SHOWN]:
        first = _name(chain.names[0], 40) + (f" (device {chain.device})" if devices else "")
        figures = (_count(chain), f"{chain.calls:,}", duration(chain.kernel_ns), duration(chain.bubble_ns))
        rows.append(cells(str(chain.rank), *figures, *_saving(chain), name(first)))
    head = ("#", "kernels", "calls", "kern. t.", "bubbles", "saves", "% of span", "first kernel")
    yield Table(title="Chains of small kernels", head=head, rows=tuple(rows), right=frozenset(range(1, 7)))
    notes = []
    if len(found.chains) > CHAINS_SHOWN:
        notes.append(f"{len(found.chains) - CHAINS_SHOWN} more: --json lists all")
    if any(chain.saving is not None for chain in found.chains):
        notes += [f"saves from: {LO_ASSUMES}", f"to: {HI_ASSUMES}"]
    reasons = sorted({chain.reason for chain in found.chains if chain.reason is not None})
    if reasons:
        notes.append("savings withheld: " + " | ".join(reasons))
    yield from (Words(text=note) for note in notes)


def _count(chain: Chain) -> str:
    others = chain.events - chain.kernels
    return f"{chain.kernels}" + (f" + {others}" if others else "")


def _saving(chain: Chain) -> tuple[str, str]:
    saving = chain.saving
    if saving is None:
        return MISSING, MISSING
    shares = f"{100 * saving.lo_share:.1f}{span(saving.lo_share)}{100 * saving.hi_share:.1f}"
    return between(saving.lo_ns, saving.hi_ns), shares


def _parts(found: Chains) -> Iterator[Block]:
    """What the sums of the first table are in one step, and the byte floor of one call."""
    steps = () if found.steps is None else ("kernels a step", "bubbles a step", "saves a step")
    title = "A call" if found.steps is None else f"A step ({found.steps:,} in the trace) and a call"
    rows = tuple(
        cells(str(chain.rank), *(() if found.steps is None else _step(chain)), duration(chain.floor_ns))
        for chain in found.chains[:CHAINS_SHOWN]
    )
    head = ("#", *steps, "byte floor a call")
    yield Table(title=title, head=head, rows=rows, right=frozenset(range(1, len(head))))
    rates = [
        f"byte floor at {speed.bytes_a_ns:,.0f} GB/s: {speed.source}"
        for speed in dict.fromkeys(found.bandwidths.values())
        if speed.bytes_a_ns is not None
    ]
    reasons = dict.fromkeys(c.floor_reason for c in found.chains[:CHAINS_SHOWN] if c.floor_reason is not None)
    yield from (Words(text=text) for text in (*rates, *(f"no byte floor: {reason}" for reason in reasons)))


def _step(chain: Chain) -> tuple[str, str, str]:
    saving, kernels = chain.saving, chain.kernels_per_step
    saved = MISSING
    if saving is not None and saving.lo_ns_per_step is not None and saving.hi_ns_per_step is not None:
        saved = between(saving.lo_ns_per_step, saving.hi_ns_per_step)
    return MISSING if kernels is None else significant(kernels), duration(chain.bubble_ns_per_step), saved


def chain_kernels(chain: Chain, *, whole: bool = False, folded: bool = False) -> Iterator[Block]:
    """The kernels of one chain in order, by their `whole` names or short, and its byte floor."""
    modules = chain.modules or ("",) * len(chain.names)
    rows = tuple(
        (
            Cell(text=str(sum(1 for _ in run))),
            name(kernel if whole else _name(kernel)),
            *((name(module or MISSING),) if chain.modules else ()),
        )
        for (kernel, module), run in groupby(zip(chain.names, modules, strict=True))
    )
    title, head = f"Chain {chain.rank}, in order", ("times", "kernel", *(("module",) if chain.modules else ()))
    yield Table(title=title, head=head, rows=rows, right=frozenset({0}), folded=folded, apart=2)
    floor = (
        f"at least {duration(chain.floor_ns)} a call" if chain.floor_ns is not None else f"none: {chain.floor_reason}"
    )
    yield Words(text=f"byte floor: {floor}")


def _name(text: str, chars: int = NAME_CHARS) -> str:
    """The name on one line: a C++ template by what tells it from its like, another cut in its middle."""
    return short_name(shown(text), chars)
