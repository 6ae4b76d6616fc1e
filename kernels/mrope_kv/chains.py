"""The chain that a server runs where nothing is fused: rotary embedding by operators, then two index writes.

It runs anywhere and in every order; under torch.compile it is the compiled whole. Slots are those of the cache: an
index write knows no others.
"""

from __future__ import annotations

import torch
from rope_prof.kernels.mrope.shape import MropeShape
from rope_prof.kernels.mrope.unfused import unfused as turned
from rope_prof.kernels.mrope_kv.cache import Layout, as_bytes, in_order, quantised

Maybe = torch.Tensor | None


def unfused(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, positions: torch.Tensor, table: torch.Tensor,
    k_cache: torch.Tensor, v_cache: torch.Tensor, slots: torch.Tensor, k_scale: Maybe, v_scale: Maybe,
    shape: MropeShape, layout: Layout = "NHD",
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:  # fmt: skip
    """New q; the caches are written in place. Runs anywhere, in every order."""
    new_q, new_k = turned(q, k, positions, table, shape)
    index_write(k_cache, layout, slots, new_k, k_scale, shape)
    index_write(v_cache, layout, slots, v, v_scale, shape)
    return new_q, k_cache, v_cache


def index_write(
    cache: torch.Tensor, layout: Layout, slots: torch.Tensor, values: torch.Tensor, scale: Maybe, shape: MropeShape
) -> None:
    """`values [N, heads * D]` into their slots, as a server does it: quantised by operators, then one index write."""
    kept = as_bytes(quantised(values.view(-1, shape.kv_heads, shape.head_dim), scale, cache.dtype))
    ordered = as_bytes(in_order(cache, layout))
    size = ordered.shape[1]
    if ordered.stride(0) == size * ordered.stride(1):
        ordered.flatten(0, 1)[slots] = kept
    else:
        ordered[slots // size, slots % size] = kept
