"""Many traces side by side: recordings, their ranks, what each range costs on each, who is late and by which range.

Rows come from `rows`; a recording is what was traced at one time into one folder. Where a rank comes twice in a
folder, there are several recordings in it: they are told apart by their time and numbered, none is dropped.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, fields
from statistics import median
from typing import Any, Final

import polars as pl

from rope_prof.analysis.fixes.fix import Fix
from rope_prof.analysis.ranks.arrivals import Arrivals
from rope_prof.analysis.ranks.clock import Clock, Clocks, Collective, clocks
from rope_prof.analysis.ranks.late import stragglers
from rope_prof.analysis.ranks.losses import rank_fixes
from rope_prof.analysis.ranks.rank import RangeAcross, RankUse, Straggler
from rope_prof.analysis.ranks.rows import ROWS
from rope_prof.analysis.trace.gaps import CAUSES
from rope_prof.model.frozen import Frozen
from rope_prof.units import duration

SCHEMA_VERSION: Final = 1
#: What is said of traces that share a folder and no more.
UNKNOWN_RANKS: Final = "neither these files nor their names say which rank they are of: shown beside each other alone"
#: The columns of a range by the host's clock.
HOST: Final = ("host_ns", "host_calls")


class Recording(Frozen, kw_only=True):
    """The ranks of one folder and time. `notes` say what a reader must know of it as a whole."""

    name: str
    folder: str
    key: str | None
    ranks: tuple[RankUse, ...]
    ranges: tuple[RangeAcross, ...]
    clocks: Clocks
    stragglers: tuple[Straggler, ...]
    fixes: tuple[Fix, ...]
    notes: tuple[str, ...]

    @property
    def unranked(self) -> bool:
        """Whether these are traces beside each other of which nobody says which rank they are of."""
        return UNKNOWN_RANKS in self.notes


class RanksReport(Frozen, kw_only=True):
    """All recordings; `as_json` is the documented contract."""

    schema_version: int
    traces: int
    verdicts: dict[str, int]
    recordings: tuple[Recording, ...]

    def as_json(self) -> dict[str, Any]:
        """Plain dicts and lists, ready for a JSON writer."""
        told = asdict(self)
        for document, held in zip(told["recordings"], self.recordings, strict=True):
            document["fixes"] = [fix.as_json() for fix in held.fixes]
        return told


def ranks_report(rows: pl.DataFrame) -> RanksReport:
    """The report on `rows`, of any number of traces."""
    older = {name: kind for name, kind in ROWS.items() if name not in rows.columns}  # of a version that had it not
    rows = rows.with_columns(pl.lit(None, dtype=kind).alias(name) for name, kind in older.items())
    heads = rows.filter(pl.col("row") == "trace")
    verdict = pl.col("verdict").fill_null(pl.col("status"))
    counts = heads.group_by(verdict.alias("verdict")).len().sort("verdict")
    names = _short_names(heads["folder"].unique().to_list())
    parts = {source: part for (source,), part in rows.group_by("source", maintain_order=True)}
    recordings = []
    for (folder, key), here in heads.sort("folder", "key", nulls_last=False).group_by(
        "folder", "key", maintain_order=True
    ):
        traces = list(here.iter_rows(named=True))
        titles = [trace["title"] for trace in traces if trace["title"]]
        title = min(titles, default=key)
        split, note = recorded_apart([trace for trace in traces if trace["rank"] is not None])
        for number, part in enumerate(split, start=1):
            name = " · ".join(filter(None, (names[folder], title, f"recording {number}" if len(split) > 1 else "")))
            recordings.append(_recording(name, folder, key, part, parts, note))
        unknown = _by_rank(trace for trace in traces if trace["rank"] is None)
        if unknown:
            name = " · ".join(filter(None, (names[folder], title)))
            recordings.append(_recording(name, folder, key, unknown, parts, UNKNOWN_RANKS))
    return RanksReport(
        schema_version=SCHEMA_VERSION,
        traces=heads.height,
        verdicts=dict(counts.iter_rows()),
        recordings=tuple(recordings),
    )


def recorded_apart(traces: Sequence[dict[str, Any]]) -> tuple[list[list[dict[str, Any]]], str | None]:
    """The traces of one folder by recording, and a sentence where there are several.

    By start on the wall clock: where a rank comes again, the next recording has begun. Where a file has no such clock,
    the n-th trace of each rank (by name) is of the n-th recording. All `traces` have a rank.
    """
    if len({trace["rank"] for trace in traces}) == len(traces):
        return ([_by_rank(traces)] if traces else []), None
    timed = [t for t in traces if t["wall_clock"] and t["start_ns"] is not None]
    apart: list[list[dict[str, Any]]] = []
    if len(timed) == len(traces):
        for trace in sorted(traces, key=lambda t: (t["start_ns"], t["source"])):
            if not apart or trace["rank"] in {t["rank"] for t in apart[-1]}:
                apart.append([])
            apart[-1].append(trace)
        how = "told apart by their time"
    else:
        for trace in sorted(traces, key=lambda t: t["source"]):
            place = next((part for part in apart if trace["rank"] not in {t["rank"] for t in part}), None)
            apart.append([trace]) if place is None else place.append(trace)
        how = "told apart by their names, since not every file has its time"
    return [_by_rank(part) for part in apart], f"the folder holds {len(apart)} recordings of the same ranks, {how}"


def _by_rank(traces: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(traces, key=lambda t: (t["rank"] is None, t["rank"], t["source"]))


def _recording(
    name: str,
    folder: str,
    key: str | None,
    traces: list[dict[str, Any]],
    parts: dict[Any, pl.DataFrame],
    note: str | None,
) -> Recording:
    inside = [parts[trace["source"]] for trace in traces]
    usable = [k for k, trace in enumerate(traces) if trace["verdict"] in ("sound", "suspect")]
    ranked = note != UNKNOWN_RANKS
    told = clocks([_collectives(inside[k]) for k in usable]) if ranked else Clocks(reason="the ranks are unknown")
    clock = dict(zip(usable, told.clocks, strict=False))
    arrived = dict(zip(usable, told.arrivals, strict=False))
    ranks = tuple(
        _rank(trace, part, clock.get(k), arrived.get(k))
        for k, (trace, part) in enumerate(zip(traces, inside, strict=True))
    )
    ranges = tuple(_ranges(ranks, inside))
    notes = [*([note] if note else []), *(_missing(traces) if ranked else ())]
    late = tuple(stragglers(ranks, ranges, told)) if ranked else ()
    return Recording(
        name=name,
        folder=folder,
        key=key,
        ranks=ranks,
        ranges=ranges,
        clocks=told,
        stragglers=late,
        fixes=rank_fixes(ranks, inside, late),
        notes=tuple(notes),
    )


def _rank(trace: dict[str, Any], part: pl.DataFrame, clock: Clock | None, arrived: Arrivals | None) -> RankUse:
    devices = part.filter(pl.col("row") == "device")
    times = ("busy_ns", "span_ns", "idle_ns", "communication_ns", "exposed_ns", "copies_only_ns")
    held: dict[str, Any] = {name: _sum(devices[name]) for name in ("kernels", "kernel_ns", *times, "copied_bytes")}
    causes = {cause: _sum(devices[f"idle_{cause}_ns"]) for cause in CAUSES}
    withheld = devices.height == 0 or devices["reason"].null_count() < devices.height
    idle, span = held["idle_ns"], held["span_ns"]
    told = (
        "rank",
        "source",
        "status",
        "verdict",
        "reason",
        "outside_kernels",
        "outside_ns",
        "start_ns",
        "zero_ns",
        "fixes",
    )
    return RankUse(
        label=trace["source"].rpartition("/")[2] if trace["rank"] is None else str(trace["rank"]),
        devices=devices.height,
        idle_share=None if withheld or not span or idle is None else idle / span,
        idle_by_cause_ns={cause: ns for cause, ns in causes.items() if ns},
        **{name: trace[name] for name in told},
        **held,
        wall_clock=bool(trace["wall_clock"]),
        clock=clock,
        arrivals=arrived,
    )


def _sum(column: pl.Series) -> int | None:
    """None where nothing is known, which is not 0."""
    return int(column.sum()) if len(column) > column.null_count() else None


def _collectives(part: pl.DataFrame) -> dict[str, Collective]:
    """By name; of a rank with several devices the name carries the device's place among them."""
    found = part.filter(pl.col("row") == "collective").with_columns(
        place=pl.col("device").rank("dense").cast(pl.Int64).cast(pl.String)
    )
    return {
        f"{row['name']}/{row['place']}": Collective(**{one.name: row[one.name] for one in fields(Collective)})
        for row in found.iter_rows(named=True)
    }


