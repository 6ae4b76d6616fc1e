"""Rotary embedding and cache write in one launch: right in every layout, refusing what it cannot take, one kernel."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from rope_prof.kernels.lookup import operation
from rope_prof.kernels.mrope.lengths import LENGTHS, divisor, length_of
from rope_prof.kernels.mrope.shape import ERNIE_28B, ERNIE_424B, PRESETS, MropeShape
from rope_prof.kernels.mrope.turning import BEFORE_ROWS, GUESSED
from rope_prof.kernels.mrope_kv.cache import FP8, pages_of, quantised, read_slots, scale_strides, write_slots
from rope_prof.kernels.mrope_kv.checks import Given, check
from rope_prof.kernels.mrope_kv.cut import cut
from rope_prof.kernels.mrope_kv.inputs import make_kv_ring
from rope_prof.kernels.mrope_kv.operation import MROPE_KV
from rope_prof.kernels.mrope_kv.paths import NAMES
from rope_prof.kernels.mrope_kv.traffic import least_bytes, path_bytes

from tests.kernels.interpreted_kv import CASES
from tests.kernels.shapes import small

PROGRAM = Path(__file__).with_name("interpreted_kv.py")
CASE = {"model": "28b", "tp": 1, "tokens": 5, "dtype": "bf16", "cache": "fp8", "layout": "HND", "page": 4,
        "prompt": "image"}  # fmt: skip


@pytest.fixture(scope="session")
def facts(repository: Path) -> dict[str, dict[str, Any]]:
    """What every case found, from one child process under Triton's interpreter."""
    path = os.pathsep.join([str(repository), os.environ.get("PYTHONPATH", "")])
    environment = os.environ | {"TRITON_INTERPRET": "1", "PYTHONPATH": path}
    done = subprocess.run(
        [sys.executable, str(PROGRAM)], env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr[-4000:]
    found: dict[str, dict[str, Any]] = json.loads(done.stdout.splitlines()[-1])
    return found


def case(facts: dict[str, dict[str, Any]], name: str) -> dict[str, Any]:
    assert "failed" not in facts[name], facts[name]["failed"]
    return facts[name]


@pytest.mark.parametrize("name", [name for name in CASES if name.startswith(("layout", "when", "to an", "path"))])
def test_q_is_turned_and_k_and_v_are_in_their_slots(facts: dict[str, dict[str, Any]], name: str) -> None:
    """fp32 within two of its steps; fp8, and v, to the bit: skipped slots, spare pages and other lanes included."""
    found = case(facts, name)
    assert found["q"] <= 2**-20
    assert found["k_cache"] <= 2**-20
    assert found["v_cache"] == 0
    assert found["kept"]


def test_k_is_kept_where_it_is_asked_for(facts: dict[str, dict[str, Any]]) -> None:
    assert case(facts, "keep k")["k"] == 0


def test_a_position_outside_the_table_is_nan_for_its_token_alone(facts: dict[str, dict[str, Any]]) -> None:
    assert case(facts, "outside") == {"q": [3, 5], "k": [3, 5], "v": 0}


@pytest.mark.parametrize("name", ["compiled", "compiled interleaved", "compiled interleaved at any sizes"])
def test_compiled_code_calls_the_operator_once_and_clones_nothing(facts: dict[str, dict[str, Any]], name: str) -> None:
    """Also where one cache holds k and v; q, k and v are views of one tensor from outside the graph."""
    found = case(facts, name)
    assert (found["operators"], found["clones"]) == (1, 0)
    assert max(found["errors"]) <= 2**-20


@pytest.mark.parametrize("name", ["served", "rope-then-index", "rope-then-write"])
def test_chains_that_read_k_after_it_was_turned_are_right_when_compiled(
    facts: dict[str, dict[str, Any]], name: str
) -> None:
    """q, k and v views of one tensor, caches of another, each buffer at its own offset."""
    assert max(case(facts, f"compiled {name}")["errors"]) <= 2**-19


def test_views_of_one_cache_are_refused_in_compiled_code(facts: dict[str, dict[str, Any]]) -> None:
    assert "pass that tensor whole as k_cache" in case(facts, "compiled views")["refused"]


def test_a_view_that_torch_would_write_beside_is_refused_in_compiled_code(facts: dict[str, dict[str, Any]]) -> None:
    """At fixed sizes it is right; at changing ones Inductor takes the offset of `caches[1]` for 0."""
    found = case(facts, "compiled view inside")
    assert max(found["errors"]) <= 2**-20
    assert "k_cache is a view made in compiled code" in found["refused"]


def given(**other: Any) -> tuple[Given, MropeShape]:
    shape = small(5, 2)
    x = make_kv_ring(shape, 7, 1, torch.float32, kind=other.pop("kind", "same"))[0]
    return Given(*x.arguments(shape)[:10])._replace(**other), shape  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("other", "kind", "sentence"),
    [
        ({"slots": torch.zeros(6, dtype=torch.int64)}, "same", r"slots is \(6,\); expected \(7,\)"),
        ({"slots": torch.zeros(7)}, "same", "slots is torch.float32; expected torch.int64 or torch.int32"),
        ({"k_cache": torch.zeros(2, 16, 3, 128)}, "same", "expected 2 heads of 128"),
        ({"v_cache": torch.zeros(9, 16, 2, 128)}, "same", "expected as many pages of the same size and dtype"),
        ({"k_cache": torch.zeros(2, 16, 2, 128).half()}, "same", "k_cache is torch.float16; expected torch.float32"),
        ({"k_cache": torch.zeros(2, 16, 128)}, "same", r"\(2, 16, 128\)"),
        ({"k_scale": torch.ones(1)}, "same", "only fp8 has scales"),
        ({"k_scale": None}, "fp8", "k_scale is None; expected float32 for an fp8 cache"),
        ({"v_scale": torch.ones(3)}, "fp8", r"scale \(3,\); expected \[1\], \[2\]"),
        ({"v": torch.zeros(7, 128)}, "same", r"v is \(7, 128\); expected \[N, 2 \* 128\]"),
        ({"positions": torch.zeros(2, 7, dtype=torch.int64)}, "same", r"positions is \(2, 7\)"),
        ({"table": torch.zeros(9, 64)}, "same", "cos_sin_cache is"),
        ({"out": torch.zeros(7, 5 * 128).half()}, "same", "out is torch.float16; expected torch.float32, as q"),
    ],
)
def test_what_it_cannot_take_is_one_sentence(other: dict[str, Any], kind: str, sentence: str) -> None:
    found, shape = given(kind=kind, **other)
    with pytest.raises((TypeError, ValueError), match=sentence):
        check(found, shape, "NHD")


