"""For SGLang: its kernels' signatures, and rotary embedding with `FusedSetKVBufferArg` for `MRotaryEmbedding`.

Stands in for `triton_ernie45_rope_fused_inplace` and `triton_mrope_fused`, which Ernie's and the Qwen-VL layers reach
(`sglang.kernels.ops.attention.rotary_triton`), and for `MRotaryEmbedding.forward_cuda(positions, query, key,
fused_set_kv_buffer_arg)` of `sglang.srt.layers.rotary_embedding`, which asserts that saving the KV cache is not
supported where positions are one row and overlooks the argument where they are three; as of SGLang 0.5.23. Imports
nothing of SGLang: the argument is whatever has the fields that `create_fused_set_kv_buffer_arg` fills (`value`,
`k_buffer`, `v_buffer`, `cache_loc`; older ones `k_scale`, `v_scale`).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import torch
from rope_prof.kernels.mrope.fused import fused
from rope_prof.kernels.mrope.shape import MropeShape, Order

from integrations.cache_write import RotaryCacheWrite


def triton_ernie45_rope_fused_inplace(
    q: torch.Tensor,
    k: torch.Tensor,
    cos_sin_cache: torch.Tensor,
    positions: torch.Tensor,
    mrope_section: Sequence[int],
    head_size: int,
    rotary_dim: int,
    is_neox_style: bool,
) -> None:
    """q `[N, Hq*D]` and k `[N, Hkv*D]` in place. `mrope_section` is [h, w, t]; the table must be fp32.

    Errors: TypeError for a table of another dtype: SGLang's, cast to bf16, has lost what rounding once needs.
    """
    h, w, t = mrope_section
    heads = (q.shape[1] // head_size, k.shape[1] // head_size)
    fused(q, k, positions, cos_sin_cache, _shape(heads, head_size, rotary_dim, (t, h, w), "ernie", is_neox_style))


def triton_mrope_fused(
    q: torch.Tensor,
    k: torch.Tensor,
    cos_sin_cache: torch.Tensor,
    positions: torch.Tensor,
    mrope_section: Sequence[int],
    head_size: int,
    rotary_dim: int,
    mrope_interleaved: bool,
    mrope_interleaved_glm: bool,
    is_neox_style: bool,
    axis_map: torch.Tensor | None,
) -> None:
    """As above for Qwen2-VL (in chunks) and Qwen3-VL (interleaved); `mrope_section` is [t, h, w].

    Errors: TypeError as above; ValueError for GLM's order, which `axis_map` gives.
    """
    if mrope_interleaved_glm or axis_map is not None:
        raise ValueError("mrope_interleaved_glm: expected Qwen's orders; keep SGLang's own kernel for GLM's")
    t, h, w = mrope_section
    heads = (q.shape[1] // head_size, k.shape[1] // head_size)
    order: Order = "interleaved" if mrope_interleaved else "chunked"
    fused(q, k, positions, cos_sin_cache, _shape(heads, head_size, rotary_dim, (t, h, w), order, is_neox_style))


@lru_cache(maxsize=64)
def _shape(
    heads: tuple[int, int], head_size: int, rotary_dim: int, sections: tuple[int, int, int], order: Order,
    is_neox_style: bool,
) -> MropeShape:  # fmt: skip
    return MropeShape(
        model="sglang", q_heads=heads[0], kv_heads=heads[1], hidden=heads[0] * head_size, layers=1, head_dim=head_size,
        rotary_dim=rotary_dim, sections=sections, order=order, pairing="neox" if is_neox_style else "interleaved",
    )  # fmt: skip


def forward_cuda(
    layer: RotaryCacheWrite,
    positions: torch.Tensor,
    query: torch.Tensor,
    key: torch.Tensor,
    fused_set_kv_buffer_arg: Any = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """(query, key) in place, and k and v in their buffers, `[slots, heads * dim]` or 3-D, at `cache_loc`.

    Scales are the numbers that SGLang holds, or tensors; 1 where it has none. Errors: ValueError without the argument.
    """
    given = fused_set_kv_buffer_arg
    if given is None:
        raise ValueError("expected fused_set_kv_buffer_arg: without a cache to write call the kernel alone")
    scales: list[torch.Tensor | None] = [None, None]
    if given.k_buffer.dtype != query.dtype:
        held = (getattr(given, name, None) for name in ("k_scale", "v_scale"))
        scales = [_scale(1.0 if each is None else each, query.device) for each in held]
    buffers = (x.view(len(x), layer.shape.kv_heads, layer.shape.head_dim) for x in (given.k_buffer, given.v_buffer))
    value = given.value.view(len(given.value), -1)
    layer.write(positions, query, key, value, *buffers, given.cache_loc, *scales, keep_k=True)
    return query, key


def _scale(value: float | torch.Tensor, device: torch.device) -> torch.Tensor:
    return value.float() if isinstance(value, torch.Tensor) else _constant(float(value), device)


@lru_cache(maxsize=256)
def _constant(value: float, device: torch.device) -> torch.Tensor:
    """One tensor a number and device: none is made while a graph is captured again."""
    return torch.tensor([value], dtype=torch.float32, device=device)
