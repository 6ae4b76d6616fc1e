"""Everything that is computed of one run, in one call: what `show` prints and pages draw from."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from rope_prof.analysis.run.capture import CaptureFigures
from rope_prof.analysis.run.ceilings import Ceilings
from rope_prof.analysis.run.decomposition import Decomposition, decompositions
from rope_prof.analysis.run.floors import Floor, roofline
from rope_prof.analysis.run.headline import BestAgainstBest, headlines
from rope_prof.analysis.run.modes import ModeRow, modes
from rope_prof.analysis.run.rank_causes import RankCauses, rank_causes
from rope_prof.analysis.run.rows import Row, case_ceilings, rows_of
from rope_prof.analysis.run.series import series
from rope_prof.model.frozen import Frozen
from rope_prof.model.run import Run


class Numbers(Frozen, kw_only=True):
    """The analysis of one run; all in the run's order."""

    run: Run
    rows: tuple[Row, ...]
    modes: tuple[ModeRow, ...]
    headlines: tuple[BestAgainstBest, ...]
    ceilings: tuple[Ceilings, ...]
    floors: tuple[Floor, ...]
    decompositions: tuple[Decomposition, ...]
    ranks: tuple[RankCauses, ...] = ()


def numbers(
    run: Run,
    samples: pl.DataFrame,
    captures: Mapping[str, CaptureFigures],
    light: Mapping[str, CaptureFigures] | None = None,
) -> Numbers:
    """The numbers of `run` from its samples and the figures of its captures (`light`: at the lowest overhead)."""
    found = series(samples, run)
    limits = case_ceilings(run, found)
    rows = rows_of(run, samples, found, limits, captures, light)
    in_modes = modes(run, found)
    return Numbers(
        run=run,
        rows=rows,
        modes=in_modes,
        headlines=headlines(run, found, in_modes),
        ceilings=tuple(limits.values()),
        floors=tuple(floor for one in limits.values() for floor in roofline(rows, one)),
        decompositions=decompositions(run, found, captures),
        ranks=rank_causes(rows, found),
    )
