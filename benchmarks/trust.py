"""How often the verdicts of rope_prof lie, measured on the machine at hand: `python benchmarks/trust.py`.

A trial is one comparison as `record` and `compare` make it: warm-up, paired rounds in shuffled order, as in
`timing.measure`, the stopping rule of `stopping.Watch` (precision reached or budget spent), then `compare.compare`.
One second at most.

- Against itself: one path under two names. A verdict FASTER or SLOWER is false.
- A host spin in the loop (wall) or a device spin in the CUDA graph (device) of a stated share of the call; the device's
  spin reads its length from memory, so that both sides replay one graph. On a GPU the host spins are planted in a loop
  over one token: where the GPU is the slower of the two, the host spins while it works, and nothing is planted. The
  baseline holds a spin as well, a shorter
  one, so that a spin's own edges are on both sides. The truth is the spins timed alone in the same rounds: a loop, or a
  graph, of nothing but the longer spin, less that of the shorter. Both count turns and heed no clock: what slows the
  machine slows them as it slows the call, so that the slow-down is one number.

Writes JSON: per stage the verdicts, the trials whose interval holds the truth, and each trial.
"""

from __future__ import annotations

import argparse
import json
import random
import shlex
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import polars as pl

from rope_prof import __version__
from rope_prof.analysis.comparison.compare import Verdict, compare
from rope_prof.analysis.comparison.sides import Side
from rope_prof.io.run.schema import MROPE
from rope_prof.model.run import SCHEMA_VERSION, Case, Key, KeyFacts, Machine, Mode, Run
from rope_prof.model.samples import samples_schema
from rope_prof.record.loop.stopping import Limits, Watch
from rope_prof.record.loop.timing import (
    SAMPLE_NS,
    Clock,
    Device,
    Failures,
    Sample,
    Subject,
    Work,
    level,
    measure,
    settle,
    wall,
)

SIZES = (0.02, 0.05, 0.20)
#: Rounds at most; the precision or the budget ends a trial before.
MOST_ROUNDS = 1000
#: A host spin follows so many calls. The call after a spin is slower by itself (with a spin after every 28 calls the
#: ratio came out 0.6 % lower than the spins alone make it): few long spins tell the truth better than many short ones.
EVERY = {"cuda": 140, "cpu": 7}
#: Tokens of the loop that holds them on a GPU: the host alone must be what bounds it.
HOST_TOKENS = 1
#: The baseline's spin, of the time between two spins (of the graph).
LEAST_SPIN = 0.05
#: Turns that the device's spin is timed with: some hundred microseconds.
CALIBRATION = 50_000
#: A trial ends by the clock after its last whole round: this much is kept for it.
ROUND_SHARE = 0.08
#: The spins alone need no more: they are a part of what is compared.
SPIN_SAMPLE_NS = SAMPLE_NS // 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """`seconds` of one trial, warm-up and all; `precision` of the stopping rule."""

    seconds: float = 1.0
    precision: float | None = 0.01
    calls: int = 28
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Outcome:
    """One metric of one trial. `truth` is the true baseline / candidate."""

    metric: str
    word: str
    ratio: float | None
    lo: float | None
    hi: float | None
    truth: float
    rounds: int
    seconds: float

    @property
    def covers(self) -> bool:
        """Whether the interval holds the truth."""
        return self.lo is not None and self.hi is not None and self.lo <= self.truth <= self.hi


@dataclass(slots=True)
class Stage:
    """Trials of one kind: `base` against `cand`; `spin` and `least` tell the truth where a slow-down is planted."""

    name: str
    mode: Mode
    case: Case
    refill: Callable[[int], None]
    base: Subject
    cand: Subject
    planted: float = 0.0
    spin: Subject | None = None
    least: Subject | None = None
    metrics: tuple[str, ...] = ("wall", "device")
    prepare: Work = field(default=lambda: None)
    outcomes: list[Outcome] = field(default_factory=list)

    @property
    def subjects(self) -> list[Subject]:
        """All that take turns in a round."""
        return [s for s in (self.base, self.cand, self.spin, self.least) if s is not None]


