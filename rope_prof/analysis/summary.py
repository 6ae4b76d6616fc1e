"""Figures of one capture, and the row of each key of a run: facts, samples and captures -> the table people read.

Bubble of a call = its period (first kernel to the next call's first kernel) less its busy time: raw from the profiled
period, corrected from the unprofiled wall per call. Inflation = profiled / unprofiled period. Nothing is clipped:
a negative bubble is shown as such. Speedups pair the samples of one round.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from rope_prof.analysis.stats import Figure, figure, paired_ratio
from rope_prof.errors import RunError
from rope_prof.model.run import Accuracy, Case, Key, KeyFacts, Run

if TYPE_CHECKING:
    import polars as pl

    from rope_prof.model.trace import Trace

#: A capture that stretches a call more than this tells nothing of its bubbles.
INFLATION_LIMIT = 1.5


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptureFigures:
    """Medians over the captured calls of one key. None where the trace does not hold it."""

    calls: int
    kernels_per_call: float | None
    kernel_ns: float | None
    busy_ns: float | None
    period_ns: float | None
    bubble_raw_ns: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One key in the table: the contract of `show --json` (docs of `views.tables`).

    `throttled` of its `samples` were taken while power or heat held the clock down; None where nothing says.
    """

    key: str
    case: Case
    path: str
    mode: str
    l2: str
    rank: int
    status: str
    reason: str | None
    kernels_per_call: float | None
    kernel_ns: float | None
    busy_ns: float | None
    period_ns: float | None
    bubble_raw_ns: float | None
    bubble_corrected_ns: float | None
    wall_ns: Figure | None
    device_ns: Figure | None
    inflation: float | None
    speedup: float | None
    speedup_interval: Figure | None
    max_error: float | None
    accuracy: Accuracy | None
    first_call_ns: int | None
    bytes_moved: int | None
    stopped: str | None = None
    samples: int = 0
    throttled: int | None = None


def require_whole(trace: Trace, found: CaptureFigures, facts: KeyFacts) -> None:
    """RunError where `trace` is a part of what was recorded for `facts`: its figures would be wrong."""
    cut = next((finding.detail for finding in trace.findings if finding.code.startswith("cut_")), None)
    if cut is None and facts.captured_calls is not None and found.calls != facts.captured_calls:
        cut = f"it holds {found.calls} calls, {facts.captured_calls} were recorded"
    if cut is not None:
        raise RunError(
            f"trace {facts.trace!r} of the run is damaged ({cut}); restore the file, or delete it to see the run "
            "without it"
        )


def call_pattern(key_name: str) -> re.Pattern[str]:
    """The ranges of one key's calls: `<key>#<call>`."""
    return re.compile(re.escape(key_name) + r"#\d+")


def figures(trace: Trace, key: Key | str) -> CaptureFigures:
    """What the trace says of the calls of `key`: medians over them; the last call has no period.

    A trace of our own that says it was recorded on a CPU counts leaf operators as kernels.
    """
    from rope_prof.analysis.calls import as_cpu, call_frame, recorded_on_cpu

    pattern = call_pattern(key if isinstance(key, str) else key.name)
    source = as_cpu(trace) if recorded_on_cpu(trace) else trace
    per_range = (trace.own or {}).get("calls_per_range", 1)
    return frame_figures(call_frame(source, pattern, kind="record_function"), int(per_range))


def frame_figures(frame: pl.DataFrame, per_range: int = 1) -> CaptureFigures:
    """`figures` of a frame of ranges (`kernels`, `kernel_ns`, `busy_ns`, `period_ns`) that hold `per_range` calls each.

    A range of several calls is the replay of a CUDA graph. Ranges without a kernel have no times.
    """
    alive = frame.filter(frame["kernels"] > 0)
    with_period = alive.drop_nulls("period_ns")
    return CaptureFigures(
        calls=frame.height * per_range,
        kernels_per_call=_middle(frame["kernels"], per_range),
        kernel_ns=_middle(alive["kernel_ns"], per_range),
        busy_ns=_middle(alive["busy_ns"], per_range),
        period_ns=_middle(with_period["period_ns"], per_range),
        bubble_raw_ns=_middle(with_period["period_ns"] - with_period["busy_ns"], per_range),
    )


