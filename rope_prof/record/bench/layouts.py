"""The same values laid out otherwise in memory: a path must give the same outputs there, or refuse aloud.

Servers hand kernels slices of larger buffers (positions under CUDA graphs, q and k of a packed qkv), so a path that
takes a row stride, a last stride of 1 or an alignment for granted is wrong in use though right on contiguous inputs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch

from rope_prof.kernels.operation import Argument, Call, Layout, Operation, Tensors
from rope_prof.model.run import LayoutError
from rope_prof.record.bench.accuracy import run_once
from rope_prof.record.bench.copies import copied, tensors_of, with_tensors
from rope_prof.record.loop.describe import broke_device, one_line, out_of_memory

#: Elements by which rows lie further apart: whole cache lines, so that alignment stays what it was.
APART = 128
#: What a layout is called where it is told of.
WORDS: dict[Layout, str] = {
    "rows": "cut out of wider rows",
    "offset": "not on 16 bytes",
    "strided": "strided along its last dimension",
}
#: Elements that are compared at once.
STRETCH = 1 << 24


def layout_errors(
    function: Callable[..., Any], given: Call, out: Tensors, operation: Operation, limits: Sequence[float]
) -> tuple[int, tuple[LayoutError, ...]]:
    """(layouts that were tried, those in which `function` gives other outputs than `out`, its own on `given`).

    One argument is laid out otherwise at a time. An error that the path raises refuses the layout, which is its right;
    one of the device itself is raised, since nothing can be run after it.
    """
    tried, wrong = 0, []
    for i, argument, layout in _cases(given, operation):
        call = copied(given)
        try:
            held = tensors_of(call)[i]
            call = with_tensors(call, {id(held): laid_out(held, layout)})
            got = run_once(function, call, operation)
            if call.fresh[0].is_cuda:
                torch.cuda.synchronize()
        except Exception as error:
            if broke_device(error):
                raise RuntimeError(f"where {argument.name!r} is {WORDS[layout]}: {one_line(error)}") from error
            tried += not out_of_memory(error)
            continue
        tried += 1
        reason = difference(got, out, operation, limits, "its value in the usual layout")
        if reason is not None:
            wrong.append(LayoutError(argument=argument.name, layout=WORDS[layout], reason=reason))
    return tried, tuple(wrong)


def _cases(given: Call, operation: Operation) -> Iterator[tuple[int, Argument, Layout]]:
    """(place among the tensors, its name, layout) of each that the operation asks for and the tensor can have."""
    held = tensors_of(given)
    for i, (tensor, argument) in enumerate(named_tensors(given, operation)):
        if any(tensor is other for other in held[:i]) or not tensor.numel():
            continue
        for layout in argument.layouts:
            if tensor.dim() >= (2 if layout == "rows" else 1):
                yield i, argument, layout


def named_tensors(call: Call, operation: Operation) -> list[tuple[torch.Tensor, Argument]]:
    """Every tensor among the arguments with what the operation says of it."""
    held = tensors_of(call)
    named = operation.arguments or tuple(Argument(name=f"argument {i}") for i in range(len(held)))
    return list(zip(held, named, strict=False))


def laid_out(tensor: torch.Tensor, layout: Layout) -> torch.Tensor:
    """The values of `tensor` in memory of their own, in that layout."""
    shape = tuple(tensor.shape)
    if layout == "rows":
        made = tensor.new_empty(*shape[:-1], shape[-1] + APART)[..., : shape[-1]]
    elif layout == "offset":
        made = tensor.new_empty(tensor.numel() + 1)[1:].view(shape)
    else:
        made = tensor.new_empty(*shape, 2)[..., 0]
    return made.copy_(tensor)


def difference(got: Tensors, out: Tensors, operation: Operation, limits: Sequence[float], what: str) -> str | None:
    """How `got` differs from `out`, in words `what`, by more than both may differ from the reference; else None."""
    for output, mine, theirs, limit in zip(operation.outputs, got, out, limits, strict=True):
        if mine.shape != theirs.shape or mine.dtype != theirs.dtype:
            return f"{output.name!r} is {tuple(mine.shape)} {mine.dtype} there and {tuple(theirs.shape)} {theirs.dtype}"
        apart = _apart(mine, theirs)
        if not apart <= 2 * limit:
            return f"{output.name!r} is up to {apart:.3g} off {what}"
    return None


def _apart(mine: torch.Tensor, theirs: torch.Tensor) -> float:
    """The largest difference; infinity where one alone is NaN."""
    worst = 0.0
    left, right = mine.detach().reshape(-1), theirs.detach().reshape(-1)
    for first in range(0, left.numel(), STRETCH):
        a, b = (side[first : first + STRETCH].to(torch.float64) for side in (left, right))
        same = (a == b) | (a.isnan() & b.isnan())
        difference = (a - b).abs().masked_fill(same, 0.0).nan_to_num(nan=torch.inf)
        worst = max(worst, float(difference.max()))
    return worst
