"""Does a trace hold several processes, ranks or sessions under the same numbers? Then whose an event is, is in doubt.

Correlations that begin anew tell of several sessions; kernels of two processes that run at one time under one device
number are of two GPUs (or share one, which no share says then).
"""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from rope_prof.analysis.trace.groups import among, holding
from rope_prof.analysis.trace.launches import LAUNCHES_KERNEL, restarts
from rope_prof.analysis.trace.spans import frame_union
from rope_prof.model.trace import Finding, Trace, proof


def identity(trace: Trace, events: pl.DataFrame) -> Iterator[Finding]:
    """The findings; `events` is the trace's `launched` frame."""
    calls = trace.calls
    launches = calls.filter(calls["correlation"].is_not_null() & holding(calls["name"], LAUNCHES_KERNEL))
    again = restarts(launches.filter(among(launches["correlation"], events["correlation"])))
    if again.height:
        detail = (
            "launches have a correlation that their process used before: the file holds several sessions, each event "
            "is joined with the last launch before it, and the time between the sessions is no idle time"
        )
        yield Finding(code="merged_sessions", detail=detail, count=again.height, events=proof(again, "host"))
    yield from _shared(launches, events)
    owner = pl.coalesce("process", "launch_process")
    if events.select(owner.drop_nulls().n_unique()).item() < 2:
        return
    rows = events.select("device", "kind", "name", "start_ns", "dur_ns", owner=owner).filter(
        pl.col("owner").is_not_null() & (pl.col("kind") == "kernel")
    )
    for (device,), here in rows.group_by("device", maintain_order=True):
        if here["owner"].n_unique() < 2:
            continue
        apart = sum(frame_union(own).total for _, own in here.group_by("owner"))
        both = apart - frame_union(here).total
        if both > 0:
            detail = (
                f"kernels of {here['owner'].n_unique()} processes run at one time for {both} ns on device {device}: "
                "they are several GPUs of one number, or share one"
            )
            yield Finding(code="merged_processes", detail=detail, count=here["owner"].n_unique(), events=proof(here))


def _shared(launches: pl.DataFrame, events: pl.DataFrame) -> Iterator[Finding]:
    """Launches of several processes under one correlation, where the events do not say which is theirs."""
    if launches["process"].n_unique() < 2:
        return
    loose = events.filter(pl.col("process").is_null())
    held = launches.filter(among(launches["correlation"], loose["correlation"]))
    shared = held.filter(pl.col("process").n_unique().over("correlation") > 1)
    if shared.height:
        count = shared["process"].n_unique()
        detail = (
            f"launches of {count} processes have the same correlations, and GPU events do not say whose they are: "
            "several ranks or processes are merged in one file"
        )
        yield Finding(code="merged_processes", detail=detail, count=count, events=proof(shared, "host"))
