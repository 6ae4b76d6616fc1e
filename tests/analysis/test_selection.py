"""Groups and flame graphs of a selection: classes by kernels' real names, what a launch was made in, exact sums."""

from __future__ import annotations

import random

import polars as pl
import pytest

from rope_prof.analysis.selection.flame import OUTSIDE, UNLINKED, flame, known_sources, stacks
from rope_prof.analysis.selection.grouping import GROUPINGS, groups_of, known_groupings
from rope_prof.analysis.trace.calls import innermost
from rope_prof.analysis.trace.kernel_class import kernel_class
from rope_prof.analysis.trace.launches import launched
from rope_prof.analysis.trace.nesting import innermost_rows, nested
from rope_prof.model.trace import Trace
from tests.builders import graph, kernel, op, python, range_, trace

CLASSES = {
    "nvjet_tst_128x64_64x8_1x4_h_bz_TNN": "GEMM",
    "void cutlass::Kernel2<cutlass_80_tensorop_bf16_s16816gemm_relu_bf16_256x128>": "GEMM",
    "Cijk_Alik_Bljk_BBS_BH_Bias_HAS_SAV_UserArgs_MT256x16x128": "GEMM",
    "fused_moe_kernel": "GEMM",
    "void pytorch_flash::flash_fwd_kernel<pytorch_flash::Flash_fwd_kernel_traits<128>>": "attention",
    "void cutlass::device_kernel<flash::FlashAttnFwdSm90<...>>": "attention",
    "void flashinfer::BatchDecodeWithPagedKVCacheKernel<...>": "attention",
    "void flashinfer::norm::RMSNormKernel<8, __nv_bfloat16>": "reduction",
    "ncclDevKernel_AllReduce_Sum_bf16_RING_LL": "communication",
    "void vllm::cross_device_reduce_1stage<__nv_bfloat16, 8>": "communication",
    "void at::native::vectorized_elementwise_kernel<4, at::native::CUDAFunctor_add<float>>": "elementwise",
    "void at::native::(anonymous namespace)::CatArrayBatchedCopy<float>": "elementwise",
    "triton_poi_fused_add_mul_0": "elementwise",
    "triton_red_fused_mean_1": "reduction",
    "void at::native::radixSortKVInPlace<...>": "sort",
    "sm80_xmma_fprop_implicit_gemm_bf16bf16": "GEMM",
    "mine": "other",
}


def test_kernels_are_told_apart_by_the_work_they_do() -> None:
    drawn = trace(*(kernel(10 * k, 10 * k + 5, name=name) for k, name in enumerate(CLASSES)))
    assert dict(zip(CLASSES, kernel_class(launched(drawn)), strict=True)) == CLASSES
    more = trace(
        kernel(0, 1, kind="memcpy", name="Memcpy HtoD"),
        kernel(2, 3, kind="memset", name="Memset"),
        kernel(4, 5, kind="graph", name="g"),
        kernel(6, 7, name="mine", collective="all_to_allv"),
    )
    assert kernel_class(launched(more)).to_list() == ["copy", "copy", "graph", "communication"]


def drawn() -> Trace:
    """Two steps: a product in a module, an addition outside of it; a copy that no range holds; a lost launch."""
    parts = []
    for turn in range(2):
        at = 1000 * turn
        parts += [
            range_(f"step#{turn}", at, at + 500),
            python("train.py(7): main", at, at + 600),
            python("nn.Module: Linear_0", at + 10, at + 200),
            python("torch/nn/modules/linear.py(1): forward", at + 20, at + 190),
            op("aten::linear", at + 30, at + 180),
            op("aten::mm", at + 40, at + 170, external=9 + turn, input_dims="[[2, 3], [3, 4]]"),
            kernel(at + 300, at + 400, name="gemm", launched=(at + 50, at + 60), external=9 + turn),
            op("aten::add", at + 210, at + 240, external=19 + turn, input_dims="[[2, 4],\n [2,\n4], [], []]"),
            kernel(at + 400, at + 430, name="add", launched=(at + 220, at + 230), external=19 + turn),
        ]
    copy = kernel(1700, 1750, kind="memcpy", name="Memcpy HtoD (Pinned -> Device)", launched=(1650, 1660), stream=9)
    return trace(*parts, copy, kernel(1800, 1810, name="lost"))


@pytest.mark.parametrize(
    ("by", "said"),
    [
        ("name", ["gemm", "add"] * 2 + ["Memcpy HtoD (Pinned -> Device)", "lost"]),
        ("class", ["GEMM", "other"] * 2 + ["copy", "other"]),
        ("operator", ["aten::mm", "aten::add"] * 2 + [None, None]),
        ("shape", ["aten::mm [[2, 3], [3, 4]]", "aten::add [[2, 4], [2, 4]]"] * 2 + [None, None]),
        ("module", ["Linear_0", None] * 2 + [None, None]),
        ("line", ["train.py(7): main"] * 4 + [None, None]),
        ("range", ["step#*"] * 4 + [None, None]),
        ("stream", ["device 0 · stream 7"] * 4 + ["device 0 · stream 9", "device 0 · stream 7"]),
        ("rank", ["device 0"] * 6),
    ],
)
def test_every_group_is_what_the_file_says(by: str, said: list[str | None]) -> None:
    held = drawn()
    assert groups_of(held, launched(held), by).to_list() == said
    assert set(known_groupings(held)) == set(GROUPINGS)


