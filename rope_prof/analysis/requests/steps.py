"""Steps, layers and rope calls of a profiled whole step: which is which, and how far the profiler stretched them.

The ranges are `<path>.<phase>.step#n`, `.layer#n` and `.rope#n`; layers and rope calls count on over the steps and may
begin at any number, so that layer n of a step is the n-th that began inside it. Frames in, rows out.
"""

from __future__ import annotations

import re
from typing import Any

import polars as pl

from rope_prof.analysis.requests.requests import PARTS
from rope_prof.analysis.trace.calls import as_cpu, call_frame, recorded_on_cpu
from rope_prof.model.frozen import Frozen
from rope_prof.model.trace import Trace


class StepCalls(Frozen, kw_only=True, eq=False):
    """What a profile of one path and phase holds: frames as `analysis.trace.calls.CALLS`, by host start."""

    steps: pl.DataFrame
    layers: pl.DataFrame
    ropes: pl.DataFrame

    def of(self, part: str, step: int) -> pl.DataFrame:
        """All steps; or the layers of one step, or the rope call of each of them, numbered from 0 in `call`.

        Layers and rope calls have no period: what follows a layer is not always a layer. Errors: ValueError for
        another `part`.
        """
        if part not in PARTS:
            raise ValueError(f"unknown part {part!r}; expected one of {', '.join(PARTS)}")
        if part == "step":
            return self.steps
        found = self.steps.filter(pl.col("call") == step)
        layers = self.layers.clear() if found.is_empty() else _inside(self.layers, found.row(0, named=True))
        rows = layers.with_columns(call=pl.int_range(pl.len()), period_ns=pl.lit(None, dtype=pl.Int64))
        if part == "layer":
            return rows
        ropes = [_first_inside(self.ropes, row) for row in rows.iter_rows(named=True)]
        return pl.concat([rows.clear(), *ropes])

    def call(self, part: str, step: int, layer: int) -> dict[str, Any] | None:
        """The row of that step, of layer number `layer` of it, or of the rope call of that layer; None without one."""
        found = self.of(part, step).filter(pl.col("call") == (step if part == "step" else layer))
        return None if found.is_empty() else found.row(0, named=True)

    def period_ns(self) -> float | None:
        """The median period of the steps, as profiled; None with fewer than two that ran something."""
        return self.steps["period_ns"].median()  # type: ignore[return-value]

    def inflation(self, unprofiled_ns: float | None) -> float | None:
        """Profiled / unprofiled step; None where one of them is not known."""
        profiled = self.period_ns()
        return None if profiled is None or not unprofiled_ns else profiled / unprofiled_ns


def step_calls(trace: Trace, path: str, phase: str) -> StepCalls:
    """The calls of `path` in `phase` that `trace` holds; a trace of our own recorded on a CPU counts leaf operators."""
    source = as_cpu(trace) if recorded_on_cpu(trace) else trace
    name = re.escape(f"{path.replace(':', '@')}.{phase}")
    steps, layers, ropes = (call_frame(source, rf"{name}\.{part}#\d+", kind="record_function") for part in PARTS)
    return StepCalls(steps=steps, layers=layers, ropes=ropes)


def _inside(frame: pl.DataFrame, outer: dict[str, Any]) -> pl.DataFrame:
    """Those that began inside `outer` on its thread, on one device each."""
    begun = pl.col("host_start_ns") >= outer["host_start_ns"]
    if outer["host_end_ns"] is not None:
        begun &= pl.col("host_start_ns") < outer["host_end_ns"]
    lane = [pl.col(name).eq_missing(pl.lit(outer[name])) for name in ("process", "thread")]
    return frame.filter(begun, *lane).unique("call", keep="first", maintain_order=True)


def _first_inside(frame: pl.DataFrame, outer: dict[str, Any]) -> pl.DataFrame:
    """The first that began inside `outer`, under the number of `outer`."""
    number, none = pl.lit(outer["call"], dtype=pl.Int64), pl.lit(None, dtype=pl.Int64)
    return _inside(frame, outer).head(1).with_columns(call=number, period_ns=none)
