"""Figures of one capture: medians over its calls, and whether all of it is there.

Calls of a cold graph lie inside one replay, and the L2 is overwritten between replays: their period is the replay's
length over its calls.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace

import polars as pl

from rope_prof.analysis.stats import figure
from rope_prof.analysis.trace.calls import as_cpu, busy_frame, recorded_on_cpu
from rope_prof.analysis.trace.launches import launched
from rope_prof.errors import RunError
from rope_prof.model.run import Key, KeyFacts
from rope_prof.model.trace import Trace

#: Kernels of a capture that take together this much longer than their union overlap.
OVERLAP = 1.02


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptureFigures:
    """Medians over the captured calls of one key. None where the trace does not hold it.

    `busy_ns` is no median: it is the union of the GPU events of all captured calls over their number, so that launches
    that overlap are counted once. `busy_each_ns`: what each call adds to that union (a replay: over its calls), whose
    mean it is and from which intervals are drawn. `replay_ns`: of calls inside a graph's replay, its length over its
    calls. `names`: of the kernels in the file, each once.
    """

    calls: int
    kernels_per_call: float | None
    kernel_ns: float | None
    busy_ns: float | None
    period_ns: float | None
    bubble_raw_ns: float | None
    replay_ns: float | None = None
    busy_each_ns: tuple[float, ...] = field(default=(), compare=False, repr=False)
    names: tuple[str, ...] = field(default=(), compare=False, repr=False)

    @property
    def overlaps(self) -> bool:
        """Whether kernels run beside the ones before (programmatic dependent launch, other streams): together they take
        longer than their union, and none waits for the one before.
        """
        return self.kernel_ns is not None and bool(self.busy_ns) and self.kernel_ns > OVERLAP * (self.busy_ns or 0)


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
    pattern = call_pattern(key if isinstance(key, str) else key.name)
    source = as_cpu(trace) if recorded_on_cpu(trace) else trace
    per_range = (trace.own or {}).get("calls_per_range", 1)
    rows, events = busy_frame(source, pattern, kind="record_function"), launched(source)
    names = set(events["name"].filter(events["kind"] == "kernel").to_list()) - {None}
    return replace(frame_figures(rows, int(per_range)), names=tuple(sorted(names)))


def frame_figures(frame: pl.DataFrame, per_range: int = 1) -> CaptureFigures:
    """`figures` of a frame of ranges (`kernels`, `kernel_ns`, `busy_ns`, `period_ns`) that hold `per_range` calls each.

    `added_ns` (see `calls.busy_frame`) counts what overlaps between calls once; without that column calls are taken not
    to overlap. A range of several calls is the replay of a CUDA graph (`inner_gap_ns` is read of those). Ranges without
    a kernel have no times.
    """
    alive = frame.filter(frame["kernels"] > 0)
    busy, period = alive["added_ns" if "added_ns" in frame.columns else "busy_ns"], alive["period_ns"]
    return CaptureFigures(
        calls=frame.height * per_range,
        kernels_per_call=_middle(frame["kernels"], per_range),
        kernel_ns=_middle(alive["kernel_ns"], per_range),
        busy_ns=_mean(busy, per_range),
        period_ns=_middle(period, per_range),
        bubble_raw_ns=_middle(period - busy, per_range),
        replay_ns=_middle(busy + alive["inner_gap_ns"], per_range) if per_range > 1 else None,
        busy_each_ns=tuple(ns / per_range for ns in _known(busy)),
    )


def _middle(column: pl.Series, per_range: int) -> float | None:
    found = figure(_known(column))
    return None if found is None else found.median / per_range


def _mean(column: pl.Series, per_range: int) -> float | None:
    found = _known(column)
    return float(sum(found)) / len(found) / per_range if found else None


def _known(column: pl.Series) -> list[int]:
    return [value for value in column.to_list() if value is not None]
