#!/usr/bin/env bash
# nsys-ai's summary of an Nsight Systems export adds up the kernels of all streams: two streams that work at the same time count
# twice. A card that is busy half of the time is told to be used at 100.5 %, beside its own idle time of half the span.
# Seen with nsys-ai 0.3.0: 100 pairs of kernels of 10 us each on two streams at once, 10 us of nothing after each pair.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
export TMPDIR=$place HOME=$place
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install --quiet nsys-ai==0.3.0
"$place/venv/bin/python" - "$place/pairs.sqlite" <<'PYTHON'
import sqlite3
import sys

tables = {
    "StringIds": "id INTEGER PRIMARY KEY, value TEXT",
    "TARGET_INFO_GPU": "id INTEGER, name TEXT, busLocation TEXT, smCount INTEGER, totalMemory INTEGER, cuDevice INTEGER, "
    "chipName TEXT, memoryBandwidth INTEGER, computeMajor INTEGER, computeMinor INTEGER",
    "TARGET_INFO_CUDA_DEVICE": "gpuId INTEGER, cudaId INTEGER, pid INTEGER, uuid TEXT, numMultiprocessors INTEGER",
    "CUPTI_ACTIVITY_KIND_KERNEL": "start INTEGER, end INTEGER, deviceId INTEGER, contextId INTEGER, streamId INTEGER, correlationId INTEGER, "
    "globalPid INTEGER, demangledName INTEGER, shortName INTEGER, gridX INTEGER, gridY INTEGER, gridZ INTEGER, "
    "blockX INTEGER, blockY INTEGER, blockZ INTEGER",
    "CUPTI_ACTIVITY_KIND_RUNTIME": "start INTEGER, end INTEGER, globalTid INTEGER, correlationId INTEGER, nameId INTEGER",
    "NVTX_EVENTS": "start INTEGER, end INTEGER, eventType INTEGER, text TEXT, globalTid INTEGER, textId INTEGER",
}
export = sqlite3.connect(sys.argv[1])
for name, columns in tables.items():
    export.execute(f"CREATE TABLE {name}({columns})")
put = lambda table, *row: export.execute(f"INSERT INTO {table} VALUES({','.join('?' * len(row))})", row)
put("StringIds", 1, "kernel")
put("StringIds", 2, "cudaLaunchKernel")
put("TARGET_INFO_GPU", 0, "NVIDIA H200", "0000:01:00.0", 132, 141 << 30, 0, "GH100", 4_800_000_000_000, 9, 0)
put("TARGET_INFO_CUDA_DEVICE", 0, 0, 77, "GPU-0", 132)
for pair in range(100):
    start = 1_000_000 + 20_000 * pair
    for stream in (7, 8):
        join = 2 * pair + stream
        put("CUPTI_ACTIVITY_KIND_KERNEL", start, start + 10_000, 0, 1, stream, join, 77 << 24, 1, 1, 132, 1, 1, 256, 1, 1)
        put("CUPTI_ACTIVITY_KIND_RUNTIME", start - 5_000, start - 4_000, 77 << 24 | 77, join, 2)
export.commit()
PYTHON
"$place/venv/bin/pip" list 2>/dev/null | grep '^nsys-ai'
summary=$("$place/venv/bin/nsys-ai" summary "$place/pairs.sqlite" 2>/dev/null | grep 'Util:')
echo "truth: 1.0 ms busy of 2.0 ms, 50 %"
echo "seen:  $summary"
[[ $summary == *"Idle: 1.0ms"* && $summary == *"Util: 100.5%"* ]]
