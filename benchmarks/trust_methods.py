"""Other ways to an interval, tried on the samples that `trust.py --samples FILE` kept: `python trust_methods.py FILE`.

For each stage and clock: the share of trials whose 95 % interval holds the truth, the share whose interval excludes 1
and is not within 2 % of it, and the median width. `order statistics of the ratios` is what rope_prof does.

`python trust_methods.py processes` does the same over five processes a side of one code, which it draws: some are given
a slow channel of the card (`docs/processes.md`). There `t over pairs` is what rope_prof does.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from rope_prof.analysis.stats import figure
from rope_prof.analysis.student import quantile
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


#: (share of processes on a slow channel, by how much it is slower, what else processes scatter): as on one H200 over
#: 64 and 256 tokens, then without any.
CHANNELS = ((0.17, 0.039, 0.004), (0.17, 0.019, 0.002), (0.0, 0.0, 0.004))
PROCESSES = 5


def over_processes(logs: Floats, slow: NDArray[np.bool_]) -> dict[str, tuple[Floats, Floats]]:
    """(middle, half width) of each way to an interval, from [draws, 2 sides, processes]; `slow`: who is so."""
    k, apart = logs.shape[-1], logs[:, 0] - logs[:, 1]
    shifts = np.sort((logs[:, 0, :, None] - logs[:, 1, None, :]).reshape(len(logs), -1), axis=-1)
    ranks = shifts[:, [2, -3]]  # of five against five the third from either end: 96.8 %
    ordered = np.sort(apart, axis=-1)
    inner = np.concatenate([ordered[:, [1]], ordered[:, 1:-1], ordered[:, [-2]]], axis=-1)
    trimmed = quantile(0.975, k - 3) * np.sqrt(inner.var(axis=-1, ddof=1) * (k - 1) / ((k - 2) * (k - 3)))
    return {
        "t over pairs": (apart.mean(axis=-1), quantile(0.975, k - 1) * apart.std(axis=-1, ddof=1) / np.sqrt(k)),
        "rank sum": (ranks.mean(axis=-1), np.ptp(ranks, axis=-1) / 2),
        "t without the outermost": (ordered[:, 1:-1].mean(axis=-1), trimmed),
        "t, the channel known": _covariate(apart, slow[:, 0] * 1.0 - slow[:, 1]),
    }


def _covariate(apart: Floats, known: Floats) -> tuple[Floats, Floats]:
    """Of least squares on what is known of each pair, at none of it; a degree of freedom less where pairs differ."""
    k, off = apart.shape[-1], known - known.mean(axis=-1, keepdims=True)
    squares = (off**2).sum(axis=-1)
    some = np.where(squares > 0, squares, 1.0)
    slope = (off * apart).sum(axis=-1) / some
    middle = apart.mean(axis=-1) - slope * known.mean(axis=-1)
    left = apart - apart.mean(axis=-1, keepdims=True) - slope[:, None] * off
    freedom = np.where(squares > 0, k - 2, k - 1)
    error = np.sqrt((left**2).sum(axis=-1) / freedom * (1 / k + known.mean(axis=-1) ** 2 / some))
    return middle, np.where(squares > 0, quantile(0.975, k - 2), quantile(0.975, k - 1)) * error


def process_rows(draws: int = 20_000) -> Iterator[str]:
    """Markdown, one line per kind of card and way: of one code, so the truth is 0."""
    yield "| slow channels | interval | holds the truth | half width |"
    yield "|---|---|---:|---:|"
    dice = np.random.default_rng(0)
    for share, slower, noise in CHANNELS:
        slow = dice.random((draws, 2, PROCESSES)) < share
        logs = slower * slow + dice.normal(0, noise, slow.shape)
        for name, (middle, half) in over_processes(logs, slow).items():
            where = f"{share:.0%}, {slower:.1%} slower" if share else "none"
            yield f"| {where} | {name} | {(np.abs(middle) <= half).mean():.1%} | {np.median(half):.2%} |"


def main(words: Sequence[str]) -> int:
    """Print the table of each file."""
    warnings.simplefilter("error")
    for path in words:
        print("\n".join(process_rows() if path == "processes" else rows(pl.read_parquet(path))))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
