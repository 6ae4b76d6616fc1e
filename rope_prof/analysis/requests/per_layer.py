"""Do kernel run and whole requests agree? µs a layer saved in mode graph x layers = ms a token. Pure.

The two were measured apart: one loops a call over a ring of buffers, the other decodes with a model of all layers.
Under a CUDA graph the host is in neither, so that what a call saves, times the layers, is what a token should save.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rope_prof.analysis.requests.requests import BASELINE, RequestRow
from rope_prof.analysis.run.rows import Row
from rope_prof.model.end_to_end import EndToEnd


@dataclass(frozen=True, slots=True, kw_only=True)
class PerLayer:
    """`before_ns`, `after_ns`: a call of unfused and of `path` over one token in mode graph. `predicted_ns`: what all
    layers save of a token; `measured_ns`: the difference of the two paths' medians per token under a graph.
    """

    path: str
    layers: int
    before_ns: float
    after_ns: float
    predicted_ns: float
    measured_ns: float
    token_ns: float


def per_layer(rows: Sequence[Row], facts: EndToEnd, requests: Sequence[RequestRow]) -> tuple[PerLayer, ...]:
    """One for each path that the run timed over one token in mode graph and the requests timed in mode graph."""
    preset = facts.model.preset.partition("-")[0]
    dtypes: set[object] = {facts.model.dtype, _SHORT.get(facts.model.dtype)}
    wanted: dict[str, set[object]] = {"model": {preset}, "tp": {1}, "tokens": {1}, "dtype": dtypes}
    calls = {
        row.path: row.wall_ns.median
        for row in reversed(rows)
        if row.wall_ns is not None and row.mode == "graph"
        if all(dict(row.case.values).get(axis) in values for axis, values in wanted.items())
    }
    tokens = {one.path: one.token_ns.median for one in requests if one.mode == "graph" and one.token_ns is not None}
    if BASELINE not in calls or BASELINE not in tokens:
        return ()
    return tuple(
        PerLayer(
            path=path,
            layers=facts.model.layers,
            before_ns=calls[BASELINE],
            after_ns=calls[path],
            predicted_ns=facts.model.layers * (calls[BASELINE] - calls[path]),
            measured_ns=tokens[BASELINE] - tokens[path],
            token_ns=tokens[BASELINE],
        )
        for path in tokens
        if path in calls and path != BASELINE
    )


_SHORT = {"bfloat16": "bf16", "float16": "fp16", "float32": "fp32"}
