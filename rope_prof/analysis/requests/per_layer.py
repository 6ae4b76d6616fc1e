"""Do kernel run and whole requests agree? µs a layer saved x layers = ms a step. Pure.

The two were measured apart: one loops a call over a ring of buffers, the other runs a model of all layers. What a call
saves, times the layers, is what a step should save in the same mode. Decode is taken under a CUDA graph, where the host
is in neither; the prompt, which no graph replays, eager, where it is in both.
"""

from __future__ import annotations

from collections.abc import Sequence

from rope_prof.analysis.requests.requests import BASELINE, RequestRow
from rope_prof.analysis.run.rows import Row
from rope_prof.analysis.stats import Figure
from rope_prof.model.end_to_end import STOCK, EndToEnd, Phase, StepMode
from rope_prof.model.frozen import Frozen


class PerLayer(Frozen, kw_only=True):
    """`before_ns`, `after_ns`: a call of unfused and of `path` over the tokens of a step of `phase`, in `mode`.
    `predicted_ns`: what all layers save of a step; `measured_ns`: the difference of the two paths' medians; `token_ns`:
    the unfused step, `stock_ns` the library's own where it was timed.
    """

    path: str
    phase: Phase
    mode: StepMode
    layers: int
    before_ns: float
    after_ns: float
    predicted_ns: float
    measured_ns: float
    token_ns: float
    stock_ns: float | None

    def of_stock(self, saved_ns: float) -> float | None:
        """The share of stock's step that `path` saves where it saves `saved_ns` of the unfused one."""
        return None if self.stock_ns is None else 1 - (self.token_ns - saved_ns) / self.stock_ns


def per_layer(rows: Sequence[Row], facts: EndToEnd, requests: Sequence[RequestRow]) -> tuple[PerLayer, ...]:
    """One for each path and phase that both have timed: decode first."""
    return (*_of("decode", "graph", rows, facts, requests), *_of("prefill", "eager", rows, facts, requests))


def _of(
    phase: Phase, mode: StepMode, rows: Sequence[Row], facts: EndToEnd, requests: Sequence[RequestRow]
) -> list[PerLayer]:
    calls = _calls(rows, facts, 1 if phase == "decode" else facts.request.prompt_tokens, mode)
    timed = {one.path: one.token_ns if phase == "decode" else one.prefill_ns for one in requests if one.mode == mode}
    steps = {path: time.median for path, time in timed.items() if isinstance(time, Figure)}
    if BASELINE not in calls or BASELINE not in steps:
        return []
    return [
        PerLayer(
            path=path,
            phase=phase,
            mode=mode,
            layers=facts.model.layers,
            before_ns=calls[BASELINE],
            after_ns=calls[path],
            predicted_ns=facts.model.layers * (calls[BASELINE] - calls[path]),
            measured_ns=steps[BASELINE] - steps[path],
            token_ns=steps[BASELINE],
            stock_ns=steps.get(STOCK),
        )
        for path in steps
        if path in calls and path != BASELINE
    ]


def _calls(rows: Sequence[Row], facts: EndToEnd, tokens: int, mode: StepMode) -> dict[str, float]:
    """Path -> the median of a call over `tokens` tokens of the model's shape, into a cache of its own dtype."""
    preset = facts.model.preset.partition("-")[0]
    wanted: dict[str, set[object]] = {
        "model": {preset},
        "tp": {1},
        "tokens": {tokens},
        "dtype": {facts.model.dtype, _SHORT.get(facts.model.dtype)},
        "cache": {"same", None},
    }
    return {
        row.path: row.wall_ns.median
        for row in reversed(rows)
        if row.wall_ns is not None and row.mode == mode
        if all(dict(row.case.values).get(axis) in values for axis, values in wanted.items())
    }


_SHORT = {"bfloat16": "bf16", "float16": "fp16", "float32": "fp32"}
