"""Other ways to an interval, tried on the samples that `trust.py --samples FILE` kept: `python trust_methods.py FILE`.

For each stage and clock: the share of trials whose 95 % interval holds the truth, the share whose interval excludes 1
and is not within 2 % of it, and the median width. `order statistics of the ratios` is what rope_prof does.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from rope_prof.analysis.stats import figure
from rope_prof.analysis.verdict import Word, judge

Floats = NDArray[np.float64]
Ends = tuple[float, float]
DRAWS = 1000
BLOCK = 5


def order_statistics(base: Floats, cand: Floats) -> Ends:
    """Of the rounds' ratios."""
    found = figure(list(base / cand))
    assert found is not None
    return (found.lo or 0.0, found.hi or np.inf)


def student(base: Floats, cand: Floats) -> Ends:
    """Student's t on the logarithms of the ratios: the geometric mean."""
    from scipy import stats

    logs = np.log(base / cand)
    half = stats.t.ppf(0.975, len(logs) - 1) * logs.std(ddof=1) / np.sqrt(len(logs))
    return float(np.exp(logs.mean() - half)), float(np.exp(logs.mean() + half))


def signed_rank(base: Floats, cand: Floats) -> Ends:
    """Hodges-Lehmann: order statistics of the Walsh averages of the logarithms, by Wilcoxon's signed rank."""
    logs = np.log(base / cand)
    n = len(logs)
    walsh = np.sort(((logs[:, None] + logs[None, :]) / 2)[np.triu_indices(n)])
    k = max(0, int(n * (n + 1) / 4 - 1.96 * np.sqrt(n * (n + 1) * (2 * n + 1) / 24)))
    return float(np.exp(walsh[k])), float(np.exp(walsh[-1 - k]))


def bootstrap(base: Floats, cand: Floats) -> Ends:
    """Percentiles of the median ratio over rounds drawn with replacement."""
    return _percentiles(np.median((base / cand)[_draws(len(base), 1)], axis=1))


def block_bootstrap(base: Floats, cand: Floats) -> Ends:
    """The same over runs of five rounds, which keeps what lasts for some rounds."""
    return _percentiles(np.median((base / cand)[_draws(len(base), BLOCK)], axis=1))


def medians_bootstrap(base: Floats, cand: Floats) -> Ends:
    """Percentiles of the ratio of medians over rounds drawn for both alike."""
    rows = _draws(len(base), 1)
    return _percentiles(np.median(base[rows], axis=1) / np.median(cand[rows], axis=1))


def unpaired(base: Floats, cand: Floats) -> Ends:
    """What two runs get: the ends of both medians' own intervals at 97.5 %."""
    ours, theirs = figure(list(base), 0.975), figure(list(cand), 0.975)
    assert ours is not None
    assert theirs is not None
    if ours.lo is None or ours.hi is None or theirs.lo is None or theirs.hi is None:
        return 0.0, np.inf
    return ours.lo / theirs.hi, ours.hi / theirs.lo


def _draws(n: int, block: int) -> NDArray[np.int64]:
    starts = np.random.default_rng(0).integers(0, n, (DRAWS, -(-n // block)))
    return ((starts[:, :, None] + np.arange(block)) % n).reshape(DRAWS, -1)[:, :n]


def _percentiles(values: Floats) -> Ends:
    lo, hi = np.quantile(values, [0.025, 0.975])
    return float(lo), float(hi)


METHODS: dict[str, Callable[[Floats, Floats], Ends]] = {
    "order statistics of the ratios": order_statistics,
    "Student's t of log ratios": student,
    "signed rank of log ratios": signed_rank,
    "bootstrap of the median ratio": bootstrap,
    f"bootstrap, blocks of {BLOCK} rounds": block_bootstrap,
    "bootstrap, ratio of medians": medians_bootstrap,
    "unpaired medians": unpaired,
}


def trials(samples: pl.DataFrame) -> Iterator[tuple[Floats, Floats, float]]:
    """(baseline, candidate, true ratio) of each trial of one stage and clock."""
    for _, trial in samples.group_by("trial", maintain_order=True):
        wide = (
            trial.with_columns(pl.col("key").str.split(".").list.first(), per=pl.col("ns") / pl.col("calls"))
            .pivot("key", index="round", values="per")
            .drop_nulls()
        )
        if wide.height < 6 or not {"base", "cand"} <= set(wide.columns):
            continue
        base, cand = wide["base"].to_numpy(), wide["cand"].to_numpy()
        planted = wide["spin"].to_numpy() - wide["least"].to_numpy() if "spin" in wide.columns else 0.0
        yield base, cand, float(np.median(base / (base + planted)))


def word(ends: Ends) -> Word:
    """The verdict that `compare` would give."""
    return judge(*ends)


def rows(samples: pl.DataFrame) -> Iterator[str]:
    """Markdown, one line per stage, clock and method."""
    yield "| stage | clock | interval | trials | holds the truth | FASTER or SLOWER | SAME | width |"
    yield "|---|---|---|---:|---:|---:|---:|---:|"
    for (stage, clock), part in samples.group_by("stage", "clock", maintain_order=True):
        found = list(trials(part))
        for name, method in METHODS.items() if found else ():
            ends = [method(base, cand) for base, cand, _ in found]
            holds = sum(lo <= true <= hi for (lo, hi), (_, _, true) in zip(ends, found, strict=True))
            words = [word(one) for one in ends]
            decided = sum(one in {"FASTER", "SLOWER"} for one in words)
            width = float(np.median([hi - lo for lo, hi in ends]))
            n = len(found)
            yield (
                f"| {stage} | {clock} | {name} | {n} | {holds / n:.1%} | {decided / n:.1%} | "
                f"{words.count('SAME') / n:.1%} | {width:.2%} |"
            )


def main(words: Sequence[str]) -> int:
    """Print the table of each file."""
    warnings.simplefilter("error")
    for path in words:
        print("\n".join(rows(pl.read_parquet(path))))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
