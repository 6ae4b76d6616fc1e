"""One small run as rocprofv3 writes it in each of its formats: rocpd in both layouts, JSON, pftrace.

Made by hand after rocprofiler-sdk's writers (generateRocpd.cpp, rocpd_tables.sql, generateJSON.cpp,
generatePerfetto.cpp): no AMD card is at hand. Three launches on two streams of the second GPU, two copies, and a marker
around it all.
"""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from perfetto.protos.perfetto.trace import perfetto_trace_pb2 as protos

from tests.io.packets import BEGIN, CLEARED, END, data, packet

PID, TID = 77, 78
BASE = 5_000_000_000_000_000
CPU, GPU0, GPU1 = 11, 12, 13  # handles of agents; their nodes are 0, 1, 2
NODES = {CPU: 0, GPU0: 1, GPU1: 2}
UUID = "_0000abcd_1f2e"
SYMBOLS = {5: ("_Z4axpyPf", "axpy(float*)"), 6: ("_Z4normPf", "norm(float*)")}
DOMAINS = ["NONE", "HIP_RUNTIME_API", "MARKER_CORE_RANGE_API", "KERNEL_DISPATCH", "MEMORY_COPY"]
OPERATIONS = {
    "HIP_RUNTIME_API": ["hipLaunchKernel", "hipMemcpyAsync", "hipDeviceSynchronize"],
    "MARKER_CORE_RANGE_API": ["roctxMarkA", "roctxThreadRangeA"],
    "MEMORY_COPY": ["NONE", "MEMORY_COPY_DEVICE_TO_HOST", "MEMORY_COPY_HOST_TO_DEVICE"],
}


@dataclass(frozen=True)
class Event:
    what: Literal["call", "kernel", "copy", "marker"]
    name: int  # its operation, or its kernel
    start: int
    end: int
    correlation: int
    stream: int = 1


EVENTS = [
    Event("marker", 1, BASE, BASE + 90_000, 1),
    Event("call", 1, BASE + 1_000, BASE + 3_000, 2),
    Event("copy", 2, BASE + 5_000, BASE + 9_001, 2),
    Event("call", 0, BASE + 4_000, BASE + 6_000, 3),
    Event("kernel", 5, BASE + 10_000, BASE + 20_003, 3),
    Event("call", 0, BASE + 7_000, BASE + 8_000, 4),
    Event("kernel", 6, BASE + 21_000, BASE + 25_000, 4),
    Event("call", 0, BASE + 9_000, BASE + 10_000, 5),
    Event("kernel", 5, BASE + 22_000, BASE + 31_000, 5, stream=2),
    Event("call", 1, BASE + 11_000, BASE + 12_000, 6),
    Event("copy", 1, BASE + 32_000, BASE + 36_000, 6),
    Event("call", 2, BASE + 13_000, BASE + 40_000, 7),
]


def of(what: str) -> list[Event]:
    return [one for one in EVENTS if one.what == what]


def as_json() -> bytes:
    """`rocprofv3 --output-format json`."""

    def record(one: Event, domain: str) -> dict[str, Any]:
        return {
            "size": 96,
            "kind": DOMAINS.index(domain),
            "operation": 0 if one.what == "kernel" else one.name,
            "thread_id": TID,
            "correlation_id": {"internal": one.correlation, "external": 0},
            "start_timestamp": one.start,
            "end_timestamp": one.end,
            "stream_id": {"handle": one.stream},
        }

    def dispatch(one: Event) -> dict[str, Any]:
        sizes = {"workgroup_size": {"x": 64, "y": 1, "z": 1}, "grid_size": {"x": 512, "y": 2, "z": 1}}
        where = {"agent_id": {"handle": GPU1}, "queue_id": {"handle": 9}, "kernel_id": one.name}
        return {"dispatch_info": {**where, "group_segment_size": 2048, **sizes}}

    def copy(one: Event) -> dict[str, Any]:
        ends = (GPU1, CPU) if one.name == 2 else (CPU, GPU1)
        return {"dst_agent_id": {"handle": ends[0]}, "src_agent_id": {"handle": ends[1]}, "bytes": 4096}

    agents = [
        {"id": {"handle": handle}, "node_id": node, "logical_node_type_id": max(node - 1, 0), "type": 1 + (node > 0)}
        for handle, node in NODES.items()
    ]
    tool = {
        "metadata": {"pid": PID, "command": ["./a.out"]},
        "agents": [one | {"name": "gfx942", "product_name": "AMD Instinct MI300X"} for one in agents],
        "strings": {
            "buffer_records": [{"kind": one, "operations": OPERATIONS.get(one, [])} for one in DOMAINS],
            "marker_api": [{"key": 1, "value": "step"}],
        },
        "kernel_symbols": [
            {"kernel_id": number, "kernel_name": mangled, "formatted_kernel_name": name}
            for number, (mangled, name) in SYMBOLS.items()
        ],
        "callback_records": {"counter_collection": []},
        "buffer_records": {
            "kernel_dispatch": [record(one, "KERNEL_DISPATCH") | dispatch(one) for one in of("kernel")],
            "memory_copy": [record(one, "MEMORY_COPY") | copy(one) for one in of("copy")],
            "hip_api": [record(one, "HIP_RUNTIME_API") for one in of("call")],
            "hsa_api": [],
            "marker_api": [record(one, "MARKER_CORE_RANGE_API") for one in of("marker")],
        },
    }
    return json.dumps({"rocprofiler-sdk-tool": [tool]}).encode()


