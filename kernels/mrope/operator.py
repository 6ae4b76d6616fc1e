"""In-place paths as operators that torch.compile cannot get wrong: they return new tensors, and the caller copies back.

q and k are views of one packed tensor. An operator that declares both as mutated is functionalised by Inductor, which
writes at most one of two views of a storage in place and clones the other from the start of its storage: up to torch
2.11 at the wrong offset (wrong values, reads beyond the end), later right but with more traffic than a copy. An
operator without mutation has none of it; where q and k are made inside the graph, the copies back vanish.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import torch
from rope_prof.kernels.mrope.shape import MropeShape

_LIBRARY = torch.library.Library("rope_prof", "FRAGMENT")
_SCHEMA = (
    "(Tensor q, Tensor k, Tensor positions, Tensor cos_sin_cache, int[] dims, int[] sections, str order, str pairing)"
    " -> (Tensor, Tensor)"
)
InPlace = Callable[[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor, MropeShape], None]


def numbers(shape: MropeShape) -> tuple[list[int], list[int], str, str]:
    """What an operator's schema can carry of `shape`: ((q heads, kv heads, head dim, rotary dim), sections, words)."""
    dims = [shape.q_heads, shape.kv_heads, shape.head_dim, shape.rotary_dim]
    return dims, list(shape.sections), shape.order, shape.pairing


def shape_of(dims: Sequence[int], sections: Sequence[int], order: str, pairing: str) -> MropeShape:
    """The shape that `numbers` took apart: the same object each time, by which a repeated call is known."""
    return _shape(tuple(dims), tuple(sections), order, pairing)


@lru_cache(maxsize=64)
def _shape(dims: tuple[int, ...], sections: tuple[int, ...], order: str, pairing: str) -> MropeShape:
    q_heads, kv_heads, head_dim, rotary_dim = dims
    t, h, w = sections
    return MropeShape(
        model="operator",
        q_heads=q_heads,
        kv_heads=kv_heads,
        hidden=q_heads * head_dim,
        layers=1,
        head_dim=head_dim,
        rotary_dim=rotary_dim,
        sections=(t, h, w),
        order=order,  # type: ignore[arg-type]
        pairing=pairing,  # type: ignore[arg-type]
    )


def compiled_call(name: str, in_place: InPlace) -> InPlace:
    """`in_place` for use inside torch.compile, through a new operator `rope_prof::<name>` without mutation.

    The operator has no derivative. It is defined without the wrapper of `torch.library.custom_op`, whose own calls in
    Python would cost the host several times the launch.
    """

    def turned(
        q: torch.Tensor, k: torch.Tensor, positions: torch.Tensor, cos_sin_cache: torch.Tensor, *words: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        new_q, new_k = (x.clone(memory_format=torch.contiguous_format) for x in (q, k))
        in_place(new_q, new_k, positions, cos_sin_cache, shape_of(*words))
        return new_q, new_k

    _LIBRARY.define(f"{name}{_SCHEMA}")
    _LIBRARY.impl(name, turned, "CompositeExplicitAutograd")
    torch.library.register_fake(
        f"rope_prof::{name}",
        lambda q, k, *_: tuple(torch.empty_like(x, memory_format=torch.contiguous_format) for x in (q, k)),
        lib=_LIBRARY,
    )
    operator = getattr(torch.ops.rope_prof, name).default

    def call(
        q: torch.Tensor, k: torch.Tensor, positions: torch.Tensor, cos_sin_cache: torch.Tensor, shape: MropeShape
    ) -> None:
        new_q, new_k = operator(q, k, positions, cos_sin_cache, *numbers(shape))
        q.copy_(new_q)
        k.copy_(new_k)

    return call
