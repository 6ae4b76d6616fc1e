"""How often verdicts lie where real comparisons are made: between captures, between processes, between hosts.

    python benchmarks/trust_processes.py --device cuda --mode eager,graph -o trust_processes.json
    python benchmarks/trust_processes.py --device cpu --repeats 3 --trials 1 --tokens 4 --rounds 6
    python benchmarks/trust_processes.py --pair RUN_OF_ONE_HOST RUN_OF_ANOTHER -o hosts.json

`trust.py` holds one closure against itself. Here the same code is recorded under several names by the recorder's own
workers, loop and storage, each with buffers, compilations and graphs of its own, and judged by `compare`:

- captures: all in one process, intervals over rounds;
- processes: each in K fresh processes (`--repeats K`), intervals over processes;
- hosts: two runs of one commit, from two hosts or two times, as `compare` judges two runs.

The code is a chain: twenty times the baseline of an operation, of which one call is two launches. A verdict FASTER or
SLOWER of two names of it is false; an interval that leaves 1 out does not cover. One name has the baseline once more in
every call, which is 5 % by any clock in any mode: found where it is SLOWER. Every pair of names counts: of four names
six, which are not independent. So a row says how likely its coverage is where 95 % hold 1 in truth: one that misses
what is meant, and would by chance too, is open.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from itertools import combinations
from pathlib import Path
from typing import Any, cast

import numpy as np
import polars as pl
from rope_prof.kernels.lookup import operation
from rope_prof.kernels.paths import path_of

from rope_prof.analysis.comparison.compare import Verdict, compare
from rope_prof.analysis.comparison.family import ALPHA
from rope_prof.analysis.comparison.sides import Side
from rope_prof.analysis.student import quantile
from rope_prof.io.run.folder import RunFolder, read_run
from rope_prof.model.run import MODES, Ceiling
from rope_prof.record.loop.protocols import Bench
from rope_prof.record.loop.timing import Subject

TIMES = 20
CLOCKS = ("wall", "device")
#: What is meant: verdicts on the same code that differ, intervals that hold 1, slow-downs that are found, half a width.
MOST_FALSE, LEAST_COVERED, LEAST_FOUND, MOST_WIDE = 0.05, 0.93, 0.90, 0.02


@cache
def _link() -> Any:
    """The baseline of the operation `ROPE_PROF_TRUSTED`: it makes its outputs anew, so that it can be called again."""
    found = operation(os.environ["ROPE_PROF_TRUSTED"])
    return path_of(found, found.paths[0]).call


def _chain(times: int) -> Callable[..., Any]:
    """A call of `times` links."""

    def named(*arguments: Any) -> Any:
        link = _link()
        for _ in range(times - 1):
            link(*arguments)
        return link(*arguments)

    return named


first, second, third, fourth = (_chain(TIMES) for _ in range(4))
SAME = ("first", "second", "third", "fourth")


planted = _chain(TIMES + 1)


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


class Bare:
    """A bench without ceilings: what the card itself can do is asked by none of these comparisons."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench

    def __getattr__(self, name: str) -> Any:
        return getattr(self.bench, name)

    def ceilings(self, *_: Any) -> Iterable[tuple[Ceiling, Subject | None]]:
        """None."""
        return ()


class Quiet:
    """Nobody is told how far it is."""

    def total(self, steps: int) -> None: ...

    def step(self, what: str, done: int = 0) -> None: ...


def recorded(folder: Path, args: argparse.Namespace, *, isolate: bool, seed: int) -> RunFolder:
    """A run of the same code under all names, timed and not captured."""
    from rope_prof.record.bench.bench import TorchBench
    from rope_prof.record.device.devices import find_device
    from rope_prof.record.loop.plan import Options, parse_values
    from rope_prof.record.loop.recorder import Recorder
    from rope_prof.record.session import fresh_run, limits_of
    from rope_prof.record.worker.process import Start
    from rope_prof.record.worker.workers import Workers, preload

    modes = tuple(args.mode.split(","))
    names = tuple(f"trust_processes:{name}" for name in (*SAME, "planted"))
    options = Options(
        operation=args.operation,
        values=parse_values([f"tokens={args.tokens}"]),
        paths=("unfused", *names),
        modes=modes,
        rounds=args.rounds,
        seed=seed,
    )
    device = find_device(args.device)
    workers = None
    if isolate:
        start = Start(preload=preload(modes))
        workers = Workers(
            device=str(device.torch_device), seed=seed, kind=device.kind, start=start, operation=args.operation
        )
    try:
        run = fresh_run(options, device, "trust", workers, repeats=args.repeats if isolate else 1)
        calls = int(run.settings["calls"] or 2)
        bench = workers.bench(run, -1) if workers else TorchBench(device, seed=seed, calls=calls)
        Recorder(folder, run, cast(Bench, Bare(bench)), Quiet(), limits_of(run), capture=False).record()
    finally:
        if workers is not None:
            workers.close()
    return read_run(folder)


