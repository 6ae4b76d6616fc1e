"""What a report is made of: a run's rows, one laid-out call and the gaps of each capture, whole requests, files.

Takes frames and records, opens nothing. What is divided or counted for the report alone is done here, once.
"""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl
from msgspec import field

from rope_prof.analysis.requests.per_layer import PerLayer
from rope_prof.analysis.requests.requests import LogitsAgreement, Prediction, RequestRow, StepParts
from rope_prof.analysis.run.capture import call_pattern
from rope_prof.analysis.run.headline import BestAgainstBest
from rope_prof.analysis.run.rows import Row, replays_apart
from rope_prof.analysis.stats import Figure
from rope_prof.analysis.trace.calls import as_cpu, call_frame, matching, numbered, recorded_on_cpu
from rope_prof.analysis.trace.gaps import device_gaps
from rope_prof.analysis.trace.idle import placed, told
from rope_prof.analysis.trace.kernels import KERNELS, kernel_shares
from rope_prof.analysis.trace.launches import launched
from rope_prof.analysis.trace.pairs import pairs
from rope_prof.analysis.trace.replays import calls_per_range, single_calls, single_events
from rope_prof.model.end_to_end import EndToEnd
from rope_prof.model.frozen import Frozen
from rope_prof.model.run import KeyFacts, Run
from rope_prof.model.trace import Trace
from rope_prof.views.timeline.layout import CallTimeline, lay_out, median_call
from rope_prof.views.timeline.picture import Panel


class Captured(Frozen, kw_only=True):
    """What one capture holds for a report. `timeline` is its median call, `reason` why there is none.

    `kernels` has the schema of `analysis.trace.kernels.KERNELS`, `gaps` those between the first and
    the last call as `analysis.trace.idle` tells them; both are empty where they were not asked for. `which` names the
    call in words.
    """

    facts: KeyFacts
    timeline: CallTimeline | None
    which: str
    calls: int
    kernels: pl.DataFrame
    gaps: pl.DataFrame
    reason: str | None = None


class TraceFile(Frozen, kw_only=True):
    """One trace of the run as it lies on disk."""

    name: str
    what: str
    size: int
    sha256: str


class WholeRequests(Frozen, kw_only=True):
    """What was measured of whole requests, as `show` has it.

    `layers`: phase -> (a layer, its panel of each profiled path), to be drawn on one scale.
    """

    facts: EndToEnd
    rows: tuple[RequestRow, ...]
    agreed: tuple[LogitsAgreement, ...]
    steps: Mapping[tuple[str, str], StepParts]
    predicted: tuple[Prediction, ...]
    per_layer: tuple[PerLayer, ...] = ()
    doubts: tuple[str, ...]
    noise: Mapping[str, Figure]
    layers: Mapping[str, tuple[int, tuple[Panel, ...]]] = field(default_factory=dict)


class ReportData(Frozen, kw_only=True):
    """All that a report is written from. `samples` are those of the run; `lost` names traces that are gone."""

    run: Run
    rows: tuple[Row, ...]
    samples: pl.DataFrame
    headlines: tuple[BestAgainstBest, ...] = ()
    captured: Mapping[str, Captured] = field(default_factory=dict)
    requests: WholeRequests | None = None
    files: tuple[TraceFile, ...] = ()
    lost: tuple[str, ...] = ()
    source: str = ""


def captured(trace: Trace, facts: KeyFacts, *, whole: bool = True) -> Captured:
    """The median call of a key's trace; of the `whole` its kernels and gaps too. A CPU trace counts leaf operators."""
    source = as_cpu(trace) if recorded_on_cpu(trace) else trace
    frame = call_frame(source, call_pattern(facts.key.name), kind="record_function")
    ran = frame.filter(pl.col("events") > 0)
    kernels, gaps = pl.DataFrame(schema=KERNELS), pl.DataFrame()
    if ran.is_empty():
        return Captured(
            facts=facts,
            timeline=None,
            which="",
            calls=frame.height,
            kernels=kernels,
            gaps=gaps,
            reason="its calls ran nothing on the device",
        )
    idle, calls = device_gaps(source, ran["device"][0]), single_calls(source, frame)
    timeline, which = _median(source, calls, idle)
    if whole:
        kernels, gaps = _accounted(source, facts, ran, calls, idle)
    return Captured(
        facts=facts,
        timeline=timeline,
        which=which,
        calls=frame.height * calls_per_range(source),
        kernels=kernels,
        gaps=gaps,
    )


def _accounted(
    trace: Trace, facts: KeyFacts, ran: pl.DataFrame, calls: pl.DataFrame, idle: pl.DataFrame
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """`Captured.kernels` and `gaps` of the ranges that `ran` something and of the calls in them."""
    launches = launched(trace)
    ranges = numbered(matching(trace, call_pattern(facts.key.name), kind="record_function"))
    events = pl.concat([launches[rows] for _, rows in pairs(ranges, launches)])
    held = placed(idle, ran.filter(pl.col("device") == ran["device"][0]), apart=replays_apart(facts.key))
    if calls_per_range(trace) > 1:  # of a replay, the call inside it
        held = placed(held, calls, apart=False)
    return kernel_shares(events, ran.height * calls_per_range(trace)), told(held, trace)


def _median(trace: Trace, calls: pl.DataFrame, gaps: pl.DataFrame) -> tuple[CallTimeline | None, str]:
    """The call of median period laid out; of a graph's replay one of the calls that it holds, without its launch."""
    number = median_call(calls)
    if number is None:
        return None, ""
    row = calls.row(by_predicate=pl.col("call") == number, named=True)
    where = " in graph replays" if calls_per_range(trace) > 1 else ""
    return lay_out(row, single_events(trace, row), gaps), f"call #{number} of {calls.height}{where}"
