"""The row of each key of a run: facts, samples and figures of captures -> the table people read.

Bubble of a call = its period (first kernel to the next call's first kernel) less its busy time: raw from the profiled
period, corrected from the unprofiled wall per call. It has two parts: *host*, wall less the device time of calls that
were all in the queue, which the device waits for the host; and *queue*, that device time less busy: what lies between
kernels that have long been launched. Inflation = profiled / unprofiled period. Nothing is clipped:
a negative bubble is shown as such. Speedups pair the samples of one round (`processes`).

Calls of a cold graph lie inside one replay, and the L2 is overwritten between replays: their period is the replay's
length over its calls, and its inflation is that over the unprofiled device time of such a replay.

The corrected bubble has a cross-check that no profiler touches: wall - (device time of the path's graph replay - the
gaps between its nodes). The replay's device time comes from events around an unprofiled replay, the gaps from a
measured chain of nodes of small writing kernels, replayed in the path's L2 state; the corrected bubble takes its busy
time from the profiler's timestamps instead. They share the wall alone. The two agree within `AGREE_WITHIN` of the
wall, or the table says that they do not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import polars as pl

from rope_prof.analysis.run.capture import CaptureFigures
from rope_prof.analysis.run.ceilings import Ceilings, ceilings
from rope_prof.analysis.run.conditions import other_clock
from rope_prof.analysis.run.processes import middle_of, ratio
from rope_prof.analysis.run.series import UNRANKED, PerRound, Series, chain, ranked, series, sibling, wall
from rope_prof.analysis.stats import Figure, tenths
from rope_prof.model.frozen import Frozen
from rope_prof.model.run import Accuracy, Case, Key, KeyFacts, Run, Stopped
from rope_prof.units import SECOND

#: A capture whose calls take this many times their unprofiled time, or this many times less, tells nothing of their
#: bubbles: see `raw_trusted`.
INFLATION_LIMIT = 1.5
#: A corrected bubble and its cross-check may differ by this part of the call's wall, and busy time may exceed it.
AGREE_WITHIN = 0.05
#: One pass over the bytes may take this much longer than a path before that path is doubted.
FLOOR_LIMIT = 1.05


def raw_trusted(inflation: float | None) -> bool:
    """Whether profiled and unprofiled calls are so alike that the raw bubbles of the capture tell something.

    Far above 1 the profiler stretched the calls; far below 1 the unprofiled ones were held up (a busy host, another
    clock), and the two do not belong together. Unknown is not trusted.
    """
    return inflation is not None and 1 / INFLATION_LIMIT <= inflation <= INFLATION_LIMIT


class Row(Frozen, kw_only=True):
    """One key in the table: the contract of `show --json` (`views.words.run_json`), which has its fields in this order.

    `bubble_corrected_ns` is the sum of `bubble_host_ns` (wall - device time with a full queue) and `bubble_queue_ns`
    (device time - busy), both None where the device has no clock.
    `throttled` of its `samples` were taken while power or heat held the clock down, `other_clock` under one over 5 %
    off the run's own; None where nothing says.
    `light_*` come from the capture at the lowest overhead. `bubble_by_replay_ns` is the cross-check of the corrected
    bubble. `mode_speedup`: wall of the baseline in the same mode / wall. `p10_ns`, `p90_ns`: of the wall samples.
    `bytes_per_s`: what the path's kernels move / device time, None under compile, whose kernels no formula knows.
    `byte_floor_ns`: one pass over the views in this L2 state; `roofline_share`: that / device time. `below_floor`: by
    either clock a call takes less, so that it may not touch all its bytes. `busy_over_wall`: its captured calls were
    busy for longer than an unprofiled one takes, and say nothing of it. Both None where nothing tells.
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
    bubble_host_ns: float | None = None
    bubble_queue_ns: float | None = None
    bubble_by_replay_ns: float | None = None
    bubbles_agree: bool | None = None
    wall_ns: Figure | None
    device_ns: Figure | None
    p10_ns: float | None = None
    p90_ns: float | None = None
    inflation: float | None
    light_inflation: float | None = None
    light_bubble_raw_ns: float | None = None
    speedup: float | None
    speedup_interval: Figure | None
    mode_speedup: Figure | None = None
    max_error: float | None
    accuracy: Accuracy | None
    first_call_ns: int | None
    bytes_moved: int | None
    bytes_per_s: float | None = None
    byte_floor_ns: float | None = None
    roofline_share: float | None = None
    stopped: Stopped | None = None
    samples: int = 0
    throttled: int | None = None
    other_clock: int | None = None
    below_floor: bool | None = None
    busy_over_wall: bool | None = None

    @property
    def is_baseline(self) -> bool:
        """Whether its path is the one that all others are held against."""
        return self.path == self.case.operation.baseline

    @property
    def raw_trusted(self) -> bool:
        """Whether the capture was so like the unprofiled calls that its raw figures tell something."""
        return raw_trusted(self.inflation)

    @property
    def light_above_full(self) -> bool | None:
        """Whether the lighter capture stretched the call more than the full one; None where one is missing.

        Of a cold graph both have periods of their own meaning, and are not held together.
        """
        if self.light_inflation is None or self.inflation is None or replays_apart(self):
            return None
        return self.light_inflation > self.inflation


