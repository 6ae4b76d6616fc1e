"""One trace as Perfetto tracks: calls, ranges, host calls, streams, bubbles, counters, operators, and their arrows.

A `Clock` says where each instant of the trace is drawn. A foreign trace keeps its own; of a run, call k of every side
of a case starts at the same instant (`aligned`): everything that belongs to a call moves with it, as a whole, so no
span and no gap inside a call changes its length. What lies between two calls of a faster side is waiting room that
the picture needs and the GPU never saw; no bubble is drawn there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from operator import itemgetter
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from rope_prof.analysis.trace.gaps import device_gaps
from rope_prof.analysis.trace.groups import first_rows, parts_of
from rope_prof.analysis.trace.launches import launched
from rope_prof.analysis.trace.replays import calls_per_range, in_words
from rope_prof.model.drawn import NONE, WRITTEN_NAME, WRITTEN_NS, DrawnTracks
from rope_prof.model.trace import Trace
from rope_prof.units import US
from rope_prof.views.perfetto.colours import CALL, HOST_CALL, LAUNCH, cause_colour, event_colour
from rope_prof.views.perfetto.packets import PerfettoWriter, Slice, Value, lanes
from rope_prof.views.words.causes import cause_name

Int64s = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class TrackClock:
    """Where instants are drawn: `shift` of the last edge at or before an instant; one shift for all without edges.

    Host and device have edges of their own: a call's host side begins before its first kernel does.
    """

    shift: Int64s
    device_edges: Int64s = field(default_factory=lambda: np.zeros(0, np.int64))
    host_edges: Int64s = field(default_factory=lambda: np.zeros(0, np.int64))
    host_rows: Int64s = field(default_factory=lambda: np.zeros(1, np.int64))  # the row of `shift` of each host edge

    def alike(self) -> int | None:
        """How far all instants are moved; None where that differs."""
        return int(self.shift[0]) if len(self.shift) == 1 else None

    def host(self, instants: pl.Series) -> Int64s:
        at = instants.to_numpy().astype(np.int64)
        return at + self.shift[self.host_rows[_last(self.host_edges, at)]]

    def device(self, instants: pl.Series) -> Int64s:
        at = instants.to_numpy().astype(np.int64)
        return at + self.shift[_last(self.device_edges, at)]


def _last(edges: Int64s, at: Int64s) -> Int64s:
    """The last edge at or before each instant; the first edge for what precedes them all."""
    return np.clip(np.searchsorted(edges, at, side="right") - 1, 0, None)


@dataclass(frozen=True, eq=False)
class TrackSide:
    """One trace to draw. `calls` are its rows of `single_calls`, in the order of time; None: a foreign trace.

    `key_name`: the key whose calls they are, which is taken off the names of their ranges.
    """

    label: str
    trace: Trace
    calls: pl.DataFrame | None = None
    key_name: str | None = None

    @property
    def ranges(self) -> pl.DataFrame:
        """The ranges under the names that are drawn; those that differ as the trace has them in a column of theirs."""
        if self.key_name is None:
            return self.trace.ranges
        words = in_words(self.trace.ranges["name"], self.key_name, calls_per_range(self.trace))
        written = pl.when(words != pl.col("name")).then("name")
        return self.trace.ranges.with_columns(written.alias(WRITTEN_NAME), name=words)


def lead(side: TrackSide) -> int:
    """How far before the first call's zero the side's first event begins, in ns."""
    if side.calls is None or not side.calls.height:
        return 0
    zero: int = side.calls["first_start_ns"][0]
    return max(0, zero - first_start(side.trace))


def first_start(trace: Trace) -> int:
    """The earliest start of anything in the trace; 0 for nothing."""
    frames = (trace.gpu, trace.calls, trace.ranges, trace.ops, trace.overheads)
    starts = pl.concat([frame["start_ns"] for frame in frames]).drop_nulls()
    return int(starts.to_numpy().min()) if len(starts) else 0


def aligned(sides: Sequence[TrackSide], origin_ns: int) -> list[TrackClock]:
    """A clock a side: call k begins at one instant on all, the first at `origin_ns`.

    A call takes the room of the longest side, so that shifts never shrink: order and length on every side stay.
    """
    lengths = [side.calls["length_ns"].to_list() for side in sides if side.calls is not None]
    most = max((len(one) for one in lengths), default=0)
    room = [max((one[k] for one in lengths if k < len(one)), default=0) for k in range(most)]
    slots = origin_ns + np.concatenate(([0], np.cumsum(np.asarray(room, np.int64))))
    return [_clock(side, slots, origin_ns) for side in sides]


def _clock(side: TrackSide, slots: Int64s, origin_ns: int) -> TrackClock:
    if side.calls is None or not side.calls.height:
        return TrackClock(np.array([origin_ns - first_start(side.trace)], np.int64))
    zeros = side.calls["first_start_ns"].to_numpy().astype(np.int64)
    own_host = np.flatnonzero(side.calls["host_start_ns"].is_not_null().to_numpy())
    return TrackClock(
        shift=slots[: len(zeros)] - zeros,
        device_edges=zeros,
        host_edges=side.calls["host_start_ns"].drop_nulls().to_numpy().astype(np.int64),
        host_rows=own_host,
    )


def own_clock(trace: Trace) -> TrackClock:
    """The trace's own times; moved as a whole where some are negative, which Perfetto has no room for."""
    return TrackClock(np.array([max(0, -first_start(trace))], np.int64))


