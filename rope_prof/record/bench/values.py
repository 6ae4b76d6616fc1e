"""What a path does with values: it leaves its arguments as they are, and gives of other values other outputs.

A path that changes what it is to read, or that gives again what it once made, is right on the one call that is looked
at and wrong in use; and it is fast, for it does less.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch

from rope_prof.errors import OperationError
from rope_prof.kernels.operation import Call, Operation, Setting, Tensors
from rope_prof.model.run import LayoutError
from rope_prof.record.bench.accuracy import limits, run_once
from rope_prof.record.bench.copies import copied, tensors_of
from rope_prof.record.bench.layouts import difference, named_tensors
from rope_prof.record.loop.describe import one_line

#: How an argument and what was done with it are told, in the words of a layout.
OTHERS = ("values", "turned end for end")


def changed(function: Callable[..., Any], given: Call, operation: Operation) -> tuple[Tensors, frozenset[str]]:
    """(outputs of `function`, the arguments but those of `written` and scratch that it leaves with other values)."""
    call = copied(given)
    places = {id(each) for each in call.written}
    held = [
        (argument.name, mine, mine.clone() if mine is theirs else theirs)
        for (mine, argument), theirs in zip(named_tensors(call, operation), tensors_of(given), strict=False)
        if id(mine) not in places and not argument.scratch
    ]
    out = run_once(function, call, operation)
    return out, frozenset(name for name, mine, before in held if not _alike(mine, before))


def require_kept(
    function: Callable[..., Any], given: Call, operation: Operation, baseline: Callable[..., Any], name: str
) -> Tensors:
    """Outputs of `function`, the path `name`. TypeError where it changes an argument that the baseline leaves alone."""
    out, spoilt = changed(function, given, operation)
    if spoilt:
        spoilt -= changed(baseline, given, operation)[1]
    if spoilt:
        raise TypeError(
            f"the path {name!r} changes {min(spoilt)!r}, which the baseline leaves as it is; expected it as it was: "
            "copy it first, or say where outputs lie by 'written' of the call (in @rope_prof.path: writes)"
        )
    return out


def value_errors(
    function: Callable[..., Any],
    given: Call,
    out: Tensors,
    operation: Operation,
    case: Setting,
    baseline: Callable[..., Any],
) -> tuple[LayoutError, ...]:
    """Where `function`, which gave `out` of `given`, is wrong on the call's own floating values end for end.

    What raises there refuses the values, which is its right; where the baseline gives no numbers, nothing is held. Of
    whole numbers alone, of which other roundings make others, it must only be that they are not those of before.
    """
    other = _turned(given)
    if other is None:
        return ()
    try:
        known = limits(operation, case, other)
        wanted = run_once(baseline, copied(other), operation)
        got = _in_the_place_of(other, copied(given), function, operation)
    except OperationError:
        return ()
    except Exception as error:
        if "CUDA error" in str(error) or type(error).__name__ == "AcceleratorError":
            raise RuntimeError(f"where {OTHERS[0]!r} is {OTHERS[1]}: {one_line(error)}") from error
        return ()
    if not all(bool(each.double().isfinite().all()) for each in wanted):
        return ()
    granted = [
        limit if kind.is_floating_point else math.inf for limit, kind in zip(known.errors, known.dtypes, strict=True)
    ]
    reason = difference(got, wanted, operation, granted, "what the baseline gives of them")
    if len(got) == len(out) and all(map(_alike, got, out)) and not all(map(_alike, got, wanted)):
        reason = "it returns what it made before, of other values"
    return () if reason is None else (LayoutError(argument=OTHERS[0], layout=OTHERS[1], reason=reason),)


def _in_the_place_of(other: Call, first: Call, function: Callable[..., Any], operation: Operation) -> Tensors:
    """Outputs of `function` on the values of `other`, which lie where those of `first` lay when it was called before.

    No version counter tells of the change: what is kept by address, by tensor or by version is found to be kept.
    """
    run_once(function, first, operation)
    for place, value in zip(first.fresh, other.fresh, strict=True):
        if 0 not in place.stride():
            bits(place.data).copy_(bits(value))
    return run_once(function, first, operation)


def _turned(given: Call) -> Call | None:
    """`given` with the values of its own floating tensors in the other order; None where they are the same so."""
    call = copied(given)
    for tensor in call.fresh:
        if tensor.is_floating_point() and tensor.numel() and 0 not in tensor.stride():
            place = bits(tensor)
            place.copy_(place.flip(tuple(range(place.dim()))))
    pairs = zip(call.fresh, given.fresh, strict=True)
    return None if all(_alike(one, two) for one, two in pairs) else call


def bits(tensor: torch.Tensor) -> torch.Tensor:
    """The same memory as whole numbers: not every floating dtype has every operator."""
    sizes = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
    return tensor.detach().view(sizes[tensor.itemsize]) if tensor.is_floating_point() else tensor.detach()


def _alike(one: torch.Tensor, two: torch.Tensor) -> bool:
    """Whether both hold the same bits."""
    return one.shape == two.shape and one.dtype == two.dtype and torch.equal(bits(one), bits(two))
