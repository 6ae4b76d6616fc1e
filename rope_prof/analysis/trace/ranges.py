"""What each named range cost on each device: the kernels launched inside it, their time, the idle time between them.

Ranges of one name are its calls. Names that differ in a trailing number alone (`ProfilerStep#6`, our own keys,
`aten::mul, op_id = 7`) are one family, shown as `ProfilerStep#*` and `aten::mul, op_id = *`. Idle lies inside a call:
between its own first start and last end, where none of its own events runs; what other work of the device fills is
`other_stream` or `copy`. Nested ranges are inclusive. A range that is open when recording ends owns what was launched
in it, and is no call: its length is not known.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any, Final

import numpy as np
import polars as pl

from rope_prof.analysis.stats import tenths_of
from rope_prof.analysis.trace.accounting import others_on
from rope_prof.analysis.trace.calls import families, numbered
from rope_prof.analysis.trace.gaps import CAUSES, Host, Launches, Rungs, cause_table, launches_of, parted
from rope_prof.analysis.trace.groups import group_numbers, is_constant, parts_of
from rope_prof.analysis.trace.pairs import FOREVER, Gaps, TimedEvents, by_thread, once_each, timed
from rope_prof.analysis.trace.shared import CallTotals, accounts
from rope_prof.analysis.trace.spans import Int64s, total_time
from rope_prof.model.frozen import Frozen
from rope_prof.units import US

_TIMES: Final = ("device", "kind", "start_ns", "dur_ns")


class Spread(Frozen, kw_only=True):
    """Median of the calls, with the 10th and the 90th percentile (`stats.tenths`)."""

    median: float
    lo: float
    hi: float


class RangeUse(Frozen, kw_only=True):
    """One range name on one device. `us_per_call`: first start to last end of a call, in µs; None for the `reason`.

    `calls`: those that were closed.
    """

    name: str
    device: str
    calls: int
    kernels: int
    kernel_ns: int
    busy_ns: int
    idle_ns: int
    idle_by_cause_ns: dict[str, int]
    us_per_call: Spread | None
    reason: str | None = None
    backward_kernels: int = 0  # whose forward operator ran in the range, wherever they were launched
    backward_kernel_ns: int = 0


class Outside(Frozen, kw_only=True):
    """GPU work that no range owns, although the file has ranges; `unlinked` has no launch, so nobody knows."""

    kernels: int
    kernel_ns: int
    unlinked: int


def outside(ranges: pl.DataFrame, events: pl.DataFrame) -> Outside | None:
    """What falls in none of `ranges`; None where there are none. `events` come from `launched`."""
    if not ranges.height:
        return None
    held = np.zeros(events.height, np.bool_)
    for lane in by_thread(numbered(ranges), events):
        held[lane.rows] |= lane.held()
    kernels = events.select("dur_ns", "launch_start_ns", held=pl.Series(held)).filter(events["kind"] == "kernel")
    free = kernels.filter(~pl.col("held") & pl.col("launch_start_ns").is_not_null())
    return Outside(
        kernels=free.height,
        kernel_ns=total_time(free),
        unlinked=int(kernels["launch_start_ns"].null_count()),
    )


def outermost(lanes: pl.DataFrame) -> pl.DataFrame:
    """The ranges of each thread that no other one of it holds."""
    lane = ["process", "thread"]
    if lanes.height and all(is_constant(lanes[name]) for name in lane):
        ends = lanes["host_end_ns"].fill_null(FOREVER).to_numpy()
        free = np.append(True, ends[1:] > np.maximum.accumulate(ends)[:-1])
        return lanes if free.all() else lanes.filter(pl.Series(free))
    end = pl.col("host_end_ns").fill_null(FOREVER)
    reach = end.cum_max().shift(1).over(lane)
    return lanes.filter(reach.is_null() | (end > reach))


def range_use(
    ranges: pl.DataFrame, events: pl.DataFrame, host_side: Host, caused: pl.DataFrame | None = None
) -> tuple[RangeUse, ...]:
    """One row per name and device that something was launched on, by busy time.

    `caused`: backward work as `backward.caused_by_forward` gives it.
    """
    if not ranges.height or not events.height:
        return ()
    ordered = numbered(ranges)
    family = ordered.select(families(ordered["range"]), closed=pl.col("host_end_ns").is_not_null())
    arrays = timed(events)
    uses = call_use(family, accounts(ordered, events, arrays), events, arrays, host_side)
    backward = {} if caused is None or not caused.height else _backward(ordered, caused, family)
    uses = [
        replace(use, backward_kernels=backward[key][0], backward_kernel_ns=backward[key][1])
        if (key := (use.name, use.device)) in backward
        else use
        for use in uses
    ]
    return by_busy_time(uses)


def by_busy_time(uses: Iterable[RangeUse]) -> tuple[RangeUse, ...]:
    """The order in which ranges are shown."""
    return tuple(sorted(uses, key=lambda use: (-use.busy_ns, use.name, use.device)))


def call_use(
    family: pl.DataFrame, held: Iterable[CallTotals], events: pl.DataFrame, arrays: TimedEvents, host_side: Host
) -> list[RangeUse]:
    """One row per family and device. `family`: family, closed of each call by its number; `held`: what calls ran."""
    launches = launches_of(events)
    rungs = {device: others_on(here) for device, here in parts_of(events.select(_TIMES), "device")}
    number, names = group_numbers(family.select("family"))
    totals: list[pl.DataFrame] = []
    causes: list[pl.DataFrame] = []
    for account in held:
        totals.append(account.totals)
        for calls, gaps in ((None, account.gaps), *account.alike):
            causes += _causes(gaps, calls, arrays, launches, host_side, rungs, number)
    if not totals:
        return []
    rows_of = _named(pl.concat(totals), family).filter(pl.col("device").is_not_null())
    by_cause = _added(causes, names["family"].to_list())
    return [_use(row, by_cause.get((row["family"], row["device"]), {})) for row in _summed(rows_of)]


def _backward(ordered: pl.DataFrame, caused: pl.DataFrame, family: pl.DataFrame) -> dict[tuple[str, str], list[int]]:
    """Kernels and their time by (family, device), of work that the ranges' forward operators caused."""
    found = [account.totals for account in accounts(ordered, caused, timed(caused))]
    if not found:
        return {}
    sums = (pl.col(name).cast(pl.Int128).sum() for name in ("kernels", "kernel_ns"))
    rows = _named(pl.concat(found), family).group_by("family", "device").agg(*sums)
    return {(name, device): [int(count), int(ns)] for name, device, count, ns in rows.iter_rows()}


