"""A run, or any trace, as one native Perfetto trace: both sides of a fusion on one timeline.

    run
    └─ case                        all cases begin at the same instant
       └─ unfused eager            a group a path and mode; call k of every side of a case begins together
          ├─ unfused eager · calls
          ├─ unfused eager · ranges
          ├─ unfused eager · host launches
          ├─ unfused eager · stream 7          overlapping kernels get lanes
          ├─ unfused eager · bubbles           slices named by their cause alone, in the dashboard's colours
          ├─ unfused eager · GPU busy, launch queue (counters)
          └─ unfused eager · operators

Every track's name carries its side, since a pinned track loses its group. Contents alone: no file is read or written.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from rope_prof.analysis.run.capture import call_pattern
from rope_prof.analysis.run.rows import Row
from rope_prof.analysis.trace.analyze import accounted, analyze
from rope_prof.analysis.trace.calls import call_frame
from rope_prof.analysis.trace.replays import own_calls, single_calls
from rope_prof.model.drawn import KEY, DrawnTracks
from rope_prof.model.run import Case, Key, Run
from rope_prof.model.trace import Trace
from rope_prof.units import duration, ratio
from rope_prof.views.blocks.overview import overview
from rope_prof.views.perfetto.packets import PerfettoWriter
from rope_prof.views.perfetto.sides import TrackSide, aligned, draw, lead, own_clock
from rope_prof.views.words.bubbles import parts_of_bubble
from rope_prof.views.words.labels import key_labels
from rope_prof.views.words.machine import machine_line
from rope_prof.views.words.run_json import row_json


@dataclass(frozen=True, slots=True)
class Zoom:
    """One call of each side of a case on the drawn clock, and the tracks worth pinning: launches, streams, bubbles.

    Launches and streams are pinned together, since the UI draws an arrow only where both its ends are, or neither.
    `sides`: of each key (by name) its tracks, to pin two others than those that the overview compares.
    """

    start_ns: int
    end_ns: int
    pins: tuple[str, ...]
    sides: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class PerfettoFile:
    """The bytes of a `.pftrace`, and of each case (by name) where to look first."""

    data: bytes
    zooms: Mapping[str, Zoom]


def run_trace(
    run: Run, rows: Sequence[Row], traces: Mapping[str, Trace], clean: Callable[[str], str] = str
) -> PerfettoFile:
    """The traces of a run (key name -> trace) as one, with the table `rows` as metadata.

    Keys without a trace are left out of the picture and stay in the table. Every text is written as `clean` gives it.
    Errors: ValueError for no trace at all.
    """
    keys = [facts.key for facts in run.keys if facts.key.name in traces]
    if not keys:
        raise ValueError("no trace of any key; expected at least one")
    sides = {key.name: _side(key, label, traces[key.name]) for key, label in zip(keys, key_labels(keys), strict=True)}
    origin = max(lead(side) for side in sides.values())
    writer = PerfettoWriter(clean)
    writer.metadata(run_metadata(run, rows))
    root = writer.group(f"{run.name} · {machine_line(run.machine)}")
    by_key = {row.key: row for row in rows}
    zooms: dict[str, Zoom] = {}
    flow, drawn = 1, DrawnTracks()
    order = {case: place for place, case in enumerate(dict.fromkeys(key.case for key in keys))}
    for case, members in groupby(sorted(keys, key=lambda key: order[key.case]), key=lambda key: key.case):
        mine = list(members)
        here = [sides[key.name] for key in mine]
        clocks = aligned(here, origin)
        group = writer.group(f"{case.words} · times as profiled", root)
        for key, side, clock in zip(mine, here, clocks, strict=True):
            about = f"{side.trace.source}; call k of every side begins at one instant."
            own = writer.group(side.label, group, f"{about} {_about_bubbles(by_key.get(key.name))}".rstrip())
            flow = draw(writer, own, side, clock, flow, drawn)
        zooms[case.name] = _zoom(here, origin, [sides[name] for name in _compared(rows, case) if name in sides])
    writer.metadata({KEY: drawn.as_text()})
    return PerfettoFile(writer.data(), zooms)


def perfetto_bytes(trace: Trace, title: str, clean: Callable[[str], str] = str) -> bytes:
    """Any trace with its bubbles, on its own clock: the tracks of `run_trace`, named by `title`."""
    used = accounted(trace)
    writer = PerfettoWriter(clean)
    facts = {"rope_prof.source": title, "rope_prof.format": trace.format}
    answer = analyze(trace)
    facts["rope_prof.integrity"] = answer.integrity.verdict
    facts["rope_prof.analysis"] = json.dumps(answer.as_json(), ensure_ascii=False)
    clock = own_clock(used)
    if clock.shift[0]:
        facts["rope_prof.shift_ns"] = str(int(clock.shift[0]))
    writer.metadata(facts)
    drawn = DrawnTracks()
    draw(writer, writer.group(title), TrackSide(title, used), clock, 1, drawn)
    writer.metadata({KEY: drawn.as_text()})
    return writer.data()


def run_metadata(run: Run, rows: Sequence[Row]) -> dict[str, str]:
    """The run in words, its table of figures a line a key, and the same table as JSON."""
    facts = {
        "rope_prof.run": run.name,
        "rope_prof.created": run.created,
        "rope_prof.command": run.command,
        "rope_prof.machine": machine_line(run.machine),
    }
    facts |= {f"rope_prof.figures.{row.key}": _line(row) for row in rows}
    facts["rope_prof.table"] = json.dumps([row_json(row) for row in rows], ensure_ascii=False)
    return facts


def _line(row: Row) -> str:
    said = [row.status if row.reason is None else f"{row.status}: {row.reason}"]
    if row.kernels_per_call is not None:
        said.append(f"{row.kernels_per_call:g} kernels a call")
    said += _times(("busy", row.busy_ns), ("profiled period", row.period_ns))
    said += [words] if (words := _bubble(row)) else []
    wall, device = (found.median if found else None for found in (row.wall_ns, row.device_ns))
    said += _times(("wall", wall), ("device", device))
    if row.speedup is not None:
        said.append(f"speedup {ratio(row.speedup)}")
    return " · ".join(said)


def _times(*named: tuple[str, float | None]) -> list[str]:
    return [f"{word} {duration(ns)}" for word, ns in named if ns is not None]


def _bubble(row: Row) -> str:
    """Both bubbles of a call; where the profiler dominates the drawn one, or the cross-check denies the other, so."""
    said = []
    if row.bubble_raw_ns is not None:
        distrust = ""
        if row.inflation is not None and not row.raw_trusted:
            distrust = f", not to be trusted: the profiled call is {ratio(row.inflation)} the unprofiled one"
        said.append(f"bubble (profiled) {duration(row.bubble_raw_ns)}{distrust}")
    if row.bubble_corrected_ns is not None:
        denied = f" ≠ {duration(row.bubble_by_replay_ns)} by graph replay" if row.bubbles_agree is False else ""
        parts = f" = {found}" if (found := parts_of_bubble(row)) else ""
        said.append(f"bubble (corrected, unprofiled) {duration(row.bubble_corrected_ns)}{denied}{parts}")
    return "; ".join(said)


def _about_bubbles(row: Row | None) -> str:
    """What the side's group says of the bubbles that are drawn in it."""
    words = "" if row is None else _bubble(row)
    return f"Medians of a call: {words}." if words else ""


