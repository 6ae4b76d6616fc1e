#!/usr/bin/env bash
# HolisticTraceAnalysis moves the start of every event up and its end down to a whole microsecond by default: of kernels
# of 1.472 us it keeps a third, and the rest becomes idle time. Fused kernels of a few us, and CUDA graphs of short
# kernels, are judged by what is left. HTA_DISABLE_NS_ROUNDING=1 in the environment gives the exact sums.
# Seen with HolisticTraceAnalysis 0.5.0, pandas 2.3.3, numpy 2.4.6: 400 kernels of 588.8 us in all are 190 us.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
export TMPDIR=$place
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install --quiet HolisticTraceAnalysis==0.5.0 pandas==2.3.3 numpy==2.4.6
cat >"$place/sums.py" <<'PYTHON'
import json
import logging
import os
import sys
import warnings
from importlib.metadata import version
from pathlib import Path

logging.disable(logging.CRITICAL)
warnings.simplefilter("ignore")
from hta.trace_analysis import TraceAnalysis

KERNELS, DURATION_US, GAP_US = 400, 1.472, 0.7
event = {"ph": "X", "pid": 1, "tid": 1}
events = [event | {"cat": "cpu_op", "name": "aten::op", "ts": 0.0, "dur": 900.0, "args": {"External id": 1}}]
for k in range(KERNELS):
    both = {"correlation": k + 1, "External id": 1}
    launch = {"cat": "cuda_runtime", "name": "cudaLaunchKernel", "ts": 10.0 + 2 * k, "dur": 1.2, "args": both}
    start_us = round(1000 + k * (DURATION_US + GAP_US), 3)
    on_card = {"device": 0, "stream": 7, "context": 1, "queued": 0} | both
    kernel = {"cat": "kernel", "name": "k", "pid": 0, "tid": 7, "ts": start_us, "dur": DURATION_US, "args": on_card}
    events += [event | launch, event | kernel]
trace = Path(sys.argv[1]) / "rank0.json"
head = {"schemaVersion": 1, "distributedInfo": {"rank": 0, "world_size": 1}, "deviceProperties": [{"id": 0, "name": "H200"}]}
trace.write_text(json.dumps(head | {"traceEvents": events}))
analysis = TraceAnalysis(trace_files={0: str(trace)}, include_last_profiler_step=True)
row = analysis.get_temporal_breakdown(visualize=False).iloc[0]
busy, idle = float(row["compute_time(us)"]), float(row["idle_time(us)"])
true_busy = KERNELS * DURATION_US
rounding = os.environ.get("HTA_DISABLE_NS_ROUNDING", "0") == "0"
print("HolisticTraceAnalysis", version("HolisticTraceAnalysis"), "rounding" if rounding else "no rounding")
print(f"busy {busy:.1f} us of {true_busy:.1f}, idle {idle:.1f} us of {(KERNELS - 1) * GAP_US:.1f}")
raise SystemExit(busy > true_busy / 2 if rounding else abs(busy - true_busy) > 0.1)
PYTHON
"$place/venv/bin/python" "$place/sums.py" "$place"
HTA_DISABLE_NS_ROUNDING=1 "$place/venv/bin/python" "$place/sums.py" "$place"
