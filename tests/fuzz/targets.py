"""What the fuzzer reads: for each kind of file a small corpus to begin with, and what is done with an input.

Nothing here runs, writes outside its folder or reaches a library's binary reader with made-up bytes but SQLite's, which
is made for that.
"""

from __future__ import annotations

import gzip
import json
import sqlite3
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from rope_prof.analysis.trace.analyze import analyze
from rope_prof.io.run.clean_files import clean_file
from rope_prof.io.run.clean_json import clean_json
from rope_prof.io.run.folder import read_run, write_run
from rope_prof.io.run.nsight import read_nsight
from rope_prof.io.run.redact import PrivateWords
from rope_prof.io.run.requests import read_end_to_end
from rope_prof.io.trace.ncu import from_csv
from rope_prof.io.trace.perfetto import check_opens
from rope_prof.io.trace.read import read_trace
from tests import runs

_WORDS: Final = PrivateWords({"cnryuser": "user", "/home/cnryhome": "home"})
#: An analysis costs five times as much as a reading.
_ANALYZE_EVERY: Final = 16


@dataclass(frozen=True)
class Target:
    """`corpus(folder)`: inputs that read. `tried(data, folder)`: read one. `weight`: its share of all tries."""

    corpus: Callable[[Path], list[bytes]]
    tried: Callable[[bytes, Path], None]
    weight: int = 1


def kineto_corpus(_: Path) -> list[bytes]:
    """One small trace as an object, a list, indented and packed, with host calls, ranges and operators."""
    times = {"ts": 10.5, "dur": 5.25}
    kernel = {"ph": "X", "cat": "kernel", "name": "k", "pid": 0, "tid": 7, **times}
    launch = {"ph": "X", "cat": "cuda_runtime", "name": "cudaLaunchKernel", "pid": 1, "tid": 2, "ts": 4, "dur": 2}
    span = {"ph": "X", "cat": "user_annotation", "name": "step#0", "pid": 1, "tid": 2, "ts": 1, "dur": 30}
    told = {"ph": "M", "name": "process_name", "pid": 1, "tid": 0, "args": {"name": "python"}}
    op = {"ph": "X", "cat": "cpu_op", "name": "aten::mul", "pid": 1, "tid": 2, "ts": 3, "dur": 4}
    events: list[dict[str, Any]] = [told, span, op | {"args": {"External id": 1, "Input Dims": [[2, 3]]}}]
    for number in range(4):
        events.append(launch | {"ts": 4 + 20 * number, "args": {"correlation": number + 1}})
        args = {"device": 0, "stream": 7, "correlation": number + 1, "grid": [8, 1, 1], "block": [128, 1, 1]}
        events.append(kernel | {"ts": 10.5 + 20 * number, "args": args})
    top = {"schemaVersion": 1, "deviceProperties": [{"id": 0, "name": "GPU"}], "traceEvents": events, "traceName": "t"}
    plain = [json.dumps(top).encode(), json.dumps(events).encode(), json.dumps(top, indent=1).encode()]
    return [*plain, gzip.compress(plain[0], mtime=0)]


def proton_corpus(_: Path) -> list[bytes]:
    """A profile with one kernel below one scope."""
    metrics = {"time (ns)": 1000, "count": 2, "device_id": "0", "device_type": "CUDA"}
    kernel = {"frame": {"name": "k", "type": "function"}, "metrics": metrics, "children": []}
    scope = {"frame": {"name": "scope", "type": "function"}, "metrics": {}, "children": [kernel]}
    root = {"frame": {"name": "ROOT", "type": "function"}, "metrics": {"time (ns)": 0}, "children": [scope]}
    devices = {"CUDA": {"0": {"arch": "90", "clock_rate": 1980000, "num_sms": 132}}}
    return [json.dumps([root, devices]).encode()]


def nsys_corpus(folder: Path) -> list[bytes]:
    """An export with kernels, runtime calls and ranges."""
    path = folder / "corpus.sqlite"
    made = sqlite3.connect(path)
    made.execute("PRAGMA page_size = 512")
    made.execute("CREATE TABLE StringIds (id INTEGER, value TEXT)")
    made.executemany("INSERT INTO StringIds VALUES (?, ?)", [(1, "k"), (2, "cudaLaunchKernel_v7000"), (3, "step#0")])
    where = "deviceId INTEGER, streamId INTEGER, correlationId INTEGER, shortName INTEGER, globalPid INTEGER"
    made.execute(f"CREATE TABLE CUPTI_ACTIVITY_KIND_KERNEL (start INTEGER, end INTEGER, {where})")
    calls = "start INTEGER, end INTEGER, globalTid INTEGER, correlationId INTEGER, nameId INTEGER"
    made.execute(f"CREATE TABLE CUPTI_ACTIVITY_KIND_RUNTIME ({calls})")
    made.execute("CREATE TABLE NVTX_EVENTS (start INTEGER, end INTEGER, text TEXT, globalTid INTEGER, textId INTEGER)")
    made.execute("INSERT INTO NVTX_EVENTS VALUES (0, 100, NULL, 1, 3)")
    for k in range(4):
        made.execute("INSERT INTO CUPTI_ACTIVITY_KIND_RUNTIME VALUES (?, ?, 1, ?, 2)", (20 * k + 1, 20 * k + 3, k))
        row = (20 * k + 5, 20 * k + 9, k)
        made.execute("INSERT INTO CUPTI_ACTIVITY_KIND_KERNEL VALUES (?, ?, 0, 7, ?, 1, 1)", row)
    made.commit()
    made.close()
    data = path.read_bytes()
    path.unlink()
    return [data]


