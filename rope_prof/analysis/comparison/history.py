"""How far runs of the same code differed on machines of one kind, from runs that were kept. Pure.

Two recordings of one key and one code are a pair whose true ratio is 1. The distances of such pairs, of all keys of one
mode and L2 state, say how far the next two runs may be apart without any change of code. Code is the same where its
commit is, without changes that are in no commit; of a path that ships in a package without git, where the version is.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import combinations
from math import exp, log

import numpy as np
import polars as pl

from rope_prof.analysis.comparison.apart import Between
from rope_prof.analysis.stats import COVERAGE, percentiles
from rope_prof.model.history import KeptKey, KeptRun
from rope_prof.model.run import Key, Run

#: Fewer runs, or fewer pairs of one group, say nothing.
LEAST_RUNS = 3
LEAST_PAIRS = 10


def kept(run: Run, samples: pl.DataFrame) -> KeptRun | None:
    """What of `run` is worth keeping; None where nothing says which code it measured, or nothing was measured."""
    code = _code(run)
    if code is None:
        return None
    per_call = samples.filter(pl.col("calls") > 0, pl.col("ns") > 0).group_by("key", "clock")
    medians: dict[str, dict[str, float]] = defaultdict(dict)
    for name, clock, ns in per_call.agg((pl.col("ns") / pl.col("calls")).median()).iter_rows():
        medians[name][clock] = ns
    told = [one for one in run.keys if run.machine.commit is not None or ":" not in one.key.path]
    keys = {
        one.key.name: KeptKey(group=group(one.key), medians_ns=medians[one.key.name])
        for one in told
        if one.status == "measured" and one.key.name in medians
    }
    return KeptRun(created=run.created, code=code, keys=keys) if keys else None


def _code(run: Run) -> str | None:
    if run.machine.commit is None:
        return f"rope_prof {run.rope_prof}"
    return None if run.machine.dirty is not False else run.machine.commit


def group(key: Key) -> str:
    """Keys whose times are alike: mode and L2 state."""
    return f"{key.mode} {key.l2}"


def known(runs: Sequence[KeptRun], key: Key, clock: str) -> Between | None:
    """What 95 % of the pairs of the same code stay within, of all keys like `key`; None where they are too few."""
    apart: list[float] = []
    seen: set[str] = set()
    values: dict[tuple[str, str], list[float]] = defaultdict(list)
    for run in runs:
        for name, one in run.keys.items():
            if one.group == group(key) and clock in one.medians_ns:
                values[run.code, name].append(one.medians_ns[clock])
                seen.add(run.created)
    for mine in values.values():
        apart += [abs(log(one / other)) for one, other in combinations(mine, 2)]
    if len(seen) < LEAST_RUNS or len(apart) < LEAST_PAIRS:
        return None
    share = float(percentiles(np.array(apart), COVERAGE)[0])
    return Between(exp(share), f"what {COVERAGE:.0%} of {len(apart)} pairs of kept runs of the same code stay within")


def known_with(
    runs: Sequence[KeptRun], spread: Mapping[str, Mapping[str, float]], key: Key, clock: str
) -> Between | None:
    """As `known`; where `runs` are too few, what was known when the baseline was kept (`NamedRun.spread`)."""
    factor = spread.get(group(key), {}).get(clock)
    found = known(runs, key, clock)
    if found is not None or factor is None:
        return found
    return Between(factor, "what runs of the same code stayed within where the baseline was kept")
