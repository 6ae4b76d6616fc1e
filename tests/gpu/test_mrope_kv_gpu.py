"""The cache write on a real GPU: right in every layout and under torch.compile, one launch, nothing compiled anew."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from rope_prof.kernels.mrope.shape import ERNIE_28B, ERNIE_424B, QWEN2_VL_7B, QWEN3_VL_8B, MropeShape

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")

SHAPES = (ERNIE_28B, ERNIE_28B.tp(4), ERNIE_424B.tp(8), QWEN2_VL_7B, QWEN3_VL_8B, replace(ERNIE_28B, pairing="neox"))
CACHES: tuple[dict[str, Any], ...] = (
    {"kind": "same", "layout": "NHD", "page_size": 16},
    {"kind": "fp8", "layout": "HND", "page_size": 1, "interleaved": True},
    {"kind": "fp8-head", "layout": "NHD", "page_size": 256, "interleaved": True},
    {"kind": "fp8-token", "layout": "HND", "page_size": 48},
)
#: At least this share of outputs is the correctly rounded one.
ROUNDED = 0.999


def made(shape: MropeShape, tokens: int, **how: Any) -> Any:
    from rope_prof.kernels.mrope_kv.inputs import make_kv_ring

    return make_kv_ring(shape, tokens, 1, device="cuda", prompt="random", seed=7, **how)[0]


def exact(x: Any, shape: MropeShape) -> tuple[torch.Tensor, ...]:
    from rope_prof.kernels.mrope_kv.reference import reference

    return reference(*x.arguments(shape))


def shares(x: Any, want: tuple[torch.Tensor, ...], q: torch.Tensor) -> list[float]:
    pairs = zip((q, x.k_cache, x.v_cache), want, strict=True)
    return [float((got.double() == right.to(got.dtype).double()).double().mean()) for got, right in pairs]


@pytest.mark.parametrize("how", CACHES, ids=lambda how: f"{how['kind']}-{how['layout']}-{how['page_size']}")
@pytest.mark.parametrize("shape", SHAPES, ids=lambda s: f"{s.model}-{s.q_heads}+{s.kv_heads}-{s.pairing}")
def test_every_layout_is_right_the_first_time_and_by_the_short_way(shape: MropeShape, how: dict[str, Any]) -> None:
    from rope_prof.kernels.mrope_kv.fused import fused

    x = made(shape, 517, **how)
    x.slots[2], x.slots[5], x.slots[7] = -1, 10**9, -(2**40)
    want, before = exact(x, shape), x.qkv.clone()
    for options in ({}, {}, {"settled": True}, {"keep_k": True}, {"out": torch.empty_like(x.q)}):
        x.qkv.copy_(before)
        fused(*x.arguments(shape), **options)
        found = shares(x, want, options.get("out", x.q))
        assert min(found) >= ROUNDED, (options, found)
        if how["kind"] == "same":
            assert found[2] == 1.0
        assert torch.equal(x.v, before[:, shape.heads * shape.head_dim :])


def test_a_position_outside_is_nan_for_its_token_alone_in_fp8_too() -> None:
    from rope_prof.kernels.mrope_kv.fused import fused

    x = made(ERNIE_28B, 97, kind="fp8")
    x.positions[1, 5], x.positions[0, 90], x.positions[2, 0] = 131_072, -1, 2**40
    fused(*x.arguments(ERNIE_28B))
    keys = x.k_cache.double().view(-1, 512)[x.slots].isnan()
    assert x.q.isnan().any(1).nonzero().flatten().tolist() == [0, 5, 90]
    assert keys.any(1).nonzero().flatten().tolist() == [0, 5, 90]
    assert not x.v_cache.double().isnan().any()


def test_new_lengths_slots_and_page_counts_compile_nothing() -> None:
    from rope_prof.kernels.mrope_kv.fused import fused
    from rope_prof.kernels.mrope_kv.kernel import mrope_kv_kernel

    def kernels() -> int:
        return sum(len(cache[0]) for cache in mrope_kv_kernel.device_caches.values())

    x = made(ERNIE_28B, 64)
    fused(*x.arguments(ERNIE_28B))
    compiled = kernels()
    for tokens in (1, 2, 63, 973, 4096):
        x = made(ERNIE_28B, tokens)
        want = exact(x, ERNIE_28B)
        fused(*x.arguments(ERNIE_28B))
        assert min(shares(x, want, x.q)) >= ROUNDED
    assert kernels() == compiled


@pytest.mark.parametrize("interleaved", [False, True])
def test_compiled_code_and_graphs_launch_one_kernel_and_are_right(interleaved: bool) -> None:
    from rope_prof.kernels.mrope_kv.fused import fused
    from torch.profiler import ProfilerActivity, profile

    x = made(ERNIE_28B, 973, interleaved=interleaved)
    want, before = exact(x, ERNIE_28B), x.qkv.clone()
    caches = (x.k_cache._base[0], None) if interleaved else (x.k_cache, x.v_cache)
    given = (x.q, x.k, x.v, x.positions, x.cos_sin_cache, *caches, x.slots)
    step = torch.compile(lambda *tensors: fused(*tensors, None, None, ERNIE_28B), fullgraph=True)
    step(*given)
    x.qkv.copy_(before)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step(*given)
    with profile(activities=[ProfilerActivity.CUDA]) as seen:
        graph.replay()
        torch.cuda.synchronize()
    assert min(shares(x, want, x.q)) >= ROUNDED
    kernels = [event.name for event in seen.events() if event.device_type == torch.autograd.DeviceType.CUDA]
    assert kernels == ["mrope_kv_kernel"]