def draw(
    writer: PerfettoWriter, group: int, side: TrackSide, clock: TrackClock, first_flow: int, drawn: DrawnTracks
) -> int:
    """Write all tracks of `side` under `group`, flow ids from `first_flow` on; the next free flow id.

    `drawn` takes down whose each track is.
    """
    drawn.begin(side.label, side.trace, clock.alike())
    events = launched(side.trace).with_row_index("row")
    device_starts = clock.device(events["start_ns"])
    host = side.trace.calls.with_row_index("row")
    host_starts = clock.host(host["start_ns"])
    pairs = _arrows(events, host)
    out, into = _flows(pairs, host_starts, device_starts, first_flow)
    if side.calls is not None:
        _call_track(writer, group, side, clock)
    hosted = _HostTracks(writer, group, side, clock, drawn)
    hosted.draw("ranges", side.ranges, "range")
    _host_tracks(writer, group, side, host, host_starts, out, drawn)
    devices = sorted(parts_of(events, "device"), key=itemgetter(0))
    for device, here in devices:
        word = "" if len(devices) == 1 else f" · GPU {device}"
        _stream_tracks(writer, group, f"{side.label}{word}", here, device_starts, into, drawn)
        _node_tracks(writer, group, f"{side.label}{word}", side.trace.nodes, device, clock, drawn)
        _bubble_track(writer, group, f"{side.label}{word}", side, device, clock)
        starts = device_starts[here["row"].to_numpy()]
        ends = starts + here["dur_ns"].fill_null(0).to_numpy()
        linked = pairs.filter(pl.col("row").is_in(here["row"].implode()))
        begun = host_starts[linked["host_row"].to_numpy()]
        ran = device_starts[linked["row"].to_numpy()]
        _counters(writer, group, f"{side.label}{word}", (starts, ends), (begun, ran))
    hosted.draw("operators", side.trace.ops, "operator")
    hosted.draw("profiler overhead", side.trace.overheads, "overhead")
    return first_flow + pairs.height


def _arrows(events: pl.DataFrame, host: pl.DataFrame) -> pl.DataFrame:
    """(row of the GPU event, host_row of the call that launched it), for those that have one."""
    told = host["correlation"]
    if events.height and host.height and not told.null_count() and told.n_unique() == host.height:
        linked = events["launch_start_ns"].is_not_null()
        rows = events["row"].filter(linked)
        return pl.DataFrame(
            {"row": rows, "host_row": host["row"][first_rows(events["correlation"].filter(linked), told)]}
        )
    columns = ("name", "process", "thread", "start_ns", "dur_ns", "correlation")
    calls = host.select(pl.col("row").alias("host_row"), *(pl.col(c).alias(f"launch_{c}") for c in columns))
    calls = calls.unique([c for c in calls.columns if c != "host_row"], keep="first", maintain_order=True)
    wanted = events.filter(pl.col("launch_start_ns").is_not_null()).with_columns(launch_correlation="correlation")
    keys = [f"launch_{c}" for c in columns]
    return wanted.select("row", *keys).join(calls, on=keys, how="inner", nulls_equal=True, maintain_order="left")


