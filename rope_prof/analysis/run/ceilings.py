"""What the card itself can do in a case, as measured.

A ceiling is sampled by several methods, since the best known way differs from card to card (a captured copy was seen a
third slower than an eager one); the one with the lowest median holds. Copy, pass and graph node go by the device's
clock, a launch by the host's: that is what it costs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import polars as pl
from msgspec import field

from rope_prof.analysis.run.processes import middle_of
from rope_prof.analysis.run.series import PerRound, Series, series
from rope_prof.analysis.stats import Figure
from rope_prof.model.frozen import Frozen
from rope_prof.model.run import CEILINGS, Case, Ceiling, CeilingName, Run
from rope_prof.units import SECOND

CLOCKS: Mapping[CeilingName, str] = {
    "copy": "device",
    "in_place": "device",
    "empty_launch": "wall",
    "graph_node": "device",
}
#: L2 state of a graph's replays -> nodes that wait for the one before, the likest to a chain of plain kernels first:
#: one that writes has something to finish before the next may begin, and a graph that has left the L2 is fetched from
#: further away. Recordings of older versions have the empty node alone.
CHAIN_NODES: Mapping[str, tuple[str, ...]] = {"cold": ("write.cold", "serial"), "hot": ("write.hot", "serial")}


#: Nodes that hold an empty kernel, as an empty launch is one.
EMPTY_NODES = ("serial",)


class Measured(Frozen, kw_only=True):
    """One method of one ceiling: ns of a call (of a node, for `graph_node`). `best`: the way that holds.

    `device_ns`: by the device's own clock, where that is not the one that counts; None where it has none.
    """

    ceiling: Ceiling
    clock: str
    ns: Figure
    best: bool
    device_ns: Figure | None = None


class Ceilings(Frozen, kw_only=True):
    """The best known way of each ceiling of a case; None where it was not measured.

    `graph_gap_ns`: what a node of a chain costs beyond its own busy time, of nodes that wait for the one before; by the
    L2 state of the replays.
    `rank`: of the process that measured them. `l2`: the state in which the pass over the views was measured. `methods`:
    ceiling -> the best method's name.
    """

    case: Case
    rank: int = 0
    l2: str
    copy_bytes_per_s: float | None = None
    in_place_ns: float | None = None
    empty_launch_ns: float | None = None
    graph_node_ns: float | None = None
    graph_gap_ns: Mapping[str, float] = field(default_factory=dict)
    methods: Mapping[str, str]
    measured: tuple[Measured, ...] = ()


def measured_ceilings(run: Run, found: Series, case: Case, rank: int) -> tuple[Measured, ...]:
    """Every method of every ceiling of `case` on that rank that has samples, in the order of the run."""
    listed: list[tuple[Ceiling, str, Figure]] = []
    for ceiling in run.ceilings:
        if (ceiling.case, ceiling.rank, ceiling.status) == (case, rank, "measured"):
            clock, samples = _samples(found, ceiling)
            median = middle_of(samples)
            if median is not None:
                listed.append((ceiling, clock, median))
    best = {
        name: min((m.median / (c.bytes_moved or 1), c.method) for c, _, m in listed if c.name == name)[1]
        for name in CEILINGS
        if any(c.name == name for c, _, _ in listed)
    }
    return tuple(
        Measured(ceiling=c, clock=clock, ns=ns, best=best[c.name] == c.method, device_ns=_on_device(found, c, clock))
        for c, clock, ns in listed
    )


def _on_device(found: Series, ceiling: Ceiling, clock: str) -> Figure | None:
    return None if clock == "device" else middle_of(found.get((ceiling.key_name, "device"), PerRound()))


def _samples(found: Series, ceiling: Ceiling) -> tuple[str, PerRound]:
    """The series of the clock that counts; a device without a clock of its own has the host's alone."""
    clock = CLOCKS[ceiling.name]
    if (ceiling.key_name, clock) not in found:
        clock = "wall"
    return clock, found.get((ceiling.key_name, clock), PerRound())


def best(measured: Sequence[Measured], name: CeilingName, method: str | None = None) -> Measured | None:
    """The best way of `name`, or the named method of it."""
    for one in measured:
        if one.ceiling.name == name and (one.best if method is None else one.ceiling.method == method):
            return one
    return None


def chain_node(measured: Sequence[Measured], l2: str) -> Measured | None:
    """A graph node of a chain of plain kernels, replayed in that L2 state, whose own busy time was traced; or None."""
    named = (best(measured, "graph_node", method) for method in CHAIN_NODES[l2])
    node = next((one for one in named if one is not None), None) or best(measured, "graph_node")
    return node if node is not None and node.ceiling.busy_ns is not None else None


def launch_gap(measured: Sequence[Measured]) -> tuple[Measured, float] | None:
    """An empty launch behind another in a stream by the device's clock, and the own busy time of such a kernel: what is
    between the two a plain kernel costs beyond its busy time. None where one was not measured.

    The own time is traced of a node of a graph that waits for the one before, and so is busy for no longer than its
    period: where the trace says more, the profiler has lengthened the node, and the period is the most that it can be.
    """
    launch = best(measured, "empty_launch")
    nodes = (best(measured, "graph_node", method) for method in EMPTY_NODES)
    own = next((min(one.ceiling.busy_ns, one.ns.median) for one in nodes if one and one.ceiling.busy_ns), None)
    if launch is None or launch.device_ns is None or own is None:
        return None
    return replace(launch, clock="device", ns=launch.device_ns), own


def per_round(found: Series, one: Measured) -> PerRound:
    """Its samples."""
    return found[(one.ceiling.key_name, one.clock)]


def ceilings(run: Run, samples: pl.DataFrame | Series, case: Case, rank: int = 0) -> Ceilings:
    """What the card of that rank did in the rounds of `case`, each by its best known way."""
    found = samples if isinstance(samples, Mapping) else series(samples, run)
    measured = measured_ceilings(run, found, case, rank)
    copy = best(measured, "copy")
    states = {facts.key.l2 for facts in run.keys if facts.key.case == case}
    return Ceilings(
        case=case,
        rank=rank,
        l2="cold" if "cold" in states else "hot",
        copy_bytes_per_s=copy.ceiling.bytes_moved / copy.ns.median * SECOND
        if copy and copy.ceiling.bytes_moved
        else None,
        in_place_ns=_median(best(measured, "in_place")),
        empty_launch_ns=_median(best(measured, "empty_launch")),
        graph_node_ns=_median(best(measured, "graph_node")),
        graph_gap_ns={l2: gap for l2 in sorted(states) if (gap := _gap(chain_node(measured, l2))) is not None},
        methods={one.ceiling.name: one.ceiling.method for one in measured if one.best},
        measured=measured,
    )


def _gap(node: Measured | None) -> float | None:
    return node.ns.median - node.ceiling.busy_ns if node and node.ceiling.busy_ns is not None else None


def _median(one: Measured | None) -> float | None:
    return one.ns.median if one else None
