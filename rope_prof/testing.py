"""Public: the words of `triton.testing` with honest clocks behind them. Needs no Triton and no GPU.

`do_bench` has the signature and the answers of triton's. On a GPU each sample is one call on an overwritten L2, by the
device's clock, enqueued in full before the first of it runs, so that the host's launch cost does not leak in; on a CPU
it is the host's clock. `timed` gives the median with its interval. Whether one callable beats another is another
question: `rope_prof.measure`, or the fixture `fusion` in a test.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from rope_prof.analysis.stats import percentiles
from rope_prof.errors import UsageError
from rope_prof.fusion.one_call import Timed, timed
from rope_prof.fusion.sweeps import Benchmark, Mark, perf_report

__all__ = ["RETURN_MODES", "Benchmark", "Mark", "Timed", "do_bench", "perf_report", "timed"]

RETURN_MODES = ("min", "max", "mean", "median", "all")


def do_bench(
    fn: Callable[[], Any],
    warmup: float = 25,
    rep: float = 100,
    grad_to_none: Sequence[Any] | None = None,
    quantiles: Sequence[float] | None = None,
    return_mode: str = "mean",
) -> Any:
    """ms of one call of `fn`: by `return_mode` the mean, median, min or max of the samples, or all of them.

    `warmup`, `rep`: ms; `grad_to_none`: tensors whose gradients are dropped ahead of each call; `quantiles`: those of
    the samples, as a list, or the one alone, in the place of `return_mode`. Errors: UsageError for words that mean
    nothing; UnavailableError where `fn` has no device time.
    """
    if not callable(fn):
        raise UsageError(f"fn is {type(fn).__name__}; expected something to call, such as lambda: kernel(x)")
    if return_mode not in RETURN_MODES:
        raise UsageError(f"return_mode {return_mode!r}; expected {', '.join(map(repr, RETURN_MODES))}")
    wrong = next((share for share in quantiles or () if not 0 <= share <= 1), None)
    if wrong is not None:
        raise UsageError(f"quantiles hold {wrong!r}; expected numbers from 0 to 1")
    found = timed(fn, warmup_ms=warmup, rep_ms=rep, grad_to_none=grad_to_none or ())
    return summarised(found.samples_ms, quantiles, return_mode)


def summarised(samples_ms: Sequence[float], quantiles: Sequence[float] | None, return_mode: str) -> Any:
    """What `do_bench` returns of its samples."""
    if quantiles is not None:
        shares = list(percentiles(samples_ms, *quantiles))
        return shares[0] if len(shares) == 1 else shares
    if return_mode == "all":
        return list(samples_ms)
    return float(getattr(np, return_mode)(samples_ms))