def _flows(
    pairs: pl.DataFrame, host_starts: Int64s, device_starts: Int64s, first: int
) -> tuple[dict[int, list[int]], dict[int, tuple[int, bool]]]:
    """host row -> its signed flow ids, event row -> (flow id, whether it arrives there).

    An arrow leaves the earlier end: with clocks that disagree a kernel can precede its launch, and an arrow back in
    time would be lost. A negative id on the host side is one that arrives.
    """
    out: dict[int, list[int]] = {}
    into: dict[int, tuple[int, bool]] = {}
    rows = zip(pairs["row"].to_list(), pairs["host_row"].to_list(), strict=True)
    for flow, (event, call) in enumerate(rows, first):
        forward = bool(host_starts[call] <= device_starts[event])
        out.setdefault(call, []).append(flow if forward else -flow)
        into[event] = flow, forward
    return out, into


def _call_track(writer: PerfettoWriter, group: int, side: TrackSide, clock: TrackClock) -> None:
    assert side.calls is not None
    starts = clock.device(side.calls["first_start_ns"]).tolist()
    slices = []
    for start, row in zip(starts, side.calls.iter_rows(named=True), strict=True):
        args: dict[str, Value] = {
            "kernels": row["kernels"],
            "busy µs": row["busy_ns"] / US,
            "period µs": None if row["period_ns"] is None else row["period_ns"] / US,
            "bubble µs": None if row["period_ns"] is None else (row["period_ns"] - row["busy_ns"]) / US,
        }
        length = row["last_end_ns"] - row["first_start_ns"] if row["period_ns"] is None else row["period_ns"]
        slices.append(Slice(start, start + length, f"call #{row['call']}", "call", args, colour=CALL))
    about = (
        "One call from its first kernel to the next call's first kernel (the last, also of a replay: to its own last)."
    )
    for lane in lanes(slices, nest=False):
        writer.lane(f"{side.label} · calls", group, lane, about)


#: Columns of ranges and operators that are arguments of their slices, if there is one.
_HOST_ARGS = (
    *("kind", "domain", "payload", "input_dims", "input_types"),
    *("external", "sequence", "forward_thread", WRITTEN_NAME),
)
#: Category of a slice on the host -> the frame that it is from.
_FRAME_OF = {"range": "ranges", "operator": "ops", "overhead": "overheads"}


@dataclass(frozen=True, eq=False, slots=True)
class _HostTracks:
    """Draws what the host did: a track a thread, and lanes where spans of one thread cross."""

    writer: PerfettoWriter
    group: int
    side: TrackSide
    clock: TrackClock
    drawn: DrawnTracks

    def draw(self, word: str, frame: pl.DataFrame, category: str) -> None:
        if not frame.height:
            return
        frame = frame.with_columns(drawn=pl.Series(self.clock.host(frame["start_ns"]), dtype=pl.Int64))
        args = _told(frame, _HOST_ARGS)
        used = frame.select(list(dict.fromkeys(("process", "thread", "drawn", "dur_ns", "name", *args))))
        for label, (process, thread), rows in _threads(used):
            slices = (
                Slice(
                    row["drawn"],
                    None if row["dur_ns"] is None else row["drawn"] + max(row["dur_ns"], 0),
                    _name(row["name"]),
                    category,
                    {name: row[name] for name in args} | _written(row["dur_ns"] or 0),
                )
                for row in rows
            )
            for track in _lanes(self.writer, self.group, f"{self.side.label} · {word}{label}", slices, nest=True):
                self.drawn.track(track, _FRAME_OF[category], process=process, thread=thread)


def _told(frame: pl.DataFrame, columns: Iterable[str]) -> list[str]:
    """Those of `columns` that any row of the frame has."""
    return [name for name in columns if name in frame.columns and frame[name].null_count() < frame.height]


def _written(dur_ns: int | None) -> dict[str, Value]:
    """The duration as an argument, where no slice can be that long."""
    return {WRITTEN_NS: NONE if dur_ns is None else dur_ns} if dur_ns is None or dur_ns < 0 else {}


