"""One trace of many as a set of rows: the trace, its devices, ranges and collectives, what to fix in it. Pure.

`ROWS` is the one schema of all of them: a column that a kind of row does not have is null there. Times of collectives
and of the trace are nanoseconds since 1970 where the file says its base time, else on the file's own clock.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import asdict, replace
from typing import Any, Final

import numpy as np
import polars as pl

from rope_prof.analysis.fixes.fix import Fix, Fixes
from rope_prof.analysis.trace.accounting import DeviceUse
from rope_prof.analysis.trace.analyze import Analysis, ranges_called
from rope_prof.analysis.trace.calls import families
from rope_prof.analysis.trace.collectives import collectives, communicates
from rope_prof.analysis.trace.gaps import CAUSES, SYNC_CALL
from rope_prof.analysis.trace.launches import launched
from rope_prof.analysis.trace.ranges import RangeUse
from rope_prof.analysis.trace.replays import own_words
from rope_prof.model.trace import Trace
from rope_prof.units import US

ROWS: Final[dict[str, Any]] = {
    "row": pl.String,  # trace | device | range | collective | fix
    "source": pl.String,
    "folder": pl.String,
    "stamp": pl.String,
    "rank": pl.Int64,  # null where neither the file nor its name says it
    "world_size": pl.Int64,
    "key": pl.String,  # of a trace that we recorded: its key without the rank, and `.light` for a light capture
    "title": pl.String,  # of such a trace: its key for people, where the file tells it
    "status": pl.String,  # done | failed (not the trace's fault: tried again)
    "verdict": pl.String,  # sound | suspect | unusable | unreadable; null where it failed
    "reason": pl.String,
    "findings": pl.String,  # JSON
    "format": pl.String,
    "events": pl.Int64,
    "wall_clock": pl.Boolean,  # whether start_ns and end_ns are since 1970
    "name": pl.String,  # of the device, range or collective
    "device": pl.String,
    "calls": pl.Int64,
    "kernels": pl.Int64,
    "kernel_ns": pl.Int64,
    "busy_ns": pl.Int64,
    "span_ns": pl.Int64,
    "idle_ns": pl.Int64,
    "communication_ns": pl.Int64,  # of a device: communication kernels run
    "exposed_ns": pl.Int64,  # and no other kernel does
    "copies_only_ns": pl.Int64,  # copies run and nothing else does
    "copied_bytes": pl.Int64,
    "outside_kernels": pl.Int64,  # of a trace: in no range, although it has ranges
    "outside_ns": pl.Int64,
    **{f"idle_{cause}_ns": pl.Int64 for cause in CAUSES},
    "call_median_ns": pl.Float64,
    "call_lo_ns": pl.Float64,
    "call_hi_ns": pl.Float64,
    "start_ns": pl.Int64,
    "end_ns": pl.Int64,
    "zero_ns": pl.Int64,  # of a trace: the first start of anything, zero of its timeline
    "starts_ns": pl.List(pl.Int64),
    "ends_ns": pl.List(pl.Int64),
    "fixes": pl.Int64,  # of a trace: how many things to fix; null where its shares are withheld
    "fix": pl.String,  # JSON of a thing to fix; its place counts from zero_ns
    "frees_ns": pl.List(pl.Int64),  # of a collective: since when no other kernel ran on its device, at its end
    "launches_ns": pl.List(pl.Int64),  # of a collective: when its launch call began; null where one has none
    "syncs": pl.List(pl.Int64),  # of a collective: calls of the host that had waited for the device by then, or null
    "host_ns": pl.Int64,  # of a range, on the row of its first device: its closed calls together, by the host's clock
    "host_calls": pl.Int64,
    "seconds": pl.Float64,  # that the analysis took
    "peak_bytes": pl.Int64,  # the most that its process had held by then
}

#: Kernels that end on all ranks of their group at one moment. Send and receive join only two, a broadcast ends early
#: at its root.
COLLECTIVES: Final = r"(?i)all_?reduce|all_?gather|reduce_?scatter|all_?to_?all|barrier|cross_device_reduce"
#: Of each collective so many are kept, from the first.
MOST_COLLECTIVES: Final = 4096
_NAMED_RANK: Final = re.compile(r"(?i)(?:rank[-_=. ]?|\btp[-_]|\br)(\d+)(?!\d)")
_KEY_RANK: Final = re.compile(r"\.r(\d+)$")
#: The file of a capture of ours, which tells its key where the file itself no longer does.
_OUR_NAME: Final = re.compile(
    r"(?P<key>.+\.(?:eager|compile|graph)\.(?:hot|cold)\..+\.r\d+)(?P<light>\.light)?\.trace\.json\.gz"
)


def rank_of(trace: Trace | None, name: str) -> int | None:
    """The rank that the file says, else the one that its name says (`rank3`, `TP-3`, `.r3.`), else None."""
    if trace is not None:
        for said in (_own_key(trace).get("rank"), _distributed(trace).get("rank")):
            if isinstance(said, int):
                return said
    named = _NAMED_RANK.search(name)
    return int(named[1]) if named else None


def row_set(
    trace: Trace, answer: Analysis, found: Fixes, *, name: str, range_pattern: str | None = None
) -> pl.DataFrame:
    """The rows of one trace whose file is called `name`; `trace` is the one that was accounted for, by that pattern,
    `found` is in it.

    `source`, `folder`, `stamp`, `seconds` and `peak_bytes` are the caller's to fill.
    """
    judged = answer.integrity
    size = _distributed(trace).get("world_size")
    key = _own_key(trace).get("name")
    about = {
        "rank": rank_of(trace, name),
        "world_size": size if isinstance(size, int) else None,
        "key": _capture(key, _is_light(trace)) if isinstance(key, str) else None,
        "title": _title(trace),
        "status": "done",
        "verdict": judged.verdict,
        "wall_clock": trace.base_time_ns is not None,
    }
    codes = [finding for finding in judged.findings if judged.verdict == "unusable"]
    head = about | {
        "row": "trace",
        "reason": judged.reason or "; ".join(f"{f.title}: {f.detail}" for f in codes) or None,
        "findings": json.dumps([asdict(finding) for finding in judged.findings], ensure_ascii=False),
        "format": answer.format,
        "events": trace.events,
        "outside_kernels": None if answer.outside_ranges is None else answer.outside_ranges.kernels,
        "outside_ns": None if answer.outside_ranges is None else answer.outside_ranges.kernel_ns,
        **_window(trace),
        "fixes": None if found.reason is not None else len(found.fixes),
        "zero_ns": None if answer.zero_ns is None else (trace.base_time_ns or 0) + answer.zero_ns,
    }
    rows = [head]
    rows += [about | _device(use) for use in answer.devices]
    rows += [about | row for row in _ranges(trace, answer, range_pattern)]
    rows += [about | _fix(trace, fix, answer.zero_ns or 0) for fix in found.fixes]
    if judged.verdict != "unusable":
        rows += [about | row for row in _collectives(trace)]
    return pl.DataFrame(rows, schema=ROWS)


def no_rows(status: str, verdict: str | None, reason: str, *, name: str) -> pl.DataFrame:
    """The one row of a trace that could not be read, or not be fetched."""
    ours = _OUR_NAME.match(name)
    key = None if ours is None else _capture(ours["key"], ours["light"] is not None)
    said = {"status": status, "verdict": verdict, "reason": reason, "rank": rank_of(None, name), "key": key}
    return pl.DataFrame([{"row": "trace"} | said], schema=ROWS)


def _distributed(trace: Trace) -> dict[str, Any]:
    said = trace.metadata.get("distributedInfo")
    return said if isinstance(said, dict) else {}


def _own_key(trace: Trace) -> dict[str, Any]:
    said = (trace.own or {}).get("key")
    return said if isinstance(said, dict) else {}


def _is_light(trace: Trace) -> bool:
    return (trace.own or {}).get("capture") == "light"


def _capture(key: str, light: bool) -> str:
    """What was captured on each rank: a light capture beside the full one is no second recording of it."""
    return _KEY_RANK.sub("", key) + (".light" if light else "")


def _title(trace: Trace) -> str | None:
    """`fused · eager · cold L2 · 28b · tp 1 · tokens 973 · bf16 · image`, and ` · light capture`."""
    said = _own_key(trace)
    case = said.get("case")
    if not isinstance(case, dict) or not all(isinstance(said.get(part), str) for part in ("path", "mode", "l2")):
        return None
    axes = (value if isinstance(value, str) else f"{axis} {value}" for axis, value in case.items())
    words = (said["path"], said["mode"], f"{said['l2']} L2", *axes)
    return " · ".join((*words, "light capture") if _is_light(trace) else words)


def _window(trace: Trace) -> dict[str, int | None]:
    if not trace.gpu.height:
        return {"start_ns": None, "end_ns": None}
    base = trace.base_time_ns or 0
    ends = trace.gpu["start_ns"] + trace.gpu["dur_ns"]
    return {"start_ns": base + int(trace.gpu["start_ns"].min()), "end_ns": base + int(ends.max())}  # type: ignore[arg-type]


def _device(use: DeviceUse) -> dict[str, Any]:
    causes = {f"idle_{cause}_ns": ns for cause, ns in (use.idle_by_cause_ns or {}).items()}
    totals = {name: getattr(use, name) for name in ("kernels", "kernel_ns", "busy_ns", "span_ns", "idle_ns")}
    talk = use.communication
    sizes = [moved.bytes for moved in use.copies if moved.bytes is not None]
    moved = {
        "communication_ns": None if talk is None else talk.busy_ns,
        "exposed_ns": None if talk is None else talk.exposed_ns,
        "copies_only_ns": use.copies_only_ns,
        "copied_bytes": sum(sizes) if sizes else None,
    }
    return {"row": "device", "name": use.name, "device": use.device, "reason": use.reason} | totals | moved | causes


def _ranges(trace: Trace, answer: Analysis, picked: str | None) -> Iterator[dict[str, Any]]:
    """What each range cost on each device, and on the host, where a range need launch nothing to be late.

    Those around calls that we recorded carry their key with its rank: as `call #*` they are one range on all ranks.
    """
    spent = _host_time(trace.ranges if picked is None else ranges_called(trace.ranges, picked))
    for use in answer.ranges:
        yield _range(use, own_words(trace, use.name)) | spent.pop(use.name, {})
    for name, host in spent.items():
        yield {"row": "range", "name": own_words(trace, name), "kernels": 0, "busy_ns": 0} | host


def _host_time(ranges: pl.DataFrame) -> dict[str, dict[str, int]]:
    """By range family the time of its closed calls on the host, nested calls of one name counted each."""
    closed = ranges.filter(pl.col("dur_ns").is_not_null())
    if not closed.height:
        return {}
    found = (
        closed.select(families(closed["name"]).alias("family"), "dur_ns")
        .group_by("family", maintain_order=True)
        .agg(pl.col("dur_ns").sum().alias("host_ns"), pl.len().alias("host_calls"))
    )
    return {name: {"host_ns": int(ns), "host_calls": int(calls)} for name, ns, calls in found.iter_rows()}


def _range(use: RangeUse, name: str) -> dict[str, Any]:
    causes = {f"idle_{cause}_ns": ns for cause, ns in use.idle_by_cause_ns.items()}
    totals = {name: getattr(use, name) for name in ("calls", "kernels", "kernel_ns", "busy_ns", "idle_ns")}
    row = {"row": "range", "name": name, "device": use.device, "reason": use.reason} | totals | causes
    spread = use.us_per_call
    if spread is None:
        return row
    ends = {"median": spread.median, "lo": spread.lo, "hi": spread.hi}
    return row | {f"call_{end}_ns": round(us * US, 1) for end, us in ends.items()}


def _frees(found: pl.DataFrame, events: pl.DataFrame) -> pl.Series:
    """Of each collective of one device the instant since which no other kernel runs on it, by `events` of the device.

    It may lie before the start; it is the start where no other kernel ran before, the end where one runs on.
    """
    others = ~communicates(events) & events["kind"].is_in(["kernel", "graph"])
    work = events.select("start_ns", "dur_ns").filter(others).sort("start_ns")
    starts, ends = found["start_ns"].to_numpy(), (found["start_ns"] + found["dur_ns"]).to_numpy()
    reach = np.maximum.accumulate((work["start_ns"] + work["dur_ns"]).to_numpy())
    before = np.searchsorted(work["start_ns"].to_numpy(), ends, side="left")
    free = np.where(before > 0, reach[np.maximum(before, 1) - 1], starts) if len(reach) else starts
    return pl.Series("free_ns", np.minimum(free, ends))


def _fix(trace: Trace, fix: Fix, zero_ns: int) -> dict[str, Any]:
    told = replace(fix, place=replace(fix.place, start_ns=fix.place.start_ns - zero_ns))
    return {"row": "fix", "name": fix.kind, "fix": own_words(trace, json.dumps(told.as_json(), ensure_ascii=False))}


def _collectives(trace: Trace) -> list[dict[str, Any]]:
    """A row for each device, collective and group, its executions in the order of their start."""
    base = trace.base_time_ns or 0
    events = launched(trace)
    each = collectives(trace, events).filter(pl.col("operation").str.contains(COLLECTIVES))
    if not each.height:
        return []
    waits = trace.calls.filter(pl.col("name").str.contains(SYNC_CALL))
    waited = np.sort((waits["start_ns"] + waits["dur_ns"]).to_numpy())
    each = each.with_columns(syncs=pl.Series(np.searchsorted(waited, each["launch_start_ns"].fill_null(0).to_numpy())))
    parts = [
        here.with_columns(_frees(here, events.filter(pl.col("device") == device)))
        for (device,), here in each.group_by("device", maintain_order=True)
    ]
    on_gpu = pl.col("device") != "cpu"  # whose operators are no launches, and whose threads run side by side
    found = (
        pl.concat(parts)
        .with_columns(name=pl.concat_str("operation", pl.format(" of {}", "group").fill_null("")))
        .group_by("device", "name", maintain_order=True)
        .agg(
            pl.len().alias("calls"),
            pl.col("dur_ns").sum().alias("kernel_ns"),
            (pl.col("start_ns") + base).head(MOST_COLLECTIVES).alias("starts_ns"),
            (pl.col("start_ns") + pl.col("dur_ns") + base).head(MOST_COLLECTIVES).alias("ends_ns"),
            (pl.when(on_gpu).then("free_ns") + base).head(MOST_COLLECTIVES).alias("frees_ns"),
            (pl.when(on_gpu).then("launch_start_ns") + base).head(MOST_COLLECTIVES).alias("launches_ns"),
            pl.when(on_gpu & bool(len(waited))).then("syncs").head(MOST_COLLECTIVES).alias("syncs"),
        )
    )
    return [{"row": "collective", **row} for row in found.iter_rows(named=True)]
