"""Processor time of this tree's commands beside another build's, interleaved, on the same runs and traces.

    git worktree add --detach ../before cd54db3
    python benchmarks/versus.py ../before --rounds 5 --out docs/results/versus.json
    python benchmarks/versus.py /path/to/venv/bin/python      # a build that is installed
    python benchmarks/versus.py ../before --only "show, first" # a row of the table alone
    python benchmarks/versus.py --table                       # put the figures of docs/results into docs/speed.md
    python benchmarks/dashboard_start.py ../before            # the start of the dashboard, by wall time

BASE is a tree (run by this Python) or the Python of an environment that has a build installed. Every sample is a
process of its own; the two builds take turns, so that a busy machine slows both alike. Processor seconds (user and
system, of the process and its children) are the figure: wall time on a shared machine says nothing. `first` calls find
a cache folder that holds compiled code alone (a machine compiles once, in 0.2 s), `again` calls the one that the round
before the first has filled.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
RESULTS, PAGE = ROOT / "docs/results/versus.json", ROOT / "docs/speed.md"
BEGIN, END = (
    "<!-- VERSUS: begin (python benchmarks/versus.py --table writes what stands here) -->\n",
    "<!-- VERSUS: end -->",
)
#: Reading and analyzing alone, the same calls in both builds: the command has come to find chains and fixes too.
READ = """
import sys
from pathlib import Path
try:
    from rope_prof.analysis.trace.analyze import analyze
    from rope_prof.io.trace.read import read_trace
except ImportError:
    from rope_prof.analysis.analyze import analyze
    from rope_prof.io.traces import read_trace
