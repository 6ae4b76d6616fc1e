"""The fused kernel on a real GPU: right on every layout, one launch, no new compilation, never a stale launch."""

from __future__ import annotations

import re
import threading
from dataclasses import replace

import pytest
import torch
from rope_prof.kernels.mrope.inputs import Inputs, make_inputs
from rope_prof.kernels.mrope.reference import error, reference
from rope_prof.kernels.mrope.shape import ERNIE_28B, ERNIE_424B, MropeShape

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")

QWEN2 = MropeShape(
    model="qwen2-vl",
    q_heads=28,
    kv_heads=4,
    hidden=3584,
    layers=28,
    order="chunked",
    sections=(16, 24, 24),
    pairing="neox",
)
QWEN3 = replace(QWEN2, model="qwen3-vl", q_heads=32, kv_heads=8, order="interleaved", sections=(24, 20, 20))
PARTIAL = MropeShape(model="partial", q_heads=7, kv_heads=1, hidden=896, layers=1, rotary_dim=56, sections=(8, 10, 10))
SHAPES = [
    ERNIE_28B,
    ERNIE_28B.tp(2),
    ERNIE_28B.tp(4),
    ERNIE_424B,
    ERNIE_424B.tp(8),
    QWEN2,
    QWEN3,
    replace(QWEN2, pairing="interleaved"),
    replace(ERNIE_28B, pairing="neox"),
    PARTIAL,
    replace(PARTIAL, pairing="neox"),
]
#: At least this share of outputs is the correctly rounded one (two roundings of fp32 products move a few of 2^-16).
ROUNDED = {torch.bfloat16: 0.9999, torch.float16: 0.9998, torch.float32: 0.5}


def exact(inputs: Inputs, shape: MropeShape) -> tuple[torch.Tensor, torch.Tensor]:
    return reference(inputs.q, inputs.positions, shape), reference(inputs.k, inputs.positions, shape)


def call(inputs: Inputs, shape: MropeShape) -> None:
    from rope_prof.kernels.mrope.fused import fused

    fused(inputs.q, inputs.k, inputs.positions, inputs.cos_sin_cache, shape)


def assert_right(inputs: Inputs, want: tuple[torch.Tensor, torch.Tensor]) -> None:
    found = error((inputs.q, inputs.k), want)
    assert found.nans == 0
    assert found.rounded_share >= ROUNDED[inputs.q.dtype], found


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32], ids=str)
@pytest.mark.parametrize(
    "shape", SHAPES, ids=lambda s: f"{s.model}-{s.q_heads}+{s.kv_heads}-{s.order}-{s.pairing}-{s.rotary_dim}"
)
def test_every_layout_is_right_by_the_first_and_by_the_short_way(shape: MropeShape, dtype: torch.dtype) -> None:
    inputs = make_inputs(shape, 1003, dtype, "cuda", prompt="random", seed=5)
    want, before = exact(inputs, shape), inputs.qkv.clone()
    values = slice(shape.heads * shape.head_dim, None)
    for _ in range(3):
        inputs.qkv.copy_(before)
        call(inputs, shape)
        assert_right(inputs, want)
        assert torch.equal(inputs.qkv[:, values], before[:, values]), "v was touched"


def test_offsets_past_int32() -> None:
    inputs = make_inputs(ERNIE_28B, 1_000_000, device="cuda", prompt="random")
    assert inputs.q.stride(0) * inputs.q.shape[0] > 2**31
    tail = Inputs(
        qkv=inputs.qkv[-500:].clone(),
        q=inputs.q[-500:].clone(),
        k=inputs.k[-500:].clone(),
        positions=inputs.positions[:, -500:],
        cos_sin_cache=inputs.cos_sin_cache,
    )
    want = exact(tail, ERNIE_28B)
    call(inputs, ERNIE_28B)
    assert error((inputs.q[-500:], inputs.k[-500:]), want).rounded_share > 0.9999


def test_no_tokens() -> None:
    call(make_inputs(ERNIE_28B, 0, device="cuda"), ERNIE_28B)


def test_addresses_that_are_not_aligned() -> None:
    row = ERNIE_28B.row
    flat = torch.randn(33 * row + 1, device="cuda").to(torch.bfloat16)
    whole = make_inputs(ERNIE_28B, 33, device="cuda", prompt="random")
    packed = flat[1:].view(33, row)
    inputs = Inputs(packed, packed[:, :2560], packed[:, 2560:3072], whole.positions, whole.cos_sin_cache)
    want = exact(inputs, ERNIE_28B)
    call(whole, ERNIE_28B)  # the aligned layout of the same sizes and strides is known already
    call(inputs, ERNIE_28B)
    assert_right(inputs, want)


def test_a_position_outside_the_table_is_nan_for_its_token_alone() -> None:
    inputs = make_inputs(ERNIE_28B, 973, device="cuda", prompt="random")
    inputs.positions[1, 5], inputs.positions[0, 900], inputs.positions[2, 0] = 131_072, -1, 2**40
    call(inputs, ERNIE_28B)
    for part in (inputs.q, inputs.k):
        assert part.isnan().any(1).nonzero().flatten().tolist() == [0, 5, 900]
        assert part[[0, 5, 900]].isnan().all()
    assert not inputs.qkv[:, 3072:].isnan().any()


