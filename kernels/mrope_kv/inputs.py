"""Inputs as a serving layer has them: views of a packed qkv, a paged cache of its own, pages in random order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from rope_prof.kernels.mrope.inputs import Prompt, make_ring
from rope_prof.kernels.mrope.shape import MropeShape
from rope_prof.kernels.mrope_kv.cache import FP8, Layout

#: What the cache holds: the dtype of qkv, or fp8 with scales of that reach.
Kind = Literal["same", "fp8", "fp8-head", "fp8-token"]
KINDS: tuple[Kind, ...] = ("same", "fp8", "fp8-head", "fp8-token")
#: Typical absolute maxima of a head over what fp8 holds: values use its range, few saturate.
K_SCALE, V_SCALE = 4.0 / 448, 3.5 / 448
#: Pages beyond those that a call writes, as a share of them: what must stay as it is.
SPARE = 8


@dataclass(frozen=True, slots=True)
class KvInputs:
    """One call's tensors: q, k, v `[N, heads * D]` views of one packed qkv; caches in `layout`, slots `[N]` int64."""

    qkv: torch.Tensor
    q: torch.Tensor
    k: torch.Tensor
    v: torch.Tensor
    positions: torch.Tensor
    cos_sin_cache: torch.Tensor
    k_cache: torch.Tensor
    v_cache: torch.Tensor
    slots: torch.Tensor
    k_scale: torch.Tensor | None
    v_scale: torch.Tensor | None
    layout: Layout

    def arguments(self, shape: MropeShape) -> tuple[object, ...]:
        """As every path takes them."""
        return (
            self.q, self.k, self.v, self.positions, self.cos_sin_cache, self.k_cache, self.v_cache, self.slots,
            self.k_scale, self.v_scale, shape, self.layout,
        )  # fmt: skip


def slots_of(tokens: int, page_size: int, pages: int, seed: int = 0) -> torch.Tensor:
    """`[tokens]` int64: tokens one behind the other within a page, pages in random order."""
    order = torch.randperm(pages, generator=torch.Generator().manual_seed(seed))
    return (order[:, None] * page_size + torch.arange(page_size)).reshape(-1)[:tokens]


def make_kv_ring(
    shape: MropeShape,
    tokens: int,
    buffers: int,
    dtype: torch.dtype = torch.bfloat16,
    device: torch.device | str = "cpu",
    *,
    kind: Kind = "same",
    layout: Layout = "NHD",
    page_size: int = 16,
    interleaved: bool = False,
    prompt: Prompt = "image",
    seed: int = 0,
) -> list[KvInputs]:
    """`buffers` inputs, each with a cache of its own; positions, table, slots and scales are shared, as layers do.

    `interleaved`: k and v page by page in one tensor, else one tensor each. Caches begin as 0.5.
    """
    ring = make_ring(shape, tokens, buffers, dtype, device, prompt=prompt, seed=seed)
    pages = -(-tokens // page_size) + max(1, tokens // page_size // SPARE)
    slots = slots_of(tokens, page_size, pages, seed).to(device)
    scales = [_scale(kind, base, shape, tokens, device, seed + i) for i, base in enumerate((K_SCALE, V_SCALE))]
    place = (page_size, shape.kv_heads) if layout == "NHD" else (shape.kv_heads, page_size)
    kept = dtype if kind == "same" else torch.bfloat16
    halves = (
        [(buffers, pages, 2, *place, shape.head_dim)] if interleaved else [(buffers, pages, *place, shape.head_dim)] * 2
    )
    caches = [torch.full(size, 0.5, dtype=kept, device=device) for size in halves]
    if kind != "same":
        caches = [cache.to(FP8) for cache in caches]
    keys, values = caches[0].unbind(2) if interleaved else caches
    found = []
    for each, k_cache, v_cache in zip(ring, keys.unbind(0), values.unbind(0), strict=True):
        v = each.qkv[:, shape.heads * shape.head_dim :]
        found.append(
            KvInputs(
                each.qkv,
                each.q,
                each.k,
                v,
                each.positions,
                each.cos_sin_cache,
                k_cache,
                v_cache,
                slots,
                scales[0],
                scales[1],
                layout,
            )
        )
    return found


def _scale(
    kind: Kind, base: float, shape: MropeShape, tokens: int, device: torch.device | str, seed: int
) -> torch.Tensor | None:
    if kind == "same":
        return None
    sizes = {"fp8": (1,), "fp8-head": (shape.kv_heads,), "fp8-token": (tokens, 1)}[kind]
    spread = torch.rand(sizes, generator=torch.Generator().manual_seed(seed), dtype=torch.float32) * 0.5 + 0.75
    return (spread * base).to(device)


def touched_bytes(calls: Sequence[KvInputs]) -> int:
    """Bytes of one call: what it brings into the cache of the GPU."""
    one = calls[0]
    written = one.slots.numel() * 2 * one.k.shape[1] * one.k_cache.element_size()
    return one.q.nbytes + one.k.nbytes + one.v.nbytes + written
