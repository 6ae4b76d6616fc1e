"""Where the time goes that a fusion saves: four terms, each measured by itself, and a residual that can fail.

For the keys A (baseline) and B (candidate), G(x) the mode-graph key of x's path; every term is A's less B's:

- host bubbles = wall(x) - wall(G(x)): what a CUDA graph of the same kernels does away with;
- traffic = bytes that the path's kernels read and write / measured copy bandwidth;
- inefficiency = traced busy(x) - traffic; negative where the L2 serves it;
- device gaps = (kernels - 1) x (period - own busy time of a node in a graph of small kernels);
- residual = wall(G(x)) - busy(x) - device gaps. No term is defined by the others, so nothing makes it small but truth.

It closes where the residual is under `CLOSES_WITHIN` of the wall time that is saved. `parts` say where it lies, by a
third measurement, the device time of the replays: what a replay costs the host beyond it, and what the device
does that neither busy time nor gaps account for. All medians are drawn over the same rounds (`analysis.stats`).

Without graphs (a CPU, old runs, mode compile) there are two terms, bubble = wall - busy and busy, marked 'by
difference': they add up by definition, prove nothing, and never close.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rope_prof.analysis.run.ceilings import Measured, best, chain_node, measured_ceilings, per_round
from rope_prof.analysis.run.series import PerRound, Series, ranked, series, sibling
from rope_prof.analysis.stats import LEAST, Drawn, Rounds, drawn_alone, drawn_rounds, known
from rope_prof.model.run import Key, Run

if TYPE_CHECKING:
    import polars as pl

    from rope_prof.analysis.run.rows import CaptureFigures

#: A decomposition closes where the residual is under this part of the time saved.
CLOSES_WITHIN = 0.05
#: Where a candidate saves (or costs) less than this part of the call, the part of the call tells more of a residual.
SMALL_DIFFERENCE = 0.1
#: Traced kernels that are busy this much longer than their unprofiled replay lasts were slowed by the profiler.
SLOWED = 1.02
BY_DIFFERENCE = "by difference"
#: The part of a residual that lies on the device.
DEVICE = "device"


@dataclass(frozen=True, slots=True)
class Term:
    """ns a call that the candidate saves here; `lo` and `hi` None under six shared rounds. `how` it was measured."""

    name: str
    saved_ns: float
    lo: float | None
    hi: float | None
    how: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Decomposition:
    """`total`: wall saved. `residual` and `residual_share` (of the total) None where the terms are by difference.

    `parts` add up to the residual. `closes`: it is under 5 % of the time saved; `reason`: why it does not, or what
    could not be told.
    """

    base: Key
    cand: Key
    terms: tuple[Term, ...]
    total: Term
    residual: Term | None
    parts: tuple[Term, ...]
    residual_share: float | None
    closes: bool
    reason: str | None


@dataclass(frozen=True, slots=True)
class _Side:
    """What one key brings: names of its series, its busy time and the known numbers of its path.

    `traced_gap_ns`: what one kernel of the captured replay waits for the one before, by the profiler's own clock.
    """

    key: Key
    graph: Key | None
    busy: Drawn
    kernels: float | None
    bytes_moved: int | None
    traced_gap_ns: float | None


def decompose(
    run: Run, samples: pl.DataFrame | Series, captures: Mapping[str, CaptureFigures], base: Key, cand: Key
) -> Decomposition | None:
    """The time that `cand` saves of `base`, term by term; None where a side is not ranked, timed or captured.

    Errors: KeyError for a key that the run does not have.
    """
    found = samples if isinstance(samples, Mapping) else series(samples)
    sides = tuple(_side(run, found, captures, key) for key in (base, cand))
    first, second = sides
    if first is None or second is None:
        return None
    alike = (base.case, base.rank) == (cand.case, cand.rank)
    ceilings = measured_ceilings(run, found, base.case, base.rank) if alike else ()
    node = chain_node(ceilings, base.l2)
    lacks = _lacks(first, second, node)
    wanted = {f"wall {key.name}": found[(key.name, "wall")] for key in (base, cand)}
    if lacks is None:
        wanted |= _graph_series(found, (first, second), node, best(ceilings, "copy"))
    if not set.intersection(*(set(one) for one in wanted.values())):
        return None
    rounds = drawn_rounds(wanted, seed=run.seed)
    total = _wall(rounds, base) - _wall(rounds, cand)
    if lacks is not None:
        return _by_difference(first, second, rounds, total, lacks)
    assert node is not None
    return _measured(first, second, rounds, total, node, best(ceilings, "copy"))


def _side(run: Run, found: Series, captures: Mapping[str, CaptureFigures], key: Key) -> _Side | None:
    facts, keys = run.facts(key.name), ranked(run)
    capture = captures.get(key.name)
    if key.name not in keys or (key.name, "wall") not in found or capture is None or capture.busy_ns is None:
        return None
    graph = None if key.mode == "compile" else sibling(keys, key, mode="graph")
    if graph is not None and (graph.name, "wall") not in found:
        graph = None
    each = capture.busy_each_ns
    # its calls were captured after the rounds and pair with none of them
    busy = drawn_alone(each, seed=run.seed + 1) if len(each) >= LEAST else known(capture.busy_ns)
    moved = facts.bytes_moved if key.mode != "compile" else None
    return _Side(key, graph, busy, capture.kernels_per_call, moved, _traced_gap(captures, graph))


def _traced_gap(captures: Mapping[str, CaptureFigures], graph: Key | None) -> float | None:
    """A call's share of its captured replay, less its busy time, over its kernels."""
    found = captures.get(graph.name) if graph is not None else None
    if found is None or found.replay_ns is None or found.busy_ns is None or not found.kernels_per_call:
        return None
    return (found.replay_ns - found.busy_ns) / found.kernels_per_call