analyze(read_trace(Path(sys.argv[1])))
"""
RUN, SMALL = "traces/h100-ernie28b", "unfused.eager.cold.28b-tp1-n973-bf16-image.r0.trace.json.gz"


@dataclass(frozen=True, slots=True)
class Task:
    """One command, or a program behind `-c`: its words (`{run}`, `{small}`, `{large}`, `{packed}`, `{many}`, `{out}`),
    and how many times as cheap it shall be; `again`: called a second time on the same files.
    """

    name: str
    words: tuple[str, ...]
    target: float
    again: bool = False


def _tasks() -> list[Task]:
    tasks = []
    for again in (True, False):
        when = "again" if again else "first"
        show, export = (4.0, 3.0) if again else (1.8, 3.0)
        tasks += [
            Task(f"show, {when}", ("show", "{run}"), show, again),
            Task(f"show --json, {when}", ("show", "{run}", "--json"), show, again),
            *(
                Task(f"export --to {to}, {when}", ("export", "{run}", "--to", to, "-o", "{out}"), export, again)
                for to in ("html", "markdown", "perfetto")
            ),
            Task(f"compare, {when}", ("compare", "{run}:unfused/eager", "{run}:fused/eager", "--anyway"), 1.5, again),
        ]
    return [
        *tasks,
        Task("analyze a small trace, again", ("analyze", "{small}"), 1.5, again=True),
        Task("analyze a small trace, first", ("analyze", "{small}"), 1.5),
        Task("doctor", ("doctor",), 2.0),
        Task("record --quick on the CPU", ("record", "--quick", "--device", "cpu", "-o", "{out}"), 1.7),
        Task("read and analyze 1M events", ("-c", READ, "{large}"), 2.5),
        Task("read and analyze 1M events, packed", ("-c", READ, "{packed}"), 2.5),
        Task("analyze 1M events", ("analyze", "{large}"), 2.5),
        Task("analyze 1M events, packed", ("analyze", "{packed}"), 2.5),
        Task("analyze 8 traces, 2 workers", ("analyze", "{many}", "--workers", "2", "-o", "{out}"), 1.8),
    ]


TASKS = {task.name: task for task in _tasks()}


def seconds(build: Path, task: Task, files: dict[str, str], kept: Path, *, warm: bool = False) -> float:
    """Processor seconds of one call of `task` by `build`, with the cache folder `kept` where the task calls `again`.
    `warm`: the call that compiles what a machine compiles once.

    Errors: RuntimeError where the command fails.
    """
    python, tree = (sys.executable, str(build)) if build.is_dir() else (str(build), "")
    with tempfile.TemporaryDirectory() as scratch, tempfile.TemporaryFile() as said:
        words = [word.format(**files, out=f"{scratch}/out") for word in task.words]
        cache = {"ROPE_PROF_SCANNER": "1"} if warm else {}
        cache |= {"XDG_CACHE_HOME": str(kept) if task.again else scratch, "PYTHONWARNINGS": "ignore"}
        environment = os.environ | cache | {"PYTHONPATH": tree, "PYTHONPYCACHEPREFIX": f"{kept}.bytecode"}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)  # an installed build has its bytecode
        command = [python, *(() if words[0] == "-c" else ("-m", "rope_prof")), *words]
        ours, made = kept / "rope_prof/compiled", Path(scratch) / "rope_prof/compiled"
        if not task.again and ours.exists():
            shutil.copytree(ours, made)
        for file in () if task.again else Path(files["large"]).parent.rglob("*.rope_prof-cache"):
            shutil.rmtree(file, ignore_errors=True)  # an early build keeps what it parsed beside the trace
        child = subprocess.Popen(command, cwd=files["run"], env=environment, stdout=said, stderr=said)
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode:
            said.seek(0)
            raise RuntimeError(f"{task.name} of {build}: {said.read().decode(errors='replace')[-300:]}")
        if made.exists() and not ours.exists():
            shutil.copytree(made, ours)
    return usage.ru_utime + usage.ru_stime


def measure(base: Path, tasks: list[Task], rounds: int, events: int) -> dict[str, Any]:
    """Samples of both builds for each task, taken in turns."""
    with tempfile.TemporaryDirectory() as folder:
        run = str(ROOT / RUN)
        files = {"run": run, "small": f"{run}/{SMALL}", "large": f"{folder}/a.json", "packed": f"{folder}/a.json.gz"}
        files |= {"many": f"{folder}/many"}
        for name in ("large", "packed"):
            if any(f"{{{name}}}" in task.words for task in tasks):
                make = [str(ROOT / "benchmarks/generate.py"), files[name], "--events", str(events)]
                subprocess.run([sys.executable, *make], check=True, stdout=subprocess.DEVNULL)
        if any("{many}" in task.words for task in tasks):
            _write_many(Path(files["many"]), events // 10)
        samples: dict[str, dict[str, list[float]]] = {task.name: {"base": [], "ours": []} for task in tasks}
        for turn in range(rounds + 1):
            for task in tasks:
                for side, build in (("base", base), ("ours", ROOT)) if turn % 2 else (("ours", ROOT), ("base", base)):
                    taken = seconds(build, task, files, Path(folder) / side, warm=turn == 0)
                    if turn:  # the first is for bytecode, the page cache and what `again` finds
                        samples[task.name][side].append(taken)
            print(f"round {turn} of {rounds}", file=sys.stderr)
    machine = {
        "cpu": _processor(),
        "cores": os.cpu_count(),
        "load": os.getloadavg()[0],
        "python": platform.python_version(),
    }
    return {"base": _revision(base), "machine": machine, "events": events, "samples": samples}


def _write_many(folder: Path, events: int, count: int = 8) -> None:
    folder.mkdir()
    first = folder / "rank0.json"
    make = [str(ROOT / "benchmarks/generate.py"), str(first), "--events", str(events)]
    subprocess.run([sys.executable, *make], check=True, stdout=subprocess.DEVNULL)
    for rank in range(1, count):
        shutil.copy(first, folder / f"rank{rank}.json")


def _revision(tree: Path) -> str:
    told = subprocess.run(["git", "-C", str(tree), "rev-parse", "--short", "HEAD"], capture_output=True, text=True)
    return told.stdout.strip() or str(tree)


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")


def table(found: dict[str, Any]) -> str:
    """The Markdown of a measurement: medians, and the ratio of medians with the least and the most of the rounds."""
    machine = found["machine"]
    lines = [
        f"Against {found['base']}, on {machine['cores']} cores of an {machine['cpu']}, load {machine['load']:.1f} "
        f"after the run, Python {machine['python']}. Processor seconds, median of the rounds; the ratio of the medians "
        "with [least, most of a round]:",
        "",
        "| command | before | now | before / now | target |",
        "|---|---:|---:|---:|---|",
    ]
    for name, sides in found["samples"].items():
        base, ours, target = statistics.median(sides["base"]), statistics.median(sides["ours"]), TASKS[name].target
        ratios = [before / now for before, now in zip(sides["base"], sides["ours"], strict=True)]
        spread = f"{base / ours:.2f}x [{min(ratios):.2f}, {max(ratios):.2f}]"
        met = "met" if base / ours >= target else "missed"
        lines.append(f"| {name} | {base:.2f} | {ours:.2f} | {spread} | {target:g}x: {met} |")
    return "\n".join(lines) + "\n"


def main() -> int:
    """Measure and print, or write the page from an earlier measurement."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("base", nargs="?", type=Path, help="a tree of another revision, or a Python that has one")
    words.add_argument("--rounds", type=int, default=5)
    words.add_argument("--events", type=int, default=1_000_000, help="of the generated traces")
    words.add_argument("--only", action="append", metavar="TEXT", help="tasks whose name holds it; repeatable")
    words.add_argument("--out", type=Path, help="write the samples as JSON; what it holds of other tasks stays")
    words.add_argument("--table", action="store_true", help="measure nothing: write docs/speed.md from docs/results")
    asked = words.parse_args()
    if asked.table:
        page = PAGE.read_text("utf-8")
        text = f"{page.split(BEGIN)[0]}{BEGIN}{table(json.loads(RESULTS.read_text()))}{END}{page.split(END)[1]}"
        PAGE.write_text(text, "utf-8")
        return 0
    if asked.base is None:
        words.error("expected a tree or a Python of the other build")
    tasks = [task for name, task in TASKS.items() if not asked.only or any(text in name for text in asked.only)]
    found = measure(asked.base.absolute(), tasks, asked.rounds, asked.events)
    if asked.out:
        held = json.loads(asked.out.read_text())["samples"] if asked.out.exists() else {}
        merged = held | found["samples"]
        found["samples"] = {name: merged[name] for name in TASKS if name in merged}
        asked.out.write_text(json.dumps(found, indent=1) + "\n")
    print(table(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