def test_what_a_file_cannot_tell_is_not_offered() -> None:
    bare = trace(kernel(0, 10, launched=(-5, -2)))
    assert known_groupings(bare) == ("name", "class", "stream", "rank")
    assert known_sources(bare) == ()
    told = trace(kernel(0, 10), metadata={"distributedInfo": {"rank": 3}})
    assert groups_of(told, launched(told), "rank").to_list() == ["rank 3 · device 0"]


def test_without_an_external_id_the_innermost_operator_around_the_launch_counts() -> None:
    held = trace(op("aten::linear", 0, 50), op("aten::mm", 10, 40), kernel(60, 70, launched=(20, 25)))
    assert groups_of(held, launched(held), "operator").to_list() == ["aten::mm"]


@pytest.mark.parametrize("seed", range(8))
def test_the_innermost_span_is_the_one_that_the_other_rule_finds(seed: int) -> None:
    """Spans that nest, that overlap, that never close, on two threads, against `calls.inside`."""
    dice = random.Random(seed)
    spans = []
    for k in range(40):
        start = dice.randrange(200)
        end = None if dice.random() < 0.05 else start + dice.randrange(60)
        spans.append(range_(f"r{k}", start, end, thread=dice.choice((1, 2))))
    launches = [(dice.randrange(220), dice.choice((1, 2, 3))) for _ in range(60)]
    held = trace(
        *spans, *(kernel(300 + k, 301 + k, launched=(at, at + 1), thread=th) for k, (at, th) in enumerate(launches))
    )
    events = launched(held)
    nest = nested(held.ranges)
    rows = innermost_rows(nest, events)
    found = [None if row < 0 else nest.spans["name"][int(row)] for row in rows]
    starts = dict(held.ranges.select("name", "start_ns").iter_rows())
    want = innermost(held.ranges, events).to_list()
    assert [f and starts[f] for f in found] == [w and starts[w] for w in want]
    for row, parent in enumerate(nest.parent.tolist()):
        name = nest.spans.row(row, named=True)
        if parent >= 0:
            outer = nest.spans.row(parent, named=True)
            assert outer["thread"] == name["thread"]
            assert outer["start_ns"] <= name["start_ns"] < nest.end[parent]


def paths(frame: pl.DataFrame) -> dict[str, tuple[int, int]]:
    """`a;b;c` -> (ns, events) of every row."""
    rows = frame.rows(named=True)

    def path(row: dict[str, object]) -> str:
        above = int(str(row["parent"]))
        head = "" if above < 0 else path(rows[above])
        return f"{head};{row['name'] or ''}" if above >= 0 else "all"

    return {path(row): (row["ns"], row["events"]) for row in rows}


def test_a_flame_graph_adds_up_and_steps_are_one() -> None:
    held = drawn()
    events = launched(held)
    found = paths(flame(stacks(held, events, "range"), events, 0, 10_000))
    assert found == {
        "all": (320, 6),
        "all;step#*": (260, 4),
        "all;step#*;gemm": (200, 2),
        "all;step#*;add": (60, 2),
        f"all;{OUTSIDE['range']}": (50, 1),
        f"all;{OUTSIDE['range']};Memcpy HtoD (Pinned -> Device)": (50, 1),
        f"all;{UNLINKED}": (10, 1),
        f"all;{UNLINKED};lost": (10, 1),
    }


def test_a_flame_graph_of_a_stretch_holds_the_parts_inside_it() -> None:
    held = drawn()
    events = launched(held)
    found = paths(flame(stacks(held, events, "stack"), events, 350, 410))
    deep = "all;train.py(7): main;Linear_0;torch/nn/modules/linear.py(1): forward;gemm"
    assert found["all"] == (60, 2)
    assert found[deep] == (50, 1)
    assert found["all;train.py(7): main;add"] == (10, 1)
    modules = paths(flame(stacks(held, events, "module"), events, 0, 10_000))
    assert modules["all;Linear_0;gemm"] == (200, 2)
    assert modules[f"all;{OUTSIDE['module']}"] == (110, 3)
    assert paths(flame(stacks(held, events, "operator"), events, 5000, 6000)) == {"all": (0, 0)}
    assert known_sources(held) == ("range", "module", "stack", "operator")


def test_kernels_of_a_graph_are_of_the_range_around_its_launch() -> None:
    held = trace(range_("replay", 0, 100), graph((10, 20), (30, 40), (50, 60)))
    events = launched(held)
    found = paths(flame(stacks(held, events, "range"), events, 0, 100))
    assert found["all;replay;k"] == (20, 2)
