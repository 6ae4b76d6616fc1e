"""Is the rank that was made late on purpose named, with its range and its cost? The loops of `rank_loops.py`, checked.

    python benchmarks/ranks.py --ranks 2 --out docs/results/ranks-h200.json      # on GPUs: a process each, NCCL
    python benchmarks/ranks.py --ranks 8 --out docs/results/ranks-cpu.json       # without one: gloo
    python benchmarks/ranks.py --table                                           # their figures into docs/fleet.md

Starts the loops under torchrun on `--ranks` processes, then `rope_prof analyze FOLDER` and `export --to perfetto` on
what they wrote, and holds the answers against what was planted: the late rank and the range first, its cost within 10 %
of the time that it lost, clocks with a stated error, exposed communication on every rank, one Perfetto file with all
ranks. Beside it stands by how much a step grew without any profiler. Exit code 1 where a check fails. On a CPU, whose
cores the ranks share, the cost is told and not checked.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from rope_prof.units import duration

HERE = Path(__file__).resolve().parent
PAGE, RESULTS = HERE.parent / "docs/fleet.md", HERE.parent / "docs/results"
BEGIN, END = (
    "<!-- LATE RANKS: begin (python benchmarks/ranks.py --table writes what stands here) -->",
    "<!-- LATE RANKS: end -->",
)
LOOPS = ("training", "decode")
#: The cost that is said may be off by so much of what was planted.
WITHIN = 0.10


def record(args: argparse.Namespace, folder: Path) -> float:
    """Run both loops on all ranks into `folder`; the seconds that it took."""
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(args.ranks)]
    late = args.ranks - 1 if args.late_rank is None else args.late_rank
    words = ["--folder", str(folder), "--late-rank", str(late), *args.loop_words]
    began = time.perf_counter()
    subprocess.run([*torchrun, str(HERE / "rank_loops.py"), *words], check=True)
    return time.perf_counter() - began


def ours(*words: str) -> str:
    """What a command of ours prints. Errors: SystemExit with its own words where it fails."""
    done = subprocess.run([sys.executable, "-m", "rope_prof", *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"rope_prof {' '.join(words)} ended with {done.returncode}: {done.stderr[-2000:]}")
    return done.stdout


def analyzed(traces: Path) -> dict[str, Any]:
    """The one recording in `traces`."""
    shutil.rmtree(f"{traces}-ranks", ignore_errors=True)
    (recording,) = json.loads(ours("analyze", str(traces), "-o", f"{traces}-ranks", "--json"))["recordings"]
    return dict(recording)


def drawn(traces: Path) -> dict[str, Any]:
    """One Perfetto file of all ranks: its bytes, and the ranks whose tracks it holds."""
    path = Path(f"{traces}.pftrace")
    ours("export", f"{traces}-ranks", "--to", "perfetto", "-o", str(path))
    data = path.read_bytes()
    return {"bytes": len(data), "data": data}


def checked(folder: Path, name: str) -> dict[str, Any]:
    """One loop: what was planted, what was said, what was asked of it."""
    truth = json.loads((folder / name / "truth.json").read_text())
    on_cpu = truth["device"] == "CPU"
    late, even = (analyzed(folder / name / side) for side in ("late", "even"))
    picture = drawn(folder / name / "late")
    first = (late["stragglers"] or [{}])[0]
    cost = first.get("cost_ns", 0)
    named = [rank for rank in range(truth["ranks"]) if f"rank {rank}".encode() in picture["data"]]
    spread = max((clock["spread_ns"] for clock in late["clocks"]["clocks"]), default=None)
    checks = {
        "every rank is there, sound": [r["verdict"] for r in late["ranks"]] == ["sound"] * truth["ranks"],
        "the late rank comes first": first.get("rank") == str(truth["rank"]),
        "its range is named": first.get("range") == truth["range"],
        "its cost is within 10 %": on_cpu or abs(cost / truth["ns"] - 1) <= WITHIN,
        "clocks with a stated error": spread is not None,
        "exposed communication on every rank": all(r["exposed_ns"] is not None for r in late["ranks"]),
        "one Perfetto file of all ranks": named == list(range(truth["ranks"])),
    }
    return {
        "truth": truth,
        "said": first,
        "collectives": late["clocks"]["collectives"],
        "spread_ns": spread,
        "offsets_ns": [clock["offset_ns"] for clock in late["clocks"]["clocks"]],
        "ranks": [
            {key: r[key] for key in ("rank", "span_ns", "communication_ns", "exposed_ns")} for r in late["ranks"]
        ],
        "even": [{key: one[key] for key in ("rank", "cost_ns", "share", "range")} for one in even["stragglers"]],
        "perfetto_bytes": picture["bytes"],
        "checks": checks,
    }


def picked(row: dict[str, Any], *names: str) -> dict[str, Any]:
    """Those fields of `row`."""
    return {name: row[name] for name in names}


def table(results: list[dict[str, Any]]) -> str:
    """The figures as Markdown."""
    head = (
        "ranks",
        "loop",
        "planted",
        "said",
        "off by",
        "a step grew, x steps",
        "clocks ±",
        "exposed, of communication",
    )
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * 2 + "---:|" * (len(head) - 2)]
    for result in results:
        for name, one in result["loops"].items():
            lines.append("| " + " | ".join(_cells(name, one)) + " |")
    return "\n".join(lines)


def _cells(name: str, one: dict[str, Any]) -> list[str]:
    truth, said = one["truth"], one["said"]
    grew = truth["steps"] * (truth["step_late_ns"] - truth["step_even_ns"])
    shares = [rank["exposed_ns"] / rank["communication_ns"] for rank in one["ranks"]]
    return [
        f"{truth['ranks']} x {truth['device']}, {truth['backend']}",
        name,
        f"rank {truth['rank']}, {truth['range']}: {duration(truth['ns'])}, {truth['times']} times on the {truth['by']}",
        f"rank {said['rank']}, {said['range']}: {duration(said['cost_ns'])}" if said else "nobody",
        f"{100 * (said['cost_ns'] / truth['ns'] - 1):+.1f} %" if said else "",
        duration(round(grew)),
        duration(one["spread_ns"]),
        f"{100 * min(shares):.0f} to {100 * max(shares):.0f} %",
    ]


def page_with(text: str, page: str) -> str:
    """The page with `text` between its marks. Errors: ValueError where it has none."""
    if page.count(BEGIN) != 1 or page.count(END) != 1:
        raise ValueError(f"{PAGE.name} has lost the marks of its late ranks")
    return page.split(BEGIN)[0] + BEGIN + "\n" + text + "\n" + END + page.split(END)[1]


def recorded() -> list[dict[str, Any]]:
    """The results that lie beside the page."""
    return [json.loads(path.read_text()) for path in sorted(RESULTS.glob("ranks-*.json"))]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--ranks", type=int, default=2)
    parser.add_argument("--late-rank", type=int, help="else the last")
    parser.add_argument("--folder", type=Path, help="where the traces are kept; else a temporary one")
    parser.add_argument(
        "--again", type=Path, metavar="RESULTS", help="check what lies in --folder, recorded for RESULTS"
    )
    parser.add_argument("--out", type=Path)
    parser.add_argument("--table", action="store_true")
    args, args.loop_words = parser.parse_known_args()
    if args.table:
        PAGE.write_text(page_with(table(recorded()), PAGE.read_text()))
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = args.folder or Path(temporary)
        seconds = json.loads(args.again.read_text())["seconds"]["loops"] if args.again else record(args, folder)
        began = time.perf_counter()
        loops = {name: checked(folder, name) for name in LOOPS}
    result = {"seconds": {"loops": seconds, "analysis": time.perf_counter() - began}, "loops": loops}
    print(table([result]))
    failed = [f"{name}: {what}" for name, one in loops.items() for what, holds in one["checks"].items() if not holds]
    print(f"loops {seconds:.0f} s; checks failed: {', '.join(failed) or 'none'}")
    if args.out:
        args.out.write_text(json.dumps(result, indent=1) + "\n")
    raise SystemExit(1 if failed else 0)


if __name__ == "__main__":
    main()
