"""The JSON of rocprofv3 (`--output-format json`) -> `Trace`: one object a process under `rocprofiler-sdk-tool`.

Source of the facts: rocprofiler-sdk's generateJSON.cpp and serialization/save.hpp. The file is decoded whole: fields
that no figure reads are skipped. A cut file has no readable part.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec
import polars as pl

from rope_prof.errors import TraceError
from rope_prof.io.bombs import whole
from rope_prof.io.kineto.args import ints
from rope_prof.io.rocm.records import CALLS, COPIES, DISPATCHES, rocm_trace
from rope_prof.model.trace import Finding, Trace

MAX_BYTES: Final = 2 << 30
_INSTEAD: Final = "let rocprofv3 write rocpd or pftrace (--output-format rocpd)"
_GPU: Final = 2


class _Handle(msgspec.Struct, gc=False, frozen=True):
    handle: int = 0


class _Correlation(msgspec.Struct, gc=False, frozen=True):
    internal: int | None = None


class _Dims(msgspec.Struct, gc=False, frozen=True):
    x: int | None = None
    y: int | None = None
    z: int | None = None


class _Dispatched(msgspec.Struct, gc=False, frozen=True):
    agent_id: _Handle = _Handle()
    queue_id: _Handle = _Handle()
    kernel_id: int = 0
    group_segment_size: int | None = None
    grid_size: _Dims = _Dims()
    workgroup_size: _Dims = _Dims()


class _Record(msgspec.Struct, gc=False, frozen=True):
    """Any record of `buffer_records`, as far as it is read."""

    kind: int = 0
    operation: int = 0
    thread_id: int | None = None
    correlation_id: _Correlation = _Correlation()
    start_timestamp: int | None = None
    end_timestamp: int | None = None
    dispatch_info: _Dispatched | None = None
    stream_id: _Handle | None = None
    dst_agent_id: _Handle = _Handle()
    src_agent_id: _Handle = _Handle()
    bytes: int | None = None


class _Buffers(msgspec.Struct, gc=False, frozen=True):
    kernel_dispatch: list[_Record] = []
    memory_copy: list[_Record] = []
    hip_api: list[_Record] = []
    hsa_api: list[_Record] = []
    marker_api: list[_Record] = []
    rccl_api: list[_Record] = []


class _Domain(msgspec.Struct, gc=False, frozen=True):
    kind: str = ""
    operations: list[str] = []


class _Message(msgspec.Struct, gc=False, frozen=True):
    key: int = 0
    value: str = ""


class _Strings(msgspec.Struct, gc=False, frozen=True):
    buffer_records: list[_Domain] = []
    marker_api: list[_Message] = []


class _Symbol(msgspec.Struct, gc=False, frozen=True):
    kernel_id: int = 0
    kernel_name: str = ""
    formatted_kernel_name: str = ""


class _Agent(msgspec.Struct, gc=False, frozen=True):
    id: _Handle = _Handle()
    type: int = 0
    node_id: int = 0
    logical_node_type_id: int | None = None
    name: str = ""
    product_name: str = ""


class _Metadata(msgspec.Struct, gc=False, frozen=True):
    pid: int | None = None


class _Process(msgspec.Struct, gc=False, frozen=True):
    metadata: _Metadata = _Metadata()
    agents: list[_Agent] = []
    strings: _Strings = _Strings()
    kernel_symbols: list[_Symbol] = []
    buffer_records: _Buffers = _Buffers()


class _File(msgspec.Struct, gc=False, frozen=True):
    tool: list[_Process] = msgspec.field(name="rocprofiler-sdk-tool", default_factory=list)


_decode = msgspec.json.Decoder(_File).decode


def read_rocprof(chunks: Iterable[bytes], source: str, findings: Sequence[Finding] = ()) -> Trace:
    """The trace. Errors: TraceError for a cut, damaged or too large file."""
    text = whole(chunks, MAX_BYTES, f"{source!r} is rocprofv3's JSON", f"; {_INSTEAD}")
    try:
        processes = _decode(text).tool
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise TraceError(f"{source!r} is rocprofv3's JSON, cut or damaged: {error}; record again") from None
    except RecursionError:
        raise TraceError(f"{source!r} nests deeper than a thousand levels; no profiler writes that") from None
    made = [_rows(process) for process in processes]
    names: dict[str, str] = {}
    for process in processes:
        names |= {device: name for device, (gpu, name) in _agents(process).values() if gpu}
    joined = (_joined([part[k] for part in made], schema) for k, schema in enumerate((DISPATCHES, COPIES, CALLS)))
    return rocm_trace(source, "rocprofv3", *joined, device_names=names, findings=findings)


def _joined(parts: list[list[dict[str, Any]]], schema: dict[str, Any]) -> pl.DataFrame:
    """All rows; a number that does not fit Int64 is null, as in any file."""
    rows = [row for part in parts for row in part]
    columns = {name: [row.get(name) for row in rows] for name in schema}
    return pl.DataFrame(
        [
            ints(name, values) if schema[name] == pl.Int64 else pl.Series(name, values, dtype=schema[name])
            for name, values in columns.items()
        ]
    )


def _agents(process: _Process) -> dict[int, tuple[str, tuple[bool, str]]]:
    """handle -> (device, (whether a GPU, its name))."""
    return {
        agent.id.handle: (
            str(agent.node_id if agent.logical_node_type_id is None else agent.logical_node_type_id),
            (agent.type == _GPU, agent.product_name or agent.name),
        )
        for agent in process.agents
    }


def _rows(process: _Process) -> tuple[list[dict[str, Any]], list[dict[str, Any]], list[dict[str, Any]]]:
    """Dispatches, copies and calls of one process."""
    held, pid = process.buffer_records, process.metadata.pid
    agents = _agents(process)
    gpus = {handle: device for handle, (device, (gpu, _)) in agents.items() if gpu}
    symbols = {one.kernel_id: one.formatted_kernel_name or one.kernel_name for one in process.kernel_symbols}
    domains = process.strings.buffer_records
    messages = {one.key: one.value for one in process.strings.marker_api}

    def timed(one: _Record) -> dict[str, Any]:
        start, end, internal = one.start_timestamp, one.end_timestamp, one.correlation_id.internal
        return {"process": pid, "start_ns": start, "end_ns": end, "correlation": internal}

    def operation(one: _Record) -> tuple[str, str | None]:
        domain = domains[one.kind] if 0 <= one.kind < len(domains) else _Domain()
        known = 0 <= one.operation < len(domain.operations)
        return domain.kind, domain.operations[one.operation] if known else None

    def stream(one: _Record, queue: int | None) -> int | None:
        return queue if one.stream_id is None else one.stream_id.handle

    def dispatch(one: _Record, said: _Dispatched) -> dict[str, Any]:
        sizes = (("grid", said.grid_size), ("block", said.workgroup_size))
        return timed(one) | {
            "name": symbols.get(said.kernel_id),
            "device": agents[said.agent_id.handle][0] if said.agent_id.handle in agents else "?",
            "stream": stream(one, said.queue_id.handle),
            "shared_bytes": said.group_segment_size,
            **{f"{side}_{d}": getattr(size, d) for side, size in sizes for d in "xyz"},
        }

    def copy(one: _Record) -> dict[str, Any]:
        device = gpus.get(one.dst_agent_id.handle) or gpus.get(one.src_agent_id.handle) or "?"
        return timed(one) | {
            "name": operation(one)[1] or "Memcpy",
            "device": device,
            "stream": stream(one, None),
            "bytes": one.bytes,
        }

    def call(one: _Record) -> dict[str, Any]:
        domain, name = operation(one)
        message = messages.get(one.correlation_id.internal or 0) if domain.startswith("MARKER") else None
        return timed(one) | {"name": name, "domain": domain, "message": message, "thread": one.thread_id}

    called = (*held.hip_api, *held.hsa_api, *held.marker_api, *held.rccl_api)
    dispatches = [dispatch(one, one.dispatch_info) for one in held.kernel_dispatch if one.dispatch_info is not None]
    return dispatches, [copy(one) for one in held.memory_copy], [call(one) for one in called]
