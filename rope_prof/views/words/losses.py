"""Where a path loses: what each is held against, and how its losses read. The one rule of the overview and the report.

A path is held against the baseline in its own mode and against the chain under the compiler, which fuses without
a kernel by hand; every key also against the chain run eagerly, and on the dashboard against the baseline of the viewer.
Only what is slower for sure is a loss.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import TYPE_CHECKING

from rope_prof.analysis.comparison.compare import Verdict, compare
from rope_prof.analysis.comparison.sides import NotComparableError, Side
from rope_prof.model.run import Key, OperationFacts, Run
from rope_prof.views.words.labels import counts, side_label

if TYPE_CHECKING:
    import polars as pl

    from rope_prof.analysis.run.rows import Row

#: The mode in which the compiler fuses the chain by itself.
COMPILED = "compile"
_PathMode = tuple[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """One verdict of the run: `key` against `base`, and what the comparison said."""

    base: Key
    key: Key
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Loss:
    """`side` is slower for sure than `base` at that value of the swept axis; both as the reader knows them."""

    base: str
    side: str
    swept: int


def bases(side: _PathMode, sides: Sequence[_PathMode], baseline: str) -> tuple[_PathMode, ...]:
    """What that path and mode is held against, of those that the run has; first the chain in the same mode."""
    path, mode = side
    wanted = [(baseline, "eager")]
    if path != baseline:
        wanted = [(baseline, mode), (baseline, "eager"), (baseline, COMPILED)]
    return tuple(one for one in dict.fromkeys(wanted) if one in sides and one != side)


def verdicts(run: Run, samples: pl.DataFrame) -> tuple[Pair, ...]:
    """Every key against each of its `bases`: paired round by round, on the first rank; wall and device, no `p_value`.

    A pair that shares no case is left out.
    """
    first = replace(run, keys=tuple(f for f in run.keys if f.key.rank == 0))
    every, sides = Side(label=run.name, run=first, samples=samples), _sides(first)
    keys = {f.key.name: f.key for f in first.keys}
    found = []
    for side in sides:
        for base in bases(side, sides, run.operation.baseline):
            try:
                said = compare(every.of(*base), every.of(*side), paired=True, anyway=True, chances=False)
            except NotComparableError:
                continue
            found += [Pair(base=keys[v.base], key=keys[v.cand], verdict=v) for v in said]
    return tuple(found)


def main(pairs: Iterable[Pair]) -> tuple[Pair, ...]:
    """Of each key and metric the first pair alone: against the chain in its mode, or eager where it has none."""
    found: dict[tuple[str, str], Pair] = {}
    for pair in pairs:
        found.setdefault((pair.key.name, pair.verdict.metric), pair)
    return tuple(found.values())


def chain_keys(run: Run, case_name: str) -> tuple[Key, ...]:
    """The baseline's keys of the case so called, on the first rank: against these a path may lose."""
    return tuple(f.key for f in run.keys if f.key.case.name == case_name and f.key.rank == 0 and f.key.is_baseline)


def by_rule(run: Run, said: Iterable[Verdict]) -> tuple[Pair, ...]:
    """Those verdicts on keys of the first rank that hold a key against one of its `bases`."""
    keys = {f.key.name: f.key for f in run.keys if f.key.rank == 0}
    sides = _sides(run)
    return tuple(
        Pair(base=base, key=key, verdict=verdict)
        for verdict in said
        if (base := keys.get(verdict.base)) is not None
        and (key := keys.get(verdict.cand)) is not None
        and (base.path, base.mode) in bases((key.path, key.mode), sides, run.operation.baseline)
    )


def losses(pairs: Iterable[Pair], keys: Sequence[Row | Key], metric: str = "wall") -> Iterator[Loss]:
    """The pairs that lose, labelled as `keys` tell them apart."""
    for pair in pairs:
        if pair.verdict.word == "SLOWER" and pair.verdict.metric == metric:
            yield Loss(side_label(pair.base, keys), side_label(pair.key, keys), pair.key.case.swept)


def doubtful(pairs: Iterable[Pair], keys: Sequence[Row | Key]) -> Iterator[Loss]:
    """The pairs whose median is slower by the wall and whose interval does not decide it, in the form of losses."""
    for pair in pairs:
        said = pair.verdict
        if said.word == "UNDECIDED" and said.metric == "wall" and said.ratio is not None and said.ratio.median < 1:
            yield Loss(side_label(pair.base, keys), side_label(pair.key, keys), pair.key.case.swept)


def sentences(found: Iterable[Loss], measured: Iterable[int], operation: OperationFacts) -> tuple[str, ...]:
    """One a baseline, each loss once: `than unfused · graph: per-token · graph at 64 and 8,192 tokens`.

    `measured`: the swept values of the run; three or more of them in a row are told by their ends, `1 to 973 tokens`.
    """
    known = sorted(set(measured))
    return tuple(
        f"than {base}: {', '.join(f'{side} at {_counts(lost, known, operation)}' for side, lost in sides.items())}"
        for base, sides in _grouped(found).items()
    )


def defeats(
    found: Iterable[Loss], measured: Iterable[int], operation: OperationFacts, verb: str = "loses to"
) -> tuple[str, ...]:
    """The same one a side: `fused · compile loses to unfused · compile at every size`."""
    known = sorted(set(measured))
    return tuple(
        f"{side} {verb} {base} at "
        f"{'every size' if len(known) > 1 and lost == set(known) else _counts(lost, known, operation)}"
        for base, sides in _grouped(found).items()
        for side, lost in sides.items()
    )


def _grouped(found: Iterable[Loss]) -> dict[str, dict[str, set[int]]]:
    """Baseline -> side -> where it loses."""
    told: dict[str, dict[str, set[int]]] = {}
    for loss in found:
        told.setdefault(loss.base, {}).setdefault(loss.side, set()).add(loss.swept)
    return told


def _counts(lost: set[int], measured: Sequence[int], operation: OperationFacts) -> str:
    *most, last = (part for run in _runs(lost, measured) for part in _told(run))
    word = operation.swept_axis.noun if lost == {1} and operation.swept_axis.noun else counts(operation)
    return f"{', '.join(most)} and {last} {word}" if most else f"{last} {word}"


def _runs(lost: set[int], measured: Sequence[int]) -> list[list[int]]:
    """Those of `measured` that are in `lost`, in stretches without one that is not."""
    stretches = groupby(measured, key=lambda count: count in lost)
    return [list(stretch) for loses, stretch in stretches if loses]


def _told(run: Sequence[int]) -> list[str]:
    return [f"{run[0]:,} to {run[-1]:,}"] if len(run) > 2 else [f"{count:,}" for count in run]


def _sides(run: Run) -> list[_PathMode]:
    return list(dict.fromkeys((f.key.path, f.key.mode) for f in run.keys))