def _middle(column: pl.Series, per_range: int) -> float | None:
    found = figure(column.drop_nulls().to_list())
    return None if found is None else found.median / per_range


def summary(run: Run, samples: pl.DataFrame, captures: Mapping[str, CaptureFigures]) -> tuple[Row, ...]:
    """One row per key of `run`, in its order. `captures` holds the figures of the keys that have a trace."""
    per_call = {facts.key.name: _per_call(samples, facts.key.name) for facts in run.keys}
    baselines = {
        (facts.key.case, facts.key.rank, facts.key.l2): facts.key.name
        for facts in run.keys
        if facts.key.path == "unfused" and facts.key.mode == "eager" and facts.status != "wrong"
    }
    held = {name: (count, down) for name, count, down in _held_down(samples).iter_rows()}
    rows = [
        _row(
            facts,
            per_call,
            baselines.get((facts.key.case, facts.key.rank, facts.key.l2)),
            captures.get(facts.key.name),
        )
        for facts in run.keys
    ]
    counts = (held.get(row.key, (0, None)) for row in rows)
    return tuple(replace(row, samples=count, throttled=down) for row, (count, down) in zip(rows, counts, strict=True))


def _held_down(samples: pl.DataFrame) -> pl.DataFrame:
    """key, its samples, how many of them were throttled (null where none says)."""
    import polars as pl

    said = pl.col("throttled").is_not_null().any()
    return samples.group_by("key").agg(pl.len(), pl.when(said).then(pl.col("throttled").sum()).alias("throttled"))


def _per_call(samples: pl.DataFrame, key: str) -> dict[str, dict[int, float]]:
    """clock -> round -> ns per call of `key`."""
    clocks: dict[str, dict[int, float]] = {"wall": {}, "device": {}}
    for row in samples.filter(samples["key"] == key).iter_rows(named=True):
        clocks.setdefault(row["clock"], {})[row["round"]] = row["ns"] / row["calls"]
    return clocks


def _row(
    facts: KeyFacts,
    per_call: Mapping[str, dict[str, dict[int, float]]],
    baseline: str | None,
    capture: CaptureFigures | None,
) -> Row:
    key, mine = facts.key, per_call[facts.key.name]
    wall = figure(list(mine["wall"].values()))
    ranked = facts.status not in {"wrong", "failed"}
    speedup = paired_ratio(per_call[baseline]["wall"], mine["wall"]) if baseline and ranked else None
    busy = capture.busy_ns if capture else None
    period = capture.period_ns if capture else None
    return Row(
        key=key.name,
        case=key.case,
        path=key.path,
        mode=key.mode,
        l2=key.l2,
        rank=key.rank,
        status=facts.status,
        reason=facts.reason,
        kernels_per_call=capture.kernels_per_call if capture else None,
        kernel_ns=capture.kernel_ns if capture else None,
        busy_ns=busy,
        period_ns=period,
        bubble_raw_ns=capture.bubble_raw_ns if capture else None,
        bubble_corrected_ns=wall.median - busy if wall and busy is not None else None,
        wall_ns=wall,
        device_ns=figure(list(mine["device"].values())),
        inflation=period / wall.median if wall and period is not None else None,
        speedup=speedup.median if speedup else None,
        speedup_interval=speedup,
        max_error=facts.accuracy.max_error if facts.accuracy else None,
        accuracy=facts.accuracy,
        first_call_ns=facts.first_call_ns,
        bytes_moved=facts.bytes_moved,
        stopped=facts.stopped,
    )
