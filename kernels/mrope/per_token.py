"""The first fused design, kept as a recorded baseline: one program per token.

All heads of q and k form one tile padded to powers of two; even and odd lanes are loaded with a stride of two (16-bit
accesses); the table is cast to the dtype of q and the arithmetic is done in it (two roundings); strides are
compile-time constants, so every new prompt length compiles a new kernel. Source: the design of SGLang's pull request
#18856, written anew from its description. Nothing here is to be made faster: a slow or a fast baseline proves nothing.
"""

from __future__ import annotations

from weakref import ref

import torch
import triton
import triton.language as tl
from rope_prof.kernels.launch import options
from rope_prof.kernels.mrope.operator import compiled_call
from rope_prof.kernels.mrope.shape import MropeShape
from torch.compiler import is_dynamo_compiling


@triton.jit
def _turn_heads(x_ptr, cos, sin, heads: tl.constexpr, HEAD_DIM: tl.constexpr, PAIRS: tl.constexpr, NEOX: tl.constexpr):
    BLOCK_HEADS: tl.constexpr = triton.next_power_of_2(heads)
    BLOCK_PAIRS: tl.constexpr = triton.next_power_of_2(PAIRS)
    pair = tl.arange(0, BLOCK_PAIRS)[None, :]
    head = tl.arange(0, BLOCK_HEADS)[:, None]
    inside = (head < heads) & (pair < PAIRS)
    if NEOX:
        first_at = head * HEAD_DIM + pair
        second_at = first_at + PAIRS
    else:
        first_at = head * HEAD_DIM + 2 * pair
        second_at = first_at + 1
    first = tl.load(x_ptr + first_at, mask=inside, other=0.0)
    second = tl.load(x_ptr + second_at, mask=inside, other=0.0)
    tl.store(x_ptr + first_at, first * cos - second * sin, mask=inside)
    tl.store(x_ptr + second_at, second * cos + first * sin, mask=inside)


@triton.jit
def _per_token_kernel(
    q_ptr,
    k_ptr,
    table_ptr,
    positions_ptr,
    stride_q: tl.constexpr,
    stride_k: tl.constexpr,
    stride_position: tl.constexpr,
    Q_HEADS: tl.constexpr,
    KV_HEADS: tl.constexpr,
    HEAD_DIM: tl.constexpr,
    PAIRS: tl.constexpr,
    PAIRS_HW: tl.constexpr,
    NEOX: tl.constexpr,
):
    token = tl.program_id(0).to(tl.int64)
    t = tl.load(positions_ptr + token)
    h = tl.load(positions_ptr + stride_position + token)
    w = tl.load(positions_ptr + 2 * stride_position + token)
    pair = tl.arange(0, triton.next_power_of_2(PAIRS))
    position = tl.where(pair < PAIRS_HW, tl.where(pair % 2 == 0, h, w), t)
    at = table_ptr + position * (2 * PAIRS) + pair
    cos = tl.load(at, mask=pair < PAIRS, other=0.0)[None, :]
    sin = tl.load(at + PAIRS, mask=pair < PAIRS, other=0.0)[None, :]
    _turn_heads(q_ptr + token * stride_q, cos, sin, Q_HEADS, HEAD_DIM, PAIRS, NEOX)
    _turn_heads(k_ptr + token * stride_k, cos, sin, KV_HEADS, HEAD_DIM, PAIRS, NEOX)


class _CastTable:
    """The table in the dtype of q, cast once as the server does at start; forgotten with the fp32 table."""

    def __init__(self) -> None:
        self._source: ref[torch.Tensor] | None = None
        self._cast: torch.Tensor | None = None

    def of(self, table: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
        if table.dtype == dtype:
            return table
        if self._cast is None or self._cast.dtype != dtype or self._source is None or self._source() is not table:
            self._source, self._cast = ref(table), table.to(dtype)
        return self._cast


_CAST = _CastTable()


def per_token(
    q: torch.Tensor, k: torch.Tensor, positions: torch.Tensor, cos_sin_cache: torch.Tensor, shape: MropeShape
) -> None:
    """Rotate `q [N, Hq*D]` and `k [N, Hkv*D]` in place; `positions [3, N]`, `cos_sin_cache [P, R]`, order `ernie`.

    Errors: ValueError for another order. Positions outside the table are read as they are: that is the design.
    """
    if shape.order != "ernie":
        raise ValueError(f"order {shape.order!r}; the per-token design knows 'ernie' alone")
    tokens = q.shape[0]
    if tokens == 0:
        return
    if is_dynamo_compiling():
        _compiled_call(q, k, positions, cos_sin_cache, shape)
        return
    rows = positions.expand(3, -1) if positions.dim() == 1 else positions
    padded = triton.next_power_of_2(shape.q_heads) * triton.next_power_of_2(shape.head_dim)
    _per_token_kernel[(tokens,)](
        q,
        k,
        _CAST.of(cos_sin_cache, q.dtype),
        rows,
        q.stride(0),
        k.stride(0),
        rows.stride(0),
        Q_HEADS=shape.q_heads,
        KV_HEADS=shape.kv_heads,
        HEAD_DIM=shape.head_dim,
        PAIRS=shape.pairs,
        PAIRS_HW=shape.sections[1] + shape.sections[2],
        NEOX=shape.pairing == "neox",
        **options(4 if padded <= 8192 else 8),
    )


_compiled_call = compiled_call("per_token", per_token)