def _side(key: Key, label: str, trace: Trace) -> TrackSide:
    used = accounted(trace)
    frame = call_frame(used, call_pattern(key.name), kind="record_function")
    if not frame.height:
        frame = call_frame(used, call_pattern(key.name))
    return TrackSide(label, used, own_calls(single_calls(used, frame)), key.name)


def _compared(rows: Sequence[Row], case: Case) -> list[str]:
    """The keys of the two sides that the overview of the case compares; fewer where it compares none."""
    if not any(row.case == case and row.rank == 0 for row in rows):
        return []
    view = overview(rows, case.name)
    return [side.row.key for side in (view.baseline, view.candidate) if side is not None]


def _zoom(sides: Sequence[TrackSide], origin: int, pinned: Sequence[TrackSide]) -> Zoom:
    """The second call of each side (the first often pays for a cold start), with a little air around it.

    Pinned are two sides, which fit a screen: those compared, else the first.
    """
    frames = [side.calls for side in sides if side.calls is not None and side.calls.height]
    rooms = [frame["length_ns"].to_list() for frame in frames]
    most = max((len(room) for room in rooms), default=1)
    number = 1 if most > 2 else 0
    slots = [max((room[k] for room in rooms if k < len(room)), default=0) for k in range(most)] or [1000]
    launched = [f.row(number, named=True) for f in frames if f.height > number]
    before = [f["first_start_ns"] - f["host_start_ns"] for f in launched if f["host_start_ns"] is not None]
    start = origin + sum(slots[:number])
    end = start + slots[number]
    air = max((end - start) // 20, 100)
    host = min(max(before, default=0), (end - start) // 10)
    words = ("host launches", "stream", "bubbles")
    tracks = {side.key_name or side.label: tuple(f"{side.label} · {word}" for word in words) for side in sides}
    shown = pinned if len(pinned) == 2 else sides[:2]
    pins = tuple(track for side in shown for track in tracks[side.key_name or side.label])
    return Zoom(max(start - host - air, 0), end + air, pins, tracks)
