"""A Kineto trace -> the same events as torch's CUPTI monitor writes them, native and as Chrome JSON.

torch's own writer makes both, from columns; no GPU is needed. Run by a Python that has it:

    python -m venv .made && .made/bin/pip install torch==2.14.1 numpy
    .made/bin/pip install --no-deps cupti-python==13.4.0    # torch pins an older CUPTI
    .made/bin/python benchmarks/torch_traces.py TRACE.json OUT    # writes OUT.pftrace (packed) and OUT.json
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from tests.io.made.torch_monitor import Columns, merged

_CALLS = {
    "cudaLaunchKernel": 211,
    "cudaLaunchKernelExC": 430,
    "cuLaunchKernelEx": 652,
    "cudaGraphLaunch": 311,
    "cudaMemcpyAsync": 41,
    "cudaStreamWaitEvent": 147,
    "cudaDeviceSynchronize": 165,
}
_WAYS = {"HtoD": (1, 2, 3), "DtoH": (2, 3, 2)}  # copy kind, memory it is from, memory it goes to
_HOST = ("cpu_op", "user_annotation")


def _ns(micros: str) -> int:
    whole, _, part = micros.partition(".")
    return int(whole) * 1000 + int(part.ljust(3, "0"))


def window(events: Iterable[dict[str, Any]], base: int) -> tuple[Columns, list[dict[str, Any]]]:
    """The monitor's columns, and the host's events; numbers of `events` are texts."""
    rows: Columns = defaultdict(lambda: defaultdict(list))
    host = []
    for event in events:
        kind, args = event.get("cat"), event.get("args", {})
        if event["ph"] != "X":
            continue
        if kind in _HOST:
            host.append({**event, "ts": float(event["ts"]), "dur": float(event["dur"])})
            continue
        start = base + _ns(event["ts"])
        row = {"start_ns": start, "end_ns": start + _ns(event["dur"]), "correlation_id": args["correlation"]}
        if kind in ("kernel", "gpu_memcpy"):
            row |= _gpu(event, kind)
        else:
            row |= {"process_id": event["pid"], "thread_id": event["tid"], "cbid": _CALLS[event["name"]]}
            launched = {"correlation_id": args["correlation"], "external_id": args["External id"]}
            for name, value in launched.items():
                rows["external_correlation"][name].append(value)
        for name, value in row.items():
            rows[kind][name].append(value)
    return rows, host


def _gpu(event: dict[str, Any], kind: str) -> dict[str, Any]:
    args = event["args"]
    graph = args.get("graph id", 0)
    row = {"device_id": 0, "context_id": 1, "stream_id": args["stream"], "graph_id": graph}
    row |= {"graph_node_id": (graph << 32) + args.get("graph node id", 0), "annotation": None, "metadata": None}
    row |= {"channel": 1, "channel_type": 1}
    if kind == "gpu_memcpy":
        way, source, to = next(told for word, told in _WAYS.items() if word in event["name"])
        return row | {"bytes": args["bytes"], "copy_kind": way, "src_kind": source, "dst_kind": to, "flags": 0}
    sizes = {f"{side}_{dim}": args[side][k] for side in ("grid", "block") for k, dim in enumerate("xyz")}
    rest = {"registers_per_thread": args["registers per thread"], "static_shared_memory": 0, "queued": 0}
    return row | sizes | rest | {"dynamic_shared_memory": args["shared memory"], "priority": 0, "name": event["name"]}


def main() -> None:
    trace, out = map(Path, sys.argv[1:])
    told = json.loads(trace.read_text(), parse_float=str)
    base = told["baseTimeNanoseconds"]
    rows, host = window(told.pop("traceEvents"), base)
    pid = int(host[0]["pid"])
    merged(rows, host, out, pid=pid, base=base, threads={row["tid"] for row in host})
    print(json.dumps({"version": "", "totals": {}}))


if __name__ == "__main__":
    main()