def test_a_fine_call_passes_and_an_unknown_layout_does_not() -> None:
    found, shape = given()
    check(found, shape, "NHD")
    with pytest.raises(ValueError, match="layout 'NDH'; expected 'NHD', 'HND'"):
        check(found, shape, "NDH")  # type: ignore[arg-type]


def test_scales_spread_over_tokens_and_heads() -> None:
    assert scale_strides(torch.ones(()), 7, 2) == scale_strides(torch.ones(1), 7, 2) == (0, 0)
    assert scale_strides(torch.ones(2), 7, 2) == (0, 1)
    assert scale_strides(torch.ones(7, 1), 7, 2) == (1, 0)
    assert scale_strides(torch.ones(7, 2), 7, 2) == (2, 1)


@pytest.mark.parametrize("layout", ["NHD", "HND"])
def test_what_is_written_to_slots_is_read_from_them(layout: Any) -> None:
    shape = (3, 4, 2, 8) if layout == "NHD" else (3, 2, 4, 8)
    cache, values = torch.zeros(shape).to(FP8), torch.arange(48.0).reshape(3, 2, 8).to(FP8)
    slots = torch.tensor([11, -1, 0])
    write_slots(cache, layout, slots, values)
    assert torch.equal(read_slots(cache, layout, slots[[0, 2]]).float(), values.float()[[0, 2]])
    assert int((cache.float() != 0).sum()) == int((values.float()[[0, 2]] != 0).sum())
    assert pages_of(cache, layout).slots == 12


def test_fp8_is_saturated_and_divided_by_its_scale() -> None:
    found = quantised(torch.tensor([[[1.0, 1e6, -1e6]]]), torch.tensor([0.5]), FP8)
    assert found.float().flatten().tolist() == [2.0, 448.0, -448.0]


def test_bytes_are_those_of_the_shape() -> None:
    assert least_bytes(ERNIE_28B, 1, 2, 2) == 28 * 256 + 20 * 256 + 8 * 256 + 8
    assert least_bytes(ERNIE_28B, 1, 2, 1) == 28 * 256 + 20 * 256 + 8 * 128 + 8
    assert path_bytes("rope-then-write", ERNIE_28B, 1, 2, 2) == 24 * 512 + 8 * 512 + 8
    assert path_bytes("fused", ERNIE_28B, 3, 2, 1) == least_bytes(ERNIE_28B, 3, 2, 1)
    assert path_bytes("served", ERNIE_28B, 1, 2, 1) is None


def test_every_head_is_in_one_program_and_lengths_grow_with_rows() -> None:
    for shape in (*PRESETS.values(), ERNIE_28B.tp(4), ERNIE_424B.tp(8), replace(ERNIE_28B, q_heads=7, kv_heads=7)):
        for length in LENGTHS:
            one = cut(shape, 2, length)
            few = length in ("step", "decode")
            guesses = few and shape.order != "interleaved"
            assert one.early == (GUESSED if guesses else BEFORE_ROWS)
            assert cut(shape, 2, length, settled=True).trigger_first == few
            assert one.trigger_first == (length == "step" or (few and not guesses))
            assert one.programs(shape, one.tokens) * one.q_heads >= shape.q_heads
            assert one.q_heads * one.tokens <= 16
    ends = {"step": (1, 2048), "decode": (2049, 8192), "short": (8193, 32768), "long": (32769,)}
    assert all(length_of(rows) == length for length, some in ends.items() for rows in some)
    assert [divisor(heads, 4) for heads in (20, 28, 64, 5, 7, 13)] == [4, 4, 4, 5, 7, 5]


def test_the_operation_holds_whole_caches_against_its_oracle() -> None:
    assert operation("mrope-kv") is MROPE_KV
    assert MROPE_KV.paths == NAMES
    (call,) = MROPE_KV.calls(CASE, 1, torch.device("cpu"), None, seed=1)
    q, keys, values = MROPE_KV.exact(CASE, call, slice(None))
    assert q.shape == call.arguments[0].shape
    assert keys.shape == call.arguments[5].shape
    out = MROPE_KV.path("unfused").call(*call.arguments)
    step = 2.0**-3
    for got, want in zip(out, (q, keys, values), strict=True):
        assert float((got.double() - want).abs().max()) <= step * float(want.abs().max())
    assert MROPE_KV.moved_bytes(CASE, None) == least_bytes(ERNIE_28B, 5, 2, 1)
    with pytest.raises(ValueError, match="does not divide"):
        MROPE_KV.check(CASE | {"tp": 3})