def cut_short(run: RunFolder) -> RunFolder:
    """A run that was ended while it was timed, as one of the processes that had all their rounds."""
    samples, rounds = run.samples.drop_nulls("process"), int(run.run.settings["rounds"] or 0)
    taken = samples.group_by("key", "clock", "process").agg(pl.len())
    whole = taken.group_by("process").agg(pl.col("len").min()).filter(pl.col("len") >= rounds)["process"]
    keys = tuple(replace(facts, status="measured") for facts in run.run.keys)
    return replace(
        run,
        run=replace(run.run, keys=keys),
        samples=run.samples.filter(pl.col("process").is_in(whole.implode())),
    )


def had(run: RunFolder) -> str:
    """`60 rounds of each of 4 of 5 processes a side`: what of a plan was measured whole."""
    sides = run.samples.filter(pl.col("key").str.contains("trust_processes", literal=True))
    counts = sides.group_by("key").agg(pl.col("process").n_unique())["process"]
    planned = run.run.settings
    return f"{planned['rounds']} rounds of each of {counts.min()} of {planned['repeats']} processes a side"


def trials(run: RunFolder, row: str) -> list[Trial]:
    """What `compare` says of the names of one run."""
    pairs = [(one, other, False) for one, other in combinations(SAME, 2)]
    pairs += [(one, "planted", True) for one in SAME]
    found = []
    for one, other, slower in pairs:
        base, cand = (
            Side(label=each, run=run.run, samples=run.samples, path=f"trust_processes:{each}") for each in (one, other)
        )
        found += [_trial(verdict, row, planted=slower) for verdict in compare(base, cand, paired=True, chances=False)]
    return [trial for trial in found if trial.clock in CLOCKS and trial.ratio is not None]


def pair_trials(one: RunFolder, other: RunFolder) -> list[Trial]:
    """What `compare` says of two runs of the same code."""
    base, cand = (Side(label=str(each.path), run=each.run, samples=each.samples) for each in (one, other))
    found = [_trial(verdict, "hosts", planted=False) for verdict in compare(base, cand, paired=False, anyway=True)]
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
    by_chance: float | None = None


