"""Stand-ins of `nsys` and `ncu` as programs: they note how they were called and leave what a test wants them to."""

from __future__ import annotations

import gzip
import json
import sqlite3
import sys
from pathlib import Path
from typing import Any

from rope_prof.io.run.folder import write_run
from rope_prof.model.run import KeyFacts
from tests import runs

PID = 4242 << 24

_PROGRAM = """#!{python}
import json, os, pathlib, shutil, sys
folder = pathlib.Path({folder!r})
words = json.loads((folder / "behaviour.json").read_text())
if "--version" in sys.argv:
    print(words["version"]); sys.exit(0)
if sys.argv[1] == "export":
    out = next(a.split("=", 1)[1] for a in sys.argv if a.startswith("--output="))
    if words["export"]:
        shutil.copyfile(folder / "export.sqlite", out)
    print("Exporting"); sys.exit(0 if words["export"] else 1)
if "--import" in sys.argv:
    print((folder / "table.csv").read_text()); sys.exit(0)
(folder / "called.json").write_text(json.dumps({{
    "argv": sys.argv[1:], "environment": dict(os.environ), "cwd": os.getcwd(),
    "host": os.uname().nodename, "processes": [p for p in os.listdir("/proc") if p.isdigit()],
    "path": json.loads(pathlib.Path("path.json").read_text()), "workload": pathlib.Path(sys.argv[-1]).read_text()}}))
plan = json.loads(pathlib.Path("plan.json").read_text())
if words["done"]:
    done = [dict(key=name, **words["ranged"]) for name in words["names"]]
    pathlib.Path("done.json").write_text(json.dumps(done))
out = next(a.split("=", 1)[1] for a in sys.argv if a.startswith(("--output=", "--export=")))
out = out.removesuffix(".ncu-rep")
for suffix in words["leaves"]:
    pathlib.Path(out + suffix).write_bytes(words["content"].encode())
print(words["says"]); sys.exit(words["code"])
"""


def fake(folder: Path, name: str, **behaviour: Any) -> Path:
    """A program `name` in `folder` that does as told; what it was told can be changed by calling again."""
    folder.mkdir(parents=True, exist_ok=True)
    known: dict[str, Any] = {
        "version": "NVIDIA Nsight Systems version 2025.3.1.90-253135822126v0",
        "leaves": [".nsys-rep" if name == "nsys" else ".ncu-rep"],
        "content": "REPORT",
        "says": "Generated",
        "code": 0,
        "export": True,
        "done": True,
        "names": [],
        "ranged": {"ranges": 2, "step": 1},
    }
    (folder / "behaviour.json").write_text(json.dumps(known | behaviour))
    program = folder / name
    program.write_text(_PROGRAM.format(python=sys.executable, folder=str(folder)))
    program.chmod(0o755)
    return program


def called(folder: Path) -> dict[str, Any]:
    """How the stand-in was called."""
    found: dict[str, Any] = json.loads((folder / "called.json").read_text())
    return found


def write_captured(folder: Path, *paths: str, kernel_ns: int = 1000, kernels: int = 2) -> list[str]:
    """A run with an eager Kineto capture of each path: 2 calls of `kernels` kernels; the names of its keys."""
    folder.mkdir()
    keys: list[KeyFacts] = []
    for path in paths:
        facts = runs.facts(path)
        name = f"{facts.key.name}.trace.json.gz"
        (folder / name).write_bytes(gzip.compress(json.dumps(kineto(facts.key.name, kernels, kernel_ns)).encode()))
        keys.append(runs.facts(path, status="wrong", trace=name, captured_calls=2, bytes_moved=1 << 20))
    write_run(folder, runs.run(*keys))
    return [facts.key.name for facts in keys]


def kineto(key: str, kernels: int, kernel_ns: int) -> dict[str, Any]:
    """A Kineto document of two calls."""
    events: list[dict[str, Any]] = []
    for call in range(2):
        base = 100.0 * (call + 1)
        events.append(_event("user_annotation", f"{key}#{call}", base, 90.0, 1, 1))
        for number in range(kernels):
            correlation = {"correlation": 10 * call + number + 1, "device": 0, "stream": 7}
            events.append(_event("cuda_runtime", "cudaLaunchKernel", base + number + 1, 0.5, 1, 1, correlation))
            events.append(_event("kernel", "k", base + 10 + 2 * number, kernel_ns / 1000, 0, 7, correlation))
    return {"schemaVersion": 1, "baseTimeNanoseconds": 0, "traceEvents": events, "rope_prof": {"schema_version": 1}}


def _event(cat: str, name: str, ts: float, dur: float, pid: int, tid: int, args: Any = None) -> dict[str, Any]:
    return {"ph": "X", "cat": cat, "name": name, "ts": ts, "dur": dur, "pid": pid, "tid": tid, "args": args or {}}


def write_export(path: Path, *keys: str, kernel_ns: int = 1000, kernels: int = 2, calls: int = 2) -> Path:
    """An nsys export of the same calls, and what such an export tells of the machine."""
    database = sqlite3.connect(path)
    strings = {1: "k", 2: "cudaLaunchKernel_v7000", 3: "HOME=/home/alice\0SECRET=hush-hush-hush"}
    ranges, launches, ran = [], [], []
    for at, key in enumerate(keys):
        for call in range(calls):
            base = (at * calls + call + 1) * 100_000
            ranges.append((base, base + 90_000, 59, f"{key}#{call}", PID + 7, 0))
            for number in range(kernels):
                correlation = len(ran) + 1
                launches.append((base + 1000 * number, base + 1000 * number + 500, PID + 7, correlation, 2))
                begin = base + 10_000 + 2_000 * number
                ran.append((begin, begin + kernel_ns, 0, 7, correlation, PID, 1))
    tables: dict[str, tuple[str, list[Any]]] = {
        "StringIds": ("id, value", list(strings.items())),
        "NVTX_EVENTS": ("start, end, eventType, text, globalTid, domainId", ranges),
        "CUPTI_ACTIVITY_KIND_RUNTIME": ("start, end, globalTid, correlationId, nameId", launches),
        "CUPTI_ACTIVITY_KIND_KERNEL": ("start, end, deviceId, streamId, correlationId, globalPid, demangledName", ran),
        "TARGET_INFO_SYSTEM_ENV": ("globalVid, name, value", [(0, "Hostname", "alices-machine")]),
        "META_DATA_CAPTURE": (
            "name, value",
            [("CUDA_GRAPH_TRACE_OPTIONS:MODE", "node"), ("PROCESS:WORKING_DIRECTORY", "/home/alice/work")],
        ),
    }
    for table, (columns, rows) in tables.items():
        database.execute(f"CREATE TABLE {table} ({columns})")
        database.executemany(f"INSERT INTO {table} VALUES ({', '.join('?' * len(columns.split(',')))})", rows)
    database.commit()
    database.close()
    return path