class _Sql:
    """Inserts rows into tables that are made of their first row's columns."""

    def __init__(self, path: Path, uuid: str) -> None:
        self.database = sqlite3.connect(path)
        self._uuid = uuid
        self._made: set[str] = set()

    def add(self, table: str, **row: Any) -> None:
        name = f'"rocpd_{table}{self._uuid}"'
        if table not in self._made:
            columns = ", ".join(f'"{column}"' for column in row)
            self.database.execute(f"CREATE TABLE {name} ({columns})")
            self.database.execute(
                f"CREATE VIEW IF NOT EXISTS rocpd_{table} AS SELECT * FROM {name}"
            ) if self._uuid else None
            self._made.add(table)
        marks = ", ".join("?" * len(row))
        self.database.execute(f"INSERT INTO {name} VALUES ({marks})", list(row.values()))


def write_rocpd(path: Path, layout: Literal["direct", "tracks"], uuid: str = UUID) -> None:
    """`rocprofv3 --output-format rocpd`: times in the rows, or as numbers of timestamps and tracks."""
    sql = _Sql(path, uuid)
    texts = [*DOMAINS, *(name for many in OPERATIONS.values() for name in many if name not in DOMAINS)]
    for number, text in enumerate(texts, 1):
        sql.add("string", id=number, guid="g", string=text)
    sql.add("info_process", id=1 if layout == "tracks" else PID, nid=1, pid=PID, command="./a.out")
    sql.add("info_thread", id=1 if layout == "tracks" else TID, nid=1, pid=PID, tid=TID)
    for handle, node in NODES.items():
        kind = "GPU" if handle != CPU else "CPU"
        names = {"name": "gfx942", "product_name": "AMD Instinct MI300X"}
        sql.add(
            "info_agent", id=node, nid=1, pid=PID, type=kind, absolute_index=node, type_index=max(node - 1, 0), **names
        )
    for number, (mangled, name) in SYMBOLS.items():
        sql.add("info_kernel_symbol", id=number, kernel_name=mangled, display_name=name)
    stamps = 0
    for number, one in enumerate(EVENTS, 1):
        domain = {"call": 1, "marker": 2, "kernel": 3, "copy": 4}[one.what]
        extra = json.dumps({"message": "step"}) if one.what == "marker" else "{}"
        sql.add("event", id=number, category_id=domain + 1, stack_id=one.correlation, correlation_id=0, extdata=extra)
        where: dict[str, Any] = {"nid": 1, "pid": PID, "tid": TID, "start": one.start, "end": one.end}
        place = {"agent_id": NODES[GPU1], "queue_id": 1, "stream_id": one.stream} if one.what != "call" else {}
        if layout == "tracks":
            for value in (one.start, one.end):
                stamps += 1
                sql.add("timestamp", id=stamps, value=value)
            there = {"agent_id": None, "queue_id": None, "stream_id": None, **place}
            sql.add("track", id=number, nid=1, pid=1, tid=1, **there)
            where = {"track_id": number, "start_id": stamps - 1, "end_id": stamps}
        elif one.what == "kernel":
            where |= place
        elif one.what == "copy":
            where |= {"stream_id": one.stream}
        if one.what == "kernel":
            sizes = {f"{side}_size_{d}": n for side, size in _SIZES.items() for d, n in zip("xyz", size, strict=True)}
            sql.add(
                "kernel_dispatch",
                id=number,
                kernel_id=one.name,
                **where,
                group_segment_size=2048,
                **sizes,
                event_id=number,
            )
        elif one.what == "copy":
            ends = (NODES[GPU1], NODES[CPU]) if one.name == 2 else (NODES[CPU], NODES[GPU1])
            name = texts.index(OPERATIONS["MEMORY_COPY"][one.name]) + 1
            sql.add(
                "memory_copy",
                id=number,
                name_id=name,
                **where,
                dst_agent_id=ends[0],
                src_agent_id=ends[1],
                size=4096,
                event_id=number,
            )
        else:
            name = texts.index(OPERATIONS[DOMAINS[domain]][one.name]) + 1
            sql.add("region", id=number, name_id=name, **where, event_id=number)
    sql.database.commit()
    sql.database.close()