def _lacks(base: _Side, cand: _Side, node: Measured | None) -> str | None:
    """Why the terms cannot be measured one by one; None where they can."""
    if base.key.l2 != cand.key.l2:
        return (
            f"{base.key.path} is {base.key.l2} and {cand.key.path} is {cand.key.l2}, and a node's cost is not the same"
        )
    for side in (base, cand):
        if side.key.mode == "compile":
            return "no graph holds the kernels that the compiler made"
        if side.graph is None:
            return f"{side.key.path} has no replay of a CUDA graph"
        if side.kernels is None:
            return f"the capture of {side.key.path} {side.key.mode} counts no kernels"
    return "the cost of a graph node was not measured" if node is None else None


def _graph_series(
    found: Series, sides: tuple[_Side, _Side], node: Measured | None, copy: Measured | None
) -> dict[str, PerRound]:
    assert node is not None
    wanted = {"node": per_round(found, node)}
    if copy is not None:
        wanted["copy"] = per_round(found, copy)
    for side in sides:
        assert side.graph is not None
        wanted[f"wall {side.graph.name}"] = found[(side.graph.name, "wall")]
        device = found.get((side.graph.name, "device"))
        if device:
            wanted[f"device {side.graph.name}"] = device
    return wanted


def _wall(rounds: Rounds, key: Key) -> Drawn:
    return rounds.medians[f"wall {key.name}"]


def _by_difference(base: _Side, cand: _Side, rounds: Rounds, total: Drawn, lacks: str) -> Decomposition:
    busy = base.busy - cand.busy
    term = _terms(rounds)
    return Decomposition(
        base=base.key,
        cand=cand.key,
        terms=(term("bubbles", total - busy, BY_DIFFERENCE), term("busy", busy, "traced")),
        total=term("saved", total, "unprofiled wall"),
        residual=None,
        parts=(),
        residual_share=None,
        closes=False,
        reason=f"{lacks}: two terms by difference, which add up by definition",
    )


def _measured(
    base: _Side, cand: _Side, rounds: Rounds, total: Drawn, node: Measured, copy: Measured | None
) -> Decomposition:
    own = node.ceiling.busy_ns
    assert own is not None
    gap = rounds.medians["node"].less(own)
    term = _terms(rounds)

    def saved(of: Callable[[_Side], Drawn]) -> Drawn:
        return of(base) - of(cand)

    host = saved(lambda side: _wall(rounds, side.key) - _graph_wall(rounds, side))
    busy = saved(lambda side: side.busy)
    gaps = saved(lambda side: gap * max(0.0, (side.kernels or 0) - 1))
    residual = saved(lambda side: _graph_wall(rounds, side)) - busy - gaps
    terms = [term("host bubbles", host, "wall less wall of the graph")]
    terms += _busy_terms(base, cand, rounds, busy, copy)
    terms.append(term("device gaps", gaps, f"kernels less one x node gap ({node.ceiling.method})"))
    share = residual.value / total.value if total.value else None
    closes = share is not None and abs(share) < CLOSES_WITHIN
    parts = _parts(base, cand, rounds, residual)
    return Decomposition(
        base=base.key,
        cand=cand.key,
        terms=tuple(terms),
        total=term("saved", total, "unprofiled wall"),
        residual=term("residual", residual, "wall of the graph less busy less device gaps"),
        parts=tuple(parts),
        residual_share=share,
        closes=closes,
        reason=None if closes else _why(base, cand, rounds, parts, total.value, share, gap.value),
    )


def _graph_wall(rounds: Rounds, side: _Side) -> Drawn:
    assert side.graph is not None
    return _wall(rounds, side.graph)


