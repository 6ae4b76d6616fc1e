"""The adapters for vLLM and SGLang, against stand-ins of what those servers' layers call, and of the kernel itself.

The launch is replaced by the chain that the servers run (`kernels.mrope.unfused`) in float64, so that what is tested is
the adapters': orders of sections, caches and slots, scales, what is turned in place.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
import torch
from rope_prof.kernels.mrope.inputs import cos_sin_cache, prompt_positions
from rope_prof.kernels.mrope.shape import ERNIE_28B, QWEN2_VL_7B, QWEN3_VL_8B, MropeShape
from rope_prof.kernels.mrope.unfused import unfused
from rope_prof.kernels.mrope_kv.cache import FP8, quantised, read_slots, write_slots

from integrations import cache_write, sglang, vllm
from integrations.cache_write import RotaryCacheWrite, shape_of_embedding


@dataclass
class MRotaryEmbedding:
    """The attributes of the servers' own class."""

    head_size: int = 128
    rotary_dim: int = 128
    max_position_embeddings: int = 512
    base: float = 1_000_000.0
    is_neox_style: bool = True
    mrope_section: Any = (16, 24, 24)
    mrope_interleaved: bool = False


class Ernie4_5_VLRotaryEmbedding(MRotaryEmbedding):  # noqa: N801  the servers' name
    pass


@dataclass
class FusedSetKVBufferArg:
    """The fields that SGLang 0.5.23 fills, in its order: buffers `[slots, heads * dim]`, no scales."""

    value: torch.Tensor
    k_buffer: torch.Tensor
    v_buffer: torch.Tensor
    cache_loc: torch.Tensor


@dataclass
class OlderSetKVBufferArg(FusedSetKVBufferArg):
    """Those of sgl_kernel's before, which had scales."""

    k_scale: float | None = None
    v_scale: float | None = None


ERNIE = Ernie4_5_VLRotaryEmbedding(base=500_000.0, is_neox_style=False, mrope_section=(22, 22, 20))
TOKENS, Q_HEADS, KV_HEADS = 9, 3, 2


def launch_by_chain(
    q: Any, k: Any, v: Any, positions: Any, table: Any, k_cache: Any, v_cache: Any, slots: Any, k_scale: Any,
    v_scale: Any, shape: MropeShape, layout: Any, *, keep_k: bool, settled: bool,
) -> None:  # fmt: skip
    """What `fused` does, by operators."""
    assert settled
    new_q, new_k = unfused(q.double(), k.double(), positions, table, shape)
    for cache, values, scale in ((k_cache, new_k, k_scale), (v_cache, v, v_scale)):
        heads = values.view(-1, shape.kv_heads, shape.head_dim)
        write_slots(cache, layout, slots, quantised(heads, scale, cache.dtype))
    q.copy_(new_q)
    if keep_k:
        k.copy_(new_k)


@pytest.fixture(autouse=True)
def chain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache_write, "fused", launch_by_chain)


