"""What a process per path costs and changes, and that a path which breaks its process breaks nothing else.

    python benchmarks/isolation.py --device cuda -o isolation.json
    python benchmarks/isolation.py --device cpu --quick

Records the same plan with `--isolate` and `--no-isolate`, in turn, and says: wall and processor seconds of both, in
which steps they lie, host memory of the workers, the paired ratio of every path to the baseline in both with their
intervals. A recording in one process comes first and its time does not count: it fills the compilers' caches, which
both find full then. Its ratios say how far two recordings of one kind differ.

Then a recording with paths that end their process, hang and, on a GPU, touch memory that is not theirs: their keys
fail, all others are measured, and `--resume` has nothing left to do. The exit code is 1 where one of this does not
hold.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

from rope_prof.analysis.run.rows import summary
from rope_prof.io.run.folder import read_run

#: More wall time and memory than this is too much.
MOST_SHARE = 1.30
MOST_BYTES = 1 << 30
LOOK_S = 0.5
#: What a recording consists of, by the class that does it: what none of them took is `plan`, `end` and `rest`.
STEPS = {
    "rope_prof.record.loop.recorder:Recorder": ("_take_checks", "_trace_nodes"),
    "rope_prof.record.loop.rounds:Rounds": ("_settled", "_ceilings", "_rounds"),
    "rope_prof.record.bench.bench:TorchBench": ("open_case", "check", "ready", "capture", "capture_light"),
    "rope_prof.record.worker.crew:Crew": ("open_case", "check_ahead", "check", "ready", "capture", "capture_light"),
}
_PR_SET_CHILD_SUBREAPER = 36


def same(*arguments: Any) -> Any:
    """The baseline under another name, for a machine that has but one path: `--path isolation:same`."""
    from rope_prof.kernels.mrope.unfused import unfused

    return unfused(*arguments)


def dies(*_: Any) -> None:
    """Ends its process as a bug in a kernel's launcher does."""
    os.kill(os.getpid(), signal.SIGSEGV)


def hangs(*_: Any) -> None:
    """Never comes back."""
    time.sleep(3600)


def poisons(q: Any, k: Any, *_: Any) -> tuple[Any, Any]:
    """Indexes beyond its input: every later call of CUDA in this process fails."""
    import torch

    far = torch.full((4,), 1 << 40, device=q.device, dtype=torch.int64)
    return q + q.flatten()[far].sum(), k


@dataclass(frozen=True, slots=True)
class Cost:
    """What one recording took; `worker_bytes`: host memory of its largest worker; `all_bytes`: of all it started."""

    seconds: float
    processor_s: float
    worker_bytes: int
    all_bytes: int
    steps: dict[str, float]


def timed(out: Path, words: Sequence[str]) -> NoReturn:
    """`rope_prof WORDS` in this process; into `out` go the seconds of each of `STEPS` and of what comes around."""
    from rope_prof.__main__ import main as run

    begun = time.monotonic()
    spent: dict[str, float] = {}
    for place, names in STEPS.items():
        module, _, kind = place.partition(":")
        for name in names:
            _count(getattr(import_module(module), kind), name, spent)
    recorder = import_module("rope_prof.record.loop.recorder").Recorder
    plain, bounds = recorder.record, []

    def bounded(self: Any) -> Any:
        bounds.append(time.monotonic())
        try:
            return plain(self)
        finally:
            bounds.append(time.monotonic())

    recorder.record = bounded
    try:
        sys.argv = ["rope_prof", *words]
        run()
    finally:
        if bounds:
            spent |= {"plan": bounds[0] - begun, "end": time.monotonic() - bounds[1]}
        out.write_text(json.dumps(spent))
    sys.exit(0)


def _count(kind: type, name: str, spent: dict[str, float]) -> None:
    plain: Callable[..., Any] = getattr(kind, name)

    def counted(self: Any, *arguments: Any) -> Any:
        since = time.monotonic()
        try:
            return plain(self, *arguments)
        finally:
            of = next((f" {each.mode}" for each in arguments if hasattr(each, "mode")), "")
            label = name.lstrip("_") + of
            spent[label] = spent.get(label, 0.0) + time.monotonic() - since

    setattr(kind, name, counted)


