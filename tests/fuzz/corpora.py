"""What the fuzzer begins with: for each kind of file a small corpus of inputs that read.

A corpus is bytes, whatever the file: of an export's folder the columns of its tables (`targets` writes Parquet and
Arrow files), of a drawing of ours the text that it carries about itself.
"""

from __future__ import annotations

import gzip
import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import zstandard

from rope_prof.io.run.baselines import Baselines
from rope_prof.io.run.folder import read_run, shipped_runs, write_run
from rope_prof.model.baseline import BaselineKey, KeptFigure, NamedRun
from rope_prof.model.drawn import DrawnTracks
from rope_prof.views.perfetto.export import perfetto_bytes
from tests import runs
from tests.builders import kernel, kineto_json, range_, trace
from tests.foreign.written import definition, solution, workload
from tests.io import packets
from tests.io.made.proton import proton_trace
from tests.io.made.rocm import as_json, as_pftrace, write_rocpd
from tests.io.test_archives import tarred, zipped
from tests.io.test_nsys import export, launch, nvtx
from tests.io.test_nsys import kernel as nsys_kernel

Corpus = Callable[[Path], list[bytes]]
_MONITOR = Path(__file__).parents[1] / "io" / "made"
_DRAWN = trace(kernel(100, 200, launched=(10, 20), grid="8x1x1"), kernel(250, 260), range_("step", 0, 300))


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


def shipped(name: str) -> Corpus:
    """The smallest file of that name among the shipped runs."""

    def found(_: Path) -> list[bytes]:
        files = sorted(shipped_runs().rglob(name), key=lambda path: path.stat().st_size)
        return [files[0].read_bytes()]

    return found


def ncu_corpus(_: Path) -> list[bytes]:
    """What `ncu --csv --page raw` prints."""
    head = '"ID","Process ID","Kernel Name","Block Size","Grid Size","Device","gpu__time_duration.sum"'
    range_name = '"rope_prof:Push/Pop_Range:PL_Type:PL_Value:CLR_Type:Color:Msg_Type:Msg"'
    rows = ('"","","","","","","ns",""', '"0","1","k","(128, 1, 1)","(8, 1, 1)","0","1,234","<default>"', "")
    return ["\n".join((f"{head},{range_name}", *rows)).encode()]


def cleaner_corpus(folder: Path) -> list[bytes]:
    """Texts that hold private things, and traces."""
    return [
        *kineto_corpus(folder),
        b"run by cnryuser at /home/cnryhome/x.py --token=abcdefgh https://u:pw@example.org/x C:\\Users\\bob\\x ",
        b'{"env": {"A": "b"}, "argv": ["x", "--password", "p w"], "name": "k</home/bob/x.cu:1>"}',
    ]


def proton_trace_corpus(_: Path) -> list[bytes]:
    """Two streams, a line each."""
    return [proton_trace((7, [("k", 1.5, 2.25), ("m", 4.0, 1.0)]), (9, [("k", 2.0, 3.0)]))]


def rocprof_corpus(_: Path) -> list[bytes]:
    """The JSON of rocprofv3."""
    return [as_json()]


def monitor_corpus(_: Path) -> list[bytes]:
    """The Chrome JSON of torch's CUPTI monitor."""
    return [gzip.decompress((_MONITOR / "monitor.json.gz").read_bytes())]


def perfetto_corpus(_: Path) -> list[bytes]:
    """Native traces: torch's monitor, rocprofv3, our own drawing, and packets by hand."""
    by_hand = [packets.words(names={1: "k"}, categories={2: "kernel"}), packets.track(1, "stream 7")]
    by_hand += [packets.begin(10, 1, 2, device=0, stream=7, correlation=3), packets.end(20)]
    drawn = perfetto_bytes(_DRAWN, "drawn")
    return [(_MONITOR / "monitor.pftrace").read_bytes(), as_pftrace(), drawn, packets.data(*by_hand)]


def drawn_corpus(_: Path) -> list[bytes]:
    """What a drawing of ours says of itself, of two sides."""
    drawn = DrawnTracks()
    for number, label in enumerate(("before", "after")):
        drawn.begin(label, _DRAWN, 5 * number)
        drawn.track(number + 1, "gpu", device="0", stream=7, process=1)
    return [drawn.as_text().encode()]


