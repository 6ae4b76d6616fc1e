"""The noise of a measurement: each key against itself, which no change looks different from."""

from __future__ import annotations

import polars as pl

from rope_prof.analysis.stats import Figure, paired_ratio


def noise(samples: pl.DataFrame) -> dict[str, Figure]:
    """key -> its wall time against itself, each even round against the odd one after it: what no change looks like."""
    found = {}
    wall = samples.filter(pl.col("clock") == "wall")
    for (key,), rows in wall.group_by("key", maintain_order=True):
        per_call = {row["round"]: row["ns"] / row["calls"] for row in rows.iter_rows(named=True)}
        even = {k // 2: ns for k, ns in per_call.items() if k % 2 == 0}
        odd = {k // 2: ns for k, ns in per_call.items() if k % 2 == 1}
        ratio = paired_ratio(even, odd)
        if ratio is not None:
            found[str(key)] = ratio
    return found
