"""Counters as blocks: which paths have a row, and each figure beside the baseline's where both have it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import polars as pl
import pytest

from rope_prof.analysis.run.counters import counters_of
from rope_prof.analysis.trace.kernels import KERNELS
from rope_prof.model.nsight import Compute, KernelCounters, LeastBytes, ToolRecording
from rope_prof.views.blocks.counters import counter_tables, no_held_counters
from rope_prof.views.blocks.kernels import HeldKernels, Kernels
from rope_prof.views.blocks.model import Table
from tests.analysis.test_roof import row

#: What a kernel of each path counted; the fused one lacks what the tool did not give.
COUNTED: Mapping[str, Mapping[str, object]] = {
    "unfused": {
        "duration_ns": 4000.0,
        "dram_read_bytes": 8e6,
        "dram_write_bytes": 2e6,
        "l2_bytes": 20e6,
        "dram_percent": 10.0,
        "l2_percent": 40.0,
        "occupancy_percent": 50.02,
        "registers": 34,
        "stalls": {"long_scoreboard": 6.0, "wait": 2.0},
    },
    "fused": {
        "duration_ns": 1000.0,
        "dram_read_bytes": 3e6,
        "dram_write_bytes": 1e6,
        "l2_bytes": None,
        "dram_percent": 35.0,
        "l2_percent": 38.5,
        "occupancy_percent": 50.0,
        "registers": 64,
        "stalls": {"long_scoreboard": 1.0, "drain": 3.0},
    },
}


def side(path: str, mode: str = "eager") -> Kernels:
    found = replace(row(path, mode), key=f"{path}.{mode}.cold.c.r0")
    return Kernels(label=f"{path} · {mode}", row=found, kernels=pl.DataFrame(schema=KERNELS), calls=28)


UNFUSED, FUSED, GRAPH = side("unfused"), side("fused"), side("unfused", "graph")


def computed(**times: int) -> Compute:
    """So many kernels of each path, eager, all alike."""
    kernels = [
        KernelCounters(key=f"{path}.eager.cold.c.r0", name="k", **COUNTED[path])  # type: ignore[arg-type]
        for path, count in times.items()
        for _ in range(count)
    ]
    least = tuple(LeastBytes(key=f"{path}.eager.cold.c.r0", least_bytes=1_000_000) for path in COUNTED)
    return Compute(recording=ToolRecording(version="9.9", options=()), kernels=tuple(kernels), least=least)


def held(of: Kernels, compute: Compute) -> HeldKernels:
    return HeldKernels(label="the baseline", row=of.row, kernels=None, counters=counters_of(compute, of.row.key))


def cell(table: Table, line: int, head: str) -> str:
    return table.rows[line][table.head.index(head)].text


def test_counters_of_other_keys_are_no_table() -> None:
    compute = computed(fused=1)
    counters, stalls = counter_tables(compute, [UNFUSED, FUSED, GRAPH], None)
    assert [line[0].text for line in counters.rows] == [line[0].text for line in stalls.rows] == ["fused eager"]
    assert counters.title == "Counters of one call, Nsight Compute 9.9"
    assert counter_tables(compute, [UNFUSED, GRAPH], None) == ()


def test_each_counter_stands_beside_that_of_the_baseline() -> None:
    compute = computed(unfused=2, fused=1)
    counters, stalls = counter_tables(compute, [UNFUSED, FUSED], held(UNFUSED, compute))
    assert "in brackets the difference to the baseline" in counters.title
    told = {head: cell(counters, 1, head) for head in counters.head}
    assert told["kernels"] == "1 (−50 %)"
    assert told["alone µs"] == "1.00 (−88 %)"  # of two kernels of 4 µs
    assert told["DRAM MiB"] == "3.81 (−80 %)"
    assert told["DRAM %"] == "35 (+25 pp)"
    assert told["L2 %"] == "38 (−1.5 pp)"
    assert told["warps %"] == "50 (±0 pp)"
    assert told["registers"] == "64 (+30)"
    assert told["L2 MiB"] == "–", "the fused kernel has no such counter"
    assert told["SM %"] == told["of %"] == "–"
    assert told["least MiB"] == "0.954", "the shape's own, alike on both sides"
    assert cell(stalls, 1, "largest") == "drain 75%", "the baseline never waits for it"
    assert cell(stalls, 1, "second") == "long_scoreboard 25% (−50 pp)"
    for table in (counters, stalls):
        assert not any("(" in one.text for one in table.rows[0]), "the baseline is not held against itself"


def test_the_same_key_of_another_run_is_held_against() -> None:
    compute = computed(fused=1)
    other = replace(FUSED.row)
    base = replace(held(FUSED, compute), row=other)
    (counters, _) = counter_tables(compute, [FUSED], base)
    assert cell(counters, 0, "kernels") == "1 (±0 %)"
    assert cell(counters, 0, "registers") == "64 (±0)"


@pytest.mark.parametrize("base", [UNFUSED, GRAPH])
def test_a_baseline_without_counters_is_said(base: Kernels) -> None:
    compute = computed(fused=1)
    without = held(base, compute)
    assert without.counters is None
    (counters, stalls) = counter_tables(compute, [FUSED], without)
    assert "difference" not in counters.title
    assert not any("(" in one.text for table in (counters, stalls) for one in table.rows[0])
    assert "did not run the baseline, the baseline" in no_held_counters(without)
    assert no_held_counters(None) == no_held_counters(held(FUSED, compute)) == ""
