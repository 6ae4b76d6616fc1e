"""The best that can be done without fusing the cache write: a rotary kernel, then writes of its results.

`served`: one program per token (SGLang's design), then two index writes, in the order `ernie`. `rope_then_index` and
`rope_then_write`: our rotary kernel, then two index writes, or the tuned write of `write`.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from rope_prof.kernels.mrope.fused import fused
from rope_prof.kernels.mrope.operator import InPlace, compiled_apart
from rope_prof.kernels.mrope.per_token import per_token
from rope_prof.kernels.mrope.shape import MropeShape
from rope_prof.kernels.mrope_kv.cache import Layout
from rope_prof.kernels.mrope_kv.chains import index_write
from rope_prof.kernels.mrope_kv.write import write
from torch.compiler import is_dynamo_compiling

Maybe = torch.Tensor | None
_FUSED_APART = compiled_apart("mrope", fused)
_PER_TOKEN_APART = compiled_apart("per_token", per_token)


def _turned(
    in_place: InPlace, apart: Callable[..., torch.Tensor], q: torch.Tensor, k: torch.Tensor, positions: torch.Tensor,
    table: torch.Tensor, shape: MropeShape,
) -> torch.Tensor:  # fmt: skip
    """The turned k, q turned in place: k itself, or under torch.compile a new tensor."""
    if is_dynamo_compiling():
        return apart(q, k, positions, table, shape.word)
    in_place(q, k, positions, table, shape)
    return k


def served(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, positions: torch.Tensor, table: torch.Tensor,
    k_cache: torch.Tensor, v_cache: torch.Tensor, slots: torch.Tensor, k_scale: Maybe, v_scale: Maybe,
    shape: MropeShape, layout: Layout = "NHD",
) -> None:  # fmt: skip
    """q and k in place by one program per token, then two index writes. Errors: ValueError for another order."""
    k = _turned(per_token, _PER_TOKEN_APART, q, k, positions, table, shape)
    index_write(k_cache, layout, slots, k, k_scale, shape)
    index_write(v_cache, layout, slots, v, v_scale, shape)


def rope_then_index(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, positions: torch.Tensor, table: torch.Tensor,
    k_cache: torch.Tensor, v_cache: torch.Tensor, slots: torch.Tensor, k_scale: Maybe, v_scale: Maybe,
    shape: MropeShape, layout: Layout = "NHD",
) -> None:  # fmt: skip
    """q and k in place by our rotary kernel, then two index writes."""
    k = _turned(fused, _FUSED_APART, q, k, positions, table, shape)
    index_write(k_cache, layout, slots, k, k_scale, shape)
    index_write(v_cache, layout, slots, v, v_scale, shape)


def rope_then_write(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, positions: torch.Tensor, table: torch.Tensor,
    k_cache: torch.Tensor, v_cache: torch.Tensor, slots: torch.Tensor, k_scale: Maybe, v_scale: Maybe,
    shape: MropeShape, layout: Layout = "NHD",
) -> None:  # fmt: skip
    """q and k in place by our rotary kernel, then the tuned write: two overlapped launches."""
    k = _turned(fused, _FUSED_APART, q, k, positions, table, shape)
    write(k, v, k_cache, v_cache, slots, k_scale, v_scale, shape.kv_heads, layout)