def _named(frame: pl.DataFrame, family: pl.DataFrame) -> pl.DataFrame:
    return frame.with_columns(
        family=family["family"].gather(frame["call"]), closed=family["closed"].gather(frame["call"])
    )


def _causes(
    found: Gaps,
    calls: Int64s | None,
    arrays: TimedEvents,
    launches: Launches,
    host_side: Host,
    rungs: dict[Any, Rungs],
    family: Int64s,
) -> Iterator[pl.DataFrame]:
    """For each device nanoseconds by family and cause, of the gaps of one piece; each distinct gap is judged once.

    `family` numbers that of each call. With `calls` each of them has all of the gaps.
    """
    device = arrays.device[found.after]
    for number in np.flatnonzero(np.bincount(device)).tolist():
        here = found.of(np.flatnonzero(device == number)) if len(arrays.devices) > 1 else found
        kept, place = once_each(here)
        one = here.of(kept)
        parts = parted(one.start, one.end, one.before, one.after, launches)
        name = arrays.devices[number]
        table, owner = cause_table(parts, host_side, len(kept), rungs[name]), here.call
        if calls is not None:
            times = np.bincount(place, minlength=len(kept))
            table, owner, place = times[np.newaxis] @ table, calls, np.zeros_like(calls)
        columns = {cause: table[:, code] for code, cause in enumerate(CAUSES) if table[:, code].any()}
        held, which = _numbered(family[owner])
        sums = {cause: _sums(column[place], which, len(held)) for cause, column in columns.items()}
        yield pl.DataFrame({"family": held, **sums}).with_columns(device=pl.lit(name))


def _numbered(groups: Int64s) -> tuple[Int64s, Int64s]:
    """The distinct groups in order, and the place of each row's among them."""
    if not len(groups) or int(groups.max()) > 4 * len(groups):
        return np.unique(groups, return_inverse=True)
    there = np.bincount(groups) > 0
    return np.flatnonzero(there), (np.cumsum(there) - 1)[groups]


def _sums(values: Int64s, group: Int64s, groups: int) -> pl.Series:
    """The sum of the values of each group, exact."""
    exact = values.astype(np.float64)
    if np.abs(exact).sum() < 1 << 53:
        return pl.Series(np.bincount(group, exact, groups).astype(np.int64))
    rows = pl.DataFrame({"group": group, "values": values}).cast({"values": pl.Int128})
    return rows.group_by("group").sum().sort("group")["values"]


def _added(causes: list[pl.DataFrame], names: list[str]) -> dict[tuple[str, str], dict[str, int]]:
    """The pieces' sums as integers by (family, device); causes that took no time are left out."""
    totals: dict[tuple[str, str], dict[str, int]] = {}
    for piece in causes:
        for row in piece.iter_rows(named=True):
            into = totals.setdefault((names[row.pop("family")], row.pop("device")), {})
            for cause, ns in row.items():
                if ns:
                    into[cause] = into.get(cause, 0) + int(ns)
    return {key: {cause: into[cause] for cause in CAUSES if cause in into} for key, into in totals.items()}


def _summed(rows: pl.DataFrame) -> Iterator[dict[str, Any]]:
    length = (pl.col("last_end_ns") - pl.col("first_start_ns")).filter("closed")
    lo, hi = tenths_of(length)
    sums = ("kernels", "kernel_ns", "busy_ns", "inner_gap_ns")
    return (
        rows.group_by("family", "device")
        .agg(
            pl.col("closed").sum().alias("calls"),
            *(pl.col(name).cast(pl.Int128).sum() for name in sums),
            length.median().alias("median"),
            lo.alias("lo"),
            hi.alias("hi"),
        )
        .iter_rows(named=True)
    )


def _use(row: dict[str, Any], causes: dict[str, int]) -> RangeUse:
    closed = row["calls"] > 0
    spread = Spread(median=row["median"] / US, lo=row["lo"] / US, hi=row["hi"] / US) if closed else None
    return RangeUse(
        name=row["family"],
        device=row["device"],
        calls=row["calls"],
        kernels=int(row["kernels"]),
        kernel_ns=int(row["kernel_ns"]),
        busy_ns=int(row["busy_ns"]),
        idle_ns=int(row["inner_gap_ns"]),
        idle_by_cause_ns=causes,
        us_per_call=spread,
        reason=None if closed else "open when recording ended: no call of it is whole",
    )
