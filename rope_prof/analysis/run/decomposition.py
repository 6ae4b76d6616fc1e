"""Where the time goes that a fusion saves, and whether what is said of each side adds up to its own device time.

For the keys A (baseline) and B (candidate); every term is A's less B's:

- host bubbles = wall - device time of calls that were all in the queue: the device waits for the host;
- traffic + inefficiency = traced busy time: the bytes that the path's kernels read and write / measured copy bandwidth,
  and what is left of the busy time (negative where the L2 serves it). One measurement and a split of it by a count;
- device gaps = kernels x what a kernel costs beyond its own busy time behind the one before: of launches in a stream
  (an empty launch's device time less its own busy time, `launch_gap`), or of nodes of a graph (`chain_node`). Launches
  that overlap the one before, as the captured replay shows, have none;
- residual = device time - busy - device gaps.

It closes where each side adds up to its own device time (`closure`).

All medians are drawn over the same rounds (`analysis.stats`). Without a device clock or ceilings (a CPU, old runs)
there are two terms, bubble = wall - busy and busy, marked 'by difference': they add up by definition, prove nothing,
and never close.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import polars as pl

from rope_prof.analysis.run.capture import CaptureFigures
from rope_prof.analysis.run.ceilings import Measured, best, chain_node, launch_gap, measured_ceilings, per_round
from rope_prof.analysis.run.closure import Account, Balance, balance
from rope_prof.analysis.run.processes import drawn
from rope_prof.analysis.run.series import Series, chain, ranked, series, sibling
from rope_prof.analysis.stats import LEAST, Drawn, DrawnRounds, drawn_mean, known
from rope_prof.model.frozen import Frozen
from rope_prof.model.run import Key, Run

BY_DIFFERENCE = "by difference"


class Term(Frozen):
    """ns a call that the candidate saves here; `lo` and `hi` None under six shared rounds, or two processes.

    `how` it was measured.
    """

    name: str
    saved_ns: float
    lo: float | None
    hi: float | None
    how: str


class Decomposition(Frozen, kw_only=True):
    """`total`: wall saved. `residual` and `residual_share` (of the total) None where the terms are by difference.

    `sides`: baseline and candidate, each held against its own device time; `parts`: their residuals, which add up to
    the residual. `closes`: both sides do; `reason`: why one does not, or what could not be told.
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
    sides: tuple[Balance, ...] = ()


class _Side(Frozen):
    """What one key brings: its busy time, the known numbers of its path, and what a kernel's gap is taken from.

    `gap`: the name of its series and what is to be taken off it; None where no launch waits for the one before.
    """

    key: Key
    busy: Drawn
    kernels: float | None
    bytes_moved: int | None
    gap: Gap | None
    traced_gap_ns: float | None
    lacks: str | None


class Gap(Frozen):
    """What a kernel costs beyond its own busy time: the median of `measured` less `own_ns`; `overlaps`: nothing."""

    measured: Measured
    own_ns: float
    overlaps: bool

    @property
    def name(self) -> str:
        """Of its series among the drawn rounds."""
        return f"gap {self.measured.ceiling.key_name}"

    @property
    def how(self) -> str:
        """Where it comes from."""
        one = self.measured.ceiling
        of = "a graph node" if one.name == "graph_node" else "an empty launch"
        return "none: launches overlap" if self.overlaps else f"{of} ({one.method}) less its own busy time"


