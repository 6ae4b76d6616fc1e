#!/usr/bin/env bash
# A torch.profiler that is entered inside another one takes its place: no exception, and the outer one ends without an event.
# Seen with torch 2.13.0 on a CPU: the inner profile holds its own operators; the outer one holds none, not even those
# from before the inner one began. Only a line on standard error ("no active profiling session") tells of it.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
export TMPDIR=$place
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install --quiet torch==2.13.0 numpy==2.4.6
"$place/venv/bin/python" - <<'PYTHON'
import torch
from torch.profiler import ProfilerActivity, profile

print("torch", torch.__version__)
with profile(activities=[ProfilerActivity.CPU]) as outer:
    torch.ones(3).add(1)
    with profile(activities=[ProfilerActivity.CPU]) as inner:
        torch.ones(3).mul(2)
    torch.ones(3).sub(1)
names = {"outer": sorted({e.name for e in outer.events()}), "inner": sorted({e.name for e in inner.events()})}
for side, found in names.items():
    print(side, found)
raise SystemExit(names["outer"] != [] or "aten::mul" not in names["inner"])
PYTHON
