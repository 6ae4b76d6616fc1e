"""Which host call launched each GPU event: the join on correlation and, where the file tells it, process.

Goes by correlation over runtime *and* driver calls, never by the calls' names: Triton launches through the driver.
All kernels of one graph launch share its correlation. An event without a launch in the file stays, with nulls.
"""

from __future__ import annotations

import numpy as np
import polars as pl

from rope_prof.analysis.trace.groups import among, first_rows
from rope_prof.analysis.trace.latest import kept_for
from rope_prof.analysis.trace.workers import works_for
from rope_prof.model.trace import Trace

#: Calls that start a kernel or a graph on the GPU; used to look for launches whose kernel is missing.
LAUNCHES_KERNEL = (
    r"(?i)launch(?:cooperative)?(?:multidevice)?kernel|graphlaunch|culaunch$|culaunchgrid|launchbyptr"
    r"|enqueue(?:cooperative)?kernellaunch|appendlaunch(?:cooperative)?kernel"
)
#: Calls that enqueue a copy or a set. Of some (host to host, no bytes) the profiler records nothing.
MOVES = r"(?i)mem(?:cpy|set)|enqueue(?:usm|mem)|appendmemory(?:copy|fill)"

_LAUNCH = {
    "launch_name": pl.String,
    "launch_api": pl.String,
    "launch_process": pl.Int64,
    "launch_thread": pl.Int64,
    "launch_start_ns": pl.Int64,
    "launch_dur_ns": pl.Int64,
}
#: Until when the last host node and the last event node before an event keep it waiting (null: there is none).
NODE_ENDS = {"host_node": "host_node_ns", "event_node": "event_node_ns"}
#: The thread that waits for the launch (`workers`), null for none; it follows the columns of the launch.
FOR_THREAD = "launch_for_thread"


@kept_for("gpu", "calls", "ranges", "ops", "nodes")
def launched(trace: Trace) -> pl.DataFrame:
    """`trace.gpu`, row for row, with launch_name, _api, _process, _thread, _start_ns, _dur_ns (null: no launch).

    `launch_for_thread`: the thread that waits for it, null for none. `host_node_ns`, `event_node_ns`: see `NODE_ENDS`.
    """
    events = _joined(trace)
    nodes = trace.nodes
    waits = (
        _behind(nodes.filter(pl.col("kind") == kind) if nodes.height else nodes, events, name)
        for kind, name in NODE_ENDS.items()
    )
    return events.hstack([works_for(trace, events), *waits])


def _behind(nodes: pl.DataFrame, events: pl.DataFrame, name: str) -> pl.Series:
    """For each event the latest end of the nodes of its graph launch, or of its stream, that began before it."""
    if not nodes.height:
        return pl.Series(name, [None], dtype=pl.Int64).new_from_index(0, events.height)
    found = []
    for keys in (["correlation", "process"], ["device", "process", "stream"]):
        known = pl.col("process").fill_null(-1)
        until = nodes.with_columns(known, until=pl.col("start_ns") + pl.col("dur_ns").clip(lower_bound=0))
        until = until.filter(pl.col(keys[0]).is_not_null()).sort("start_ns")
        until = until.select(*keys, pl.col("until").cum_max().over(keys), at="start_ns")
        rows = events.select(*keys, "start_ns").with_columns(known).with_row_index("row").sort("start_ns")
        joined = rows.join_asof(
            until,
            left_on="start_ns",
            right_on="at",
            by=keys,
            allow_exact_matches=name != "host_node_ns",
            check_sortedness=False,
        )
        found.append(joined.sort("row")["until"])
    return pl.select(pl.max_horizontal(*found)).to_series().alias(name)


def _joined(trace: Trace) -> pl.DataFrame:
    gpu = trace.gpu
    calls = trace.calls
    if calls["correlation"].null_count():
        calls = calls.filter(pl.col("correlation").is_not_null())
    if not gpu.height or not calls.height:
        return _without_launch(gpu)
    calls = calls.filter(among(calls["correlation"], gpu["correlation"]))
    columns = ("name", "api", "process", "thread", "start_ns", "dur_ns")
    if restarts(calls).height:
        return _latest(gpu, calls)
    if not calls.height:
        return _without_launch(gpu)
    table = pl.DataFrame([calls["correlation"], *(calls[c].alias(f"launch_{c}") for c in columns)])
    start = table["launch_start_ns"].to_numpy()
    if not np.all(start[1:] > start[:-1]):
        table = table.sort("launch_start_ns", "launch_dur_ns", "launch_api", descending=[False, True, True])
    with_process = gpu["process"].null_count() < gpu.height
    if not with_process:
        row = first_rows(gpu["correlation"], table["correlation"])
        return gpu.hstack(table[row].get_columns()[1:])
    return _by_process(gpu, table)


def _without_launch(gpu: pl.DataFrame) -> pl.DataFrame:
    return gpu.with_columns(pl.lit(None, dtype=dtype).alias(name) for name, dtype in _LAUNCH.items())


def restarts(calls: pl.DataFrame) -> pl.DataFrame:
    """Calls whose process used their correlation for an earlier call of that name: the numbers began anew."""
    if calls["correlation"].n_unique() == calls.height:
        return calls.clear()
    again = calls.filter(pl.struct("process", "correlation", "name").is_duplicated())
    if not again.height:
        return again
    lane = ["process", "correlation", "name"]
    again = again.sort(*lane, "start_ns", "dur_ns", "thread", nulls_last=True)
    before = (pl.col("start_ns") + pl.col("dur_ns").fill_null(0).clip(lower_bound=1)).cum_max().shift(1).over(lane)
    return again.filter(before.is_not_null() & (pl.col("start_ns") >= before))


def _latest(gpu: pl.DataFrame, calls: pl.DataFrame) -> pl.DataFrame:
    """Each event with the last call of its correlation (and process, where that is known) that began before it."""
    columns = ("name", "api", "process", "thread", "start_ns", "dur_ns")
    table = calls.select("correlation", *(pl.col(c).alias(f"launch_{c}") for c in columns))
    table = table.sort(*(f"launch_{c}" for c in ("start_ns", "dur_ns", "api", "name", "process", "thread")))
    table = table.with_columns(at=pl.col("launch_start_ns"))
    by = ["correlation"]
    if gpu["process"].null_count() == 0:
        by, table = [*by, "process"], table.with_columns(process="launch_process")
    rows = gpu.with_row_index("row").sort("start_ns")
    joined = rows.join_asof(table, left_on="start_ns", right_on="at", by=by, check_sortedness=False)
    return joined.sort("row").select(*gpu.columns, *_LAUNCH)


def _by_process(gpu: pl.DataFrame, table: pl.DataFrame) -> pl.DataFrame:
    keys = ["correlation", "process"]
    first = table.unique(["correlation", "launch_process"], keep="first", maintain_order=True)
    first = first.with_columns(pl.col("launch_process").alias("process"))
    joined = gpu.join(first, on=keys, how="left", maintain_order="left")
    if not gpu["process"].null_count():
        return joined
    loose = table.unique("correlation", keep="first", maintain_order=True)
    other = gpu.join(loose, on="correlation", how="left", maintain_order="left")
    unknown = pl.col("process").is_null()
    pick = [pl.when(unknown).then(other[name]).otherwise(pl.col(name)).alias(name) for name in _LAUNCH]
    return joined.with_columns(pick)
