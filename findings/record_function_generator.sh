#!/usr/bin/env bash
# torch.profiler's record_function is a decorator too. Over a generator or a coroutine function its range ends as soon as
# the generator is made: one empty range, and none of the operators that it was put around lies inside. Over a plain function
# they do. No warning either way; a decode loop that yields its tokens seems to cost nothing.
# Seen with torch 2.13.0 on a CPU.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
export TMPDIR=$place
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install --quiet torch==2.13.0 numpy==2.4.6
"$place/venv/bin/python" - 2>/dev/null <<'PYTHON'
import asyncio

import torch
from torch.profiler import ProfilerActivity, profile, record_function


@record_function("function")
def function():
    return [torch.ones(8).cos() for _ in range(3)]


@record_function("generator")
def generator():
    for _ in range(3):
        yield torch.ones(8).sin()


@record_function("coroutine")
async def coroutine():
    await asyncio.sleep(0)
    return [torch.ones(8).tan() for _ in range(3)]


with profile(activities=[ProfilerActivity.CPU]) as profiler:
    function()
    list(generator())
    asyncio.run(coroutine())
times = {}
for event in profiler.events():
    times.setdefault(event.name, []).append((event.time_range.start, event.time_range.end))
inside = {}
for name, operator in (("function", "aten::cos"), ("generator", "aten::sin"), ("coroutine", "aten::tan")):
    inside[name] = sum(a <= start and end <= b for start, end in times[operator] for a, b in times[name])
print("torch", torch.__version__)
for name, count in inside.items():
    print(f"{name}: {len(times[name])} range, {count} of 3 operators inside")
raise SystemExit(inside != {"function": 3, "generator": 0, "coroutine": 0})
PYTHON