@dataclass(frozen=True, slots=True)
class HostClockAlone:
    """A device whose own clock is not asked: a stage that is judged by the wall alone has more rounds so."""

    device: Device
    has_clock: bool = False

    def synchronize(self) -> None:
        """Wait until all that was enqueued has run."""
        self.device.synchronize()

    def interruptions(self) -> int:
        """Those of the device's host."""
        return self.device.interruptions()

    def held(self, work: Work, hold_ns: int) -> tuple[int, bool]:
        """Never asked."""
        raise NotImplementedError


@dataclass(slots=True)
class Trials:
    """Runs trials on one device; `rows` are all their samples, as (stage, trial, *Sample)."""

    machine: Machine
    device: Device
    clock: Clock
    settings: Settings
    rows: list[tuple[Any, ...]] = field(default_factory=list)

    def run(self, stage: Stage, number: int) -> list[Outcome]:
        """One trial, by the recording's and the comparison's own code."""
        begun = self.clock()
        seed = self.settings.seed + number
        stage.refill(seed)
        stage.prepare()
        for subject in stage.subjects:
            alone = subject is stage.spin or subject is stage.least
            sample_ns = SPIN_SAMPLE_NS if alone else SAMPLE_NS
            settle(subject, self.settings.calls, self.clock, self.device, sample_ns=sample_ns)
        level([stage.base, stage.cand])
        samples, rounds = self._rounds(stage, seed, begun)
        seconds = (self.clock() - begun) / 1e9
        self.rows += [(stage.name, number, s.key, s.round, s.clock, s.calls, s.ns) for s in samples]
        outcomes = [
            outcome(verdict, truth(stage, samples, verdict.metric), rounds, seconds)
            for verdict in verdicts(stage, self.machine, samples)
            if verdict.metric in stage.metrics and (verdict.metric == "wall" or self.device.has_clock)
        ]
        stage.outcomes += outcomes
        return outcomes

    def _rounds(self, stage: Stage, seed: int, begun: int) -> tuple[list[Sample], int]:
        left = round(self.settings.seconds * (1 - ROUND_SHARE) * 1e9) - (self.clock() - begun)
        limits = Limits(rounds=MOST_ROUNDS, precision=self.settings.precision, budget_ns=max(0, left))
        pair = [stage.base.name, stage.cand.name]
        watch = Watch(limits, dict.fromkeys(pair, stage.base.name), self.clock, limits.budget_ns)
        failures, taken, done = Failures(), [], 0
        for batch in measure(
            stage.subjects,
            range(MOST_ROUNDS),
            seed=seed,
            case=stage.case.name,
            clock=self.clock,
            device=self.device if "device" in stage.metrics else HostClockAlone(self.device),
            failures=failures,
            before_round=stage.refill,
        ):
            taken += batch
            watch.add([sample for sample in batch if sample.key in pair])
            done += 1
            if watch.reason(done, pair):
                break
        if failures.by_name:
            raise next(iter(failures.by_name.values()))
        return taken, done


def verdicts(stage: Stage, machine: Machine, samples: Sequence[Sample]) -> tuple[Verdict, ...]:
    """What `compare` says of the two sides of a trial."""
    keys = tuple(KeyFacts(key=key_of(stage.case, path, stage.mode), status="measured") for path in ("base", "cand"))
    run = Run(
        schema_version=SCHEMA_VERSION,
        name="trust",
        created="",
        rope_prof=__version__,
        command="",
        seed=0,
        machine=machine,
        operation=MROPE,
        keys=keys,
    )
    rows = [(s.key, s.round, s.clock, s.calls, s.ns, s.throttled) for s in samples]
    frame = pl.DataFrame(rows, schema=samples_schema(), orient="row")
    base, cand = (Side(label=path, run=run, samples=frame, path=path) for path in ("base", "cand"))
    return compare(base, cand, paired=True, chances=False)


def key_of(case: Case, path: str, mode: Mode) -> Key:
    """The name of one side."""
    return Key(case=case, path=path, mode=mode, l2="cold")


def truth(stage: Stage, samples: Sequence[Sample], metric: str) -> float:
    """The true baseline / candidate: 1, or base / (base + what the spins timed alone differ by), round by round."""
    if stage.spin is None or stage.least is None:
        return 1.0
    base, spin, least = (
        {s.round: s.ns / s.calls for s in samples if (s.key, s.clock) == (subject.name, metric)}
        for subject in (stage.base, stage.spin, stage.least)
    )
    rounds = base.keys() & spin.keys() & least.keys()
    return statistics.median(base[r] / (base[r] + spin[r] - least[r]) for r in rounds)