def decompose(
    run: Run, samples: pl.DataFrame | Series, captures: Mapping[str, CaptureFigures], base: Key, cand: Key
) -> Decomposition | None:
    """The time that `cand` saves of `base`, term by term; None where a side is not ranked, timed or captured.

    Errors: KeyError for a key that the run does not have.
    """
    found = samples if isinstance(samples, Mapping) else series(samples, run)
    alike = (base.case, base.rank) == (cand.case, cand.rank)
    ceilings = measured_ceilings(run, found, base.case, base.rank) if alike else ()
    first, second = (_side(run, found, captures, ceilings, key) for key in (base, cand))
    if first is None or second is None:
        return None
    copy, lacks = best(ceilings, "copy"), first.lacks or second.lacks
    wanted = {f"wall {key.name}": found[(key.name, "wall")] for key in (base, cand)}
    if lacks is None:
        wanted |= {f"device {key.name}": found[(key.name, "device")] for key in (base, cand)}
        wanted |= {side.gap.name: per_round(found, side.gap.measured) for side in (first, second) if side.gap}
        wanted |= {"copy": per_round(found, copy)} if copy is not None else {}
    if not set.intersection(*(set(one) for one in wanted.values())):
        return None
    rounds = drawn(wanted, seed=run.seed)
    if lacks is not None:
        return _by_difference(first, second, rounds, lacks)
    passes = best(ceilings, "in_place")
    return _measured(first, second, rounds, copy, passes.ceiling.bytes_moved if passes else None)


def _side(
    run: Run,
    found: Series,
    captures: Mapping[str, CaptureFigures],
    ceilings: tuple[Measured, ...],
    key: Key,
) -> _Side | None:
    facts, keys = run.facts(key.name), ranked(run)
    capture = captures.get(key.name)
    if key.name not in keys or (key.name, "wall") not in found or capture is None or capture.busy_ns is None:
        return None
    each = capture.busy_each_ns
    # its calls were captured after the rounds and pair with none of them
    busy = drawn_mean(each, seed=run.seed + 1) if len(each) >= LEAST else known(capture.busy_ns)
    replayed = captures.get(getattr(sibling(keys, key, mode="graph"), "name", ""))
    gap = _gap(key, ceilings, overlaps=capture.overlaps or _overlap_alike(key, capture, replayed))
    lacks = None
    if (key.name, "device") not in found:
        lacks = f"{key.side} has no device time"
    elif capture.kernels_per_call is None:
        lacks = f"the capture of {key.side} counts no kernels"
    elif gap is None:
        lacks = "the cost of a graph node was not measured" if key.mode == "graph" else "no empty launch was timed"
    moved = facts.bytes_moved if key.mode != "compile" else None
    return _Side(key, busy, capture.kernels_per_call, moved, gap, _traced_gap(capture), lacks)


def _overlap_alike(key: Key, capture: CaptureFigures, replayed: CaptureFigures | None) -> bool:
    """Whether the captured replay of the path shows that its kernels overlap; a compiler's own are others."""
    if replayed is None or not replayed.overlaps:
        return False
    return key.mode != "compile" or (bool(capture.names) and set(capture.names) <= set(replayed.names))


def _gap(key: Key, ceilings: tuple[Measured, ...], *, overlaps: bool) -> Gap | None:
    """Of nodes in the key's L2 state in mode graph, of launches in a stream else."""
    if key.mode == "graph":
        node = chain_node(ceilings, key.l2)
        own = node.ceiling.busy_ns if node is not None else None
        return Gap(node, own, overlaps) if node is not None and own is not None else None
    found = launch_gap(ceilings)
    return Gap(*found, overlaps) if found is not None else None


def _traced_gap(capture: CaptureFigures) -> float | None:
    """Of a captured replay: a call's share of its length, less its busy time, over its kernels."""
    if capture.replay_ns is None or capture.busy_ns is None or not capture.kernels_per_call:
        return None
    return (capture.replay_ns - capture.busy_ns) / capture.kernels_per_call


