"""What the Perfetto file of a run says of its bubbles: no drawn figure stands bare where it is not to be trusted."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from rope_prof.analysis.run.rows import Row, summary
from rope_prof.model.run import Run
from rope_prof.views.perfetto.export import run_metadata, run_trace
from tests.builders import kernel, range_, trace
from tests.runs import facts, run, samples


def told(**more: Any) -> tuple[Run, Row]:
    found = run(facts())
    row = summary(found, samples(unfused_eager=[310e3 + k for k in range(8)]), {})[0]
    figures = {"bubble_raw_ns": 526e3, "bubble_corrected_ns": 235e3, "inflation": 1.94}
    return found, replace(row, **(figures | more))


def line(**more: Any) -> str:
    found, row = told(**more)
    return run_metadata(found, [row])[f"rope_prof.figures.{row.key}"]


def test_a_bubble_that_the_profiler_dominates_says_so_with_the_corrected_one_beside_it() -> None:
    assert (
        "bubble (profiled) 526 µs, not to be trusted: the profiled call is 1.94x the unprofiled one; "
        "bubble (corrected, unprofiled) 235 µs"
    ) in line()
    assert "bubble (profiled) 526 µs; bubble (corrected, unprofiled) 235 µs" in line(inflation=1.4)
    assert "not to be trusted" not in line(inflation=None), "nothing was timed without the profiler"


def test_a_corrected_bubble_that_its_cross_check_denies_names_both() -> None:
    denied = line(bubble_corrected_ns=-4810.0, bubble_by_replay_ns=962.0, bubbles_agree=False)
    assert "bubble (corrected, unprofiled) -4.81 µs ≠ 962 ns by graph replay" in denied
    assert "≠" not in line(bubble_by_replay_ns=235e3, bubbles_agree=True)


def test_a_corrected_bubble_says_its_part_of_the_host_and_of_the_queue() -> None:
    said = line(bubble_host_ns=204_500.0, bubble_queue_ns=30_500.0)
    assert "bubble (corrected, unprofiled) 235 µs = host 204 µs + queue 30.5 µs" in said
    assert "host" not in line(bubble_host_ns=None, bubble_queue_ns=None).partition("bubble")[2]


def test_the_group_of_the_side_says_the_same() -> None:
    found, row = told()
    drawn = trace(range_(f"{row.key}#0", 0, 5), kernel(10, 20), range_(f"{row.key}#1", 30, 35), kernel(40, 50))
    data = run_trace(found, [row], {row.key: drawn}).data
    words = "Medians of a call: bubble (profiled) 526 µs, not to be trusted"
    assert data.count(words.encode()) == 1