def outcome(verdict: Verdict, true: float, rounds: int, seconds: float) -> Outcome:
    """A verdict beside the truth."""
    found = verdict.ratio
    middle, lo, hi = (found.median, found.lo, found.hi) if found else (None, None, None)
    return Outcome(verdict.metric, verdict.word, middle, lo, hi, true, rounds, seconds)


def tally(outcomes: Sequence[Outcome], planted: float) -> dict[str, Any]:
    """Counts and shares of one stage and metric."""
    n = len(outcomes)
    words = Counter(one.word for one in outcomes)
    widths = [one.hi - one.lo for one in outcomes if one.hi is not None and one.lo is not None]
    errors = [one.ratio / one.truth - 1 for one in outcomes if one.ratio is not None]
    found = words["SLOWER"] if planted else words["FASTER"] + words["SLOWER"]
    return {
        "trials": n,
        "words": dict(words),
        ("found_share" if planted else "false_share"): found / n,
        "same_share": words["SAME"] / n,
        "covered_share": sum(one.covers for one in outcomes) / n,
        "true_ratio": statistics.median(one.truth for one in outcomes),
        "width": statistics.median(widths) if widths else None,
        "error": statistics.median(errors) if errors else None,
        "rounds": statistics.median(one.rounds for one in outcomes),
        "seconds": statistics.median(one.seconds for one in outcomes),
        "longest_s": max(one.seconds for one in outcomes),
    }


@dataclass(slots=True)
class HostSpin:
    """A loop of so many turns."""

    turns: int = 0

    def __call__(self) -> None:
        """Keep the host busy."""
        for _ in range(self.turns):
            pass

    def size(self, ns: float, clock: Clock) -> None:
        """Turns that take `ns` at the speed that the machine has now."""
        self.turns = 100_000
        taken = []
        for _ in range(5):
            begun = clock()
            self()
            taken.append(clock() - begun)
        self.turns = round(ns * self.turns / statistics.median(taken))


