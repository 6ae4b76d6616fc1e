"""Rotary embedding and cache write of other projects, under their own names, where they are installed.

Each is called with the arguments of a path of `mrope-kv` and writes caches of the kinds in its `kinds`. `vllm` is what
it serves Ernie with; all others know one row of positions, and are given the first: right for text alone, timed on all.
On NVIDIA nobody's one launch writes the cache by three rows; vLLM's fusions (0.33) are ROCm's or normalise q and k.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

import torch
from peers import vllm_embedding
from rope_prof.kernels.mrope.shape import MropeShape
from rope_prof.kernels.mrope_kv.cache import as_bytes, in_order

Writer = Callable[..., Any]


def _heads(shape: MropeShape, *rows: torch.Tensor) -> list[torch.Tensor]:
    return [x.view(x.shape[0], -1, shape.head_dim) for x in rows]


def sglang() -> Writer:
    """One launch, into a pool of slots in the model's own dtype."""
    run = import_module("sglang.kernels.ops.attention.rope").apply_rope_inplace_with_kvcache

    def write(
        q: Any, k: Any, v: Any, positions: Any, table: Any, k_cache: Any, v_cache: Any, slots: Any, _k: Any, _v: Any,
        shape: MropeShape, layout: Any,
    ) -> None:  # fmt: skip
        pools = [in_order(x, layout).view(-1, shape.kv_heads * shape.head_dim) for x in (k_cache, v_cache)]
        run(*_heads(shape, q, k, v), *pools, table, positions[0], slots, is_neox=shape.pairing == "neox")

    write.kinds = ("same",)
    return write


def _vllm(turn: Callable[..., tuple[Any, Any]]) -> Writer:
    put = import_module("vllm._custom_ops").reshape_and_cache_flash

    def write(
        q: Any, k: Any, v: Any, positions: Any, table: Any, k_cache: Any, v_cache: Any, slots: Any, k_scale: Any,
        v_scale: Any, shape: MropeShape, layout: Any,
    ) -> Any:  # fmt: skip
        q, k = turn(q, k, positions, table, shape)
        word = "auto" if k_scale is None else "fp8"
        scales = [torch.ones(1, device=q.device)] * 2 if k_scale is None else [k_scale, v_scale]
        caches = (as_bytes(in_order(x, layout)) for x in (k_cache, v_cache))
        put(*_heads(shape, k, v), *caches, slots, word, *scales)
        return q

    write.kinds = ("same", "fp8")
    return write


def vllm() -> Writer:
    """As it serves Ernie: its eager chain, then its cache write."""
    return _vllm(vllm_embedding())


def vllm_text() -> Writer:
    """Its kernel for one row of positions, then its cache write: two launches."""
    run = import_module("vllm._custom_ops").rotary_embedding
    cast: dict[tuple[int, torch.dtype], tuple[torch.Tensor, torch.Tensor]] = {}

    def turn(q: Any, k: Any, positions: Any, table: Any, shape: MropeShape) -> tuple[Any, Any]:
        if (key := (id(table), q.dtype)) not in cast:  # once, as the server does at start
            cast[key] = table, table.to(q.dtype)
        run(positions[0], q, k, shape.head_dim, cast[key][1], shape.pairing == "neox")
        return q, k

    return _vllm(turn)


def flashinfer() -> Writer:
    """One launch, fp8 alone: q is rounded to fp8 too, which moves less, and one number scales k and v."""
    run = import_module("flashinfer.rope").rope_quantize_fp8_append_paged_kv_cache
    pages: dict[tuple[int, torch.Size], tuple[Any, ...]] = {}

    def write(
        q: Any, k: Any, v: Any, positions: Any, table: Any, k_cache: Any, v_cache: Any, slots: Any, k_scale: Any,
        _v_scale: Any, shape: MropeShape, layout: str,
    ) -> Any:  # fmt: skip
        if (key := (id(slots), k_cache.shape)) not in pages:  # one request that holds all pages: its places are slots
            count, size = in_order(k_cache, layout).shape[:2]
            numbers = torch.arange(count, dtype=torch.int32, device=q.device)
            ends = torch.tensor([0, count], dtype=torch.int32, device=q.device)
            places = numbers, ends, torch.zeros_like(slots, dtype=torch.int32), slots.int()
            pages[key] = slots, places, size, 1 / float(k_scale)
        _, places, size, factor = pages[key]
        q, k, v = _heads(shape, q, k, v)
        return run(
            q, k, None, None, v, table, positions[0].int(), (k_cache, v_cache), *places,
            is_neox=shape.pairing == "neox", quant_scale_kv=factor, page_size=size, kv_layout=layout, enable_pdl=True,
        )[0]  # fmt: skip

    write.kinds = ("fp8",)
    return write


#: Name -> (the package that it needs, what builds it).
WRITERS: dict[str, tuple[str, Callable[[], Writer]]] = {
    "sglang, text": ("sglang", sglang),
    "vllm": ("vllm", vllm),
    "vllm, text": ("vllm", vllm_text),
    "flashinfer, text": ("flashinfer", flashinfer),
}
