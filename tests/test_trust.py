"""The trials of benchmarks/trust.py on machines with a simulated clock: noise of known kinds, seeds fixed, truth known.

Warm-up, rounds, the stopping rule and the verdicts are the recording's and the comparison's own; the clock alone is
not.
"""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Callable
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest

from rope_prof.record.loop.timing import Subject
from tests.runs import CASE, MACHINE, OPERATION

TRIALS = 200
CALL_NS = 20_000


@pytest.fixture(scope="module")
def trust(repository: Path) -> ModuleType:
    return _loaded(repository, "trust")


@pytest.fixture(scope="module")
def methods(repository: Path) -> ModuleType:
    return _loaded(repository, "trust_methods")


def _loaded(repository: Path, name: str) -> ModuleType:
    spec = spec_from_file_location(f"{name}_benchmark", repository / f"benchmarks/{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


class Machine:
    """A host clock that only work moves, and a device's beside it; `noise()` is the slowness of the next sample."""

    has_clock = True

    def __init__(self, noise: Callable[[random.Random], Callable[[], float]], seed: int) -> None:
        self.now, self.device_now = 0, 0
        self.random = random.Random(seed)
        self.noise, self.device_noise = noise(self.random), noise(self.random)

    def clock(self) -> int:
        return self.now

    def synchronize(self) -> None:
        self.now += 1_000

    def refill(self, _: int) -> None:
        self.now += 100_000

    def interruptions(self) -> int:
        return 0

    def held(self, work: Callable[[], None], hold_ns: int) -> tuple[int, bool]:
        begun = self.device_now
        work()
        self.now += hold_ns
        return self.device_now - begun, True

    def subject(self, name: str, ns: float) -> Subject:
        def work(calls: int) -> Callable[[], None]:
            def go() -> None:
                self.now += round(calls * ns * self.noise())
                self.device_now += round(calls * ns * self.device_noise())

            return go

        return Subject(name, work)


def drifting(chance: random.Random) -> Callable[[], float]:
    """A random walk of half a percent a sample, and skewed noise."""
    level = 1.0

    def noise() -> float:
        nonlocal level
        level *= 1 + chance.gauss(0, 0.005)
        return level * (1 + chance.expovariate(1 / 0.01))

    return noise


def autocorrelated(chance: random.Random) -> Callable[[], float]:
    """AR(1), 0.9 from sample to sample, 4 % wide: what the samples of one round share, the ratio cancels."""
    state = 0.0

    def noise() -> float:
        nonlocal state
        state = 0.9 * state + chance.gauss(0, 0.04 * (1 - 0.81) ** 0.5)
        return float(2.718281828**state)

    return noise


def heavy_tailed(chance: random.Random) -> Callable[[], float]:
    """Student's t with two degrees of freedom (no variance), 1 % wide, and a hang of ten times in a hundred samples."""

    def noise() -> float:
        t = chance.gauss(0, 1) / (chance.expovariate(1.0) ** 0.5)
        return max(0.5, 1 + 0.01 * t) * (10 if chance.random() < 0.01 else 1)

    return noise


def two_speeds(chance: random.Random) -> Callable[[], float]:
    """A neighbour that comes and goes: 1.4 times as slow, for ten samples or so."""
    slow = False

    def noise() -> float:
        nonlocal slow
        slow = slow != (chance.random() < 0.1)
        return (1.4 if slow else 1.0) * (1 + chance.gauss(0, 0.01))

    return noise


NOISES = (drifting, autocorrelated, heavy_tailed, two_speeds)


def _stage(trust: ModuleType, machine: Machine, planted: float) -> Any:
    times = {"base": CALL_NS, "cand": CALL_NS * (1 + planted)}
    spins = {"spin": CALL_NS * planted + 500, "least": 500.0} if planted else {}
    made = {name: machine.subject(trust.key_of(CASE, name, "eager").name, ns) for name, ns in (times | spins).items()}
    return trust.Stage("simulated", "eager", CASE, machine.refill, planted=planted, **made)


def _tallies(trust: ModuleType, noise: Any, planted: float) -> dict[str, dict[str, Any]]:
    found = []
    for seed in range(TRIALS if not planted else TRIALS // 2):
        machine = Machine(noise, seed)
        stage = _stage(trust, machine, planted)
        settings = trust.Settings(seconds=0.5, seed=seed)
        trials = trust.Trials(MACHINE, machine, machine.clock, settings)
        found += trials.run(stage, 0)
    return {
        metric: trust.tally([one for one in found if one.metric == metric], planted) for metric in ("wall", "device")
    }


@pytest.mark.parametrize("noise", NOISES)
def test_a_path_against_itself_is_seldom_called_faster_or_slower(trust: ModuleType, noise: Any) -> None:
    for metric, tally in _tallies(trust, noise, 0.0).items():
        assert tally["false_share"] <= 0.05, (metric, tally)
        assert tally["covered_share"] >= 0.93, (metric, tally)
        assert tally["longest_s"] < 0.6, (metric, tally)


@pytest.mark.parametrize("noise", [drifting, autocorrelated, heavy_tailed])
@pytest.mark.parametrize("planted", [0.05, 0.20])
def test_a_planted_slow_down_is_found_and_its_size_is_in_the_interval(
    trust: ModuleType, noise: Any, planted: float
) -> None:
    for metric, tally in _tallies(trust, noise, planted).items():
        assert tally["found_share"] >= 0.95, (metric, tally)
        assert tally["covered_share"] >= 0.93, (metric, tally)
        assert tally["true_ratio"] == pytest.approx(1 / (1 + planted), abs=0.005)


def test_a_clock_that_favours_a_side_is_found_out(trust: ModuleType) -> None:
    """The measure itself can fail: a second name that is always 5 % slower is no path against itself."""
    found = []
    for seed in range(10):
        machine = Machine(drifting, seed)
        stage = _stage(trust, machine, 0.0)
        stage.cand = machine.subject(stage.cand.name, CALL_NS * 1.05)
        trials = trust.Trials(MACHINE, machine, machine.clock, trust.Settings(seconds=0.5))
        found += trials.run(stage, seed)
    assert trust.tally(found, 0.0)["false_share"] > 0.9


def test_the_real_machinery_runs_on_a_cpu(
    trust: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "trust.json"
    words = ["--device", "cpu", "--trials", "1", "--planted-trials", "1", "--trial-seconds", "0.1", "--out", str(out)]
    assert trust.main([*words, "--samples", str(tmp_path / "samples.parquet")]) == 0
    document = json.loads(out.read_text())
    assert [stage["name"] for stage in document["stages"]] == [
        "itself-eager",
        "host-spin-20%",
        "host-spin-5%",
        "host-spin-2%",
    ]
    assert document["machine"]["device"] == "cpu"
    for stage in document["stages"]:
        assert stage["metrics"]["wall"]["trials"] == 1
        assert stage["case"] == "28b-tp1-n4-bf16-image"
    assert "itself-eager" in capsys.readouterr().out


def test_both_graphs_of_a_device_spin_end_in_one_spin(trust: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """No GPU here: the captures are played, and what they would hold is counted."""
    log: list[str] = []
    graphs: list[list[str]] = []

    def replays(one: Any, batch: Any) -> Any:
        log.clear()
        for arguments in batch:
            one(*arguments)
        graphs.append(list(log))
        return lambda _: lambda: None

    taken = iter(range(1000))
    ring = SimpleNamespace(
        operation=OPERATION, take=lambda count: [(next(taken),) for _ in range(count)], refill=lambda _: None
    )
    device = SimpleNamespace(torch_device=None, flush=lambda: None, synchronize=lambda: None)
    spin = ModuleType("spin")
    spin.DeviceSpin = lambda _: lambda: log.append("spin")  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "spin", spin)
    monkeypatch.setattr("rope_prof.record.bench.subjects.replays", replays)
    monkeypatch.setattr("rope_prof.record.bench.subjects.in_mode", lambda *_: (lambda n: log.append(f"call {n}"), True))
    machinery = object.__new__(trust.Machinery)
    machinery.device, machinery.case, machinery.path, machinery.ring = device, CASE, "fused", ring
    path, alone, _ = machinery.spun()
    assert graphs == [[*(f"call {n}" for n in range(28)), "spin"], ["spin"]]
    assert path.step == alone.step == 28 and path.one_step and alone.one_step


def test_the_page_has_the_figures_of_the_results(trust: ModuleType, repository: Path) -> None:
    page = (repository / "docs/numbers.md").read_text(encoding="utf-8")
    results = sorted((repository / "docs/results").glob("trust-*.json"))
    assert results
    assert trust.page(results) in page, "put in: python benchmarks/trust.py --table docs/results/trust-*.json"


def test_every_way_to_an_interval_finds_a_plain_ratio(methods: ModuleType) -> None:
    pytest.importorskip("scipy", reason="Student's t needs scipy")
    chance = np.random.default_rng(0)
    base, cand = 100 + chance.normal(0, 1, 60), 110 + chance.normal(0, 1, 60)
    for name, method in methods.METHODS.items():
        lo, hi = method(base, cand)
        assert lo < 100 / 110 < hi, name
        assert hi - lo < 0.05, name


def test_every_way_over_processes_holds_the_truth_and_a_known_channel_makes_it_narrow(methods: ModuleType) -> None:
    lines = [line.strip("| ").split(" | ") for line in list(methods.process_rows(2000))[2:]]
    assert all(float(holds.rstrip("%")) >= 92 for _, _, holds, _ in lines)
    half = {name: float(width.rstrip("%")) for where, name, _, width in lines if where.startswith("17%, 3.9%")}
    assert half["t, the channel known"] < 1 < half["t without the outermost"] < half["t over pairs"]


def test_the_ways_are_told_the_truth_of_each_trial(methods: ModuleType) -> None:
    rows = [
        ("s", trial, f"{key}.eager", number, "wall", 2, 2 * ns)
        for trial in (0, 1)
        for key, ns in (("base", 100), ("cand", 110), ("spin", 26), ("least", 1))
        for number in range(8)
    ]
    frame = pl.DataFrame(rows, schema=["stage", "trial", "key", "round", "clock", "calls", "ns"], orient="row")
    assert [true for _, _, true in methods.trials(frame)] == [0.8, 0.8]
    lines = list(methods.rows(frame.filter(pl.col("key").is_in(["base.eager", "cand.eager"]))))
    assert len(lines) == 2 + len(methods.METHODS)
