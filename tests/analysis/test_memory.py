"""Memory over time: as the allocator tells it, or summed from its changes; read from files of either kind."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rope_prof.analysis.trace.memory import memory_use
from rope_prof.io.trace.read import read_trace
from tests.builders import kernel, kineto_events, kineto_json, memory, trace


def test_the_allocators_totals_count_and_the_peak_is_named() -> None:
    drawn = trace(
        memory(30, -50, 100, 400), memory(10, 100, 100, 200), memory(20, 50, 150, 400), memory(5, 8, 8, device="cpu")
    )
    gpu, host = memory_use(drawn)
    assert (gpu.device, host.device) == ("0", "cpu")
    assert gpu.steps.rows() == [(10, 100, 200), (20, 150, 400), (30, 100, 400)]
    assert (gpu.peak_bytes, gpu.peak_ns, gpu.relative) == (150, 20, False)


def test_without_totals_the_changes_are_summed_from_the_files_beginning() -> None:
    (use,) = memory_use(trace(memory(10, 100, None), memory(20, -160, None), memory(30, 10, 0)))
    assert use.steps["allocated_bytes"].to_list() == [100, -60, -50]
    assert use.steps["reserved_bytes"].null_count() == 3
    assert (use.peak_bytes, use.relative) == (100, True)
    assert memory_use(trace(kernel(0, 10))) == ()


def test_a_file_with_allocations_is_read_and_its_window_still_ends(tmp_path: Path) -> None:
    drawn = trace(
        kernel(0, 10, launched=(-9, -3)), memory(2000, 512, 512, 2048), memory(3000, -512, 0, 2048, device="1")
    )
    path = tmp_path / "m.json"
    path.write_bytes(kineto_json(drawn))
    found = read_trace(path)
    assert found.memory.equals(drawn.memory)
    assert found.window_end is True
    assert found.events == 5


@pytest.mark.parametrize(
    "args", ["[]", '{"Bytes": [1], "Device Id": 0}', '{"Bytes": "many", "Device Type": 1, "Device Id": 0}']
)
def test_an_allocation_that_cannot_be_read_takes_nothing_with_it(args: str, tmp_path: Path) -> None:
    odd = f'{{"ph": "i", "name": "[memory]", "pid": 1, "tid": 1, "ts": 1.0, "args": {args}}}'
    assert json.loads(odd)
    path = tmp_path / "m.json"
    path.write_bytes(kineto_json([*kineto_events(trace(kernel(0, 10), memory(2000, 512, 512))), odd]))
    found = read_trace(path)
    assert found.gpu.height == 1
    assert found.memory["bytes"].to_list() == [512, None]
    (use,) = memory_use(found)
    assert use.peak_bytes == 512


def test_real_files_of_2021_and_2024_tell_their_memory(real_traces: Path) -> None:
    (old,) = memory_use(read_trace(real_traces / "17_resnet50_2021_capitalised_cats.json.gz"))[-1:]
    assert (old.device, old.relative) == ("cpu", True)
    new = memory_use(read_trace(real_traces / "02_h100_bert_compile_triton.json.gz"))
    assert [(use.device, use.steps.height) for use in new] == [("0", 218), ("cpu", 18)]
    assert new[0].steps["reserved_bytes"].unique().to_list() == [121_634_816]
