"""The eager chain as it was served before the fused kernel: many small launches, new tensors, three roundings.

At 28B, TP 1, bf16 it is 25 kernels a call: one gather, four to reorder cos and sin, and for each of q and k two casts,
four products, a difference, a sum, a stack and a concatenation. The chain is kept as served, not made better: it
is the baseline. Source: the native forward of SGLang and vLLM for this embedding, described in their own code.
"""

from __future__ import annotations

import torch
from rope_prof.kernels.mrope.shape import MropeShape


def unfused(
    q: torch.Tensor, k: torch.Tensor, positions: torch.Tensor, cos_sin_cache: torch.Tensor, shape: MropeShape
) -> tuple[torch.Tensor, torch.Tensor]:
    """`q [N, Hq*D]`, `k [N, Hkv*D]`, `positions [3, N]` or `[N]`, `cos_sin_cache [P, R]` fp32 -> new (q, k)."""
    cos, sin = cos_sin_cache[positions].chunk(2, dim=-1)
    if positions.dim() == 2:
        cos, sin = _by_axis(cos, shape), _by_axis(sin, shape)
    return _turned(q, cos, sin, shape), _turned(k, cos, sin, shape)


def _by_axis(table: torch.Tensor, shape: MropeShape) -> torch.Tensor:
    """`[3, N, pairs]` rows (t, h, w) -> `[N, pairs]`, each pair from the row of its axis."""
    t, h, w = shape.sections
    if shape.order == "chunked":
        parts = table.split([t, h, w], dim=-1)
        return torch.cat([part[axis] for axis, part in enumerate(parts)], dim=-1)
    if shape.order == "interleaved":
        merged = table[0].clone()
        merged[..., 1 : 3 * h : 3] = table[1, ..., 1 : 3 * h : 3]
        merged[..., 2 : 3 * w : 3] = table[2, ..., 2 : 3 * w : 3]
        return merged
    rows_h = table[1, ..., 0 : h + w : 2]
    rows_w = table[2, ..., 1 : h + w : 2]
    mixed = torch.stack([rows_h, rows_w], dim=-1).flatten(-2)
    return torch.cat([mixed, table[0, ..., h + w :]], dim=-1)


def _turned(x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor, shape: MropeShape) -> torch.Tensor:
    heads = x.view(x.shape[0], x.shape[1] // shape.head_dim, shape.head_dim)
    rotary, rest = heads[..., : shape.rotary_dim], heads[..., shape.rotary_dim :]
    cos = cos.unsqueeze(-2).to(x.dtype)
    sin = sin.unsqueeze(-2).to(x.dtype)
    if shape.pairing == "interleaved":
        first, second = rotary[..., 0::2], rotary[..., 1::2]
    else:
        first, second = rotary.chunk(2, dim=-1)
    turned_first = first * cos - second * sin
    turned_second = second * cos + first * sin
    if shape.pairing == "interleaved":
        turned = torch.stack((turned_first, turned_second), dim=-1).flatten(-2)
    else:
        turned = torch.cat((turned_first, turned_second), dim=-1)
    return torch.cat((turned, rest), dim=-1).view(x.shape)
