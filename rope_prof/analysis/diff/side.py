"""One side of a comparison of traces: all calls of a range on one device, or the device's whole span as one call.

Time is closed on each side: span = kernels + copies + overlap + idle by cause, in whole nanoseconds, where overlap is
what events run beside each other (busy − their sum, zero or less). Idle lies inside a call, as in `trace.ranges`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import polars as pl

from rope_prof.analysis.trace.accounting import device_use
from rope_prof.analysis.trace.analyze import accounted
from rope_prof.analysis.trace.calls import bases, families, last_begun, numbered
from rope_prof.analysis.trace.gaps import Host, host
from rope_prof.analysis.trace.integrity import Integrity, integrity
from rope_prof.analysis.trace.launches import launched
from rope_prof.analysis.trace.pairs import timed
from rope_prof.analysis.trace.ranges import RangeUse, range_use
from rope_prof.analysis.trace.replays import own_count
from rope_prof.analysis.trace.shared import accounts
from rope_prof.errors import TraceError, UsageError
from rope_prof.model.trace import Trace

#: Kinds that move bytes rather than compute.
MOVES: Final = ("memcpy", "memset")
_FOREVER: Final = 1 << 62
_OFFERED = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceSide:
    """The calls of `name` (None: the device's whole span) in one trace. Sums are ns over all calls.

    `events`: one row per GPU event in the order of time, with its `call`, and of the innermost range of its launch the
    name (`within`, numbered ones as their family) and which occurrence it is (`occurrence`, -1 outside all); `inputs`:
    the shapes that its operator worked on, where the file holds them.
    `ranges`: what each range inside the stretch cost, as `analyze` counts it.
    """

    source: str
    name: str | None
    device: str
    device_name: str | None
    integrity: Integrity
    spans_ns: tuple[int, ...]
    busy_ns: int
    kernel_ns: int
    copy_ns: int
    idle_by_cause_ns: dict[str, int]
    events: pl.DataFrame
    ranges: tuple[RangeUse, ...]
    own_calls: int | None = None  # of a trace of ours: the calls of its path that it holds

    @property
    def calls(self) -> int:
        """How many calls the sums hold."""
        return len(self.spans_ns)

    @property
    def span_ns(self) -> int:
        """First start to last end, summed over the calls."""
        return sum(self.spans_ns)

    @property
    def overlap_ns(self) -> int:
        """Busy less the sum of the events: what runs beside each other, zero or less."""
        return self.busy_ns - self.kernel_ns - self.copy_ns


def trace_side(trace: Trace, name: str | None = None, device: str | None = None) -> TraceSide:
    """The calls of the range `name` (literal, or a family as `ProfilerStep#*`) on `device` (None: the busiest).

    Errors: TraceError where the trace has no GPU event with a time, UsageError for a range or device that it has not.
    """
    trace = accounted(trace)
    if not trace.gpu.height:
        raise TraceError(f"{trace.source!r} has no GPU event with a time; expected a trace that `analyze` accounts for")
    device = _device(trace, device)
    events = launched(trace)
    here = events.filter(pl.col("device") == device)
    judged, host_side = integrity(trace, events), host(trace)
    if name is None:
        return _whole(trace, here, device, judged, host_side)
    return _of_range(trace, here, device, judged, host_side, name)


def common_range(base: Sequence[RangeUse], cand: Sequence[RangeUse]) -> str | None:
    """The range to compare where nobody names one: on both sides, with the most busy time; one of several calls first.

    None where there is no such range: then the devices' whole spans are compared. Takes what `analyze` says of ranges.
    """
    names = [bases(pl.Series([use.name for use in uses], dtype=pl.String)) for uses in (base, cand)]
    sides = [dict(zip(own, uses, strict=True)) for own, uses in zip(names, (base, cand), strict=True)]
    shared = sides[0].keys() & sides[1].keys()

    def rank(name: str) -> tuple[bool, int, str]:
        uses = [side[name] for side in sides]
        return min(use.calls for use in uses) > 1, min(use.busy_ns for use in uses), name

    return max(shared, key=rank, default=None)


def range_uses(trace: Trace) -> tuple[RangeUse, ...]:
    """What each range of a trace cost, as `analyze` says it."""
    used = accounted(trace)
    return range_use(used.ranges, launched(used), host(used))


def _device(trace: Trace, device: str | None) -> str:
    known = trace.gpu.group_by("device").agg(pl.col("dur_ns").sum()).sort("dur_ns", "device", descending=[True, False])
    names = known["device"].to_list()
    if device is not None and device not in names:
        raise UsageError(f"no device {device!r} in {trace.source!r}; it has {', '.join(map(str, names))}")
    return str(names[0] if device is None else device)


def _whole(trace: Trace, here: pl.DataFrame, device: str, judged: Integrity, host_side: Host) -> TraceSide:
    use = device_use(device, trace.device_names.get(device), here, host_side)
    return _side(
        trace,
        here.with_columns(call=pl.lit(0, dtype=pl.Int64)),
        name=None,
        device=device,
        judged=judged,
        spans=(use.span_ns or 0,),
        busy=use.busy_ns or 0,
        causes=use.idle_by_cause_ns or {},
        host_side=host_side,
    )


def _of_range(
    trace: Trace, here: pl.DataFrame, device: str, judged: Integrity, host_side: Host, name: str
) -> TraceSide:
    chosen = _outermost(_named(trace, name).filter(pl.col("dur_ns").is_not_null()))
    if not chosen.height:
        raise UsageError(f"range {name!r} is never closed in {trace.source!r}: no call; close it, or name another")
    ordered = numbered(chosen)
    totals = [account.totals for account in accounts(ordered, here, timed(here))]
    if not totals:
        raise UsageError(f"range {name!r} launched no GPU work on device {device} in {trace.source!r}")
    found = pl.concat(totals)
    own = here.with_columns(call=last_begun(ordered, here)).filter(pl.col("call") >= 0)
    uses = range_use(chosen.with_columns(name=pl.lit(name)), here, host_side)
    return _side(
        trace,
        own,
        name=name,
        device=device,
        judged=judged,
        spans=tuple(found.sort("call").select(pl.col("last_end_ns") - pl.col("first_start_ns")).to_series()),
        busy=int(found["busy_ns"].sum()),
        causes=uses[0].idle_by_cause_ns,
        host_side=host_side,
    )


def _side(
    trace: Trace,
    own: pl.DataFrame,
    *,
    name: str | None,
    device: str,
    judged: Integrity,
    spans: tuple[int, ...],
    busy: int,
    causes: dict[str, int],
    host_side: Host,
) -> TraceSide:
    moves = pl.col("kind").is_in(MOVES)
    asked = trace.ops.filter(pl.col("external").is_not_null()).unique("external", keep="first")
    own = own.join(asked.select("external", inputs="input_dims"), on="external", how="left", maintain_order="left")
    own = own.sort("start_ns", "stream", "dur_ns", maintain_order=True)
    inner = trace.ranges if name is None else _inside(trace.ranges, name)
    occurrence, within = _innermost(inner, own)
    length = pl.col("dur_ns").clip(lower_bound=0)
    return TraceSide(
        source=trace.source,
        name=name,
        device=device,
        device_name=trace.device_names.get(device),
        integrity=judged,
        spans_ns=spans,
        busy_ns=busy,
        kernel_ns=int(own.filter(~moves).select(length.sum()).item()),
        copy_ns=int(own.filter(moves).select(length.sum()).item()),
        idle_by_cause_ns=causes,
        events=own.with_columns(length.alias("dur_ns"), occurrence=occurrence, within=within),
        ranges=range_use(inner, own, host_side),
        own_calls=own_count(trace),
    )


def _innermost(ranges: pl.DataFrame, events: pl.DataFrame) -> tuple[pl.Series, pl.Series]:
    """Of the range that began last before each launch inside it: its number, and its name without a trailing one."""
    ordered = numbered(ranges)
    number = last_begun(ordered, events)
    names = families(ordered["range"])
    return number, names.gather(number.set(number < 0, None))


def _is(names: pl.Series, name: str) -> pl.Series:
    """Which ranges are of `name`: that very name, or one of the family so called (`step#*`), be it there alone."""
    return ((names == name) | (bases(names) == name)).fill_null(False)


def _named(trace: Trace, name: str) -> pl.DataFrame:
    chosen = trace.ranges.filter(_is(trace.ranges["name"], name))
    if chosen.height:
        # The same call marked by NVTX and by record_function counts once.
        kind = chosen["kind"].value_counts().sort("count", "kind", descending=True)["kind"][0]
        return chosen.filter(pl.col("kind") == kind)
    known = trace.ranges["name"].drop_nulls().value_counts().sort("count", "name", descending=[True, False])["name"]
    offered = ", ".join(repr(one) for one in known.head(_OFFERED))
    more = f" and {len(known) - _OFFERED} more" if len(known) > _OFFERED else ""
    has = f"it has {offered}{more}" if offered else "it has no ranges"
    raise UsageError(f"no range {name!r} in {trace.source!r}; {has}")


def _inside(ranges: pl.DataFrame, name: str) -> pl.DataFrame:
    """The ranges inside one of `name`, on whichever thread of its process; not those of that name."""
    end = (pl.col("start_ns") + pl.col("dur_ns")).fill_null(_FOREVER)
    mine = _is(ranges["name"], name)
    chosen = ranges.filter(mine).select("process", "start_ns", around_end_ns=end).sort("start_ns")
    reached = pl.col("around_end_ns").cum_max().over("process")
    others = ranges.filter(~mine).sort("start_ns", maintain_order=True)
    held = others.join_asof(  # both are sorted; polars cannot see it within groups
        chosen.with_columns(reached), on="start_ns", by="process", strategy="backward", check_sortedness=False
    )
    return held.filter(end <= pl.col("around_end_ns")).drop("around_end_ns")


def _outermost(chosen: pl.DataFrame) -> pl.DataFrame:
    """Without those that lie inside another of their thread: recursion counts once."""
    end = (pl.col("start_ns") + pl.col("dur_ns")).fill_null(_FOREVER)
    lanes = ["process", "thread"]
    ordered = chosen.sort("start_ns", end, descending=[False, True], maintain_order=True)
    reached = end.cum_max().shift(1).over(lanes)
    return ordered.filter(reached.is_null() | (pl.col("start_ns") >= reached))
