"""In-place paths as operators of torch that torch.compile neither copies for nor gets wrong.

An operator that says it writes q and k, two views of one storage that come into the graph from outside, makes
Inductor write one of them in place and clone the other, up to torch 2.11 from the wrong offset. So a call is two
operators there, each of which says that it writes one tensor. The first turns q, and k with it where both are views of
one storage: it can only be so where nothing has been copied. The second finds k turned and does nothing; where a
backend did copy q, it turns k. Either way it is right by any backend, and by Inductor one kernel.

Operators are defined without the wrapper of `torch.library.custom_op`, whose own calls in Python would cost the host
several times the launch. They have no derivative.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import torch
from rope_prof.kernels.mrope.shape import MropeShape, shape_of

_LIBRARY = torch.library.Library("rope_prof", "FRAGMENT")
#: Whether two tensors are views of one storage; its stub lacks it.
one_storage: Callable[[torch.Tensor, torch.Tensor], bool] = getattr(torch._C, "_is_alias_of")  # noqa: B009
InPlace = Callable[[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor, MropeShape], None]


def _nothing(*_: Any, **__: Any) -> None:
    return None


def operator(schema: str, function: Callable[..., Any], fake: Callable[..., Any] = _nothing) -> Callable[..., Any]:
    """The operator `rope_prof::<schema>` as a callable; without a `fake` it returns nothing.

    What it writes may be no view that compiled code has made at an offset of changing sizes, but for a slice: Inductor
    (torch 2.11 to 2.13) writes to the beginning of the whole instead. That is a ValueError while it is traced.
    """
    name = schema.partition("(")[0]
    _LIBRARY.define(schema)
    _LIBRARY.impl(name, function, "CompositeExplicitAutograd")
    found: Any = getattr(torch.ops.rope_prof, name).default
    parameters = enumerate(found._schema.arguments)
    written = [(at, each.name) for at, each in parameters if each.alias_info is not None and each.alias_info.is_write]

    def traced(*arguments: Any) -> Any:
        for at, parameter in written:
            if arguments[at] is not None and _place_is_lost(arguments[at]):
                raise ValueError(
                    f"{parameter} is a view made in compiled code, {arguments[at].storage_offset()} elements into its "
                    "tensor; torch.compile would write to the beginning of that: give the view itself to the compiled "
                    "function, or mark the sizes static"
                )
        return fake(*arguments)

    torch.library.register_fake(f"rope_prof::{name}", traced, lib=_LIBRARY)
    operation: Callable[..., Any] = found
    return operation


def _place_is_lost(view: torch.Tensor) -> bool:
    """Whether it lies at an offset that neither a number, a symbol nor one dimension's slice tells, while traced."""
    offset, base = view.storage_offset(), view._base
    if base is None or not isinstance(offset, torch.SymInt) or not offset.node.expr.args:
        return False
    if view.dim() != base.dim() or view.stride() != base.stride():
        return True
    return sum(cut != full for cut, full in zip(view.shape, base.shape, strict=True)) > 1


class _Along(threading.local):
    """The address of the k that this thread's last first operator turned along with its q; 0 where it turned none."""

    k = 0


_along = _Along()


def compiled_apart(name: str, in_place: InPlace) -> Callable[..., torch.Tensor]:
    """`in_place` for compiled code that reads k afterwards: `rope_prof::<name>_apart_` turns q, the turned k is new.

    Inductor clones what an operator has written and something else reads, up to torch 2.11 from the wrong offset.
    """

    def apart(
        q: torch.Tensor, k: torch.Tensor, positions: torch.Tensor, table: torch.Tensor, word: str
    ) -> torch.Tensor:
        turned = k.clone(memory_format=torch.contiguous_format)
        in_place(q, turned, positions, table, shape_of(word))
        return turned

    return operator(
        f"{name}_apart_(Tensor(a!) q, Tensor k, Tensor positions, Tensor cos_sin_cache, str shape) -> Tensor",
        apart,
        lambda _, k, *__: k.new_empty(k.shape),
    )


def compiled_call(name: str, in_place: InPlace) -> InPlace:
    """`in_place` for use inside torch.compile: `rope_prof::<name>_q_`, then `rope_prof::<name>_k_`."""

    def first(q: torch.Tensor, k: torch.Tensor, positions: torch.Tensor, table: torch.Tensor, word: str) -> None:
        whole = one_storage(q, k)
        in_place(q, k if whole else k.clone(), positions, table, shape_of(word))
        _along.k = k.data_ptr() if whole else 0

    def second(k: torch.Tensor, q: torch.Tensor, positions: torch.Tensor, table: torch.Tensor, word: str) -> None:
        turned, _along.k = _along.k, 0
        if turned != k.data_ptr() or not turned:
            in_place(q.clone(), k, positions, table, shape_of(word))

    rest = "Tensor positions, Tensor cos_sin_cache, str shape) -> ()"
    turn_q = operator(f"{name}_q_(Tensor(a!) q, Tensor k, {rest}", first)
    turn_k = operator(f"{name}_k_(Tensor(a!) k, Tensor q, {rest}", second)

    def call(
        q: torch.Tensor, k: torch.Tensor, positions: torch.Tensor, cos_sin_cache: torch.Tensor, shape: MropeShape
    ) -> None:
        turn_q(q, k, positions, cos_sin_cache, shape.word)
        turn_k(k, q, positions, cos_sin_cache, shape.word)

    return call
