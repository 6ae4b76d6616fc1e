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
from rope_prof.record.bench.copies import copied, tensors_of, with_tensors
from rope_prof.record.bench.layouts import difference, named_tensors
from rope_prof.record.loop.describe import broke_device, one_line

#: How an argument and what was done with it are told, in the words of a layout.
OTHERS = ("values", "turned end for end")
KEPT = "it returns what it made before, of other values"


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
        if broke_device(error):
            raise RuntimeError(f"where {OTHERS[0]!r} is {OTHERS[1]}: {one_line(error)}") from error
        return ()
    if not all(bool(each.double().isfinite().all()) for each in wanted):
        return ()
    granted = [
        limit if kind.is_floating_point else math.inf for limit, kind in zip(known.errors, known.dtypes, strict=True)
    ]
    reason = difference(got, wanted, operation, granted, "what the baseline gives of them")
    if _same(got, out) and not _same(got, wanted):
        reason = KEPT
    return () if reason is None else (LayoutError(argument=OTHERS[0], layout=OTHERS[1], reason=reason),)


def number_errors(
    function: Callable[..., Any], given: Call, operation: Operation, baseline: Callable[..., Any]
) -> tuple[LayoutError, ...]:
    """Where `function` gives of other whole numbers what it gave of those of `given`, and the baseline does not.

    It has kept what it made of those that lay in that place before, if others in another place make a difference; else
    it does without them: they are what it takes for granted, or what it has kept by something else.
    """
    wrong = []
    for tensor, argument in named_tensors(given, operation):
        if argument.scratch or any(tensor is each for each in given.written) or not _is_number(tensor):
            continue
        other = _end_for_end(tensor)
        try:
            call = _with(given, tensor, tensor)  # kept to the end: no other memory lies in that place
            if torch.equal(other, tensor):
                continue
            out = tuple(each.clone() for each in run_once(function, call, operation))
            _put_back(call, given)
            bits(_there(call, given, tensor).data).copy_(other)
            if not _same(run_once(function, call, operation), out):
                continue
            was, now = (run_once(baseline, _with(given, tensor, each), operation) for each in (tensor, other))
            if _same(was, now):
                continue
            elsewhere = run_once(function, _with(given, tensor, other), operation)
        except Exception as error:
            if broke_device(error):
                raise RuntimeError(f"where {argument.name!r} is {OTHERS[1]}: {one_line(error)}") from error
            continue
        reason = "its outputs are those of before, as if it were not read" if _same(elsewhere, out) else KEPT
        wrong.append(LayoutError(argument=argument.name, layout=OTHERS[1], reason=reason))
    return tuple(wrong)


def _is_number(tensor: torch.Tensor) -> bool:
    whole = not (tensor.is_floating_point() or tensor.is_complex() or tensor.dtype == torch.bool)
    return whole and bool(tensor.dim() and tensor.numel()) and 0 not in tensor.stride() and not bounds(tensor)


def _end_for_end(tensor: torch.Tensor) -> torch.Tensor:
    """Its values in the other order, by rows where that makes others."""
    by_rows = tensor.flip(0)
    return by_rows if not torch.equal(by_rows, tensor) else tensor.flip(-1)


def _with(given: Call, tensor: torch.Tensor, values: torch.Tensor) -> Call:
    """A copy of `given` whose `tensor` has those values, in memory of its own."""
    call = copied(given)
    return with_tensors(call, {id(_there(call, given, tensor)): values.clone(memory_format=torch.preserve_format)})


def _there(call: Call, given: Call, tensor: torch.Tensor) -> torch.Tensor:
    """The tensor of `call` in the place of `tensor` of `given`."""
    return next(mine for mine, each in zip(tensors_of(call), tensors_of(given), strict=True) if each is tensor)


def _put_back(call: Call, given: Call) -> None:
    """The values of `given` into the tensors of `call`, its copy."""
    for mine, theirs in zip(tensors_of(call), tensors_of(given), strict=True):
        if 0 not in mine.stride() and mine is not theirs:
            bits(mine.data).copy_(bits(theirs))


def _same(one: Tensors, two: Tensors) -> bool:
    return len(one) == len(two) and all(map(_alike, one, two))


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


def bounds(numbers: torch.Tensor) -> bool:
    """Whether these may be places of other tensors' parts, as sums of lengths are: turned they would be none."""
    if numbers.dim() != 1 or numbers.numel() < 2:
        return False
    rising = bool((numbers[1:] >= numbers[:-1]).all())
    return rising and int(numbers[-1]) >= numbers.numel()
