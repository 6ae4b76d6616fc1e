"""The noise of a measurement: each key against itself, which no change looks different from."""

from __future__ import annotations

import polars as pl

from rope_prof.analysis.run.series import series
from rope_prof.analysis.stats import Figure, paired_ratio


def noise(samples: pl.DataFrame) -> dict[str, Figure]:
    """key -> its wall time against itself, each even round against the odd one after it: what no change looks like."""
    found = {}
    for (key, clock), per_call in series(samples).items():
        even, odd = ({k // 2: ns for k, ns in per_call.items() if k % 2 == rest} for rest in (0, 1))
        ratio = paired_ratio(even, odd) if clock == "wall" else None
        if ratio is not None:
            found[key] = ratio
    return found
