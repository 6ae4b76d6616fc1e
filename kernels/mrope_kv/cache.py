"""A paged KV cache: one tensor's pages, slots and heads by strides, whatever order its dimensions are in.

Knows layouts and how scales spread over tokens and heads; knows nothing of kernels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch

#: NHD: `[pages, page size, heads, dim]`; HND: `[pages, heads, page size, dim]`. `[slots, heads, dim]` is NHD with pages
#: of one slot.
Layout = Literal["NHD", "HND"]
LAYOUTS: tuple[Layout, ...] = ("NHD", "HND")
FP8 = torch.float8_e4m3fn
FP8_MOST = 448.0


@dataclass(frozen=True, slots=True)
class Pages:
    """Sizes, and strides in elements, of `[pages, page size, heads, dim]`."""

    pages: int
    page_size: int
    heads: int
    dim: int
    stride_page: int
    stride_slot: int
    stride_head: int

    @property
    def slots(self) -> int:
        """Slots of all pages: a slot is page x page size + its place in the page."""
        return self.pages * self.page_size


def in_order(cache: torch.Tensor, layout: Layout) -> torch.Tensor:
    """`cache` as a view `[pages, page size, heads, dim]`. Errors: ValueError for another number of dimensions."""
    if layout not in LAYOUTS:
        raise ValueError(f"layout {layout!r}; expected {', '.join(map(repr, LAYOUTS))}")
    if cache.dim() == 3:
        return cache.unsqueeze(1)
    if cache.dim() != 4:
        raise ValueError(
            f"the cache is {tuple(cache.shape)}; expected 4 dimensions in {layout}, or [slots, heads, dim]"
        )
    return cache.transpose(1, 2) if layout == "HND" else cache


def halves(cache: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """(k, v) of a cache that holds both: `[pages, 2, ...]` or `[2, pages, ...]`. Errors: ValueError for neither."""
    dims = [dim for dim in (1, 0) if cache.dim() == 5 and cache.shape[dim] == 2]
    if not dims:
        raise ValueError(f"the cache is {tuple(cache.shape)}; expected [pages, 2, ...] or [2, pages, ...] for k and v")
    k_cache, v_cache = cache.unbind(dims[0])
    return k_cache, v_cache


def pages_of(cache: torch.Tensor, layout: Layout) -> Pages:
    """Sizes and strides of `cache`. Errors: ValueError where its last dimension is not adjacent."""
    ordered = in_order(cache, layout)
    if ordered.stride(3) != 1:
        raise ValueError(f"the cache has last stride {ordered.stride(3)}; expected 1")
    return Pages(*ordered.shape, *ordered.stride()[:3])


def write_slots(cache: torch.Tensor, layout: Layout, slots: torch.Tensor, values: torch.Tensor) -> None:
    """`values [N, heads, dim]`, of the cache's dtype, into `slots [N]` of `cache`; slots outside it are skipped.

    As a server writes it: one index write a tensor. Synchronises where slots must be skipped.
    """
    ordered = in_order(cache, layout)
    known = (slots >= 0) & (slots < ordered.shape[0] * ordered.shape[1])
    slots, values = slots[known], as_bytes(values)[known]
    size = ordered.shape[1]
    as_bytes(ordered)[slots // size, slots % size] = values


def read_slots(cache: torch.Tensor, layout: Layout, slots: torch.Tensor) -> torch.Tensor:
    """`[N, heads, dim]` of the slots, all of which lie inside."""
    ordered = in_order(cache, layout)
    size = ordered.shape[1]
    return as_bytes(ordered)[slots // size, slots % size].view(cache.dtype)


def as_bytes(tensor: torch.Tensor) -> torch.Tensor:
    """fp8 as the bytes that it is, which every index operation takes; all else as it is."""
    return tensor.view(torch.uint8) if tensor.dtype == FP8 else tensor


def scale_strides(scale: torch.Tensor, tokens: int, heads: int) -> tuple[int, int]:
    """Strides (token, head) of a scale: `[]` or `[1]` for all, `[heads]`, `[tokens, 1]` or `[tokens, heads]`.

    Errors: ValueError for any other shape.
    """
    shape = tuple(scale.shape)
    if shape in ((), (1,), (1, 1)):
        return 0, 0
    if shape in ((heads,), (1, heads)):
        return 0, scale.stride(-1)
    if shape in ((tokens, 1), (tokens, heads)):
        return scale.stride(0), scale.stride(1) if heads > 1 and shape[1] > 1 else 0
    raise ValueError(f"scale {shape}; expected [1], [{heads}] (a head), [{tokens}, 1] (a token) or [{tokens}, {heads}]")


def quantised(values: torch.Tensor, scale: torch.Tensor | None, dtype: torch.dtype) -> torch.Tensor:
    """`values [N, heads, dim]` in the cache's dtype: in fp8 divided by the scale, saturated, rounded."""
    if dtype != FP8:
        return values.to(dtype)
    assert scale is not None, "an fp8 cache has scales"
    return (values.float() / spread(scale)).clamp(-FP8_MOST, FP8_MOST).to(FP8)


def spread(scale: torch.Tensor) -> torch.Tensor:
    """A scale as it broadcasts over `[N, heads, dim]`."""
    return scale.unsqueeze(-1) if scale.dim() else scale