def _busy_terms(base: _Side, cand: _Side, rounds: Rounds, busy: Drawn, copy: Measured | None) -> list[Term]:
    """Traffic and inefficiency; the traced busy time alone where bytes or bandwidth are unknown."""
    term = _terms(rounds)
    moved = copy.ceiling.bytes_moved if copy is not None else None
    if copy is None or not moved or base.bytes_moved is None or cand.bytes_moved is None:
        return [term("busy", busy, "traced; bytes or copy bandwidth unknown")]
    traffic = rounds.medians["copy"] * ((base.bytes_moved - cand.bytes_moved) / moved)
    return [
        term("traffic", traffic, f"bytes of the kernels / copy bandwidth ({copy.ceiling.method})"),
        term("inefficiency", busy - traffic, "traced busy less traffic"),
    ]


def _parts(base: _Side, cand: _Side, rounds: Rounds, residual: Drawn) -> list[Term]:
    """The residual by the device time of the replays; nothing where that was not measured."""
    spans = [_device(rounds, side) for side in (base, cand)]
    if spans[0] is None or spans[1] is None:
        return []
    term = _terms(rounds)
    host = (_graph_wall(rounds, base) - spans[0]) - (_graph_wall(rounds, cand) - spans[1])
    return [
        term("replay", host, "wall less device time of the graph"),
        term(DEVICE, residual - host, "device time of the graph less busy less device gaps"),
    ]


def _device(rounds: Rounds, side: _Side) -> Drawn | None:
    assert side.graph is not None
    return rounds.medians.get(f"device {side.graph.name}")


def _why(
    base: _Side, cand: _Side, rounds: Rounds, parts: list[Term], total_ns: float, share: float | None, gap_ns: float
) -> str:
    """A sentence that names the part, what the traces say of it, how little is saved where it is little, and a side
    whose traced kernels ran longer than its unprofiled replay.
    """
    if share is None:
        return "no time is saved, so nothing can be a share of it"
    words = f"the residual is {abs(share):.1%} of the difference; expected under {CLOSES_WITHIN:.0%}"
    if parts:
        worst = max(parts, key=lambda part: abs(part.saved_ns))
        words += f"; {worst.saved_ns / 1e3:.3g} µs of it lie in '{worst.name}' ({worst.how})"
        if worst.name == DEVICE:
            words += _wider_gaps(base if worst.saved_ns > 0 else cand, gap_ns)
    words += _small_difference(base, rounds, share, total_ns)
    for side in (base, cand):
        device = _device(rounds, side)
        if device is not None and side.busy.value > SLOWED * device.value:
            words += (
                f"; the kernels of {side.key.path} {side.key.mode} are busy {side.busy.value / 1e3:.3g} µs in the "
                f"trace, their unprofiled replay takes {device.value / 1e3:.3g} µs: the profiler slows them"
            )
    return words


def _small_difference(base: _Side, rounds: Rounds, share: float, total_ns: float) -> str:
    """Where little is saved, a residual that is small against the call is large against what is saved."""
    wall = _wall(rounds, base.key).value
    part = abs(total_ns) / wall
    if part > SMALL_DIFFERENCE:
        return ""
    return (
        f"; the difference is only {part:.1%} of a call of {base.key.path} {base.key.mode}, and the residual "
        f"{abs(share) * part:.1%} of it"
    )


def _wider_gaps(side: _Side, gap_ns: float) -> str:
    """Where the side whose replay has time left over shows wider gaps than the nodes that stand for it, how much."""
    if (side.kernels or 0) <= 1 or side.traced_gap_ns is None or side.traced_gap_ns <= max(0.0, gap_ns):
        return ""
    return (
        f"; in the trace of its replay a kernel of {side.key.path} starts {side.traced_gap_ns:.0f} ns after the one "
        f"before, a node of the measured chain {gap_ns:.0f} ns: the chain's kernels wait longer than those nodes"
    )


def _terms(rounds: Rounds) -> Callable[[str, Drawn, str], Term]:
    def term(name: str, drawn: Drawn, how: str) -> Term:
        lo, hi = drawn.interval() if rounds.enough else (None, None)
        return Term(name, drawn.value, lo, hi, how)

    return term


def decompositions(
    run: Run, samples: pl.DataFrame | Series, captures: Mapping[str, CaptureFigures]
) -> tuple[Decomposition, ...]:
    """Every path against the unfused chain in the same mode, in the order of the run."""
    found = samples if isinstance(samples, Mapping) else series(samples)
    keys = ranked(run)
    listed = []
    for key in keys.values():
        base = sibling(keys, key, path="unfused")
        if base is not None and base != key:
            made = decompose(run, found, captures, base, key)
            if made is not None:
                listed.append(made)
    return tuple(listed)
