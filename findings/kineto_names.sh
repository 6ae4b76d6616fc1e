#!/usr/bin/env bash
# torch.profiler puts the names of ranges and the values of metadata into its Chrome trace without escaping them.
# Seen with torch 2.13.0 on a CPU: a quote makes the file invalid JSON; a name with any character beyond ASCII, or a tab, is
# written as "unknown" (two such ranges cannot be told apart); a backslash becomes a slash, a line break vanishes.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
export TMPDIR=$place
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install --quiet torch==2.13.0 numpy==2.4.6
"$place/venv/bin/python" - <<'PYTHON'
import json
import tempfile
from pathlib import Path

import torch
from torch.profiler import ProfilerActivity, profile, record_function


def written(name: str) -> object:
    """The name of the one range in the exported trace; 'invalid JSON' where the file is none."""
    with profile(activities=[ProfilerActivity.CPU]) as profiler, record_function(name):
        torch.ones(3).add(1)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "trace.json"
        profiler.export_chrome_trace(str(file))
        try:
            events = json.loads(file.read_bytes())["traceEvents"]
        except json.JSONDecodeError:
            return "invalid JSON"
    return [event["name"] for event in events if event.get("cat") == "user_annotation"]


print("torch", torch.__version__)
expected = {
    "layer 0": ["layer 0"],
    'say "layer"': "invalid JSON",
    "attention · q": ["unknown"],
    "q\tk": ["unknown"],
    "models\\rope": ["models/rope"],
    "two\nlines": ["twolines"],
}
seen = {name: written(name) for name in expected}
for name, value in seen.items():
    print(f"record_function({name!r}) -> {value!r}")
raise SystemExit(seen != expected)
PYTHON