def rows(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """q, k and v as views of one packed tensor."""
    packed = torch.randn(TOKENS, (Q_HEADS + 2 * KV_HEADS) * 128, generator=torch.Generator().manual_seed(seed))
    q, k, v = packed.split([Q_HEADS * 128, KV_HEADS * 128, KV_HEADS * 128], dim=-1)
    return q, k, v


def served(embedding: Any, q: torch.Tensor, k: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """(positions, q, k) as the embedding's own chain turns them, in float64."""
    shape = shape_of_embedding(embedding, Q_HEADS, KV_HEADS)
    positions = prompt_positions(shape, TOKENS)
    return positions, *unfused(q.double(), k.double(), positions, cos_sin_cache(shape), shape)


@pytest.mark.parametrize(
    ("embedding", "model"),
    [
        (ERNIE, ERNIE_28B),
        (MRotaryEmbedding(), QWEN2_VL_7B),
        (MRotaryEmbedding(mrope_section=[24, 20, 20], mrope_interleaved=True), QWEN3_VL_8B),
    ],
)
def test_orders_and_sections_are_those_of_the_model(embedding: Any, model: MropeShape) -> None:
    found = shape_of_embedding(embedding, model.q_heads, model.kv_heads)
    assert (found.order, found.pairing, found.sections) == (model.order, model.pairing, model.sections)
    assert found.axes() == model.axes()


def test_an_embedding_without_sections_is_text_alone() -> None:
    assert shape_of_embedding(MRotaryEmbedding(mrope_section=None), 4, 2).sections == (64, 0, 0)


class YaRNScalingMRotaryEmbedding(MRotaryEmbedding):
    pass


@pytest.mark.parametrize("named", ["scaling_factor", "position_start", "mrope_interleaved_glm"])
def test_an_embedding_of_another_table_or_order_is_refused(named: str) -> None:
    """YaRN's table, one that starts later, GLM's order: each would be turned wrongly without a word."""
    embedding = MRotaryEmbedding()
    for plain in (None, 0, False):
        setattr(embedding, named, plain)
        assert shape_of_embedding(embedding, 4, 2).order == "chunked"
    setattr(embedding, named, 4)
    with pytest.raises(
        ValueError, match=f"the embedding is MRotaryEmbedding with {named} 4; expected RotaryEmbedding, "
    ):
        shape_of_embedding(embedding, 4, 2)
    with pytest.raises(ValueError, match="the embedding is YaRNScalingMRotaryEmbedding; expected "):
        shape_of_embedding(YaRNScalingMRotaryEmbedding(), 4, 2)


def apart(dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
    """Key and value caches of one tensor `[2, pages, ...]`."""
    k_cache, v_cache = torch.zeros(2, 3, 4, KV_HEADS, 128, dtype=dtype).unbind(0)
    return k_cache, v_cache


def side_by_side(dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
    """As vLLM 0.33 splits its `[pages, heads, page size, 2 * dim]` for reshape_and_cache_flash."""
    k_cache, v_cache = torch.zeros(3, KV_HEADS, 4, 2 * 128, dtype=dtype).transpose(1, 2).split(128, dim=-1)
    return k_cache, v_cache


@pytest.mark.parametrize("embedding", [ERNIE, MRotaryEmbedding()])
@pytest.mark.parametrize("kind", ["auto", "fp8"])
@pytest.mark.parametrize("split", [apart, side_by_side])
def test_vllm_turns_and_writes_what_is_not_padding(embedding: Any, kind: str, split: Any) -> None:
    q, k, v = rows()
    positions, want_q, want_k = served(embedding, q, k)
    before = q.clone()
    dtype = torch.uint8 if kind == "fp8" else torch.float32
    caches = split(dtype)
    slots = torch.tensor([11, -1, 0, 1, 2, 3, 7])
    layer = RotaryCacheWrite.of(embedding, Q_HEADS, KV_HEADS)
    scale = torch.tensor([0.02])
    out = vllm.rope_and_cache_flash(layer, positions, q, k, v, *caches, slots, kind, scale, scale)
    assert out[0] is q
    assert torch.allclose(q[:7].double(), want_q[:7], atol=1e-5)
    assert torch.equal(q[7:], before[7:])
    keep = slots >= 0
    for cache, want in zip(caches, (want_k, v.double()), strict=True):
        got = read_slots(cache.view(FP8) if kind == "fp8" else cache, "NHD", slots[keep])
        exact = quantised(want[:7][keep].view(-1, KV_HEADS, 128), scale, got.dtype)
        near = 1e-5 if kind == "auto" else 0.13 * float(exact.double().abs().max())
        assert float((got.double() - exact.double()).abs().max()) <= near


def test_vllm_refuses_a_cache_that_it_cannot_write() -> None:
    q, k, v = rows()
    one = torch.ones(1)
    with pytest.raises(ValueError, match="kv_cache_dtype 'fp8_e5m2'"):
        vllm.rope_and_cache_flash(RotaryCacheWrite.of(ERNIE, 3, 2), q, q, k, v, q, q, q, "fp8_e5m2", one, one)


def test_sglang_writes_the_cache_that_its_embedding_refuses_to() -> None:
    q, k, v = rows()
    positions, want_q, want_k = served(ERNIE, q, k)
    buffers = torch.zeros(20, KV_HEADS, 128), torch.zeros(20, KV_HEADS, 128)
    slots = torch.arange(3, 3 + TOKENS)
    given = FusedSetKVBufferArg(v.view(TOKENS, KV_HEADS, 128), *(x.view(20, -1) for x in buffers), slots)
    layer = RotaryCacheWrite.of(ERNIE, Q_HEADS, KV_HEADS)
    sglang.forward_cuda(layer, positions, q, k, given)
    assert torch.allclose(q.double(), want_q, atol=1e-5)
    assert torch.allclose(k.double(), want_k, atol=1e-5)
    assert torch.equal(buffers[0][slots].flatten(1), k)
    assert torch.equal(buffers[1][slots].flatten(1), v)
    assert not buffers[0][:3].any()


def test_sglang_scales_are_numbers_made_tensors_once() -> None:
    q, k, v = rows()
    positions, _, want_k = served(ERNIE, q, k)
    buffers = [torch.zeros(20, KV_HEADS, 128).to(FP8) for _ in range(2)]
    slots = torch.arange(TOKENS)
    given = OlderSetKVBufferArg(v.view(TOKENS, KV_HEADS, 128), *buffers, slots, 0.02)
    sglang.forward_cuda(RotaryCacheWrite.of(ERNIE, Q_HEADS, KV_HEADS), positions, q, k, given)
    got = read_slots(buffers[0], "NHD", slots).double().flatten(1) * 0.02
    assert torch.allclose(got, want_k, rtol=0.07, atol=0.001)
    with pytest.raises(ValueError, match="expected fused_set_kv_buffer_arg"):
        sglang.forward_cuda(RotaryCacheWrite.of(ERNIE, Q_HEADS, KV_HEADS), positions, q, k)


def test_sglangs_own_signature_turns_q_and_k_by_sections_in_its_order(monkeypatch: pytest.MonkeyPatch) -> None:
    def turned(q: Any, k: Any, positions: Any, table: Any, shape: MropeShape) -> None:
        new = unfused(q.double(), k.double(), positions, table, shape)
        q.copy_(new[0]), k.copy_(new[1])

    monkeypatch.setattr(sglang, "fused", turned)
    q, k, _ = rows()
    positions, want_q, want_k = served(ERNIE, q, k)
    table = cos_sin_cache(shape_of_embedding(ERNIE, Q_HEADS, KV_HEADS))
    sglang.triton_ernie45_rope_fused_inplace(q, k, table, positions, [22, 22, 20], 128, 128, False)
    assert torch.allclose(q.double(), want_q, atol=1e-5)
    assert torch.allclose(k.double(), want_k, atol=1e-5)


@pytest.mark.parametrize(("section", "interleaved"), [([16, 24, 24], False), ([24, 20, 20], True)])
def test_sglangs_signature_for_qwen_takes_its_orders_and_no_other(
    monkeypatch: pytest.MonkeyPatch, section: list[int], interleaved: bool
) -> None:
    embedding = MRotaryEmbedding(mrope_section=section, mrope_interleaved=interleaved)
    seen: list[MropeShape] = []
    monkeypatch.setattr(sglang, "fused", lambda *given: seen.append(given[-1]))
    q, k, _ = rows()
    rest = (q, section, 128, 128, interleaved)
    sglang.triton_mrope_fused(q, k, q, *rest, False, True, None)
    want = shape_of_embedding(embedding, Q_HEADS, KV_HEADS)
    assert (seen[0].order, seen[0].sections, seen[0].axes()) == (want.order, want.sections, want.axes())
    with pytest.raises(ValueError, match="keep SGLang's own kernel for GLM's"):
        sglang.triton_mrope_fused(q, k, q, *rest, True, True, None)
