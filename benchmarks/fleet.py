"""Analyze 64 generated traces: one process, two, two Dask workers, and HolisticTraceAnalysis, in one run.

The ways take turns round by round, each in fresh processes. Wall time is the whole command, its start included;
processor time is its children's too (of Dask that of the workers, read from /proc), since other work on the machine
slows the wall clock of whoever uses two cores. Peak memory of a worker is what it says of itself (`peak_bytes` of the
dataset); HTA is one process, looked at every 20 ms with its children.

    pip install 'rope-prof[fleet]'
    python -m venv .bench-fleet-peers && .bench-fleet-peers/bin/pip install HolisticTraceAnalysis 'pandas<3'
    python benchmarks/fleet.py --traces 64 --events 100000 --rounds 3 --out docs/results/fleet.json
    python benchmarks/fleet.py --table     # put the figures of docs/results/fleet.json into docs/fleet.md
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
import generate

ROOT = Path(__file__).resolve().parents[1]
PAGE, RESULTS = ROOT / "docs/fleet.md", ROOT / "docs/results/fleet.json"
BEGIN, END = (
    "<!-- FIGURES: begin (python benchmarks/fleet.py --table writes what stands here) -->",
    "<!-- FIGURES: end -->",
)
NAMES = {
    "one": "one process",
    "two": "two processes",
    "dask": "two Dask workers of one thread",
    "hta": "HolisticTraceAnalysis",
}
HTA = """
import json, logging, sys
from pathlib import Path
logging.disable(logging.CRITICAL)
from hta.trace_analysis import TraceAnalysis
files = {k: str(path) for k, path in enumerate(sorted(Path(sys.argv[1]).glob("*.json")))}
analysis = TraceAnalysis(trace_files=files, include_last_profiler_step=True)
analysis.get_temporal_breakdown(visualize=False)
analysis.get_idle_time_breakdown(ranks=list(files), visualize=False)
"""


def made_traces(folder: Path, traces: int, events: int) -> int:
    """Generate what is not there yet; the bytes of all."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"rank{k}.json" for k in range(traces)]
    missing = [(path, events, k) for k, path in enumerate(paths) if not path.exists()]
    with ProcessPoolExecutor(2) as pool:
        list(pool.map(_made, missing))
    return sum(path.stat().st_size for path in paths)


def _made(job: tuple[Path, int, int]) -> None:
    path, events, seed = job
    part = path.with_suffix(".part")
    generate.write_trace(part, events, seed=seed)
    part.rename(path)


def timed(command: list[str], environment: dict[str, str] | None = None) -> dict[str, Any]:
    """Wall and processor seconds of a command and its children, and the most that they held at once."""
    began = time.perf_counter()
    with tempfile.TemporaryFile("w+") as err:
        child = subprocess.Popen(
            command,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore", **(environment or {})},
            stdout=subprocess.DEVNULL,
            stderr=err,
        )
        peak = 0
        while not (ended := os.wait4(child.pid, os.WNOHANG))[0]:
            peak = max(peak, held_bytes(child.pid))
            time.sleep(0.02)
        wall = time.perf_counter() - began
        child.returncode = os.waitstatus_to_exitcode(ended[1])
        err.seek(0)
        if child.returncode:
            return {"failed": (err.read().strip().splitlines() or [f"exit code {child.returncode}"])[-1][:300]}
    return {"wall_s": wall, "cpu_s": ended[2].ru_utime + ended[2].ru_stime, "peak_bytes": peak}


def held_bytes(pid: int) -> int:
    """Resident bytes of a process and its children; 0 once it is gone."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except (OSError, IndexError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE") + sum(held_bytes(int(child)) for child in children)


def ours(folder: Path, *options: str) -> dict[str, Any]:
    """`analyze` of the folder into an empty dataset."""
    with tempfile.TemporaryDirectory() as out:
        command = [sys.executable, "-m", "rope_prof", "analyze", str(folder), "--json", "-o", f"{out}/fleet", *options]
        said = timed(command)
        if "failed" not in said:
            import polars as pl

            rows = pl.read_parquet(f"{out}/fleet/run=*/rank=*/*.parquet", columns=["row", "peak_bytes", "seconds"])
            heads = rows.filter(pl.col("row") == "trace")
            said |= {"worker_peak_bytes": heads["peak_bytes"].max(), "trace_s": heads["seconds"].median()}
            said["traces"] = heads.height
    return said


def over_dask(folder: Path) -> dict[str, Any]:
    """The same over a cluster that is up already: what `analyze` itself takes, and the workers' processor time."""
    if importlib.util.find_spec("distributed") is None:
        return {"failed": "the extra 'fleet' is not installed"}
    with tempfile.TemporaryDirectory() as place:
        file = f"{place}/scheduler.json"
        words = [("scheduler", "--port", "0", "--no-dashboard", "--scheduler-file", file)]
        words += [("worker", "--scheduler-file", file, "--nthreads", "1", "--no-nanny", "--no-dashboard")] * 2
        running = []
        for name, *rest in words:
            command = [sys.executable, "-W", "ignore", "-m", f"distributed.cli.dask_{name}", *rest]
            environment = {**os.environ, "PYTHONPATH": str(ROOT), "POLARS_MAX_THREADS": "1"}
            quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
            running.append(subprocess.Popen(command, cwd=place, env=environment, **quiet))  # type: ignore[call-overload]
            time.sleep(2)
        try:
            before = sum(cpu_seconds(process.pid) for process in running)
            said = ours(folder, "--scheduler-file", file)
            if "failed" not in said:
                said["cpu_s"] += sum(cpu_seconds(process.pid) for process in running) - before
        finally:
            for process in running:
                process.kill()
                process.wait()
    return said