_SIZES = {"grid": (512, 2, 1), "workgroup": (64, 1, 1)}


def as_pftrace() -> bytes:
    """`rocprofv3 --output-format pftrace`, by Perfetto's SDK: one sequence, an incremental clock, interned words."""
    first = packet(1, CLEARED)
    first.trace_packet_defaults.timestamp_clock_id = 64
    for clock, at in ((6, BASE), (64, 0)):
        first.clock_snapshot.clocks.add(clock_id=clock, timestamp=at, is_incremental=clock == 64, unit_multiplier_ns=1)
    made = [first]
    tracks = {("kernel", 1): "COMPUTE AGENT [2] STREAM [1] (GPU)", ("kernel", 2): "COMPUTE AGENT [2] STREAM [2] (GPU)"}
    tracks |= {("copy", 2): "COPY to AGENT [2] STREAM [1] (GPU)", ("copy", 1): "COPY to AGENT [0] STREAM [1] (CPU)"}
    uuids = {place: (0xF000_0000_0000_0000 + k) for k, place in enumerate(tracks)}
    for place, name in tracks.items():
        made.append(protos.TracePacket(track_descriptor=protos.TrackDescriptor(uuid=uuids[place], name=name)))
    thread = protos.ThreadDescriptor(pid=PID, tid=TID)
    made.append(protos.TracePacket(track_descriptor=protos.TrackDescriptor(uuid=1, thread=thread)))
    words: dict[str, int] = {}
    last = BASE
    for one in EVENTS:
        category = {"call": "hip_api", "marker": "marker_api", "kernel": "kernel_dispatch", "copy": "memory_copy"}[
            one.what
        ]
        name = "step" if one.what == "marker" else SYMBOLS[one.name][1] if one.what == "kernel" else ""
        name = name or OPERATIONS["MEMORY_COPY" if one.what == "copy" else "HIP_RUNTIME_API"][one.name]
        place = (one.what, one.stream) if one.what == "kernel" else (one.what, one.name)
        for kind, at in ((BEGIN, one.start), (END, one.end)):
            event = packet(1)
            if at >= last:
                event.timestamp, last = at - last, at
            else:  # an instant before the last one is told on the clock itself
                event.timestamp, event.timestamp_clock_id = at, 6
            event.track_event.type, event.track_event.track_uuid = kind, uuids.get(place, 1)
            if kind == BEGIN:
                for table, field, word in (("event_names", "name_iid", name), ("event_categories", "", category)):
                    if word not in words:
                        words[word] = len(words) + 1
                        getattr(event.interned_data, table).add(iid=words[word], name=word)
                    if field:
                        event.track_event.name_iid = words[word]
                event.track_event.category_iids.append(words[category])
                args = {"begin_ns": one.start, "corr_id": one.correlation, "tid": TID, "kind": "11"}
                if one.what == "kernel":
                    args |= {
                        "agent": "2-2",
                        "queue": 9,
                        "group_segment_size": 2048,
                        "workgroup_size": 64,
                        "grid_size": 1024,
                    }
                if one.what == "copy":
                    ends = ("2-2", "0-0") if one.name == 2 else ("0-0", "2-2")
                    args |= {"copy_bytes": 4096, "dst_agent": ends[0], "src_agent": ends[1]}
                for key, value in args.items():
                    note = event.track_event.debug_annotations.add(name=key)
                    setattr(note, "string_value" if isinstance(value, str) else "uint_value", value)
            made.append(event)
    return data(made)
