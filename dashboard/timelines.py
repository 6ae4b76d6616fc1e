"""Timelines of recorded traces, laid out once."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl
from rope_prof.dashboard.kept import kept

from rope_prof.analysis.trace.gaps import device_gaps
from rope_prof.analysis.trace.replays import single_events
from rope_prof.io.run.folder import RunFolder
from rope_prof.opened.run import Capture
from rope_prof.views.timeline.layout import CallTimeline, lay_out
from rope_prof.views.timeline.picture import Panel
from rope_prof.views.timeline.scene import Scene, scene
from rope_prof.views.timeline.window import CallTime, WindowSide


@kept(64)
def captured_scene(folder: RunFolder, key: str, _found: Capture) -> Scene:  # noqa: ARG001 - the key
    """The lanes of that key's whole trace. Errors: ValueError for a trace without a span."""
    return scene(_found.trace)


@kept(64)
def call_timeline(folder: RunFolder, key: str, number: int, _found: Capture) -> CallTimeline:  # noqa: ARG001 - the key
    """Call `number` of that key's trace, laid out. Errors: ValueError for a call that ran nothing on the device."""
    call = _found.calls.row(by_predicate=pl.col("call") == number, named=True)
    gaps = None if call["device"] is None else device_gaps(_found.trace, call["device"])
    return lay_out(call, single_events(_found.trace, call), gaps)


def call_side(
    panel: Panel, title: str, name: str, lanes: Scene, calls: Sequence[CallTime], call: dict[str, int]
) -> WindowSide:
    """One call of a path, its zero at the call's first device event; `call` is its row of `call_frame`."""
    zero = call["first_start_ns"]
    host_end = lanes.hi_ns if call["host_end_ns"] is None else call["host_end_ns"]
    launched = call["host_start_ns"] is not None  # else inside a replay, whose launch is all calls'
    return WindowSide(
        id=name,
        title=title,
        facts=panel.facts,
        scene=lanes,
        zero_ns=zero,
        end_ns=panel.timeline.end_ns,
        host_ns=(call["host_start_ns"] - zero, host_end - zero) if launched else (0, 0),
        trusted=panel.trusted,
        call=call["call"],
        calls=tuple(calls),
    )


def call_times(found: Capture) -> tuple[CallTime, ...]:
    """Every call that ran something: its period, or its own length where no call follows."""
    ran = found.calls.filter(found.calls["first_start_ns"].is_not_null())
    return tuple(
        CallTime(
            number=row["call"],
            zero_ns=row["first_start_ns"],
            length_ns=row["last_end_ns"] - row["first_start_ns"] if row["period_ns"] is None else row["period_ns"],
        )
        for row in ran.iter_rows(named=True)
    )
