"""The float64 oracle of the cache write: q turned, and the whole caches as they must be afterwards, not yet rounded."""

from __future__ import annotations

import torch
from rope_prof.kernels.mrope.reference import reference as turned
from rope_prof.kernels.mrope.shape import MropeShape
from rope_prof.kernels.mrope_kv.cache import FP8_MOST, Layout, in_order, spread


def reference(
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    positions: torch.Tensor,
    _table: torch.Tensor,
    k_cache: torch.Tensor,
    v_cache: torch.Tensor,
    slots: torch.Tensor,
    k_scale: torch.Tensor | None,
    v_scale: torch.Tensor | None,
    shape: MropeShape,
    layout: Layout = "NHD",
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """(q `[N, Hq*D]`, k cache, v cache) in float64 from a path's arguments before the call; slots of no token stay.

    Slots outside the cache are skipped; where tokens share one, any of them may win: give each its own.
    """
    return (
        turned(q, positions, shape),
        _written(k_cache, layout, slots, turned(k, positions, shape), k_scale, shape),
        _written(v_cache, layout, slots, v.to(torch.float64), v_scale, shape),
    )


def _written(
    cache: torch.Tensor,
    layout: Layout,
    slots: torch.Tensor,
    values: torch.Tensor,
    scale: torch.Tensor | None,
    shape: MropeShape,
) -> torch.Tensor:
    out = cache.to(torch.float64)
    ordered = in_order(out, layout)
    known = (slots >= 0) & (slots < ordered.shape[0] * ordered.shape[1])
    heads = values.view(values.shape[0], shape.kv_heads, shape.head_dim)
    if scale is not None:
        heads = (heads / spread(scale.to(torch.float64))).clamp(-FP8_MOST, FP8_MOST)
    at = slots[known]
    ordered[at // ordered.shape[1], at % ordered.shape[1]] = heads[known]
    return out
