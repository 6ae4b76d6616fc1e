"""Writes monitor.pftrace and monitor.json.gz with torch's own writer, fed with columns as its CUPTI monitor keeps them.

    python -m venv .made && .made/bin/pip install torch==2.15.0 cupti-python==13.4.0 pyelftools numpy
    .made/bin/python tests/io/made/torch_monitor.py

torch 2.14.1 and 2.15.0, which calls the monitor Cuspy, write the same bytes. No GPU is needed: the writer only shapes
what it is given. Four steps of: two small kernels, a copy on the device, a
kernel, a graph of three kernels with a host node and an event node, a copy to the host that is waited for.
"""

from __future__ import annotations

import gzip
import json
import os
import tempfile
from collections import defaultdict
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
BASE = 1_790_000_000_000_000_000
PID, TID = 4321, 4321
LAUNCH, GRAPH, COPY, SYNC, DRIVER_LAUNCH = 211, 311, 41, 131, 652
STEPS = 4
GRAPH_ID = 5

Columns = dict[str, dict[str, list]]


def window() -> tuple[Columns, list[dict]]:
    """The monitor's columns, and the events of the host as Kineto writes them."""
    rows: Columns = defaultdict(lambda: defaultdict(list))
    host: list[dict] = []
    at, correlation = BASE + 1_000_003, 100

    def add(kind: str, **values: object) -> None:
        for name, value in values.items():
            rows[kind][name].append(value)

    def call(kind: str, cbid: int, start: int, ns: int) -> int:
        nonlocal correlation
        correlation += 1
        where = {"process_id": PID, "thread_id": TID, "correlation_id": correlation}
        add(kind, start_ns=start, end_ns=start + ns, cbid=cbid, **where)
        return correlation

    def gpu(kind: str, start: int, ns: int, corr: int, *, node: int = 0, **values: object) -> None:
        place = {"device_id": 0, "context_id": 1, "stream_id": 7, "correlation_id": corr}
        graph = {"graph_id": GRAPH_ID if node else 0, "graph_node_id": node and (GRAPH_ID << 32) + node}
        add(kind, start_ns=start, end_ns=start + ns, **place, **graph, annotation=None, metadata=None)
        for name, value in values.items():
            rows[kind][name].append(value)

    def kernel(name: str, start: int, ns: int, corr: int, node: int = 0) -> None:
        sizes = {"grid_x": 8, "grid_y": 2, "grid_z": 1, "block_x": 128, "block_y": 1, "block_z": 1}
        rest = {"registers_per_thread": 32, "static_shared_memory": 0, "dynamic_shared_memory": 1024}
        gpu("kernel", start, ns, corr, node=node, name=name, **sizes, **rest, priority=0, queued=0, **_CHANNEL)

    def range_(name: str, category: str, start: int, ns: int, external: int) -> None:
        args = {"External id": external}
        where = {"ph": "X", "cat": category, "name": name, "pid": PID, "tid": TID}
        host.append({**where, "ts": (start - BASE) / 1000, "dur": ns / 1000, "args": args})

    for step in range(STEPS):
        begin = at
        for k, name in enumerate(("mul_kernel", "add_kernel")):
            range_(f"aten::{name[:3]}", "cpu_op", at, 6_001, 10 * step + k)
            kernel(name, at + 9_000, 2_503, call("cuda_runtime", LAUNCH, at + 1_000, 4_007))
            at += 7_000
        copied = call("cuda_runtime", COPY, at, 3_000)
        copy = {"bytes": 4096, "copy_kind": 8, "src_kind": 3, "dst_kind": 3, "flags": 0, **_CHANNEL}
        gpu("gpu_memcpy", at + 7_000, 1_504, copied, **copy)
        at += 6_000
        kernel("norm_kernel", at + 8_000, 3_001, call("cuda_driver", DRIVER_LAUNCH, at, 3_500))
        at += 20_000
        replay = call("cuda_runtime", GRAPH, at, 9_000)
        for k, late in enumerate((12_000, 15_000, 22_000)):
            kernel(f"graph_kernel_{k}", at + late, 2_001, replay, node=11 + k)
        gpu("graph_host_node", at + 17_500, 4_000, replay, node=14, process_id=PID, thread_id=TID + 1)
        gpu("graph_event_node", at + 24_500, 0, replay, node=15)
        at += 30_000
        fetched = call("cuda_runtime", COPY, at, 2_000)
        gpu("gpu_memcpy", at + 4_000, 2_500, fetched, **{**copy, "copy_kind": 2, "dst_kind": 2, "bytes": 512})
        waited = call("cuda_runtime", SYNC, at + 2_500, 5_000)
        wait = {"sync_type": 3, "context_id": 1, "stream_id": 7, "correlation_id": waited}
        add("cuda_sync", start_ns=at + 2_500, end_ns=at + 7_400, **wait, cuda_event_id=0, cuda_event_sync_id=0)
        at += 12_000
        emptied = call("cuda_runtime", 51, at, 2_000)
        gpu("gpu_memset", at + 5_000, 900, emptied, bytes=2048, value=0, memory_kind=3, flags=0, **_CHANNEL)
        at += 10_000
        range_(f"ProfilerStep#{step}", "user_annotation", begin - 500, at - begin, 1000 + step)
    add("overhead", start_ns=BASE + 900_000, end_ns=BASE + 950_000, name="Lazy Function Loading")
    for kind, data in ((3, 412_000), (2, 55), (1, 1_980 | (2_619 << 32))):  # power, temperature, clocks
        add("environment", start_ns=BASE + 1_000_000, device_id=0, environment_kind=kind, data=data)
    return rows, host


