"""What a CUDA graph or the compiler alone buys, and what fusing by hand still buys after it: one row per case and path.

Every ratio is of walls in the rounds that both sides share (`processes`): over 1 the step makes the call faster.
"""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from rope_prof.analysis.run.processes import middle_of, ratio
from rope_prof.analysis.run.series import Series, chain, ranked, series, sibling, wall
from rope_prof.analysis.stats import Figure
from rope_prof.model.frozen import Frozen
from rope_prof.model.run import MODES, Case, Key, Mode, Run


class ModeRow(Frozen, kw_only=True):
    """One path in all its modes. `wall_ns`, `fusing`: by mode; what was not measured, or is wrong, is not in them.

    `compiler`: wall eager / wall compile of the path itself; `graph`: eager / graph. `fusing`: wall of the baseline /
    wall of this path in the same mode, None for the baseline itself. `after_all`: the baseline in its fastest mode /
    this path in its own fastest; `fastest` names the two modes.
    """

    case: Case
    l2: str
    rank: int
    path: str
    wall_ns: Mapping[Mode, Figure]
    compiler: Figure | None
    graph: Figure | None
    fusing: Mapping[Mode, Figure]
    after_all: Figure | None
    fastest: tuple[Mode, Mode] | None


def modes(run: Run, samples: pl.DataFrame | Series) -> tuple[ModeRow, ...]:
    """One row per case, L2 state, rank and path, in the order of the run."""
    found = samples if isinstance(samples, Mapping) else series(samples, run)
    keys = ranked(run)
    firsts = {(k.case, k.l2, k.rank, k.path): k for k in reversed(list(keys.values()))}
    order = dict.fromkeys((k.case, k.l2, k.rank, k.path) for k in keys.values())
    rows = (_row(found, keys, firsts[one]) for one in order)
    return tuple(row for row in rows if row.wall_ns)


def _row(found: Series, keys: Mapping[str, Key], key: Key) -> ModeRow:
    by_mode = {mode: wall(found, sibling(keys, key, mode=mode)) for mode in MODES}
    base = {mode: wall(found, chain(keys, key, mode=mode)) for mode in MODES}
    medians = {mode: made for mode, one in by_mode.items() if (made := middle_of(one))}
    rivals = {mode: made for mode, one in base.items() if (made := middle_of(one))}
    fusing: dict[Mode, Figure] = {}
    after_all: Figure | None = None
    fastest: tuple[Mode, Mode] | None = None
    if not key.is_baseline:
        fusing = {mode: made for mode in MODES if (made := ratio(base[mode], by_mode[mode]))}
        if rivals and medians:
            fastest = _fastest(rivals), _fastest(medians)
            after_all = ratio(base[fastest[0]], by_mode[fastest[1]])
    return ModeRow(
        case=key.case,
        l2=key.l2,
        rank=key.rank,
        path=key.path,
        wall_ns=medians,
        compiler=ratio(by_mode["eager"], by_mode["compile"]),
        graph=ratio(by_mode["eager"], by_mode["graph"]),
        fusing=fusing,
        after_all=after_all,
        fastest=fastest,
    )


def _fastest(medians: Mapping[Mode, Figure]) -> Mode:
    return min(medians, key=lambda mode: medians[mode].median)