def _ranges(ranks: Sequence[RankUse], parts: Sequence[pl.DataFrame]) -> Iterator[RangeAcross]:
    """By the most busy time on any rank. Of a rank with several devices the longest call counts."""
    by_rank = [
        part.filter(pl.col("row") == "range")
        .group_by("name")
        .agg(pl.col("calls", "call_median_ns", *HOST).max(), pl.col("busy_ns").sum())
        .rows_by_key("name", named=True, unique=True)
        for part in parts
    ]
    names: dict[str, int] = {}
    for held in by_rank:
        for name, row in held.items():
            names[name] = max(names.get(name, 0), row["busy_ns"])
    for name in sorted(names, key=lambda n: (-names[n], n)):
        rows = [held.get(name, {}) for held in by_rank]
        call = tuple(row.get("call_median_ns") for row in rows)
        known = [(ns, rank.label) for ns, rank in zip(call, ranks, strict=True) if ns is not None]
        middle = median(ns for ns, _ in known) if known else None
        differ = len({ns for ns, _ in known}) > 1
        worst = max(known) if differ else None
        yield RangeAcross(
            name=name,
            calls=tuple(row.get("calls") for row in rows),
            call_ns=call,
            busy_ns=tuple(row.get("busy_ns") for row in rows),
            median_ns=middle,
            worst=worst[1] if worst else None,
            worst_ratio=worst[0] / middle if worst and middle else None,
            host_ns=tuple(row.get("host_ns") for row in rows),
            host_calls=tuple(row.get("host_calls") for row in rows),
        )


