"""The answer in one ratio: a path in its best mode against the best that there was without it. Pure, paired by rounds.

A fused kernel in an eager loop against an eager chain says most of the host. Who had the chain could have compiled it
or captured it in a CUDA graph, so the first figure is best against best, by the wall; then the same mode on both sides;
then eager against eager, by the wall and by the device's own clock, which no launch cost is in.
"""

from __future__ import annotations

from collections.abc import Mapping

from rope_prof.analysis.run.modes import ModeRow
from rope_prof.analysis.run.processes import middle_of, ratio
from rope_prof.analysis.run.series import PerRound, Series, chain, ranked, sibling
from rope_prof.analysis.stats import Figure
from rope_prof.model.frozen import Frozen
from rope_prof.model.run import MODES, Case, Clock, Key, Mode, Run


class ModeStep(Frozen, kw_only=True):
    """baseline in one mode / path in one mode by one clock: over 1 the path is faster. Medians in ns a call."""

    base_mode: Mode
    cand_mode: Mode
    clock: Clock
    ratio: Figure
    before_ns: float
    after_ns: float


class BestAgainstBest(Frozen, kw_only=True):
    """One path of one case. `best`: each side in its fastest mode by the wall. `same`: both in one mode, by the wall,
    the eager one last; `device`: eager against eager by the device's clock, None without one.
    """

    case: Case
    l2: str
    rank: int
    path: str
    baseline: str
    best: ModeStep
    same: tuple[ModeStep, ...]
    device: ModeStep | None


def headlines(run: Run, found: Series, rows: tuple[ModeRow, ...]) -> tuple[BestAgainstBest, ...]:
    """One for every row of `modes` that has something to be held against, in their order."""
    keys = ranked(run)
    made = (_headline(keys, found, row) for row in rows if row.path != row.case.operation.baseline)
    return tuple(one for one in made if one is not None)


def _headline(keys: Mapping[str, Key], found: Series, row: ModeRow) -> BestAgainstBest | None:
    mine = next(
        (k for k in keys.values() if (k.case, k.l2, k.rank, k.path) == (row.case, row.l2, row.rank, row.path)), None
    )
    if mine is None or row.fastest is None:
        return None

    def step(base_mode: Mode, cand_mode: Mode, clock: Clock = "wall") -> ModeStep | None:
        base, cand = chain(keys, mine, mode=base_mode), sibling(keys, mine, mode=cand_mode)
        ours, theirs = (found.get((key.name, clock), PerRound()) if key else PerRound() for key in (base, cand))
        paired, before, after = ratio(ours, theirs), middle_of(ours), middle_of(theirs)
        if paired is None or before is None or after is None:
            return None
        return ModeStep(
            base_mode=base_mode,
            cand_mode=cand_mode,
            clock=clock,
            ratio=paired,
            before_ns=before.median,
            after_ns=after.median,
        )

    best = step(*row.fastest)
    if best is None:
        return None
    modes = [mode for mode in MODES if mode != "eager"]
    return BestAgainstBest(
        case=row.case,
        l2=row.l2,
        rank=row.rank,
        path=row.path,
        baseline=row.case.operation.baseline,
        best=best,
        same=tuple(one for mode in (*modes, "eager") if (one := step(mode, mode)) is not None),  # type: ignore[arg-type]
        device=step("eager", "eager", "device"),
    )