def cpu_seconds(pid: int) -> float:
    """Processor seconds of one process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def over_hta(folder: Path) -> dict[str, Any]:
    """HTA's own load of all files, its temporal and idle breakdowns.

    HTA 0.5.0 fails on these files with pandas 3 (it writes wide numbers into a narrow column): it gets pandas 2.
    """
    peers = ROOT / ".bench-fleet-peers/bin/python"
    if not peers.exists():
        return {"failed": "not installed in .bench-fleet-peers"}
    return timed([str(peers), "-c", HTA, str(folder)])


def measured(folder: Path, rounds: int) -> dict[str, list[dict[str, Any]]]:
    """Every way, round by round."""
    ways = {
        "one": lambda: ours(folder, "--workers", "1"),
        "two": lambda: ours(folder, "--workers", "2"),
        "dask": lambda: over_dask(folder),
        "hta": lambda: over_hta(folder),
    }
    samples: dict[str, list[dict[str, Any]]] = {name: [] for name in ways}
    for number in range(rounds):
        for name, way in ways.items():
            samples[name].append(way())
            print(number, name, samples[name][-1], flush=True)
    return samples


def table(said: dict[str, Any]) -> str:
    """The results as Markdown: medians with the extremes, and the ratios within a round."""
    machine, ways = said["machine"], said["ways"]
    lines = [
        f"{said['traces']} traces of {said['events']:,} events ({said['bytes'] / 1e9:.2f} GB in all), "
        f"{machine['cpu']}, {machine['cores']} cores, Python {machine['python']}; medians of n rounds, extremes:",
        "",
        "| way | n | wall s | processor s | peak memory |",
        "|---|---:|---:|---:|---:|",
    ]
    for name, label in NAMES.items():
        good = [sample for sample in ways[name] if "failed" not in sample]
        if not good:
            lines.append(f"| {label} | 0 | {ways[name][-1]['failed']} | | |")
            continue
        wall, cpu = ([sample[field] for sample in good] for field in ("wall_s", "cpu_s"))
        each = "worker_peak_bytes" in good[0]
        peak = statistics.median(sample["worker_peak_bytes" if each else "peak_bytes"] for sample in good)
        memory = f"{peak / 2**20:,.0f} MiB {'a worker' if each else 'in all'}"
        lines.append(f"| {label} | {len(good)} | {_spread(wall)} | {_spread(cpu)} | {memory} |")
    return "\n".join([*lines, "", *_ratios(ways)])


def _spread(values: list[float]) -> str:
    middle = f"{statistics.median(values):.1f}"
    return middle if len(values) == 1 else f"{middle} [{min(values):.1f}, {max(values):.1f}]"


def _ratios(ways: dict[str, list[dict[str, Any]]]) -> list[str]:
    """What one way costs in another's, round by round: wall time, and processor time beside it."""
    sentences = {
        ("one", "two"): "One process takes {wall} times the wall time of two, and {cpu} times their processor time.",
        (
            "dask",
            "two",
        ): "Dask takes {wall} times the wall time of two processes of our own pool, and {cpu} times their "
        "processor time (its cluster is up before the clock starts; the pool starts its workers).",
        ("hta", "two"): "HTA takes {wall} times the wall time of two processes, and {cpu} times their processor time.",
    }
    lines = []
    for (name, other), sentence in sentences.items():
        pairs = [
            (a, b) for a, b in zip(ways[name], ways[other], strict=False) if "failed" not in a and "failed" not in b
        ]
        if pairs:
            words = {key: _times([a[f"{key}_s"] / b[f"{key}_s"] for a, b in pairs]) for key in ("wall", "cpu")}
            lines.append(f"- {sentence.format(**words)}")
    return lines


def _times(values: list[float]) -> str:
    middle = f"{statistics.median(values):.2f}"
    return middle if len(values) == 1 else f"{middle} [{min(values):.2f}, {max(values):.2f}]"


def page_with(text: str, page: str) -> str:
    """The page with `text` between its marks. Errors: ValueError where it has none."""
    if page.count(BEGIN) != 1 or page.count(END) != 1:
        raise ValueError(f"{PAGE.name} has lost the marks of its figures")
    return page.split(BEGIN)[0] + BEGIN + "\n" + text + "\n" + END + page.split(END)[1]


def machine() -> dict[str, Any]:
    """What the figures were taken on."""
    model = next(
        (line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line),
        platform.machine(),
    )
    found = {}
    for package in ("polars", "dask", "distributed"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = None
    return {"cpu": model, "cores": os.cpu_count(), "python": platform.python_version(), "packages": found}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--traces", type=int, default=64)
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="where the traces are made and kept; else a temporary one")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--table", action="store_true")
    args = parser.parse_args()
    if args.table:
        PAGE.write_text(page_with(table(json.loads(RESULTS.read_text())), PAGE.read_text()))
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = args.folder or Path(temporary)
        size = made_traces(folder, args.traces, args.events)
        ways = measured(folder, args.rounds)
    facts = {"traces": args.traces, "events": args.events, "bytes": size, "rounds": args.rounds, "machine": machine()}
    said = {**facts, "ways": ways}
    print(table(said))
    if args.out:
        args.out.write_text(json.dumps(said, indent=1) + "\n")


if __name__ == "__main__":
    main()
