"""How often verdicts lie where real comparisons are made: between captures, between processes, between hosts.

    python benchmarks/trust_processes.py --device cuda --repeats 5 -o trust_processes.json
    python benchmarks/trust_processes.py --device cpu --repeats 3 --trials 1 --tokens 4 --rounds 6
    python benchmarks/trust_processes.py --pair RUN_OF_ONE_HOST RUN_OF_ANOTHER -o hosts.json

`trust.py` holds one closure against itself. Here the same code is recorded by `record` under two names, each with
buffers, compilations and graphs of its own, and judged by `compare`:

- captures: both in one process (`--no-isolate`), intervals over rounds;
- processes: each in K fresh processes (`--repeats K`), intervals over processes;
- hosts: two runs of one commit, from two hosts or two times, as `compare` judges two runs.

A verdict FASTER or SLOWER of these is false; an interval that leaves 1 out does not cover. A third name makes one call
more in every twenty, which is 5 % (of a graph's 28 calls one more, 3.6 %): found where it is SLOWER.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any

from rope_prof.analysis.comparison.compare import Verdict, compare
from rope_prof.analysis.comparison.sides import Side
from rope_prof.io.run.folder import RunFolder, read_run
from rope_prof.model.run import MODES

EVERY = 20
CLOCKS = ("wall", "device")
_calls = count(1)


@cache
def _measured() -> Any:
    """The path that is recorded under other names: `ROPE_PROF_TRUSTED`."""
    from rope_prof.kernels.mrope.paths import path

    return path(os.environ.get("ROPE_PROF_TRUSTED", "unfused")).call


def again(*arguments: Any) -> Any:
    """The same code under another name."""
    return _measured()(*arguments)


def first(*arguments: Any) -> Any:
    """The same code under a name of this file too, so that both sides have one Python frame more."""
    return _measured()(*arguments)


def planted(*arguments: Any) -> Any:
    """The same code, one call more in every `EVERY`."""
    if next(_calls) % EVERY == 0:
        _measured()(*arguments)
    return _measured()(*arguments)


@dataclass(frozen=True, slots=True)
class Trial:
    """One verdict: `row` says between what, `planted` whether the candidate is slower in truth."""

    row: str
    planted: bool
    mode: str
    case: str
    clock: str
    word: str
    ratio: float | None
    lo: float | None
    hi: float | None

    @property
    def differs(self) -> bool:
        """Whether it says that the sides differ."""
        return self.word in {"FASTER", "SLOWER"}

    @property
    def half_width(self) -> float | None:
        """Half the interval over its middle."""
        if self.lo is None or self.hi is None or not self.ratio:
            return None
        return (self.hi - self.lo) / 2 / self.ratio


def recorded(folder: Path, args: argparse.Namespace, *, isolate: bool, seed: int) -> RunFolder:
    """A run of the same code under three names."""
    here = Path(__file__).resolve().parent
    path = os.pathsep.join([str(here), str(here.parent), os.environ.get("PYTHONPATH", "")])
    words = ["record", "--device", args.device, "--tokens", args.tokens, "--rounds", str(args.rounds)]
    words += ["--seed", str(seed), "--path", "unfused", "-o", str(folder)]
    words += [word for name in ("first", "again", "planted") for word in ("--path", f"trust_processes:{name}")]
    words += [word for mode in args.mode.split(",") for word in ("--mode", mode)]
    words += ["--isolate", "--repeats", str(args.repeats)] if isolate else ["--no-isolate"]
    done = subprocess.run(
        [sys.executable, "-m", "rope_prof", *words],
        env=os.environ | {"PYTHONPATH": path, "ROPE_PROF_TRUSTED": args.path},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"record ended with code {done.returncode}: {done.stderr.strip().splitlines()[-1:]}")
    return read_run(folder)


def trials(run: RunFolder, row: str) -> list[Trial]:
    """What `compare` says of the names of one run."""
    found = []
    for name in ("again", "planted"):
        base, cand = (
            Side(label=each, run=run.run, samples=run.samples, path=f"trust_processes:{each}")
            for each in ("first", name)
        )
        found += [_trial(verdict, row, planted=name == "planted") for verdict in compare(base, cand, paired=True)]
    return [trial for trial in found if trial.clock in CLOCKS and trial.ratio is not None]


def pair_trials(one: RunFolder, other: RunFolder) -> list[Trial]:
    """What `compare` says of two runs of the same code."""
    base, cand = (Side(label=str(each.path), run=each.run, samples=each.samples) for each in (one, other))
    found = [_trial(verdict, "hosts", planted=False) for verdict in compare(base, cand, paired=False)]
    return [trial for trial in found if trial.clock in CLOCKS and trial.ratio is not None]


def _trial(verdict: Verdict, row: str, *, planted: bool) -> Trial:
    ratio = verdict.ratio
    values = (ratio.median, ratio.lo, ratio.hi) if ratio else (None, None, None)
    mode = next((mode for mode in MODES if mode in verdict.base.replace(".", " ").split()), "")
    return Trial(row, planted, mode, verdict.case.name, verdict.metric, verdict.word, *values)


@dataclass(frozen=True, slots=True)
class Tally:
    """One line of the table: of `n` verdicts, shares that differ (false, or found) and that hold 1; half widths."""

    row: str
    planted: bool
    mode: str
    clock: str
    n: int
    differ: float
    covered: float | None
    half_width: float | None


def tallies(found: Sequence[Trial]) -> list[Tally]:
    """By row, mode and clock, planted apart."""
    groups: dict[tuple[str, bool, str, str], list[Trial]] = {}
    for trial in found:
        groups.setdefault((trial.row, trial.planted, trial.mode, trial.clock), []).append(trial)
    made = []
    for (row, slower, mode, clock), each in groups.items():
        judged = [t for t in each if t.lo is not None and t.hi is not None]
        holds = [t.lo <= 1 <= t.hi for t in judged if t.lo is not None and t.hi is not None]
        widths = [t.half_width for t in judged if t.half_width is not None]
        made.append(
            Tally(
                row,
                slower,
                mode,
                clock,
                len(each),
                sum(t.word == "SLOWER" if slower else t.differs for t in each) / len(each),
                None if slower or not holds else sum(holds) / len(holds),
                statistics.median(widths) if widths else None,
            )
        )
    return made


def table(lines: Sequence[Tally]) -> str:
    """As text."""
    out = [
        f"{'between':10} {'planted':7} {'mode':8} {'clock':6} {'n':>4} {'differ':>7} {'hold 1':>7} {'half width':>10}"
    ]
    for line in lines:
        covered = "-" if line.covered is None else f"{line.covered:.0%}"
        width = "-" if line.half_width is None else f"{line.half_width:.2%}"
        out.append(
            f"{line.row:10} {'5 %' if line.planted else '-':7} {line.mode:8} {line.clock:6} {line.n:4d} "
            f"{line.differ:7.0%} {covered:>7} {width:>10}"
        )
    return "\n".join(out)


def main(words: Sequence[str] | None = None) -> int:
    """Record and judge all trials, print the table, write JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--path", default="unfused", help="unfused; the path that is recorded under other names")
    parser.add_argument("--tokens", default="64,973")
    parser.add_argument("--mode", default="eager")
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--trials", type=int, default=3)
    parser.add_argument("--pair", nargs=2, type=Path, action="append", default=[], metavar="RUN")
    parser.add_argument("-o", "--out", type=Path)
    args = parser.parse_args(words)
    found: list[Trial] = [t for one, other in args.pair for t in pair_trials(read_run(one), read_run(other))]
    with tempfile.TemporaryDirectory(prefix="rope_prof-trust-") as scratch:
        for number in range(0 if args.pair else args.trials):
            for row, isolate in (("captures", False), ("processes", True)):
                run = recorded(Path(scratch) / f"{row}{number}", args, isolate=isolate, seed=number)
                found += trials(run, row)
                print(f"trial {number + 1} of {args.trials}, {row}: done", file=sys.stderr, flush=True)
    lines = tallies(found)
    print(table(lines))
    if args.out:
        document = {"command": sys.argv[1:], "rows": [asdict(t) for t in lines], "trials": [asdict(t) for t in found]}
        args.out.write_text(json.dumps(document, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