def _threads(frame: pl.DataFrame) -> Iterator[tuple[str, tuple[Any, ...], list[dict[str, Any]]]]:
    """What tells threads apart, in words (nothing for a single one), in numbers, and the rows of each."""
    parts: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for row in frame.iter_rows(named=True):
        parts.setdefault((row["process"], row["thread"]), []).append(row)
    processes = {process for process, _ in parts}
    for (process, thread), rows in parts.items():
        of = f" · process {process}" if len(processes) > 1 and process is not None else ""
        label = f"{of} · thread {thread}" if len(parts) > 1 and thread is not None else of
        yield label, (process, thread), rows


def _host_tracks(
    writer: PerfettoWriter,
    group: int,
    side: TrackSide,
    host: pl.DataFrame,
    starts: Int64s,
    flows: Mapping[int, list[int]],
    drawn: DrawnTracks,
) -> None:
    for label, (process, thread), rows in _threads(host):
        slices = []
        for row in rows:
            start = int(starts[row["row"]])
            mine = flows.get(row["row"], [])
            slices.append(
                Slice(
                    start,
                    start + max(row["dur_ns"] or 0, 0),
                    _name(row["name"]),
                    "host_call",
                    {"api": row["api"], "correlation": row["correlation"], **_written(row["dur_ns"])},
                    out=[flow for flow in mine if flow > 0],
                    into=[-flow for flow in mine if flow < 0],
                    colour=LAUNCH if mine else HOST_CALL,
                )
            )
        for track in _lanes(writer, group, f"{side.label} · host launches{label}", slices, nest=True):
            drawn.track(track, "calls", process=process, thread=thread)


_EVENT_ARGS = {
    "grid": "grid",
    "block": "block",
    "registers": "registers per thread",
    "shared_bytes": "shared memory bytes",
    "bytes": "bytes",
    "correlation": "correlation",
    "graph": "graph",
    "graph_node": "graph node",
    "launch_name": "launched by",
    "external": "External id",
    "collective": "Collective name",
    "group": "Process Group Name",
    "process": "process",
}


_DELAY = "queue delay µs"


def _stream_tracks(
    writer: PerfettoWriter,
    group: int,
    label: str,
    events: pl.DataFrame,
    starts: Int64s,
    flows: Mapping[int, tuple[int, bool]],
    drawn: DrawnTracks,
) -> None:
    ordered = events.sort("stream", "start_ns", nulls_last=True, maintain_order=True)
    told = [ordered[name].alias(_EVENT_ARGS[name]) for name in _told(events, _EVENT_ARGS)]
    waited = ordered["start_ns"] - ordered["launch_start_ns"] - ordered["launch_dur_ns"].fill_null(0)
    delays = [None if ns is None else ns / US for ns in waited]  # polars would multiply by a rounded 1 / US
    given = pl.DataFrame([*told, pl.Series(_DELAY, delays, dtype=pl.Float64)]).iter_rows(named=True)
    rows = zip(ordered.select("stream", "row", "name", "kind", "dur_ns").iter_rows(), given, strict=True)
    device = events["device"][0]
    for stream, mine in groupby(rows, key=lambda one: one[0][0]):
        slices = []
        for (_, row, name, kind, dur_ns), args in mine:
            start = int(starts[row])
            if dur_ns is None or dur_ns < 0:
                args |= _written(dur_ns) | {_DELAY: args.pop(_DELAY)}
            flow, arrives = flows.get(row, (0, True))
            end = start + max(dur_ns or 0, 0)
            out, into = ((), (flow,)) if arrives else ((flow,), ())
            slices.append(
                Slice(
                    start, end, _name(name), kind, args, out if flow else (), into if flow else (), event_colour(kind)
                )
            )
        word = "no stream" if stream is None else f"stream {stream}"
        for track in _lanes(writer, group, f"{label} · {word}", slices, nest=False):
            drawn.track(track, "gpu", device=device, stream=stream)


