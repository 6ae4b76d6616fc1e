"""Least bytes of the cache write, and what the kernels of our own chains move. Arithmetic, no tensors."""

from __future__ import annotations

from rope_prof.kernels.mrope.shape import MropeShape
from rope_prof.kernels.mrope.traffic import least_bytes as rope_bytes
from rope_prof.kernels.mrope.traffic import path_bytes as rope_path_bytes

_SLOT_ITEM = 8  # slots are int64


def least_bytes(shape: MropeShape, tokens: int, itemsize: int, cache_itemsize: int) -> int:
    """q, k and v read once, q written once, k and v written to the cache once, and a slot a token.

    14,344 a token for 28B at TP 1 in bf16, 13,312 + 8 with an fp8 cache. Positions, table and scales, shared by all
    layers, are left out.
    """
    return tokens * (
        (shape.row + shape.q_heads * shape.head_dim) * itemsize + _values(shape) * cache_itemsize + _SLOT_ITEM
    )


def write_bytes(shape: MropeShape, tokens: int, itemsize: int, cache_itemsize: int) -> int:
    """The cache write alone: k and v read once and written once, and a slot a token."""
    return tokens * (_values(shape) * (itemsize + cache_itemsize) + _SLOT_ITEM)


def path_bytes(path: str, shape: MropeShape, tokens: int, itemsize: int, cache_itemsize: int) -> int | None:
    """Bytes that all kernels of our own `path` read and write; None for one that nobody counted."""
    if path in ("fused", "fused-settled"):
        return least_bytes(shape, tokens, itemsize, cache_itemsize)
    write = write_bytes(shape, tokens, itemsize, cache_itemsize)
    if path == "rope-then-write":
        return rope_bytes(shape, tokens, itemsize) + write
    if cache_itemsize != itemsize:
        return None  # quantising by operators is several kernels of its own
    rope = rope_path_bytes({"served": "per-token", "rope-then-index": "fused"}.get(path, path), shape, tokens, itemsize)
    return None if rope is None else rope + write + tokens * _SLOT_ITEM  # slots once for k and once for v


def _values(shape: MropeShape) -> int:
    return 2 * shape.kv_heads * shape.head_dim
