"""What a trace is, whatever wrote it: a few frames with named schemas and a few facts.

Times are Int64 nanoseconds on the file's own clock. `dur_ns` is as the file gives it; an end is `start_ns + dur_ns`.
A frame's rows have the file's order; nothing here sorts, repairs or drops. Loaders (`rope_prof.io`) build it,
`rope_prof.analysis` reads it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import polars as pl
from msgspec import field

from rope_prof.model.frozen import Frozen

#: So many events prove a finding: enough to look at, few enough to print.
NAMED: Final = 3

#: A name of `io.trace.formats.FORMATS`.
Format = str

#: One row per GPU event: a kernel, a copy, a set, or (nsys in graph mode) a whole graph launch.
GPU_EVENTS: dict[str, Any] = {
    "kind": pl.String,  # kernel | memcpy | memset | graph
    "name": pl.String,
    "device": pl.String,  # as the file names it
    "stream": pl.Int64,
    "process": pl.Int64,  # null where the file does not say; part of the join with launches where it does
    "start_ns": pl.Int64,
    "dur_ns": pl.Int64,
    "correlation": pl.Int64,
    "graph": pl.Int64,  # graph id, null outside a graph or where the file does not say
    "graph_node": pl.Int64,
    "bytes": pl.Int64,  # copies and sets
    "registers": pl.Int64,
    "shared_bytes": pl.Int64,
    "grid": pl.String,  # "8x1x1"
    "block": pl.String,
    "external": pl.Int64,  # External id: the cpu_op that caused it
    "collective": pl.String,  # what a kernel that communicates does, as the file says it: allreduce, all_to_allv, ...
    "group": pl.String,  # the process group that it does it in
}

#: One row per node of a graph that takes no time of the device: a host function, or an event that it records.
GRAPH_NODES: dict[str, Any] = {
    "kind": pl.String,  # host_node | event_node
    **{name: GPU_EVENTS[name] for name in ("name", "device", "stream", "process", "start_ns", "dur_ns", "correlation")},
}

#: One row per runtime or driver call on the host.
HOST_CALLS: dict[str, Any] = {
    "name": pl.String,
    "api": pl.String,  # runtime | driver
    "process": pl.Int64,
    "thread": pl.Int64,
    "start_ns": pl.Int64,
    "dur_ns": pl.Int64,
    "correlation": pl.Int64,
}

#: One row per named range: NVTX or record_function. `dur_ns` is null for a range that the file never closes.
RANGES: dict[str, Any] = {
    "name": pl.String,
    "kind": pl.String,  # nvtx | record_function
    "domain": pl.String,
    "process": pl.Int64,
    "thread": pl.Int64,
    "start_ns": pl.Int64,
    "dur_ns": pl.Int64,
    "payload": pl.Int64,
}

#: One row per operator on the host (Kineto's cpu_op).
CPU_OPS: dict[str, Any] = {
    "name": pl.String,
    "process": pl.Int64,
    "thread": pl.Int64,
    "start_ns": pl.Int64,
    "dur_ns": pl.Int64,
    "external": pl.Int64,
    "sequence": pl.Int64,  # autograd's number: a backward operator has that of the forward operator it belongs to
    "forward_thread": pl.Int64,  # of a backward operator: autograd's number of the thread that ran the forward one
    "input_dims": pl.String,  # as the file writes it: JSON text, null where not recorded
    "input_types": pl.String,
}

#: One row per Python function that ran on the host, where stacks were recorded; built-in ones are left out.
PYTHON_CALLS: dict[str, Any] = {
    "name": pl.String,  # `train.py(34): step`, or `nn.Module: Linear_0`
    "process": pl.Int64,
    "thread": pl.Int64,
    "start_ns": pl.Int64,
    "dur_ns": pl.Int64,
}

#: One row per allocation and release of memory, where they were recorded.
MEMORY: dict[str, Any] = {
    "device": pl.String,  # as GPU events name it; `cpu`: the host's
    "process": pl.Int64,
    "thread": pl.Int64,
    "start_ns": pl.Int64,  # when
    "bytes": pl.Int64,  # negative: released
    "allocated_bytes": pl.Int64,  # of the device from then on, as the allocator says it
    "reserved_bytes": pl.Int64,
}

#: One row per node of a graph whose capture is known: what the launch that made it was made in.
NODE_SITES: dict[str, Any] = {
    "node": pl.Int64,  # `node_number`
    "module": pl.String,  # the path of torch modules, `LlamaDecoderLayer_3/LlamaAttention_3/Linear_14`
    "operator": pl.String,  # the outermost one
    "line": pl.String,  # of Python that is no library's: `train.py(34): step`
    "range": pl.String,  # the innermost one of the capture
}

#: One row per stretch that the profiler itself spent.
OVERHEADS: dict[str, Any] = {
    "name": pl.String,
    "process": pl.Int64,
    "thread": pl.Int64,
    "start_ns": pl.Int64,
    "dur_ns": pl.Int64,
}


class Finding(Frozen, kw_only=True):
    """One thing the file does that a reader must know: a stable `code`, a sentence, how often, what to do about it.

    `events`: the first of those that prove it, each with `kind` (gpu or host), `name`, `start_ns` and `dur_ns`; null
    is what the file does not say of it.
    """

    code: str
    detail: str
    count: int = 1
    events: tuple[dict[str, Any], ...] = ()
    do: str = ""

    @property
    def title(self) -> str:
        """What a person reads for the code: `kernels without launch`."""
        return self.code.replace("_", " ")


class Trace(Frozen, kw_only=True):
    """One trace file as frames. `own` is the top-level `rope_prof` object of a trace that we recorded."""

    format: Format
    source: str
    events: int
    gpu: pl.DataFrame = field(default_factory=lambda: empty(GPU_EVENTS))
    calls: pl.DataFrame = field(default_factory=lambda: empty(HOST_CALLS))
    ranges: pl.DataFrame = field(default_factory=lambda: empty(RANGES))
    ops: pl.DataFrame = field(default_factory=lambda: empty(CPU_OPS))
    overheads: pl.DataFrame = field(default_factory=lambda: empty(OVERHEADS))
    nodes: pl.DataFrame = field(default_factory=lambda: empty(GRAPH_NODES))
    python: pl.DataFrame = field(default_factory=lambda: empty(PYTHON_CALLS))
    memory: pl.DataFrame = field(default_factory=lambda: empty(MEMORY))
    sites: pl.DataFrame = field(default_factory=lambda: empty(NODE_SITES))
    findings: tuple[Finding, ...] = ()
    window_end: bool | None = None
    window_end_ns: int | None = None  # when recording ended, where the file says it
    base_time_ns: int | None = None
    device_names: dict[str, str] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)
    own: dict[str, Any] | None = None

    @property
    def totals(self) -> list[dict[str, Any]] | None:
        """Of a profile of totals, whose events have no times, one entry a call path; None of every other file."""
        return self.metadata.get("totals")


def proof(frame: pl.DataFrame, kind: str = "gpu") -> tuple[dict[str, Any], ...]:
    """The first `NAMED` rows of a frame with `name` and `start_ns`, by time, as a finding names them."""
    by = [pl.col("start_ns"), pl.col("name").fill_null("")]  # whatever the order of the file
    first = frame.select("name", "start_ns", "dur_ns").bottom_k(NAMED, by=by).sort(by)
    return tuple({"kind": kind, "name": n, "start_ns": start, "dur_ns": ns} for n, start, ns in first.iter_rows())


def node_number() -> pl.Expr:
    """The number of a GPU event's graph node that no other graph's has, null outside graphs.

    CUPTI's: the graph's id above 32 bits, which some profilers write as one number and some as two.
    """
    whole, node = pl.col("graph_node") >= 1 << 32, pl.col("graph_node")
    return pl.when(whole).then(node).otherwise(pl.col("graph").fill_null(0) * (1 << 32) + node).alias("node")


def fitted(rows: pl.DataFrame, schema: Mapping[str, Any], **known: Any) -> pl.DataFrame:
    """`rows` as a frame of that schema: each column as it is `known`, else the one of its name, else null."""
    return rows.select(
        known.get(name, pl.col(name) if name in rows.columns else pl.lit(None)).cast(dtype).alias(name)
        for name, dtype in schema.items()
    )


def empty(schema: dict[str, Any]) -> pl.DataFrame:
    """A frame of that schema without rows."""
    return pl.DataFrame(schema=schema)