def record(folder: Path, words: Sequence[str], **variables: str) -> tuple[subprocess.CompletedProcess[str], Cost]:
    """(the recording, what it took)."""
    here = Path(__file__).resolve().parent
    path = os.pathsep.join([str(here), str(here.parent), os.environ.get("PYTHONPATH", "")])
    adopt_orphans()
    begun, before = time.monotonic(), _processor_s()
    steps = folder.with_suffix(".steps.json")
    child = subprocess.Popen(
        [sys.executable, __file__, "--timed", str(steps), "record", *words, "-o", str(folder)],
        env=os.environ | {"PYTHONPATH": path} | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    most, ended = [0, 0], threading.Event()
    watcher = threading.Thread(target=_watch, args=(child.pid, most, ended))
    watcher.start()
    out, err = child.communicate()
    ended.set()
    watcher.join()
    done = subprocess.CompletedProcess(child.args, child.returncode, out, err)
    took = time.monotonic() - begun
    with suppress(ChildProcessError):  # what is left of its workers, so that their time is counted
        while os.wait():
            pass
    found = json.loads(steps.read_text()) if steps.is_file() else {}
    found = {"rest": took - sum(found.values()), **found}
    return done, Cost(took, _processor_s() - before, *most, found)


def adopt_orphans() -> None:
    """Let processes whose parents end come to this one, which then knows what they took."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _processor_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _watch(pid: int, most: list[int], ended: threading.Event) -> None:
    while not ended.wait(LOOK_S):
        each = [proportional_bytes(worker) for worker in workers_of(pid)]
        most[:] = max(most[0], *each, 0), max(most[1], sum(each))


def workers_of(pid: int) -> list[int]:
    """The processes below `pid` that are workers, forked or started, and what they are forked from."""
    parents, named = {}, set()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            if b"rope_prof.record.worker." in (folder / "cmdline").read_bytes():
                named.add(int(folder.name))
        except (OSError, IndexError, ValueError):
            continue
    found, below = [], {pid}
    while below := {child for child, parent in parents.items() if parent in below}:
        found += sorted(below & named)
    return found


def proportional_bytes(pid: int) -> int:
    """Host memory of a process, pages that it shares counted by its part."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:")), 0)


Ratios = dict[str, tuple[float, float | None, float | None]]


def ratios(folder: Path) -> Ratios:
    """Key -> (speed-up over the baseline, its interval)."""
    run = read_run(folder)
    rows = summary(run.run, run.samples, {})
    return {
        f"{row.case.name} {row.path} {row.mode}": (row.speedup, row.speedup_interval.lo, row.speedup_interval.hi)
        for row in rows
        if row.speedup is not None and row.speedup_interval is not None
    }


def costs(scratch: Path, args: argparse.Namespace) -> dict[str, Any]:
    """Both ways in turn, `--times` times."""
    words = ["--device", args.device, *(["--quick"] if args.quick else [])]
    words += [word for path in args.path for word in ("--path", path)]
    taken: dict[str, list[Cost]] = {"--isolate": [], "--no-isolate": []}
    found: dict[str, Any] = {}
    begun = [("--no-isolate", "first")] if args.warm else []
    for number in range(args.times):
        begun += [(how, str(number)) for how in list(taken)[:: -1 if number % 2 else 1]]
    for how, name in begun:
        folder = scratch / f"{name}{how}"
        done, cost = record(folder, [*words, how])
        if done.returncode:
            raise SystemExit(f"record {how} ended with code {done.returncode}: {done.stderr[-400:]}")
        print(f"{name:6} {how:13} {cost.seconds:6.1f} s, {cost.processor_s:6.1f} processor s", flush=True)
        if name != "first":
            taken[how].append(cost)
        found["first" if name == "first" else how] = ratios(folder)
    seconds, processor_s = (
        {how: [getattr(cost, what) for cost in each] for how, each in taken.items()}
        for what in ("seconds", "processor_s")
    )
    overlap = overlaps(found["--isolate"], found["--no-isolate"])
    itself = overlaps(found["first"], found["--no-isolate"]) if "first" in found else {}
    return {
        "seconds": seconds,
        "processor_s": processor_s,
        "share": min(seconds["--isolate"]) / min(seconds["--no-isolate"]),
        "processor_share": min(processor_s["--isolate"]) / min(processor_s["--no-isolate"]),
        "worker_bytes": max(cost.worker_bytes for cost in taken["--isolate"]),
        "all_bytes": max(cost.all_bytes for cost in taken["--isolate"]),
        "steps": {how: each[-1].steps for how, each in taken.items()},
        "ratios": found,
        "overlap": sum(overlap.values()),
        "of": len(overlap),
        "apart": [name for name, both in overlap.items() if not both],
        "itself": [sum(itself.values()), len(itself)],
    }


