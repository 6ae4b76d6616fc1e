#!/usr/bin/env bash
# torch-tb-profiler (TensorBoard's view of torch.profiler) links kernels to operators through calls of the runtime, and
# knows them by the category `runtime` alone. Today's torch calls it `cuda_runtime`: every operator has then a device
# time of 0 and the step no time in the runtime, beside a right table of kernels.
# Seen with torch-tb-profiler 0.4.3: 50 operators of one kernel of 20 us each have 0 us; with the events' old name 1000 us.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
export TMPDIR=$place
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install --quiet torch-tb-profiler==0.4.3 pandas==2.3.3 numpy==2.4.6
cat >"$place/device_time.py" <<'PYTHON'
import logging
import warnings
from importlib.metadata import version

from torch_tb_profiler.profiler.data import RunProfileData
from torch_tb_profiler.profiler.run_generator import RunGenerator

logging.disable(logging.CRITICAL)
warnings.simplefilter("ignore")
OPERATORS, KERNEL_US = 50, 20


def trace(runtime: str) -> dict:
    """What torch.profiler writes of operators with one launch and one kernel each, in the category `runtime`."""
    events = []
    for k in range(OPERATORS):
        start, both = 1000 + 40 * k, {"External id": k + 1, "correlation": k + 1}
        host = {"ph": "X", "pid": 1, "tid": 1}
        events.append(host | {"cat": "cpu_op", "name": "aten::mul", "ts": start, "dur": 10, "args": {"External id": k + 1}})
        events.append(host | {"cat": runtime, "name": "cudaLaunchKernel", "ts": start + 2, "dur": 5, "args": both})
        card = {"device": 0, "stream": 7, "context": 1, "blocks per SM": 1.0, "warps per SM": 4.0} | both
        events.append({"ph": "X", "cat": "kernel", "name": "mul_kernel", "pid": 0, "tid": 7, "ts": start + 9, "dur": KERNEL_US, "args": card})
    return {"schemaVersion": 1, "deviceProperties": [{"id": 0, "name": "H200"}], "traceEvents": events}


def device_us(runtime: str) -> tuple[int, int]:
    """Microseconds on the device: of all operators, and of all kernels, as the plugin tells them."""
    data = RunProfileData("worker", "span", trace(runtime))
    data.process()
    profile = RunGenerator("worker", "span", data).generate_run_profile()
    operators = sum(row["device_total_duration"] for row in profile.operation_table_by_name["data"])
    return operators, sum(row[3] for row in profile.kernel_table["data"]["rows"])


print("torch-tb-profiler", version("torch-tb-profiler"))
seen = {runtime: device_us(runtime) for runtime in ("cuda_runtime", "runtime")}
for runtime, (operators, kernels) in seen.items():
    print(f"launches called {runtime}: operators {operators} us on the device, kernels {kernels} us")
total = OPERATORS * KERNEL_US
raise SystemExit(seen != {"cuda_runtime": (0, total), "runtime": (total, total)})
PYTHON
"$place/venv/bin/python" "$place/device_time.py"
