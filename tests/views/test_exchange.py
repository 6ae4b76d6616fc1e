"""A run in other tools' formats: their own readers read it, and find our figures in their fields."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cuda.bench.results import BenchmarkResult
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from pytest_benchmark.stats import Stats

from rope_prof.cli import main
from rope_prof.errors import RunError
from rope_prof.io.run.redact import PrivateWords
from rope_prof.model.run import MODES
from rope_prof.opened.exchange import EXCHANGE, exchanged
from rope_prof.opened.run import OpenedRun, open_run
from rope_prof.units import SECOND
from rope_prof.views.exchange.pytest_benchmark import pytest_benchmark
from rope_prof.views.exchange.timed import Exchanged, TimedKey, timed

ROOT = Path(__file__).parents[2]
SHIPPED = ("h100-ernie28b", "h200-sweep", "h200-rmsnorm-quant")
NOBODY = PrivateWords({})
PATHS = ("unfused", "fused")


@pytest.fixture(scope="module", params=SHIPPED)
def shipped(request: pytest.FixtureRequest) -> OpenedRun:
    return open_run(ROOT / "traces" / request.param)


def found(run: OpenedRun) -> Exchanged:
    return timed(run.run, run.rows, run.samples)


def consumer(*words: object) -> str:
    """What the tool prints; another exit code than 0 is an error."""
    environment = os.environ | {"NO_COLOR": "1", "COLUMNS": "200"}
    done = subprocess.run(
        [sys.executable, "-m", *map(str, words)], capture_output=True, text=True, check=False, env=environment
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_measured_key_goes_out_and_every_other_is_named(shipped: OpenedRun) -> None:
    out = found(shipped)
    measured = [facts.key.name for facts in shipped.run.keys if facts.status == "measured"]
    assert [one.row.key for one in out.keys] == measured
    assert len(out.left_out) == len(shipped.run.keys) - len(measured)
    assert len({one.label for one in out.keys}) == len(out.keys)


def test_nvbench_reads_every_device_time(shipped: OpenedRun, tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    path.write_text(exchanged(shipped, "nvbench", NOBODY)[0])
    read = BenchmarkResult.from_json(path)
    medians = {(name, state.name()): state for name in read for state in read[name]}
    keys = [one for one in found(shipped).keys if one.device_ns]
    assert len(medians) == len(keys)
    for one in keys:
        case = " ".join(f"{axis}={value}" for axis, value in one.row.case.values)
        name = f"{shipped.run.operation.name}: {one.row.path} {one.row.mode} {one.row.l2}"
        summaries = medians[name, case].summaries
        assert one.row.device_ns is not None
        assert summaries["nv/cold/time/gpu/median"].value == pytest.approx(one.row.device_ns.median / SECOND)
        assert summaries["nv/cold/sample_size"].value == len(one.device_ns)


@pytest.mark.parametrize("script", ["nvbench_compare_robust", "nvbench_compare"])
def test_nvbench_compares_a_run_with_itself(script: str, tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    path.write_text(exchanged(open_run(ROOT / "traces" / "h200-rmsnorm-quant"), "nvbench", NOBODY)[0])
    said = consumer(f"cuda.bench.scripts.{script}", "--no-color", path, path)
    assert sum(f"# rmsnorm-quant: {path} {mode} cold" in said for path in PATHS for mode in MODES) == 6
    assert said.count("SAME") >= 4  # the robust one calls none the same whose samples scatter too far
    assert "FAST" not in said
    assert "SLOW" not in said


def test_a_run_without_a_device_clock_has_no_place_in_nvbench(shipped: OpenedRun) -> None:
    out = found(shipped)
    cpu = Exchanged(
        run=out.run,
        keys=tuple(TimedKey(row=o.row, label=o.label, wall_ns=o.wall_ns, device_ns=()) for o in out.keys),
        left_out=(),
    )
    with pytest.raises(RunError, match=r"no device time .*pytest-benchmark, github-benchmark or openmetrics"):
        EXCHANGE["nvbench"](cpu)
    assert json.loads(EXCHANGE["pytest-benchmark"](cpu))["benchmarks"]


@pytest.mark.parametrize("rounds", range(1, 13))
def test_statistics_are_those_of_pytest_benchmark(shipped: OpenedRun, rounds: int) -> None:
    out = found(shipped)
    samples = tuple(float(1000 + (37 * i * i) % 101 + (5000 if i == 7 else 0)) for i in range(rounds))
    one = TimedKey(row=out.keys[0].row, label="a", wall_ns=samples, device_ns=())
    written: dict[str, Any] = json.loads(pytest_benchmark(Exchanged(run=out.run, keys=(one,), left_out=())))
    theirs = Stats()
    for ns in samples:
        theirs.update(ns / SECOND)
    ours = written["benchmarks"][0]["stats"]
    for name, value in theirs.as_dict().items():
        assert ours[name] == (value if isinstance(value, str) else pytest.approx(value)), name


def test_pytest_benchmark_compares_it(tmp_path: Path) -> None:
    run = open_run(ROOT / "traces" / "h200-rmsnorm-quant")
    path = tmp_path / "run.json"
    path.write_text(exchanged(run, "pytest-benchmark", NOBODY)[0])
    said = consumer("pytest_benchmark", "compare", path, "--columns=median", "--group-by=group")
    assert "fused graph cold [h4096-n64-bf16-int8.r0]" in said
    assert "unfused eager cold" in said
    assert "6 tests" in said


def test_github_benchmark_has_what_the_action_asks_for(shipped: OpenedRun) -> None:
    entries = json.loads(exchanged(shipped, "github-benchmark", NOBODY)[0])
    rows = {one.label: one.row for one in found(shipped).keys}
    assert len({entry["name"] for entry in entries}) == len(entries)
    for entry in entries:
        label, clock = entry["name"].removeprefix(f"{shipped.run.operation.name}: ").rsplit(" · ", 1)
        figure = rows[label].wall_ns if clock == "wall" else rows[label].device_ns
        assert figure is not None
        assert entry["unit"] == "µs"
        assert entry["value"] == pytest.approx(figure.median / 1e3)
    assert len(entries) == sum((row.wall_ns is not None) + (row.device_ns is not None) for row in rows.values())


def test_prometheus_reads_it(shipped: OpenedRun) -> None:
    families = {one.name: one for one in text_string_to_metric_families(exchanged(shipped, "openmetrics", NOBODY)[0])}
    wall = families["rope_prof_wall_seconds"]
    assert wall.unit == "seconds"
    medians = [sample for sample in wall.samples if sample.labels["bound"] == "median"]
    rows = [one.row for one in found(shipped).keys if one.row.wall_ns is not None]
    assert [sample.value for sample in medians] == [row.wall_ns.median / SECOND for row in rows if row.wall_ns]
    assert [sample.labels["path"] for sample in medians] == [row.path for row in rows]


@pytest.mark.parametrize("to", EXCHANGE)
def test_nothing_private_goes_out(to: str) -> None:
    run = open_run(ROOT / "traces" / "h200-rmsnorm-quant")
    named = replace(run.run, operation=replace(run.run.operation, name="of-alice at /home/alice/op.py"))
    text, said = exchanged(OpenedRun(replace(run.folder, run=named)), to, PrivateWords({"alice": "user"}))
    assert "of-" in text
    assert "alice" not in text
    assert said[0].startswith("removed before writing: ")


@pytest.mark.parametrize("to", EXCHANGE)
def test_the_command_writes_one_file(to: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "made"
    assert main(["export", str(ROOT / "traces" / "h200-silu-mul"), "--to", to, "-o", str(out)]) == 0
    assert str(out) in capsys.readouterr().out
    assert out.stat().st_size > 1000
    assert main(["export", str(ROOT / "traces" / "h200-silu-mul"), "--to", to, "-o", str(tmp_path)]) == 2