def _missing(traces: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Ranks that the others' world size promises and that no file holds."""
    sizes = {trace["world_size"] for trace in traces} - {None}
    if len(sizes) > 1:
        yield f"the traces name different world sizes: {', '.join(map(str, sorted(sizes)))}"
    elif sizes:
        (size,) = sizes
        lacking = sorted(set(range(size)) - {trace["rank"] for trace in traces})
        if lacking:
            shown = ", ".join(map(str, lacking[:12])) + (", ..." if len(lacking) > 12 else "")
            yield f"{len(lacking)} of {size} ranks have no trace here: {shown}"


def common_zero(recording: Recording) -> tuple[dict[str, int], str]:
    """By rank label the instant on that rank's clock that is zero for all of them, and a sentence on how it is known.

    It is the first GPU event of any rank. Ranks without a GPU event are left out. Where neither collectives nor base
    times tell, each rank has its own first event as zero.
    """
    held = [rank for rank in recording.ranks if rank.start_ns is not None]
    ranked = not recording.unranked
    if held and all(rank.clock is not None for rank in held):
        offsets = [rank.clock.offset_ns if rank.clock else 0 for rank in held]
        spread = max(rank.clock.spread_ns for rank in held if rank.clock)
        how = f"one clock, by the ends of {recording.clocks.collectives:,} collectives (± {duration(spread)})"
    elif held and ranked and all(rank.wall_clock for rank in held):
        offsets = [0] * len(held)
        how = f"the hosts' own wall clocks, whose skew is unknown: {recording.clocks.reason}"
    else:
        how = f"each {'rank' if ranked else 'file'} from its own first event: the files have no common clock"
        return {rank.label: rank.start_ns or 0 for rank in held}, how
    first = min((rank.start_ns or 0) - offset for rank, offset in zip(held, offsets, strict=True))
    return {rank.label: first + offset for rank, offset in zip(held, offsets, strict=True)}, how


def _short_names(folders: Sequence[str]) -> dict[str, str]:
    """Each folder by its last parts, as few as tell them apart."""
    depth = 1
    while True:
        names = {folder: "/".join(folder.split("/")[-depth:]) or "/" for folder in folders}
        if len(set(names.values())) == len(names) or depth > 64:
            return names
        depth += 1
