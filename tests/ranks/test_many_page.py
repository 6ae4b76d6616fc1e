"""docs/fleet.md tells the benchmark's own figures; `python benchmarks/fleet.py --table` writes them."""

from __future__ import annotations

import copy
import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))
import fleet


def results() -> dict[str, object]:
    found: dict[str, object] = json.loads(fleet.RESULTS.read_text())
    return found


def test_the_page_has_the_figures_of_the_results() -> None:
    page = fleet.PAGE.read_text(encoding="utf-8")
    assert fleet.page_with(fleet.table(results()), page) == page, "run `python benchmarks/fleet.py --table`"


def test_the_arithmetic_on_paper_starts_from_the_table() -> None:
    said = results()
    ways = said["ways"]
    middle = {name: sorted(one["cpu_s"] for one in ways[name])[1] for name in ("one", "two")}  # type: ignore[index]
    page = fleet.PAGE.read_text(encoding="utf-8")
    size = said["bytes"] / 1e9  # type: ignore[operator]
    assert f"1,000 GB x {middle['one']:.1f} s / {size:.2f} GB | {round(1000 * middle['one'] / size, -2):,.0f} s" in page
    assert f"x {middle['two']:.1f} / {middle['one']:.1f} / 2" in page


def test_ratios_are_taken_within_a_round_and_failures_are_told() -> None:
    said = copy.deepcopy(results())
    one = {"wall_s": 10.0, "cpu_s": 9.0, "peak_bytes": 1 << 20, "worker_peak_bytes": 1 << 20}
    two = one | {"wall_s": 5.0, "cpu_s": 10.0}
    said["ways"] = {
        "one": [one, one],
        "two": [two, two | {"wall_s": 10.0}],
        "dask": [{"failed": "no cluster"}] * 2,
        "hta": [{"failed": "odd"}, two | {"wall_s": 40.0}],
    }
    text = fleet.table(said)
    assert "One process takes 1.50 [1.00, 2.00] times the wall time of two, and 0.90 [0.90, 0.90] times" in text
    assert "| no cluster |" in text
    assert "Dask takes" not in text
    assert "HTA takes 4.00 times" in text


def test_a_page_without_marks_is_refused() -> None:
    with pytest.raises(ValueError, match="lost the marks"):
        fleet.page_with("x", "# no marks\n")


def test_held_bytes_of_a_process_that_is_gone_are_none() -> None:
    assert fleet.held_bytes(2**22 + 1) == 0
