"""The tensors of one call of the cache write, and everything about them that its kernel relies on."""

from __future__ import annotations

from typing import NamedTuple

import torch
from rope_prof.kernels.mrope.shape import MropeShape
from rope_prof.kernels.mrope_kv.cache import FP8, Layout, pages_of, scale_strides

INT32_END = 2**31
_DTYPES = (torch.bfloat16, torch.float16, torch.float32)


class Given(NamedTuple):
    """The tensors of one call."""

    q: torch.Tensor
    k: torch.Tensor
    v: torch.Tensor
    positions: torch.Tensor
    table: torch.Tensor
    k_cache: torch.Tensor
    v_cache: torch.Tensor
    slots: torch.Tensor
    k_scale: torch.Tensor | None = None
    v_scale: torch.Tensor | None = None
    out: torch.Tensor | None = None

    @property
    def present(self) -> list[torch.Tensor]:
        """Those that are there, in order."""
        return [x for x in self if x is not None]


def check(given: Given, shape: MropeShape, layout: Layout) -> None:
    """Everything that the kernel relies on. Errors: TypeError or ValueError, one clear sentence for what is off."""
    q, positions, table, slots, out = given.q, given.positions, given.table, given.slots, given.out
    if q.dtype not in _DTYPES:
        raise TypeError(f"q is {q.dtype}; expected bfloat16, float16 or float32")
    if table.dtype != torch.float32:
        raise TypeError(f"cos_sin_cache is {table.dtype}; expected torch.float32 (float64 angles rounded once)")
    for name, tensor in (("positions", positions), ("slots", slots)):
        if tensor.dtype not in (torch.int64, torch.int32):
            raise TypeError(f"{name} is {tensor.dtype}; expected torch.int64 or torch.int32")
    for name, tensor in given._asdict().items():
        if tensor is not None and tensor.device != q.device:
            raise ValueError(f"{name} is on {tensor.device}; expected {q.device}, where q is")
    tokens = q.shape[0] if q.dim() == 2 else -1
    rows = [("q", q, shape.q_heads), ("k", given.k, shape.kv_heads), ("v", given.v, shape.kv_heads)]
    rows += [("out", out, shape.q_heads)] if out is not None else []
    for name, tensor, heads in rows:
        if tensor.dtype != q.dtype:
            raise TypeError(f"{name} is {tensor.dtype}; expected {q.dtype}, as q")
        if tuple(tensor.shape) != (tokens, heads * shape.head_dim):
            raise ValueError(
                f"{name} is {tuple(tensor.shape)}; expected [N, {heads} * {shape.head_dim}] with the same N for all"
            )
        if tokens and (tensor.stride(1) != 1 or (tokens > 1 and tensor.stride(0) < tensor.shape[1])):
            raise ValueError(
                f"{name} has strides {tensor.stride()}; expected rows of adjacent elements that do not overlap"
            )
        if tensor.requires_grad and torch.is_grad_enabled():
            raise ValueError(f"{name} requires grad; this operator is for inference: call it under torch.no_grad()")
    if tuple(positions.shape) not in ((3, tokens), (tokens,)):
        raise ValueError(f"positions is {tuple(positions.shape)}; expected (3, {tokens}) rows t, h, w, or ({tokens},)")
    if tuple(slots.shape) != (tokens,):
        raise ValueError(f"slots is {tuple(slots.shape)}; expected ({tokens},): one slot a token")
    for name, tensor in (("positions", positions), ("slots", slots)):
        if tokens > 1 and tensor.stride(-1) != 1:
            raise ValueError(f"{name} has last stride {tensor.stride(-1)}; expected 1")
    if table.dim() != 2 or table.shape[1] != shape.rotary_dim or not table.is_contiguous():
        raise ValueError(
            f"cos_sin_cache is {tuple(table.shape)}; expected contiguous [positions, {shape.rotary_dim}] = [cos | sin]"
        )
    if table.numel() >= INT32_END:
        raise ValueError(f"cos_sin_cache has {table.numel()} elements; expected fewer than 2^31")
    _check_cache(given, shape, layout)


def _check_cache(given: Given, shape: MropeShape, layout: Layout) -> None:
    q, k_cache, v_cache = given.q, given.k_cache, given.v_cache
    for name, cache in (("k_cache", k_cache), ("v_cache", v_cache)):
        pages = pages_of(cache, layout)
        if (pages.heads, pages.dim) != (shape.kv_heads, shape.head_dim):
            raise ValueError(
                f"{name} is {tuple(cache.shape)} in {layout}; expected {shape.kv_heads} heads of {shape.head_dim}"
            )
        if cache.dtype not in (q.dtype, FP8):
            raise TypeError(f"{name} is {cache.dtype}; expected {q.dtype}, as q, or {FP8}")
        if pages.slots >= INT32_END:
            raise ValueError(f"{name} has {pages.slots} slots; expected fewer than 2^31")
    keys, values = pages_of(k_cache, layout), pages_of(v_cache, layout)
    if (keys.pages, keys.page_size) != (values.pages, values.page_size) or k_cache.dtype != v_cache.dtype:
        raise ValueError(
            f"k_cache is {tuple(k_cache.shape)} {k_cache.dtype}, v_cache {tuple(v_cache.shape)} {v_cache.dtype}; "
            "expected as many pages of the same size and dtype"
        )
    scales = [("k_scale", given.k_scale), ("v_scale", given.v_scale)]
    if k_cache.dtype != FP8:
        for name, scale in scales:
            if scale is not None:
                raise ValueError(f"{name} is given for a cache of {k_cache.dtype}; expected None: only fp8 has scales")
        return
    if q.is_cuda and torch.cuda.get_device_capability(q.device) < (8, 9):
        raise ValueError("an fp8 cache needs compute capability 8.9 or higher: older GPUs do not convert to fp8")
    for name, scale in scales:
        if scale is None or scale.dtype != torch.float32:
            raise TypeError(f"{name} is {None if scale is None else scale.dtype}; expected float32 for an fp8 cache")
        scale_strides(scale, q.shape[0], shape.kv_heads)