def summary(
    run: Run,
    samples: pl.DataFrame,
    captures: Mapping[str, CaptureFigures],
    light: Mapping[str, CaptureFigures] | None = None,
) -> tuple[Row, ...]:
    """One row per key of `run`, in its order. `captures` holds the figures of the keys that have a trace.

    `light`: those of the captures at the lowest overhead, by key.
    """
    found = series(samples, run)
    return rows_of(run, samples, found, case_ceilings(run, found), captures, light)


def case_ceilings(run: Run, found: Series) -> dict[tuple[Case, int], Ceilings]:
    """The ceilings of every case and rank of `run`, in its order: each rank's card has its own."""
    cases = dict.fromkeys((facts.key.case, facts.key.rank) for facts in run.keys)
    return {(case, rank): ceilings(run, found, case, rank) for case, rank in cases}


def rows_of(
    run: Run,
    samples: pl.DataFrame,
    found: Series,
    limits: Mapping[tuple[Case, int], Ceilings],
    captures: Mapping[str, CaptureFigures],
    light: Mapping[str, CaptureFigures] | None,
) -> tuple[Row, ...]:
    """`summary`, of series and ceilings that are computed already."""
    keys = ranked(run)
    held = {name: (count, down) for name, count, down in _held_down(samples).iter_rows()}
    clocks = other_clock(samples)
    rows = []
    for facts in run.keys:
        name, case = facts.key.name, limits[facts.key.case, facts.key.rank]
        row = _row(facts, found, keys, captures.get(name))
        row = _with_light(row, (light or {}).get(name))
        replayed = sibling(keys, facts.key, mode="graph")
        row = _with_check(row, found, replayed, case, captures)
        row = _with_floor(row, case)
        count, down = held.get(name, (0, None))
        rows.append(replace(row, samples=count, throttled=down, other_clock=clocks.get(name)))
    return tuple(rows)


def _held_down(samples: pl.DataFrame) -> pl.DataFrame:
    """key, its samples, how many of them were throttled (null where none says)."""
    said = pl.col("throttled").is_not_null().any()
    return samples.group_by("key").agg(pl.len(), pl.when(said).then(pl.col("throttled").sum()).alias("throttled"))


def replays_apart(key: Key | Row) -> bool:
    """Whether the calls lie inside replays between which the L2 is overwritten: no idle time of theirs."""
    return key.mode == "graph" and key.l2 == "cold"


def _profiled(
    key: Key, capture: CaptureFigures | None, wall_ns: Figure | None, device_ns: Figure | None
) -> tuple[float | None, float | None, float | None]:
    """(profiled period, raw bubble, inflation) of a call: inside the replay where replays stand apart."""
    if capture is None:
        return None, None, None
    period, raw, plain = capture.period_ns, capture.bubble_raw_ns, wall_ns
    if replays_apart(key) and capture.replay_ns is not None and capture.busy_ns is not None:
        period, raw, plain = capture.replay_ns, capture.replay_ns - capture.busy_ns, device_ns
    return period, raw, period / plain.median if plain and period is not None else None


