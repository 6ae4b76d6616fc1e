"""Steps of serving engines by phase and batch size: what a prefill of 4 requests, or a decode of 31, costs the device.

An engine marks each forward pass with a range whose name tells what is in it: `step[DECODE bs=31]` (SGLang),
`execute_context_1(512)_generation_7(7)` (vLLM), `[Executor] _forward_step 12: 1 ctx reqs, 7 gen reqs` (TensorRT-LLM).
A step that holds requests of both kinds is `mixed`; a name of another stage keeps its own word (`verify`, `draft`).
"""

from __future__ import annotations

import re
from typing import Any, Final

import polars as pl

from rope_prof.analysis.trace.calls import call_rows
from rope_prof.analysis.trace.gaps import Host
from rope_prof.analysis.trace.ranges import range_use
from rope_prof.model.frozen import Frozen

_STAGE: Final = re.compile(r"step\[(?P<stage>\w+) bs=(?P<batch>\d+)[^\]]*\]$")
_COUNTED: Final = (
    re.compile(r"execute_(?:\d+_)?context_(?P<prefill>\d+)(?:\([^)]*\))?_generation_(?P<decode>\d+)(?:\([^)]*\))?$"),
    re.compile(r"\[Executor\] _forward_step \d+: (?P<prefill>\d+) ctx reqs, (?P<decode>\d+) gen reqs$"),
)
_STAGES: Final = {"extend": "prefill"}


class PhaseUse(Frozen, kw_only=True):
    """The steps of one phase and batch size on one device: medians of a step, and why the device idled in them.

    `period_ns`: from a step's first kernel to the next step's, of whatever phase; None for the last one alone. Times
    are None for the `reason`.
    """

    phase: str
    batch: int
    device: str
    steps: int
    kernels: float
    busy_ns: float | None
    span_ns: float | None  # first start to last end
    period_ns: float | None
    idle_by_cause_ns: dict[str, int]  # of all steps, between their own first start and last end
    reason: str | None = None


def phase_of(name: str | None) -> tuple[str, int] | None:
    """(`decode`, 31) of a step's name; None for any other range."""
    if name is None:
        return None
    if (stage := _STAGE.match(name)) is not None:
        word = stage["stage"].lower()
        return _STAGES.get(word, word), int(stage["batch"])
    counted = next((found for one in _COUNTED if (found := one.match(name)) is not None), None)
    if counted is None:
        return None
    prefill, decode = int(counted["prefill"]), int(counted["decode"])
    return ("mixed" if prefill and decode else "prefill" if prefill else "decode"), prefill + decode


def phase_use(ranges: pl.DataFrame, events: pl.DataFrame, host_side: Host) -> tuple[PhaseUse, ...]:
    """A row a phase, batch size and device, by the time that all its steps take; `events` come from `launched`."""
    known = {name: found for name in ranges["name"].unique() if (found := phase_of(name)) is not None}
    if not known or not events.height:
        return ()
    words = {name: f"{phase} {batch}" for name, (phase, batch) in known.items()}
    steps = ranges.filter(pl.col("name").is_in(list(known))).with_columns(pl.col("name").replace(words))
    causes = {(use.name, use.device): use.idle_by_cause_ns for use in range_use(steps, events, host_side)}
    rows = call_rows(steps, events).filter(pl.col("device").is_not_null() & pl.col("host_end_ns").is_not_null())
    medians = (
        rows.with_columns(span_ns=pl.col("last_end_ns") - pl.col("first_start_ns"))
        .group_by("range", "device")
        .agg(pl.len().alias("steps"), pl.col("kernels", "busy_ns", "span_ns", "period_ns").median())
    )
    uses = [_use(row, causes) for row in medians.iter_rows(named=True)]
    return tuple(sorted(uses, key=lambda use: (-use.steps * (use.span_ns or 0), use.phase, use.batch, use.device)))


def _use(row: dict[str, Any], causes: dict[tuple[str, str], dict[str, int]]) -> PhaseUse:
    phase, batch = row.pop("range").split(" ")
    return PhaseUse(
        phase=phase, batch=int(batch), idle_by_cause_ns=causes.get((f"{phase} {batch}", row["device"]), {}), **row
    )