def _node_tracks(
    writer: PerfettoWriter,
    group: int,
    label: str,
    nodes: pl.DataFrame,
    device: str,
    clock: TrackClock,
    drawn: DrawnTracks,
) -> None:
    """What graphs wait for that is no work of the device: functions of the host, recorded events."""
    about = "Nodes of graphs that the device waits for and that run nothing on it."
    if not nodes.height:
        return
    here = nodes.filter(pl.col("device") == device).sort("stream", "start_ns", nulls_last=True, maintain_order=True)
    for (stream,), rows in here.group_by("stream", maintain_order=True):
        starts = clock.device(rows["start_ns"]).tolist()
        slices = [
            Slice(start, start + max(row["dur_ns"] or 0, 0), _name(row["name"]), row["kind"], args)
            for start, row in zip(starts, rows.iter_rows(named=True), strict=True)
            for args in [{name: row[name] for name in ("correlation", "process")} | _written(row["dur_ns"])]
        ]
        for track in _lanes(writer, group, f"{label} · graph nodes {stream}", slices, nest=False, about=about):
            drawn.track(track, "nodes", device=device, stream=stream)


def _bubble_track(
    writer: PerfettoWriter, group: int, label: str, side: TrackSide, device: str, clock: TrackClock
) -> None:
    gaps = device_gaps(side.trace, device)
    starts = clock.device(gaps["start_ns"]).tolist()
    shares, of = _shares(side, device, gaps)
    slices = [
        Slice(
            start,
            start + ns,
            cause_name(cause),
            "bubble",
            {"µs": ns / US, f"share of {of}": share},
            colour=cause_colour(cause),
        )
        for start, ns, cause, share in zip(starts, gaps["dur_ns"], gaps["cause"], shares, strict=True)
    ]
    about = f"Where the device runs nothing, named by the cause. Share: of {of}."
    _lanes(writer, group, f"{label} · bubbles", slices, nest=False, about=about)


def _shares(side: TrackSide, device: str, gaps: pl.DataFrame) -> tuple[list[float | None], str]:
    """The part that each bubble is of its call, or of the device's span where there are no calls."""
    lengths = gaps["dur_ns"].to_numpy()
    if side.calls is None or not side.calls.height:
        here = side.trace.gpu.filter(pl.col("device") == device)
        span = here.select((pl.col("start_ns") + pl.col("dur_ns")).max() - pl.col("start_ns").min()).item()
        return [ns / span if span else None for ns in lengths.tolist()], "the device's span"
    zeros = side.calls["first_start_ns"].to_numpy()
    at = np.searchsorted(zeros, gaps["start_ns"].to_numpy(), side="right") - 1
    room = side.calls["length_ns"].to_numpy()[np.maximum(at, 0)]
    whole = side.calls["whole"].to_numpy()[np.maximum(at, 0)] & (at >= 0)
    parts = zip(lengths.tolist(), room.tolist(), whole.tolist(), strict=True)
    return [ns / length if known and length else None for ns, length, known in parts], "the call's period"


def _counters(
    writer: PerfettoWriter, group: int, label: str, ran: tuple[Int64s, Int64s], waited: tuple[Int64s, Int64s]
) -> None:
    begun, started = waited
    forward = begun <= started
    running = "Kernels and copies that run at this instant; 0 is a bubble."
    waiting = "Launches called on the host whose kernel has not started: the arrows that cross this instant."
    writer.counter(f"{label} · GPU busy", group, _levels(*ran), running)
    queue = _levels(begun[forward], started[forward])
    if queue:
        writer.counter(f"{label} · launch queue", group, queue, waiting)


def _levels(starts: Int64s, ends: Int64s) -> list[tuple[int, int]]:
    """(instant, how many of the spans hold it), one a change."""
    at = np.concatenate((starts, ends))
    step = np.concatenate((np.ones(len(starts), np.int64), np.full(len(ends), -1)))
    instants, which = np.unique(at, return_inverse=True)
    change = np.zeros(len(instants), np.int64)
    np.add.at(change, which, step)
    return list(zip(instants.tolist(), np.cumsum(change).tolist(), strict=True))


def _lanes(
    writer: PerfettoWriter, group: int, name: str, slices: Any, *, nest: bool, about: str | None = None
) -> list[int]:
    """The tracks that the slices take."""
    found = enumerate(lanes(slices, nest=nest), 1)
    return [writer.lane(name if k == 1 else f"{name} · lane {k}", group, lane, about) for k, lane in found]


def _name(name: str | None) -> str:
    return name or "(no name)"