def overlaps(one: Ratios, other: Ratios) -> dict[str, bool]:
    """Key of both -> whether its intervals overlap."""
    return {name: _overlap(one[name], other[name]) for name in one if name in other}


def _overlap(one: tuple[float, float | None, float | None], other: tuple[float, float | None, float | None]) -> bool:
    lows, highs = [each[1] for each in (one, other)], [each[2] for each in (one, other)]
    if None in lows or None in highs:
        return True
    return max(low for low in lows if low is not None) <= min(high for high in highs if high is not None)


def print_steps(steps: dict[str, dict[str, float]]) -> None:
    """Seconds of each step both ways, those first that a process per path costs most."""
    apart, together = steps["--isolate"], steps["--no-isolate"]
    names = dict.fromkeys([*apart, *together])
    for name in sorted(names, key=lambda name: together.get(name, 0.0) - apart.get(name, 0.0)):
        print(f"  {name:24} {apart.get(name, 0.0):6.1f} s, {together.get(name, 0.0):6.1f} s")


def survives(scratch: Path, args: argparse.Namespace) -> dict[str, Any]:
    """A recording with paths that break their processes."""
    bad = ["dies", "hangs"] + (["poisons"] if args.device.startswith("cuda") else [])
    words = [
        "--device",
        args.device,
        "--tokens",
        "16",
        "--rounds",
        "7",
        "--patience",
        str(args.patience),
        "--path",
        "unfused",
    ]
    words += ["--mode", "eager", *(word for name in bad for word in ("--path", f"isolation:{name}"))]
    folder = scratch / "bad"
    done, _ = record(folder, words)
    keys = read_run(folder).run.keys
    again, _ = record(folder, ["--resume", "--device", args.device])
    return {
        "exit_code": done.returncode,
        "table": "unfused eager" in done.stdout,
        "keys": {f.key.path: (f.status, f.reason) for f in keys},
        "resumed_exit_code": again.returncode,
        "left": workers_of(os.getpid()),
        "held": done.returncode == 5
        and "Traceback" not in done.stderr
        and all((f.status == "failed") == f.key.path.startswith("isolation:") for f in keys),
    }


def main() -> int:
    """Both parts, a line each, JSON."""
    if sys.argv[1:2] == ["--timed"]:
        timed(Path(sys.argv[2]), sys.argv[3:])
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--path", action="append", default=[], help="paths to record; default those of the operation")
    parser.add_argument("--cold", dest="warm", action="store_false", help="without the recording that fills the caches")
    parser.add_argument("--times", type=int, default=2)
    parser.add_argument("--patience", type=float, default=45.0, help="seconds that a hanging path is waited for")
    parser.add_argument("--only", choices=["costs", "survives"])
    parser.add_argument("--keep", metavar="FOLDER", help="leave the recorded runs there")
    parser.add_argument("-o", "--out", type=Path)
    args = parser.parse_args()
    document: dict[str, Any] = {}
    held = True
    with tempfile.TemporaryDirectory(prefix="rope_prof-isolation-") as scratch:
        name = args.keep or scratch
        Path(name).mkdir(parents=True, exist_ok=True)
        if args.only != "survives":
            cost = document["costs"] = costs(Path(name), args)
            held = cost["share"] <= MOST_SHARE and cost["worker_bytes"] <= MOST_BYTES
            print(f"wall time: {cost['share'] - 1:+.1%} of one process ({cost['seconds']})")
            print(f"processor time: {cost['processor_share'] - 1:+.1%} of one process ({cost['processor_s']})")
            print_steps(cost["steps"])
            one, every = (cost[name] / 2**20 for name in ("worker_bytes", "all_bytes"))
            print(f"host memory: of a worker {one:.0f} MiB, of all {every:.0f} MiB")
            print(f"ratios: {cost['overlap']} of {cost['of']} intervals overlap; apart: {cost['apart']}")
            if args.warm:
                print("two recordings in one process: {} of {} intervals overlap".format(*cost["itself"]))
        if args.only != "costs":
            broken = document["survives"] = survives(Path(name), args)
            held = held and broken["held"]
            for path, (status, reason) in broken["keys"].items():
                print(f"{path:20} {status:9} {reason or ''}")
            print(f"exit code {broken['exit_code']}, resumed {broken['resumed_exit_code']}, left {broken['left']}")
    if args.out:
        args.out.write_text(json.dumps(document, indent=1) + "\n")
    print("all of it holds" if held else "NOT all of it holds")
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