def _row(facts: KeyFacts, found: Series, keys: Mapping[str, Key], capture: CaptureFigures | None) -> Row:
    key = facts.key
    mine = wall(found, key)
    median, device = middle_of(mine), middle_of(found.get((key.name, "device"), PerRound()))
    eager, alike = (chain(keys, key, mode=mode) for mode in ("eager", key.mode))
    may = facts.status not in UNRANKED
    speedup = ratio(wall(found, eager), mine) if may else None
    busy = capture.busy_ns if capture else None
    period, raw, inflation = _profiled(key, capture, median, device)
    ends = tenths(list(mine.values()))
    moved = facts.bytes_moved if key.mode != "compile" else None
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
        bubble_raw_ns=raw,
        bubble_corrected_ns=median.median - busy if median and busy is not None else None,
        bubble_host_ns=median.median - device.median if median and device else None,
        bubble_queue_ns=device.median - busy if device and busy is not None else None,
        wall_ns=median,
        device_ns=device,
        inflation=inflation,
        speedup=speedup.median if speedup else None,
        speedup_interval=speedup,
        max_error=facts.accuracy.max_error if facts.accuracy else None,
        accuracy=facts.accuracy,
        first_call_ns=facts.first_call_ns,
        bytes_moved=facts.bytes_moved,
        stopped=facts.stopped,
        mode_speedup=ratio(wall(found, alike), mine) if may else None,
        p10_ns=ends[0] if ends else None,
        p90_ns=ends[1] if ends else None,
        bytes_per_s=moved / device.median * SECOND if moved is not None and device and device.median > 0 else None,
        busy_over_wall=busy > (1 + AGREE_WITHIN) * median.median if median and busy is not None else None,
    )


def _with_light(row: Row, light: CaptureFigures | None) -> Row:
    if light is None or light.period_ns is None:
        return row
    inflation = light.period_ns / row.wall_ns.median if row.wall_ns else None
    return replace(row, light_inflation=inflation, light_bubble_raw_ns=light.bubble_raw_ns)


def _with_check(
    row: Row, found: Series, replayed: Key | None, limits: Ceilings, captures: Mapping[str, CaptureFigures]
) -> Row:
    """The corrected bubble once more, without any profiler; under compile no graph holds the same kernels."""
    device = middle_of(found.get((replayed.name, "device"), PerRound())) if replayed else None
    gap = limits.graph_gap_ns.get(row.l2)
    if row.mode == "compile" or device is None or gap is None or replayed is None:
        return row
    if row.kernels_per_call is None or row.bubble_corrected_ns is None or row.wall_ns is None:
        return row
    traced = captures.get(replayed.name)
    busy = device.median - (0.0 if traced is not None and traced.overlaps else row.kernels_per_call * gap)
    bubble = row.wall_ns.median - busy
    agree = abs(bubble - row.bubble_corrected_ns) <= AGREE_WITHIN * row.wall_ns.median
    return replace(row, bubble_by_replay_ns=bubble, bubbles_agree=agree)


def _with_floor(row: Row, limits: Ceilings) -> Row:
    if limits.in_place_ns is None or row.l2 != limits.l2:
        return row
    floor, device = limits.in_place_ns, row.device_ns.median if row.device_ns else None
    below = None if device is None else floor > FLOOR_LIMIT * device
    if row.wall_ns is not None:
        below = bool(below) or _host_floor(limits, floor) > FLOOR_LIMIT * row.wall_ns.median
    share = floor / device if device is not None and device > 0 else None
    return replace(row, byte_floor_ns=floor, roofline_share=share, below_floor=below)


def _host_floor(limits: Ceilings, pass_ns: float) -> float:
    """The least of a pass over the bytes by the host's clock: no more than they take to be copied.

    On cores that others use a short pass waits for its second thread, a hundred times as long as it computes.
    """
    moved = (one.ceiling.bytes_moved for one in limits.measured if one.ceiling.name == "in_place" and one.best)
    bytes_moved = next(moved, None)
    if bytes_moved is None or not limits.copy_bytes_per_s:
        return pass_ns
    return min(pass_ns, bytes_moved / limits.copy_bytes_per_s * SECOND)