_CHANNEL = {"channel": 1, "channel_type": 1}
_TEXTS = ("name", "annotation", "metadata")


def merged(rows: Columns, host: list[dict], out: Path, *, pid: int, base: int, threads: set[int]) -> None:
    """OUT.pftrace and OUT.json of one window, by torch's writer."""
    try:
        from torch.profiler._cuspy.trace import merge_trace_window_into_chrome_trace  # 2.15
    except ImportError:
        from torch.profiler._cupti.monitor_trace import merge_trace_window_into_chrome_trace

    os.getpid = lambda: pid  # the writer takes its own process for the traced one

    columns = {
        kind: {name: np.array(v, object if name in _TEXTS else np.int64) for name, v in held.items()}
        for kind, held in rows.items()
    }
    known = {pid: {thread: thread for thread in threads}}
    trace = {"columns": columns, "thread_resource_map": known, "graph_deps": {}, "user_annotations": {}}
    names = [{"ph": "M", "name": "process_name", "pid": pid, "tid": 0, "ts": 0, "args": {"name": "python"}}]
    cpu = {"schemaVersion": 1, "baseTimeNanoseconds": base, "deviceProperties": [{"id": 0, "name": "NVIDIA H200"}]}
    with tempfile.TemporaryDirectory() as scratch:
        held = Path(scratch) / "host.json"
        held.write_text(json.dumps({**cpu, "traceEvents": names + host}))
        for suffix in (".pftrace", ".json"):
            to = out.with_suffix(suffix)
            merge_trace_window_into_chrome_trace(held, to, trace, trace_name=to.name)


def write(folder: Path) -> None:
    """Both files, from one window."""
    rows, host = window()
    with tempfile.TemporaryDirectory() as scratch:
        made = Path(scratch) / "monitor.json"
        merged(rows, host, made, pid=PID, base=BASE, threads={TID})
        (folder / "monitor.pftrace").write_bytes(made.with_suffix(".pftrace").read_bytes())
        (folder / "monitor.json.gz").write_bytes(gzip.compress(made.read_bytes(), 9, mtime=0))


if __name__ == "__main__":
    write(HERE)
