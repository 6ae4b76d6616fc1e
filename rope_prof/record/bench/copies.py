"""A call's tensors once more: the same values, strides, overlaps and alignment in memory of their own.

Tensors that are views of one storage stay views of one storage, so that a path which takes two of them for one (q and
the k behind it, say) finds what it would find.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch

from rope_prof.kernels.operation import Call

#: No kernel asks for more: an address keeps its place within so many bytes.
ALIGNED_BYTES = 256


def copied(call: Call) -> Call:
    """`call` with its fresh tensors in memory of their own, laid out alike."""
    spans: dict[int, tuple[int, int]] = {}
    for tensor in call.fresh:
        lo, hi = _span(tensor)
        base = tensor.untyped_storage().data_ptr()
        known = spans.get(base, (lo, hi))
        spans[base] = min(lo, known[0]), max(hi, known[1])
    blocks = {base: _block(call, base, *span) for base, span in spans.items()}

    def own(tensor: torch.Tensor) -> torch.Tensor:
        base = tensor.untyped_storage().data_ptr()
        block, start = blocks[base]
        lo, _ = _span(tensor)
        place = (block.storage_offset() + lo - start) // tensor.itemsize
        made = torch.empty(0, dtype=tensor.dtype, device=tensor.device)
        return made.set_(block.untyped_storage(), place, tensor.shape, tensor.stride())

    return with_tensors(call, {id(tensor): own(tensor) for tensor in call.fresh})


def _span(tensor: torch.Tensor) -> tuple[int, int]:
    """The addresses that `tensor` reaches: of its first byte, and behind its last."""
    if not tensor.numel():
        return tensor.data_ptr(), tensor.data_ptr()
    reach = sum((size - 1) * stride for size, stride in zip(tensor.shape, tensor.stride(), strict=True))
    return tensor.data_ptr(), tensor.data_ptr() + (reach + 1) * tensor.itemsize


def _block(call: Call, base: int, lo: int, hi: int) -> tuple[torch.Tensor, int]:
    """(bytes of their own, as far past `ALIGNED_BYTES` as those of the span are; where the span begins)."""
    source = next(tensor for tensor in call.fresh if tensor.untyped_storage().data_ptr() == base)
    there = torch.empty(0, dtype=torch.uint8, device=source.device).set_(source.untyped_storage())
    room = torch.empty(hi - lo + 2 * ALIGNED_BYTES, dtype=torch.uint8, device=source.device)
    skip = (lo - room.data_ptr()) % ALIGNED_BYTES
    block = room[skip : skip + hi - lo]
    if hi > lo:
        block.copy_(there[lo - base : hi - base])
    return block, lo


def with_tensors(call: Call, others: dict[int, torch.Tensor]) -> Call:
    """`call` with the tensors of these ids replaced wherever it names them."""

    def other(value: Any) -> Any:
        return others.get(id(value), value) if isinstance(value, torch.Tensor) else value

    one_pass = call.one_pass
    return replace(
        call,
        arguments=tuple(mapped(value, other) for value in call.arguments),
        fresh=tuple(other(value) for value in call.fresh),
        written=tuple(other(value) for value in call.written),
        one_pass=one_pass if one_pass is None else others.get(id(one_pass)),
    )


def mapped(value: Any, other: Callable[[Any], Any]) -> Any:
    """`other` of a tensor, and of those in lists, tuples and dicts."""
    if isinstance(value, list | tuple) and not hasattr(value, "_fields"):
        return type(value)(mapped(each, other) for each in value)
    if isinstance(value, dict):
        return {name: mapped(each, other) for name, each in value.items()}
    return other(value)


def tensors_of(call: Call) -> list[torch.Tensor]:
    """Every tensor among the arguments."""
    found: list[torch.Tensor] = []

    def see(value: Any) -> Any:
        if isinstance(value, torch.Tensor):
            found.append(value)
        return value

    for value in call.arguments:
        mapped(value, see)
    return found