def run_corpus(folder: Path) -> list[bytes]:
    """A `run.json` with keys that need no samples, so that it stands alone."""
    keys = [runs.facts(path, status="failed", reason="no") for path in ("unfused", "fused")]
    write_run(folder / "corpus-run", runs.run(*keys))
    return [(folder / "corpus-run" / "run.json").read_bytes()]


def shipped(name: str) -> Callable[[Path], list[bytes]]:
    """The smallest file of that name among the shipped runs."""

    def found(_: Path) -> list[bytes]:
        from rope_prof.io.run.folder import shipped_runs

        files = sorted(shipped_runs().rglob(name), key=lambda path: path.stat().st_size)
        return [files[0].read_bytes()]

    return found


def ncu_corpus(_: Path) -> list[bytes]:
    """What `ncu --csv --page raw` prints."""
    head = '"ID","Process ID","Kernel Name","Block Size","Grid Size","Device","gpu__time_duration.sum"'
    range_name = '"rope_prof:Push/Pop_Range:PL_Type:PL_Value:CLR_Type:Color:Msg_Type:Msg"'
    rows = ('"","","","","","","ns",""', '"0","1","k","(128, 1, 1)","(8, 1, 1)","0","1,234","<default>"', "")
    return ["\n".join((f"{head},{range_name}", *rows)).encode()]


def text_corpus(_: Path) -> list[bytes]:
    """Texts that hold private things, for the cleaner."""
    return [
        b"run by cnryuser at /home/cnryhome/x.py --token=abcdefgh https://u:pw@example.org/x C:\\Users\\bob\\x ",
        b'{"env": {"A": "b"}, "argv": ["x", "--password", "p w"], "name": "k</home/bob/x.cu:1>"}',
    ]


def _read_trace(data: bytes, folder: Path) -> None:
    path = folder / "trace.json"
    path.write_bytes(data)
    trace = read_trace(path)
    if zlib.crc32(data) % _ANALYZE_EVERY == 0:
        json.dumps(analyze(trace).as_json())


def _read_run(data: bytes, folder: Path) -> None:
    path = folder / "run" / "run.json"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data)
    read_run(path.parent)


def _in_run(name: str, read: Callable[[Path], object]) -> Callable[[bytes, Path], None]:
    def tried(data: bytes, folder: Path) -> None:
        (folder / "run").mkdir(exist_ok=True)
        (folder / "run" / name).write_bytes(data)
        read(folder / "run")

    return tried


def _read_ncu(data: bytes, _folder: Path) -> None:
    list(from_csv(data.decode("utf-8", errors="replace"), "rope_prof"))


def _check_opens(data: bytes, folder: Path) -> None:
    path = folder / "opens.json"
    path.write_bytes(data)
    check_opens(path)


def _clean(data: bytes, _folder: Path) -> None:
    """Cleaned once is clean: a second time changes nothing."""
    made = clean_file("x.json", data, _WORDS)
    if made.data is not None and data[:2] != b"\x1f\x8b":
        assert not list(_WORDS.found(made.data.decode("utf-8", errors="replace"))), made.data
        again = clean_file("x.json", made.data, _WORDS)
        assert again.data == made.data, (made.data, again.data)
    clean_json(data, _WORDS)


TARGETS: Final = {
    "kineto": Target(kineto_corpus, _read_trace, weight=8),
    "proton": Target(proton_corpus, _read_trace, weight=2),
    "nsys": Target(nsys_corpus, _read_trace, weight=2),
    "run.json": Target(run_corpus, _read_run, weight=2),
    "end_to_end.json": Target(shipped("end_to_end.json"), _in_run("end_to_end.json", read_end_to_end)),
    "nsight.json": Target(shipped("nsight.json"), _in_run("nsight.json", read_nsight)),
    "ncu csv": Target(ncu_corpus, _read_ncu),
    "perfetto ui": Target(kineto_corpus, _check_opens),
    "cleaner": Target(lambda folder: [*text_corpus(folder), *kineto_corpus(folder)], _clean, weight=2),
}