def _by_difference(base: _Side, cand: _Side, rounds: DrawnRounds, lacks: str) -> Decomposition:
    total, busy = _wall(rounds, base) - _wall(rounds, cand), base.busy - cand.busy
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
    base: _Side, cand: _Side, rounds: DrawnRounds, copy: Measured | None, pass_bytes: int | None
) -> Decomposition:
    term = _terms(rounds)

    def saved(of: Callable[[_Side], Drawn]) -> Drawn:
        return of(base) - of(cand)

    total = saved(lambda side: _wall(rounds, side))
    left = saved(lambda side: _left(rounds, side))
    how = " and ".join(dict.fromkeys(side.gap.how for side in (base, cand) if side.gap))
    balances = tuple(balance(_account(rounds, side, copy, pass_bytes)) for side in (base, cand))
    reasons = [one.reason for one in balances if one.reason]
    return Decomposition(
        base=base.key,
        cand=cand.key,
        terms=(
            term("host bubbles", saved(lambda side: _wall(rounds, side) - _device(rounds, side)), "wall less device"),
            *_busy_terms(base, cand, rounds, copy),
            term("device gaps", saved(lambda side: _gaps(rounds, side)), f"kernels x {how}"),
        ),
        total=term("saved", total, "unprofiled wall"),
        residual=term("residual", left, "device time less busy less device gaps"),
        parts=(
            term("baseline", _left(rounds, base), "its residual"),
            term("candidate", _left(rounds, cand) * -1, "its residual"),
        ),
        residual_share=left.value / total.value if total.value else None,
        closes=all(one.closes for one in balances),
        reason="; ".join(reasons) or None,
        sides=balances,
    )


def _wall(rounds: DrawnRounds, side: _Side) -> Drawn:
    return rounds.medians[f"wall {side.key.name}"]


def _device(rounds: DrawnRounds, side: _Side) -> Drawn:
    return rounds.medians[f"device {side.key.name}"]


def _gaps(rounds: DrawnRounds, side: _Side) -> Drawn:
    """Every kernel of a call waits for the one before, the first of it for the last of the call before."""
    assert side.gap is not None
    each = rounds.medians[side.gap.name].less(side.gap.own_ns)
    return each * (0.0 if side.gap.overlaps else side.kernels or 0.0)


def _left(rounds: DrawnRounds, side: _Side) -> Drawn:
    return _device(rounds, side) - side.busy - _gaps(rounds, side)


def _busy_terms(base: _Side, cand: _Side, rounds: DrawnRounds, copy: Measured | None) -> list[Term]:
    """Traffic and inefficiency; the traced busy time alone where bytes or bandwidth are unknown."""
    term, busy = _terms(rounds), base.busy - cand.busy
    moved = copy.ceiling.bytes_moved if copy is not None else None
    if copy is None or not moved or base.bytes_moved is None or cand.bytes_moved is None:
        return [term("busy", busy, "traced; bytes or copy bandwidth unknown")]
    traffic = rounds.medians["copy"] * ((base.bytes_moved - cand.bytes_moved) / moved)
    return [
        term("traffic", traffic, f"bytes of the kernels / copy bandwidth ({copy.ceiling.method})"),
        term("inefficiency", busy - traffic, "traced busy less traffic: a split of it"),
    ]


def _account(rounds: DrawnRounds, side: _Side, copy: Measured | None, pass_bytes: int | None) -> Account:
    whole = copy.ceiling.bytes_moved if copy is not None else None
    return Account(
        key=side.key,
        overlaps=side.gap is not None and side.gap.overlaps,
        left_ns=_left(rounds, side).interval() if rounds.enough else None,
        device_ns=_device(rounds, side).value,
        busy_ns=side.busy.value,
        gaps_ns=_gaps(rounds, side).value,
        kernels=side.kernels or 0.0,
        bytes_moved=side.bytes_moved,
        pass_bytes=pass_bytes,
        copied_ns=side.bytes_moved / whole * copy.ns.median if copy and whole and side.bytes_moved else None,
        traced_gap_ns=side.traced_gap_ns,
    )


def _terms(rounds: DrawnRounds) -> Callable[[str, Drawn, str], Term]:
    def term(name: str, one: Drawn, how: str) -> Term:
        lo, hi = one.interval() if rounds.enough else (None, None)
        return Term(name, one.value, lo, hi, how)

    return term


def decompositions(
    run: Run, samples: pl.DataFrame | Series, captures: Mapping[str, CaptureFigures]
) -> tuple[Decomposition, ...]:
    """Every path against the baseline in the same mode, in the order of the run."""
    found = samples if isinstance(samples, Mapping) else series(samples, run)
    keys = ranked(run)
    listed = []
    for key in keys.values():
        base = chain(keys, key)
        if base is not None and base != key:
            made = decompose(run, found, captures, base, key)
            if made is not None:
                listed.append(made)
    return tuple(listed)
