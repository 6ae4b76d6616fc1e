"""Times of whole requests with their intervals, and where a profiled step's time went. Frames in, records out.

A request's time is its prefill and its decode of the same round, added. Gains pair the samples of one round, so that
the machine's drift cancels. Statistics are computed here, on load; none is stored.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import polars as pl

from rope_prof.analysis.requests.what_if import WhatIf, what_if
from rope_prof.analysis.run.series import PerRound, Series, series
from rope_prof.analysis.stats import Figure, figure, paired_ratio
from rope_prof.analysis.trace.calls import as_cpu, innermost, matching, recorded_on_cpu
from rope_prof.analysis.trace.launches import launched
from rope_prof.model.end_to_end import STOCK, EndToEnd, PathFacts, RequestSubject
from rope_prof.model.frozen import Frozen
from rope_prof.model.trace import Trace

#: What the others are held against: the chain as it was served before the fused kernel.
BASELINE = "unfused"
#: Decode as it is served comes first.
MODES = ("graph", "eager")


class RequestRow(Frozen, kw_only=True):
    """One path in one decode mode. `gain` is the share of time saved against the unfused chain in the same mode,
    `over_stock` against the library's own rope: what a user has who changes nothing.

    `prefill_ns` is the time to first token, always eager; `token_ns` that of one decoded token; `request_ns` both:
    the prompt and all tokens. None where a part was not measured, for the `reason`.
    """

    path: str
    mode: str
    status: str
    reason: str | None
    prefill_ns: Figure | None
    token_ns: Figure | None
    request_ns: Figure | None
    prefill_gain: Figure | None
    token_gain: Figure | None
    request_gain: Figure | None
    prefill_over_stock: Figure | None = None
    token_over_stock: Figure | None = None
    request_over_stock: Figure | None = None


def request_rows(facts: EndToEnd, samples: pl.DataFrame) -> tuple[RequestRow, ...]:
    """A row for every path and mode, in the order of the run."""
    times = series(samples)
    return tuple(_row(facts, one, mode, times) for mode in MODES for one in facts.paths)


def timed_rounds(rows: Sequence[RequestRow]) -> int:
    """Rounds in which anything was timed: fewer than were planned where the measurement was interrupted."""
    return max((one.n for row in rows for one in (row.prefill_ns, row.token_ns) if one is not None), default=0)


def _rounds(times: Series, path: str, phase: str, mode: str) -> PerRound:
    name = RequestSubject(path=path, phase=phase, mode=mode).name  # type: ignore[arg-type]
    return times.get((name, "wall"), PerRound())


def _row(facts: EndToEnd, one: PathFacts, mode: str, times: Series) -> RequestRow:
    def parts(path: str) -> tuple[PerRound, PerRound, PerRound]:
        prefill, token = _rounds(times, path, "prefill", "eager"), _rounds(times, path, "decode", mode)
        both = prefill.keys() & token.keys()
        return prefill, token, PerRound({k: prefill[k] + facts.request.decode_tokens * token[k] for k in both})

    mine, base, stock = parts(one.path), parts(BASELINE), parts(STOCK)
    figures = [figure(list(part.values())) for part in mine]
    ranked = one.status == "measured"
    gains = [_gain(b, m) if ranked and one.path != BASELINE else None for b, m in zip(base, mine, strict=True)]
    over = [_gain(s, m) if ranked and one.path != STOCK else None for s, m in zip(stock, mine, strict=True)]
    return RequestRow(
        path=one.path,
        mode=mode,
        status=one.status if figures[1] or one.status != "measured" else "unavailable",
        reason=one.reason or (one.graph_reason if mode == "graph" else None),
        prefill_ns=figures[0],
        token_ns=figures[1],
        request_ns=figures[2],
        prefill_gain=gains[0],
        token_gain=gains[1],
        request_gain=gains[2],
        prefill_over_stock=over[0],
        token_over_stock=over[1],
        request_over_stock=over[2],
    )


def _gain(baseline: PerRound, candidate: PerRound) -> Figure | None:
    """1 - candidate / baseline over the rounds that both have: 0.17 is 17 % faster."""
    ratio = paired_ratio(candidate, baseline)
    if ratio is None:
        return None
    lo, hi = (None if bound is None else 1 - bound for bound in (ratio.hi, ratio.lo))
    return Figure(1 - ratio.median, lo, hi, ratio.n)


class LogitsAgreement(Frozen, kw_only=True):
    """Whether a path's logits and greedy tokens are the stock model's, as far as rounding lets them be.

    `same_tokens` counts the greedy tokens before the first that differs from stock's; `margin` is the distance of the
    two largest stock logits there: one under the logits' own deviation decides nothing. The same for `graph_`: the
    tokens under a CUDA graph against the path's own eager ones, and how far the first decoded logits are apart.
    """

    path: str
    rms: float
    allowed: float
    tokens: int
    same_tokens: int
    margin: float | None
    graph_same_tokens: int | None
    graph_margin: float | None
    graph_rms: float | None


def agreements(facts: EndToEnd, limit: float = 2.0) -> tuple[LogitsAgreement, ...]:
    """One for each path that has logits. `limit` times the largest spread of rounding is allowed."""
    stock = next((one for one in facts.paths if one.path == STOCK), None)
    allowed = limit * max((one.rms for one in facts.spread), default=0.0)
    found = []
    for one in facts.paths:
        if one.deviation is None or stock is None:
            continue
        same, margin = _until(one.tokens, stock)
        graph = _until(one.graph_tokens, one) if one.graph_tokens else (None, None)
        found.append(
            LogitsAgreement(
                path=one.path,
                rms=one.deviation.rms,
                allowed=allowed,
                tokens=len(one.tokens),
                same_tokens=same,
                margin=margin,
                graph_same_tokens=graph[0],
                graph_margin=graph[1],
                graph_rms=one.graph_deviation.rms if one.graph_deviation else None,
            )
        )
    return tuple(found)


def _until(tokens: tuple[int, ...], other: PathFacts) -> tuple[int, float | None]:
    """(how many tokens are `other`'s before the first that differs, its margin there; None where none differs)."""
    for k, (mine, theirs) in enumerate(zip(tokens, other.tokens, strict=False)):
        if mine != theirs:
            return k, other.margins[k] if k < len(other.margins) else None
    return min(len(tokens), len(other.tokens)), None


class StepParts(Frozen, kw_only=True):
    """Where a profiled step's device time went, of all steps; the four parts add up to `span_ns` exactly.

    All are sums over the `steps`. A gap belongs to the rope where the GPU event that ends it does: the device waited
    for that one. `layers` counts the layer ranges of all steps.
    """

    steps: int
    layers: int
    rope_calls: int
    rope_kernels: int
    other_kernels: int
    span_ns: int
    rope_busy_ns: int
    rope_bubble_ns: int
    other_busy_ns: int
    other_bubble_ns: int


def step_parts(trace: Trace, path: str, phase: str) -> StepParts | None:
    """The parts of all steps that `trace` holds, from the first start to the last end of their GPU events; a trace of
    our own recorded on a CPU counts leaf operators. None where it holds no such step or no GPU event in one.
    """
    source = as_cpu(trace) if recorded_on_cpu(trace) else trace
    name = re.escape(f"{path.replace(':', '@')}.{phase}")
    found = {part: matching(source, rf"{name}\.{part}#\d+", kind="record_function") for part in PARTS}
    events = _of_steps(source, found)
    if not events.height:
        return None
    return _summed(events, {part: frame.height for part, frame in found.items()})


PARTS = ("step", "layer", "rope")


def _of_steps(source: Trace, found: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    """GPU events launched in steps, by start, with whether a rope call launched them."""
    events = launched(source)
    inside = innermost(found["step"], events)
    events = events.filter(inside.is_not_null())
    rope = innermost(found["rope"], events).is_not_null()
    return events.with_columns(rope.alias("rope")).sort("start_ns", "dur_ns")


def _summed(events: pl.DataFrame, counts: Mapping[str, int]) -> StepParts:
    starts, rope = events["start_ns"].to_numpy(), events["rope"].to_numpy()
    ends = np.maximum.accumulate(np.concatenate([starts[:1], starts + events["dur_ns"].to_numpy()]))
    reach, ends = ends[:-1], ends[1:]  # until when the device was busy before each event, and with it
    bubble, kernels = np.maximum(0, starts - reach), (events["kind"] == "kernel").to_numpy()
    busy = ends - reach - bubble
    return StepParts(
        steps=counts["step"],
        layers=counts["layer"],
        rope_calls=counts["rope"],
        rope_kernels=int(kernels[rope].sum()),
        other_kernels=int(kernels[~rope].sum()),
        span_ns=int(ends[-1] - starts[0]),
        rope_busy_ns=int(busy[rope].sum()),
        rope_bubble_ns=int(bubble[rope].sum()),
        other_busy_ns=int(busy[~rope].sum()),
        other_bubble_ns=int(bubble[~rope].sum()),
    )


class Prediction(Frozen, kw_only=True):
    """What the unfused profile said of one phase, and what came of it.

    `saved` is the share of the unfused step that `path` saves, paired by round; `saved_ns` that of a step of
    `bound.step_ns`.
    """

    phase: str
    path: str
    bound: WhatIf
    saved: Figure
    saved_ns: float

    @property
    def held(self) -> bool:
        """Whether the prediction contains the outcome."""
        return self.bound.contains(self.saved_ns)

    @property
    def reached(self) -> bool:
        """Whether the interval of the outcome reaches the prediction."""
        lo, hi = self.saved.lo, self.saved.hi
        if lo is None or hi is None:
            return self.held
        return lo * self.bound.step_ns <= self.bound.hi_ns and self.bound.lo_ns <= hi * self.bound.step_ns


def step_times(rows: Iterable[RequestRow]) -> dict[tuple[str, str], Figure]:
    """What an unprofiled eager step of each path takes; a path that was not timed is left out."""
    found = {}
    for row in rows:
        for phase, time in (("prefill", row.prefill_ns), ("decode", row.token_ns)):
            if row.mode == "eager" and time is not None:
                found[row.path, phase] = time
    return found


def prediction(samples: pl.DataFrame, trace: Trace, phase: str, path: str) -> Prediction | None:
    """The prediction of `trace`, the unfused profile of `phase`, beside what `path` saved, both eager.

    None where one of the two was not timed. Errors: TraceError where the profile predicts nothing.
    """
    times = series(samples)
    before, after = (_rounds(times, name, phase, "eager") for name in (BASELINE, path))
    step, saved = figure(list(before.values())), _gain(before, after)
    if step is None or saved is None:
        return None
    bound = what_if(trace, BASELINE, phase, step)
    return Prediction(phase=phase, path=path, bound=bound, saved=saved, saved_ns=saved.median * bound.step_ns)