@cache
def by_chance(verdicts: int, held: int) -> float:
    """How likely at most `held` of so many verdicts hold 1 where 95 % do in truth: drawn, six pairs of four names each.

    The names' five logarithms are drawn from one normal distribution, their differences judged by Student's t.
    """
    names, values, draws = len(SAME), 5, 4000
    pairs = list(combinations(range(names), 2))
    logs = np.random.default_rng(0).normal(size=(draws, max(1, verdicts // len(pairs)), names, values))
    count = np.zeros(draws)
    for one, other in pairs:
        apart = logs[:, :, one] - logs[:, :, other]
        error = apart.std(axis=-1, ddof=1) / values**0.5
        count += (np.abs(apart.mean(axis=-1)) <= quantile(0.975, values - 1) * error).sum(axis=1)
    return float((count <= held).mean())


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
                None if slower or not holds else by_chance(len(holds), sum(holds)),
            )
        )
    return made


def table(lines: Sequence[Tally]) -> str:
    """As text."""
    out = [
        f"{'between':10} {'planted':7} {'mode':8} {'clock':6} {'n':>4} {'differ':>7} {'hold 1':>7} "
        f"{'by chance':>9} {'half width':>10}"
    ]
    for line in lines:
        covered = "-" if line.covered is None else f"{line.covered:.0%}"
        chance = "-" if line.by_chance is None else f"{line.by_chance:.0%}"
        width = "-" if line.half_width is None else f"{line.half_width:.2%}"
        out.append(
            f"{line.row:10} {'5 %' if line.planted else '-':7} {line.mode:8} {line.clock:6} {line.n:4d} "
            f"{line.differ:7.0%} {covered:>7} {chance:>9} {width:>10}"
        )
    return "\n".join(out)


def targets(lines: Sequence[Tally]) -> dict[str, str]:
    """What is meant to hold -> whether it does, of the rows that were measured: holds, NOT, or open (`by_chance`)."""
    told: dict[str, str] = {}

    def enter(what: str, holds: bool, *, unsure: bool = False) -> None:
        told[what] = "holds" if holds else "open" if unsure else "NOT"

    for line in lines:
        where = f"{line.row}, {line.mode}, {line.clock}"
        if line.planted:
            if line.row == "processes":
                enter(f"{where}: 5 % found in at least {LEAST_FOUND:.0%}", line.differ >= LEAST_FOUND)
            continue
        enter(f"{where}: at most {MOST_FALSE:.0%} FASTER or SLOWER", line.differ <= MOST_FALSE)
        unsure = line.by_chance is None or line.by_chance > ALPHA
        enter(f"{where}: at least {LEAST_COVERED:.0%} hold 1", (line.covered or 0.0) >= LEAST_COVERED, unsure=unsure)
        if (line.row, line.mode, line.clock) == ("processes", "eager", "device"):
            enter(f"{where}: half width at most {MOST_WIDE:.0%}", (line.half_width or 1.0) <= MOST_WIDE)
    return told


def recorded_trials(args: argparse.Namespace, scratch: Path) -> list[Trial]:
    """All trials that fit into `--seconds`: a row is begun only where the longest of its kind so far still fits."""
    begun, found = time.monotonic(), []
    longest = dict.fromkeys(args.row or ["captures", "processes"], 0.0)
    for number in range(args.trials):
        for row in longest:
            since = time.monotonic()
            if since - begun + longest[row] > args.seconds:
                print(f"trial {number + 1}, {row}: left out, {args.seconds:g} s are over", file=sys.stderr, flush=True)
                continue
            run = recorded(scratch / f"{row}{number}", args, isolate=row == "processes", seed=number)
            failed = [facts for facts in run.run.keys if facts.status != "measured"]
            if failed:
                raise SystemExit(f"{failed[0].key.name} is {failed[0].status}: {failed[0].reason}")
            found += trials(run, row)
            took = time.monotonic() - since
            longest[row] = max(longest[row], took)
            print(f"trial {number + 1} of {args.trials}, {row}: {took:.0f} s", file=sys.stderr, flush=True)
    return found


def main(words: Sequence[str] | None = None) -> int:
    """Record and judge all trials, print the table, write JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--operation", default="silu-mul", help="whose baseline makes the chain")
    parser.add_argument("--tokens", default="64,973")
    parser.add_argument("--mode", default="eager")
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--trials", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=1e9, help="for all; fewer trials where they do not fit")
    parser.add_argument("--row", action="append", choices=["captures", "processes"], help="these rows alone")
    parser.add_argument("--pair", nargs=2, type=Path, action="append", default=[], metavar="RUN")
    parser.add_argument("--kept", type=Path, help="judge a run between processes that --keep left, whole or cut short")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="leave the recorded runs there")
    parser.add_argument("-o", "--out", type=Path)
    args = parser.parse_args(words)
    os.environ["ROPE_PROF_TRUSTED"] = args.operation
    kept: RunFolder | None = None
    found: list[Trial] = [t for one, other in args.pair for t in pair_trials(read_run(one), read_run(other))]
    if args.kept:
        kept = cut_short(read_run(args.kept))
        found += trials(kept, "processes")
        print(had(kept), file=sys.stderr)
    if not args.pair and not args.kept:
        with tempfile.TemporaryDirectory(prefix="rope_prof-trust-") as scratch:
            found = recorded_trials(args, args.keep or Path(scratch))
    lines = tallies(found)
    print(table(lines))
    told = targets(lines)
    for what, word in told.items():
        print(f"{word:5} {what}")
    if args.out:
        document = {
            "command": sys.argv[1:],
            "kept": had(kept) if kept else None,
            "rows": [asdict(t) for t in lines],
            "targets": told,
        }
        args.out.write_text(json.dumps(document | {"trials": [asdict(t) for t in found]}, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
