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


#: Every option with every shape and with every kind of cache, each pair once or more.
OPTIONS: tuple[dict[str, Any], ...] = ({}, {"settled": True}, {"keep_k": True}, {"out": True})
PAIRS = [
    pytest.param(shape, how, OPTIONS[(i + j) % 4], id=f"{shape.model}-{shape.q_heads}-{shape.pairing}-{how['kind']}")
    for i, shape in enumerate(SHAPES)
    for j, how in enumerate(CACHES)
] + [pytest.param(ERNIE_28B, CACHES[0], options, id=f"28b-{next(iter(options))}") for options in OPTIONS[1:]]


@pytest.mark.parametrize(("shape", "how", "options"), PAIRS)
def test_every_layout_is_right_the_first_time_and_by_the_short_way(
    shape: MropeShape, how: dict[str, Any], options: dict[str, Any]
) -> None:
    """At each of the three lengths, for whose kernels one is compiled with the others."""
    from rope_prof.kernels.mrope_kv.fused import fused

    for tokens in (5, 517, 2051):
        x = made(shape, tokens, **how)
        x.slots[2], x.slots[3], x.slots[4] = -1, 10**9, -(2**40)
        want, before = exact(x, shape), x.qkv.clone()
        given = options | ({"out": torch.empty_like(x.q)} if "out" in options else {})
        for _ in range(2):
            x.qkv.copy_(before)
            fused(*x.arguments(shape), **given)
            found = shares(x, want, given.get("out", x.q))
            assert min(found) >= ROUNDED, (tokens, found)
            if how["kind"] == "same":
                assert found[2] == 1.0
            assert torch.equal(x.v, before[:, shape.heads * shape.head_dim :])


@pytest.mark.parametrize("how", CACHES, ids=lambda how: f"{how['kind']}-{how['layout']}")
def test_a_layers_own_call_writes_what_the_plain_one_does(how: dict[str, Any]) -> None:
    """q, k and v apart and in one, for two layers in turn and for another length between."""
    from rope_prof.kernels.mrope_kv.bound import Bound

    for tokens in (5, 64, 5):
        layers = [made(ERNIE_28B, tokens, **how) for _ in range(2)]
        bound = [
            Bound(ERNIE_28B, x.cos_sin_cache, x.k_cache, x.v_cache, x.k_scale, x.v_scale, x.layout) for x in layers
        ]
        wants = [exact(x, ERNIE_28B) for x in layers]
        befores = [[part.clone() for part in (x.qkv, x.k_cache, x.v_cache)] for x in layers]
        for packed in (False, True, False, True):
            for x, layer, want, before in zip(layers, bound, wants, befores, strict=True):
                for part, old in zip((x.qkv, x.k_cache, x.v_cache), before, strict=True):
                    part.copy_(old)
                if packed:
                    layer.packed(x.qkv, x.positions, x.slots)
                else:
                    layer(x.q, x.k, x.v, x.positions, x.slots)
                assert min(shares(x, want, x.q)) >= ROUNDED


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
    with profile(activities=[ProfilerActivity.CUDA], acc_events=True) as seen:
        graph.replay()
        torch.cuda.synchronize()
    assert min(shares(x, want, x.q)) >= ROUNDED
    kernels = [event.name for event in seen.events() if event.device_type == torch.autograd.DeviceType.CUDA]
    assert kernels == ["mrope_kv_kernel"]