def with_spin(name: str, work: Callable[[int], Work] | None, spin: HostSpin, every: int) -> Subject:
    """`work` with a spin after each `every` calls; spins alone where there is no work."""

    def spun(calls: int) -> Work:
        pieces = [work(every) if work else _nothing for _ in range(calls // every)]

        def run() -> None:
            for piece in pieces:
                piece()
                spin()

        return run

    return Subject(name, spun, step=every)


def _nothing() -> None:
    """A call that is none."""


class Machinery:
    """The real subjects: a path of the package on its ring, as `record` makes them."""

    def __init__(self, device: Any, case: Case, path: str, seed: int, every: int | None = None) -> None:
        from rope_prof.kernels.lookup import DEFAULT, operation

        from rope_prof.record.bench.subjects import Ring

        self.device, self.case, self.path = device, case, path
        self.every = every or EVERY[device.kind]
        self.ring = Ring(operation(DEFAULT), case, device, seed, least=28)

    def refill(self, seed: int) -> None:
        """New values, as before each round of a recording."""
        self.ring.refill(seed)
        self.device.synchronize()

    def _stage(self, name: str, mode: Mode, *subjects: Any, **more: Any) -> Stage:
        return Stage(name, mode, self.case, self.refill, *subjects, **more)

    def itself(self, mode: Mode) -> Stage:
        """One path, one graph, under two names."""
        plain = self._plain("base", mode)
        return self._stage(f"itself-{mode}", mode, plain, replace(plain, name=key_of(self.case, "cand", mode).name))

    def _plain(self, name: str, mode: Mode) -> Subject:
        from rope_prof.record.bench.subjects import eager_subject, graph_subject, in_mode

        self.refill(0)
        call, _ = in_mode(self.ring.operation, key_of(self.case, self.path, mode))
        key = key_of(self.case, name, mode)
        return (
            graph_subject(key, call, self.ring, self.device) if mode == "graph" else eager_subject(key, call, self.ring)
        )

    def host_spin(self, share: float) -> Stage:
        """A spin of the host of `share` of a call, sized anew in each trial."""
        from rope_prof.record.device.devices import clock

        plain, spin, least = self._plain("plain", "eager"), HostSpin(), HostSpin()
        every = self.every

        def prepare() -> None:
            settle(plain, 28, clock, self.device)
            per_call = statistics.median(wall(plain, plain.calls, clock, self.device) for _ in range(3)) / plain.calls
            least.size(LEAST_SPIN * per_call * every, clock)
            spin.turns = round(least.turns * (1 + share * (1 + LEAST_SPIN) / LEAST_SPIN))

        name = {path: key_of(self.case, path, "eager").name for path in ("base", "cand", "spin", "least")}
        return self._stage(
            f"host-spin-{share:.0%}",
            "eager",
            with_spin(name["base"], plain.work, least, every),
            with_spin(name["cand"], plain.work, spin, every),
            share,
            with_spin(name["spin"], None, spin, every),
            with_spin(name["least"], None, least, every),
            metrics=("wall",),
            prepare=prepare,
        )

    def device_spin(self, share: float) -> Stage:
        """A spinning kernel at the end of the graph, of `share` of the graph's time; one graph serves both sides."""
        path, alone, spin = self.spun()
        graph_ns = self._device_ns(self._plain("plain", "graph"))
        spin.set(CALIBRATION)
        alone_ns = self._device_ns(alone)
        if alone_ns < CALIBRATION:  # a turn takes a cycle at least, and no GPU makes more than two a ns
            raise RuntimeError(f"{CALIBRATION} turns of the device's spin took {alone_ns:.0f} ns: its graph is empty")
        per_turn = alone_ns / CALIBRATION
        least = round(LEAST_SPIN * graph_ns / per_turn)
        longer = round(least + share * (1 + LEAST_SPIN) * graph_ns / per_turn)

        def side(name: str, subject: Subject, turns: int) -> Subject:
            def before() -> None:
                spin.set(turns)
                if subject.before:
                    subject.before()

            return replace(subject, name=key_of(self.case, name, "graph").name, before=before)

        return self._stage(
            f"device-spin-{share:.0%}",
            "graph",
            side("base", path, least),
            side("cand", path, longer),
            share,
            side("spin", alone, longer),
            side("least", alone, least),
            metrics=("device",),
        )

    def _device_ns(self, subject: Subject) -> float:
        """Device ns of one replay, the least of a few."""
        from rope_prof.record.device.devices import clock
        from rope_prof.record.loop.timing import on_device

        settle(subject, subject.step, clock, self.device)
        taken = [found for _ in range(5) if (found := on_device(subject, self.device))]
        return min(ns * subject.step / calls for calls, ns in taken)

    def spun(self) -> tuple[Subject, Subject, Any]:
        """(the path's graph with a spin at its end, a graph of the spin alone, the spin whose length both read)."""
        import spin

        from rope_prof.record.bench.subjects import in_mode, replays
        from rope_prof.record.loop.plan import GRAPH_CALLS

        self.refill(0)
        device_spin = spin.DeviceSpin(self.device.torch_device)
        device_spin()  # compiled ahead of the capture
        call, _ = in_mode(self.ring.operation, key_of(self.case, self.path, "eager"))
        batch = [(n + 1 == GRAPH_CALLS, arguments) for n, arguments in enumerate(self.ring.take(GRAPH_CALLS))]

        def captured(work: Callable[..., Any]) -> Subject:
            def one(last: bool, arguments: tuple[Any, ...]) -> None:
                work(*arguments)
                if last:
                    device_spin()

            return Subject("spun", replays(one, batch), step=GRAPH_CALLS, before=self.device.flush, one_step=True)

        return captured(call), captured(lambda *_: None), device_spin


def run_stage(trials: Trials, stage: Stage, count: int, deadline: float, told: str) -> None:
    """`count` trials, or as many as fit; progress on standard error. What compiles, does so before the first."""
    for subject in stage.subjects:
        wall(subject, subject.step, trials.clock, trials.device)
    for number in range(count):
        if time.monotonic() > deadline:
            print(f"{stage.name}: out of time after {number} of {count} trials", file=sys.stderr)
            return
        trials.run(stage, number)
        if (number + 1) % 10 == 0 or number + 1 == count:
            words = {
                metric: dict(Counter(one.word for one in stage.outcomes if one.metric == metric))
                for metric in sorted({one.metric for one in stage.outcomes})
            }
            print(f"{told} {stage.name}: {number + 1} of {count} trials, {words}", file=sys.stderr, flush=True)


def stage_document(stage: Stage) -> dict[str, Any]:
    """The tally of each metric and every trial."""
    metrics = sorted({one.metric for one in stage.outcomes})
    return {
        "name": stage.name,
        "mode": stage.mode,
        "case": stage.case.name,
        "planted": stage.planted,
        "calls": {s.name.split(".")[0]: [s.calls, s.device_calls] for s in stage.subjects},
        "metrics": {
            metric: tally([one for one in stage.outcomes if one.metric == metric], stage.planted) for metric in metrics
        },
        "trials": [list(asdict(one).values()) for one in stage.outcomes],
    }


def table(document: dict[str, Any]) -> str:
    """One line per stage and metric."""
    lines = [f"{'stage':<18} {'metric':<7} trials  false/found  SAME  covered  width  rounds  s (longest)"]
    for stage in document["stages"]:
        for metric, t in stage["metrics"].items():
            share = t.get("found_share", t.get("false_share"))
            width = "-" if t["width"] is None else f"{t['width']:.2%}"
            lines.append(
                f"{stage['name']:<18} {metric:<7} {t['trials']:>6}  {share:>11.1%}  {t['same_share']:>4.0%}  "
                f"{t['covered_share']:>7.1%}  {width:>5}  {t['rounds']:>6.0f}  "
                f"{t['seconds']:.2f} ({t['longest_s']:.2f})"
            )
    return "\n".join(lines)


def markdown(document: dict[str, Any]) -> str:
    """The table of docs/numbers.md: what was run where, and a line per stage and metric."""
    machine = document["machine"]
    versions = ", ".join(f"{name} {machine[name]}" for name in ("torch", "triton", "python") if machine[name])
    lines = [
        f"`{document['command']}` on {machine['device_name']} ({machine['cpu_name']}, {machine['cpu_cores']} cores; "
        f"{versions}), path {document['path']}, {document['took_s']:.0f} s"
        + (f" ({document['left_out']}):" if "left_out" in document else ":"),
        "",
        "| stage | case | metric | trials | FASTER | SLOWER | SAME | UNDECIDED | interval holds the truth | "
        "true ratio | its width | rounds | seconds (longest) |",
        "|---|---|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for stage in document["stages"]:
        for metric, t in stage["metrics"].items():
            n = t["trials"]
            words = " | ".join(
                f"{t['words'].get(word, 0) / n:.1%}" for word in ("FASTER", "SLOWER", "SAME", "UNDECIDED")
            )
            width = "-" if t["width"] is None else f"{t['width']:.2%}"
            lines.append(
                f"| {stage['name']} | {stage['case']} | {metric} | {n} | {words} | "
                f"{t['covered_share']:.1%} | {t['true_ratio']:.4f} | {width} | "
                f"{t['rounds']:.0f} | {t['seconds']:.2f} ({t['longest_s']:.2f}) |"
            )
    return "\n".join(lines)


def overview(documents: Mapping[str, dict[str, Any]]) -> str:
    """All results side by side: a line per stage and metric, a column per result."""
    cells: dict[tuple[str, str], dict[str, str]] = {}
    for name, document in documents.items():
        for stage in document["stages"]:
            for metric, t in stage["metrics"].items():
                parts = [t["found_share"]] if stage["planted"] else [t["false_share"], t["same_share"]]
                shares = [f"{100 * share:.3g}" for share in (*parts, t["covered_share"])]
                cells.setdefault((stage["name"], metric), {})[name] = " · ".join(shares)
    order = sorted(cells, key=lambda cell: (not cell[0].startswith("itself"), cell[1], list(cells).index(cell)))
    lines = [
        f"| % of trials | | {' | '.join(documents)} |",
        f"|---|---|{'---|' * len(documents)}",
    ]
    for stage, metric in order:
        told = (cells[stage, metric].get(name, "–") for name in documents)
        says = "false · SAME · covered" if stage.startswith("itself") else "found · covered"
        lines.append(f"| {stage}, {metric} | {says} | {' | '.join(told)} |")
    return "\n".join(lines)


def page(paths: Sequence[Path]) -> str:
    """What docs/numbers.md holds: the overview, and every result by itself, folded."""
    documents = {path.stem.removeprefix("trust-"): json.loads(path.read_text()) for path in paths}
    folded = (f"<details><summary>{name}</summary>\n\n{markdown(one)}\n\n</details>" for name, one in documents.items())
    return "\n\n".join([overview(documents), *folded])


def parse(words: Sequence[str] | None = None) -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--path", help="default fused on a GPU, unfused on a CPU")
    parser.add_argument("--tokens", type=int, help="default 973 on a GPU (host spins: 1), 4 on a CPU")
    parser.add_argument("--every", type=int, help="calls between two host spins; default 140 on a GPU, 7 on a CPU")
    parser.add_argument("--trials", type=int, default=200, help="of a path against itself")
    parser.add_argument("--planted-trials", type=int, default=100, help="of each planted slow-down")
    parser.add_argument("--trial-seconds", type=float, default=1.0)
    parser.add_argument("--precision", type=float, default=0.01, help="of the stopping rule; 0: the budget alone")
    parser.add_argument("--seconds", type=float, default=1e9, help="for everything; later stages get fewer trials")
    parser.add_argument("--modes", default="eager,graph", help="of the path against itself")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("trust.json"), help="JSON")
    parser.add_argument("--table", type=Path, nargs="+", metavar="JSON", help="print earlier results as Markdown")
    parser.add_argument("--samples", type=Path, help="every sample of every trial, Parquet")
    return parser.parse_args(words)


def planned(
    machinery: Machinery, hosts: Machinery, options: argparse.Namespace
) -> list[tuple[Callable[[], Stage], int]]:
    """Stages in the order of their weight, with their trials; `hosts`: where the host spins are planted."""
    cuda = machinery.device.kind == "cuda"
    modes: list[Mode] = [mode for mode in ("eager", "graph") if mode in options.modes.split(",")]
    stages: list[tuple[Callable[[], Stage], int]] = [
        (lambda mode=mode: machinery.itself(mode), options.trials) for mode in modes if cuda or mode != "graph"
    ]
    for share in sorted(SIZES, reverse=True):
        stages.append((lambda share=share: hosts.host_spin(share), options.planted_trials))
        if cuda:
            stages.append((lambda share=share: machinery.device_spin(share), options.planted_trials))
    return stages


def main(words: Sequence[str] | None = None) -> int:
    """Run all stages and write the JSON after each."""
    from rope_prof.record.device.devices import clock, find_device
    from rope_prof.record.device.machine import machine

    options = parse(words)
    if options.table:
        print(page(options.table))
        return 0
    begun = time.monotonic()
    device = find_device(options.device)
    cuda = device.kind == "cuda"
    tokens = options.tokens or (973 if cuda else 4)
    case = MROPE.case({"model": "28b", "tp": 1, "tokens": tokens, "dtype": "bf16", "prompt": "image"})
    machinery = Machinery(device, case, options.path or ("fused" if cuda else "unfused"), options.seed, options.every)
    bound = case.but(tokens=HOST_TOKENS) if cuda else case
    hosts = machinery if bound == case else Machinery(device, bound, machinery.path, options.seed, options.every)
    settings = Settings(
        seconds=options.trial_seconds,
        precision=options.precision or None,
        calls=28 if cuda else 2,
        seed=random.Random(options.seed).randrange(1 << 30),
    )
    trials = Trials(machine(device), device, clock, settings)
    document: dict[str, Any] = {
        "schema_version": 1,
        "command": shlex.join(["python", "benchmarks/trust.py", *(sys.argv[1:] if words is None else words)]),
        "rope_prof": __version__,
        "machine": asdict(trials.machine),
        "path": machinery.path,
        "settings": asdict(settings),
        "trial_fields": list(Outcome.__dataclass_fields__),
        "stages": [],
    }
    stages = planned(machinery, hosts, options)
    for number, (make, count) in enumerate(stages, 1):
        stage = make()
        run_stage(trials, stage, count, begun + options.seconds, f"[{number}/{len(stages)}]")
        if stage.outcomes:
            document["stages"].append(stage_document(stage))
        document["took_s"] = round(time.monotonic() - begun, 1)
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps(document) + "\n")
        if options.samples:
            names = ["stage", "trial", "key", "round", "clock", "calls", "ns"]
            pl.DataFrame(trials.rows, schema=names, orient="row").write_parquet(options.samples)
    print(table(document))
    return 0


if __name__ == "__main__":
    sys.exit(main())