def test_new_lengths_strides_and_slices_compile_nothing() -> None:
    from rope_prof.kernels.mrope.fused import KERNEL

    def kernels() -> int:
        return sum(len(cache[0]) for cache in KERNEL.device_caches.values())

    whole = make_inputs(ERNIE_28B, 4096, device="cuda")
    call(whole, ERNIE_28B)
    compiled = kernels()
    for n in (1, 2, 63, 64, 973, 4095):
        q, k, where = whole.q[:n], whole.k[:n], whole.positions[:, :n]
        for part in (
            Inputs(whole.qkv[:n], q, k, where, whole.cos_sin_cache),
            Inputs(whole.qkv[:n], q, k, where.contiguous(), whole.cos_sin_cache),
            Inputs(whole.qkv[:n], q.contiguous(), k.contiguous(), where, whole.cos_sin_cache),
        ):
            want = exact(part, ERNIE_28B)
            call(part, ERNIE_28B)
            assert_right(part, want)
    assert kernels() == compiled


def test_graph_capture_streams_inference_mode_and_autocast() -> None:
    inputs = make_inputs(ERNIE_28B, 973, device="cuda", prompt="random")
    want, before = exact(inputs, ERNIE_28B), inputs.qkv.clone()

    def fresh() -> None:
        inputs.qkv.copy_(before)

    call(inputs, ERNIE_28B)
    fresh()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        call(inputs, ERNIE_28B)
    fresh()
    graph.replay()
    assert_right(inputs, want)

    side = torch.cuda.Stream()
    torch.cuda.synchronize()
    with torch.cuda.stream(side):
        for _ in range(3):
            fresh()
            call(inputs, ERNIE_28B)
    side.synchronize()
    assert_right(inputs, want)

    with torch.inference_mode():
        for _ in range(2):
            fresh()
            call(inputs, ERNIE_28B)
    assert_right(inputs, want)

    with torch.autocast("cuda", dtype=torch.float16):
        for _ in range(2):
            fresh()
            call(inputs, ERNIE_28B)
    assert_right(inputs, want)


def test_threads_with_streams_of_their_own() -> None:
    count, rounds = 4, 200
    inputs = [make_inputs(ERNIE_28B, 64 + i, device="cuda", prompt="random", seed=i) for i in range(count)]
    wants, befores = [exact(x, ERNIE_28B) for x in inputs], [x.qkv.clone() for x in inputs]
    failures: list[BaseException] = []

    def work(index: int) -> None:
        try:
            with torch.cuda.stream(torch.cuda.Stream()):
                for _ in range(rounds):
                    inputs[index].qkv.copy_(befores[index])
                    call(inputs[index], ERNIE_28B)
                torch.cuda.current_stream().synchronize()
            assert_right(inputs[index], wants[index])
        except BaseException as failure:
            failures.append(failure)

    torch.cuda.synchronize()
    threads = [threading.Thread(target=work, args=(i,)) for i in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


def test_compiled_code_holds_the_operator() -> None:
    inputs = make_inputs(ERNIE_28B, 973, device="cuda", prompt="random")
    want = exact(inputs, ERNIE_28B)
    graphs: list[str] = []

    def backend(module: torch.fx.GraphModule, _: list[torch.Tensor]) -> object:
        graphs.append(module.code)
        return module.forward

    def layer(qkv: torch.Tensor) -> torch.Tensor:
        q, k, _ = qkv.split([2560, 512, 512], dim=-1)
        call(Inputs(qkv, q, k, inputs.positions, inputs.cos_sin_cache), ERNIE_28B)
        return qkv

    before = inputs.qkv.clone()
    torch.compile(layer, fullgraph=True, backend=backend)(inputs.qkv)
    assert_right(inputs, want)
    assert re.findall(r"rope_prof\.(\w+)\.", graphs[0]) == ["mrope_q_", "mrope_k_"], graphs[0]
    inputs.qkv.copy_(before)
    out = torch.compile(layer, fullgraph=True)(inputs.qkv)
    assert_right(Inputs(out, out[:, :2560], out[:, 2560:3072], inputs.positions, inputs.cos_sin_cache), want)


@pytest.mark.parametrize("name", ["fused", "per-token"])
def test_compiled_views_of_one_storage_are_turned_at_any_offset(name: str) -> None:
    from rope_prof.kernels.mrope.inputs import make_ring
    from rope_prof.kernels.mrope.paths import path

    in_place = path(name).call
    step = torch.compile(lambda q, k, p, t: in_place(q, k, p, t, ERNIE_28B), dynamic=False)
    for inputs in make_ring(ERNIE_28B, 64, 3, torch.bfloat16, torch.device("cuda"), prompt="image", seed=3):
        want = exact(inputs, ERNIE_28B)
        step(inputs.q, inputs.k, inputs.positions, inputs.cos_sin_cache)
        if name == "fused":
            assert_right(inputs, want)
        for got, right in zip((inputs.q, inputs.k), want, strict=True):
            assert (got.double() - right).abs().max() < 0.05


def test_one_launch_a_call() -> None:
    inputs = make_inputs(ERNIE_28B, 64, device="cuda")
    call(inputs, ERNIE_28B)
    with torch.profiler.profile(acc_events=True) as profiler:
        for _ in range(5):
            call(inputs, ERNIE_28B)
        torch.cuda.synchronize()
    kernels = [event for event in profiler.events() if event.device_type == torch.autograd.DeviceType.CUDA]
    assert [event.name for event in kernels] == ["_mrope_kernel"] * 5
