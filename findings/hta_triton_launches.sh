#!/usr/bin/env bash
# HolisticTraceAnalysis counts launches by name. Its launch statistics know those of the runtime alone, its queue lengths
# `cuLaunchKernel` besides; Triton launches by `cuLaunchKernelEx`, so that its kernels are in neither. A stream that has
# nothing else has no queue at all, however long it is.
# Seen with HolisticTraceAnalysis 0.5.0, pandas 2.3.3, numpy 2.4.6: of 120 launches, 40 by each name, 40 have statistics
# and the queue reaches 80.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
export TMPDIR=$place
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install --quiet HolisticTraceAnalysis==0.5.0 pandas==2.3.3 numpy==2.4.6
cat >"$place/launches.py" <<'PYTHON'
import json
import logging
import sys
import warnings
from importlib.metadata import version
from pathlib import Path

logging.disable(logging.CRITICAL)
warnings.simplefilter("ignore")
from hta.trace_analysis import TraceAnalysis

NAMES = {"cudaLaunchKernel": "cuda_runtime", "cuLaunchKernel": "cuda_driver", "cuLaunchKernelEx": "cuda_driver"}
EACH, KERNEL_US = 40, 50.0
event = {"ph": "X", "pid": 1, "tid": 1}
events = [event | {"cat": "cpu_op", "name": "aten::op", "ts": 0.0, "dur": 2000.0, "args": {"External id": 1}}]
launches = [name for name in NAMES for _ in range(EACH)]
for k, name in enumerate(launches):  # all are launched before the first kernel ends: the queue grows to all of them
    both = {"correlation": k + 1, "External id": 1}
    events.append(event | {"cat": NAMES[name], "name": name, "ts": 10.0 + 4 * k, "dur": 2.0, "args": both})
    on_card = {"device": 0, "stream": 7, "context": 1, "queued": 0} | both
    start_us = 10.0 + 4 * len(launches) + KERNEL_US * k
    events.append(event | {"cat": "kernel", "name": "k", "pid": 0, "tid": 7, "ts": start_us, "dur": KERNEL_US - 1, "args": on_card})
trace = Path(sys.argv[1]) / "rank0.json"
head = {"schemaVersion": 1, "distributedInfo": {"rank": 0, "world_size": 1}, "deviceProperties": [{"id": 0, "name": "H200"}]}
trace.write_text(json.dumps(head | {"traceEvents": events}))
analysis = TraceAnalysis(trace_files={0: str(trace)}, include_last_profiler_step=True)
counted = len(analysis.get_cuda_kernel_launch_stats(ranks=[0], visualize=False)[0])
longest = int(analysis.get_queue_length_time_series(ranks=[0])[0]["queue_length"].max())
print("HolisticTraceAnalysis", version("HolisticTraceAnalysis"))
print(f"{len(launches)} launches, {EACH} by each of {', '.join(NAMES)}")
print(f"launch statistics of {counted}; longest queue {longest} of {len(launches)}")
raise SystemExit((counted, longest) != (EACH, 2 * EACH))
PYTHON
"$place/venv/bin/python" "$place/launches.py" "$place"