def rocpd_corpus(folder: Path) -> list[bytes]:
    """Both layouts of rocprofv3's database."""
    path, found = folder / "corpus.db", []
    for layout in ("direct", "tracks"):
        write_rocpd(path, layout)  # type: ignore[arg-type]
        found.append(path.read_bytes())
        path.unlink()
    return found


def archive_corpus(folder: Path) -> list[bytes]:
    """One trace in each packing."""
    one = kineto_json(_DRAWN)
    made = [zipped(folder / "corpus.zip", a=one), tarred(folder / "corpus.tar", a=one)]
    return [*(path.read_bytes() for path in made), zstandard.compress(one)]


def tar_gz_corpus(folder: Path) -> list[bytes]:
    """The packing that only its name tells."""
    return [tarred(folder / "corpus.tar.gz", a=kineto_json(_DRAWN)).read_bytes()]


def export_folder_corpus(folder: Path) -> list[bytes]:
    """The tables of an nsys export: table, column and values a line."""
    path = export(
        folder / "corpus-tables.sqlite",
        CUPTI_ACTIVITY_KIND_KERNEL=[nsys_kernel(100, 200, 1), nsys_kernel(220, 260, 2)],
        CUPTI_ACTIVITY_KIND_RUNTIME=[launch(10, 20, 1), launch(30, 40, 2)],
        NVTX_EVENTS=[nvtx(0, 90)],
    )
    database = sqlite3.connect(path)
    lines = []
    for (name,) in database.execute("SELECT name FROM sqlite_master").fetchall():
        cursor = database.execute(f"SELECT * FROM {name}")
        columns = [column[0] for column in cursor.description]
        held = zip(columns, zip(*cursor.fetchall(), strict=True), strict=True)
        lines += [f"{name} {column} {json.dumps(values)}" for column, values in held]
    database.close()
    path.unlink()
    return ["\n".join(lines).encode()]


def baseline_corpus(folder: Path) -> list[bytes]:
    """What a store keeps of one recording."""
    key = BaselineKey(
        case="n973", path="fused", mode="eager", l2="cold", rank=0, figures_ns={"wall": KeptFigure(1.5e3, 1e3, 2e3, 6)}
    )
    names = {"id": "", "name": "main", "created": "2026-01-01T00:00:00+00:00", "operation": "mrope", "machine": "m"}
    made = NamedRun(version=0, device="GPU", commit=None, dirty=None, keys={"k": key}, **names)
    run = folder / "corpus-kept"
    write_run(run, runs.run(runs.facts(status="failed", reason="no")))
    store = Baselines(str(folder / "corpus-store"))
    kept = store.put(made, read_run(run))
    return [(folder / "corpus-store" / "main" / f"{kept.id}.json").read_bytes()]


def definition_corpus(_: Path) -> list[bytes]:
    """A definition of flashinfer's schema with and without constraints."""
    return [json.dumps(definition(**more)).encode() for more in ({}, {"constraints": ["hidden > 1"], "tags": ["a"]})]


def solution_corpus(_: Path) -> list[bytes]:
    """A solution to it."""
    return [json.dumps(solution()).encode()]


def workload_corpus(_: Path) -> list[bytes]:
    """Lines of a workload file."""
    return ["\n".join(json.dumps(workload(size)) for size in (7, 64)).encode()]


def matrix_corpus(_: Path) -> list[bytes]:
    """What a gate judges."""
    return [
        b'bounds = ["wall>5%", "kernels>0%"]\nrepeats = 3\n\n[[operation]]\noperation = "mrope"\npaths = ["fused"]\n'
        b'modes = ["eager", "graph"]\nset = { tokens = [64, 973], model = "ernie-28b" }\nrounds = 9\nname = "x"\n'
    ]


def binary_corpus(folder: Path) -> list[bytes]:
    """Files that the cleaner takes apart: SQLite, native Perfetto, gzip, zstd."""
    one = kineto_json(_DRAWN)
    packed = [gzip.compress(one, mtime=0), zstandard.compress(one)]
    return [*nsys_corpus(folder), *rocpd_corpus(folder)[:1], *perfetto_corpus(folder), *packed]
