"""The trials between captures and processes: what they count, and that they run, at a small size."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest

from rope_prof.io.run.folder import read_run, shipped_runs

_SPEC = spec_from_file_location(
    "trust_processes", Path(__file__).resolve().parents[1] / "benchmarks/trust_processes.py"
)
assert _SPEC is not None
assert _SPEC.loader is not None
_MODULE = module_from_spec(_SPEC)
sys.modules[_SPEC.name] = _MODULE
_SPEC.loader.exec_module(_MODULE)
Trial, pair_trials, table, tallies = _MODULE.Trial, _MODULE.pair_trials, _MODULE.table, _MODULE.tallies
by_chance, targets = _MODULE.by_chance, _MODULE.targets


def trial(word: str, lo: float | None, hi: float | None, *, planted: bool = False, row: str = "processes") -> Any:
    return Trial(row, planted, "eager", "n64", "wall", word, 1.0 if lo else None, lo, hi)


def test_false_verdicts_coverage_and_widths_are_counted() -> None:
    same = [trial("SAME", 0.99, 1.01), trial("FASTER", 1.02, 1.06), trial("UNDECIDED", 0.9, 1.1)]
    slower = [trial("SLOWER", 0.94, 0.96, planted=True), trial("UNDECIDED", 0.9, 1.01, planted=True)]
    unknown = [trial("UNKNOWN", None, None, row="captures")]
    one, two, three = tallies([*same, *slower, *unknown])
    assert (one.n, one.differ, one.covered) == (3, pytest.approx(1 / 3), pytest.approx(2 / 3))
    assert one.half_width == pytest.approx(0.02)
    assert (two.planted, two.differ, two.covered) == (True, 0.5, None)
    assert (three.n, three.differ, three.covered, three.half_width) == (1, 0.0, None, None)
    assert len(table([one, two, three]).splitlines()) == 4


def test_a_row_of_few_verdicts_misses_by_chance_and_one_of_many_does_not() -> None:
    """Of six pairs of four names the same truth is in all: at 95 % a row of twelve holds 92 % or less in 4 of 10."""
    assert by_chance(12, 12) == 1.0
    assert by_chance(12, 11) == pytest.approx(0.41, abs=0.03)
    assert by_chance(12, 10) == pytest.approx(0.14, abs=0.02)
    assert by_chance(144, 120) < 0.001
    few = tallies([trial("UNDECIDED", 0.9, 1.1)] * 11 + [trial("UNDECIDED", 1.001, 1.1)])
    many = tallies([trial("UNDECIDED", 0.9, 1.1)] * 100 + [trial("UNDECIDED", 1.001, 1.1)] * 20)
    words = [next(word for what, word in targets(rows).items() if "hold 1" in what) for rows in (few, many)]
    assert words == ["open", "NOT"]


def test_a_run_and_its_copy_never_differ() -> None:
    run = read_run(shipped_runs() / "h200-sweep")
    found = pair_trials(run, run)
    assert found
    assert not any(each.differs for each in found)


@pytest.mark.slow
def test_a_planted_twentieth_and_nothing_are_recorded_and_judged(repository: Path, tmp_path: Path) -> None:
    out = tmp_path / "trust.json"
    words = ["--device", "cpu", "--repeats", "3", "--trials", "1", "--tokens", "4", "--rounds", "6", "-o", str(out)]
    done = subprocess.run(
        [sys.executable, repository / "benchmarks" / "trust_processes.py", *words],
        env=os.environ | {"PYTHONPATH": str(repository), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    rows = json.loads(out.read_text())["rows"]
    assert {(row["row"], row["planted"]) for row in rows} == {
        (row, planted) for row in ("captures", "processes") for planted in (False, True)
    }
    assert all(row["clock"] == "wall" and row["half_width"] is not None for row in rows)
