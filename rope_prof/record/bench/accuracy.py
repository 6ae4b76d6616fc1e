"""Each path against the float64 reference on the very input, output by output; the limit is the baseline's own error.

A path may err twice as much as the baseline does there, and never less than one step of the output's dtype at its
largest exact value, which rounding alone can cost, or than the share of it that the operation grants. That limit is as
large as the largest errors and values are, so that small values, and indices, could be anything under it: of no more
elements than twice the baseline's, or 1 in 20, may the error be over a quarter of their own value.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from rope_prof.errors import OperationError
from rope_prof.kernels.operation import Call, Operation, Setting, Tensors
from rope_prof.kernels.paths import path_of
from rope_prof.model.run import Accuracy, Case, OutputAccuracy
from rope_prof.record.bench.copies import copied
from rope_prof.record.loop.describe import own_words

#: Elements of all outputs that the reference makes at once: its float64 copies are what fills the memory.
CHUNK = 1 << 25
#: Two calls of the baseline on the same inputs lie no further apart than this share of the largest value; sums that
#: atomics take in another order do.
REPEATED_WITHIN = 1e-2
#: An element is far off where it errs by more than this share of its exact value: no dtype rounds by so much.
FAR = 0.25
#: A path may have twice the baseline's share of elements that are far off, and at least this share, and this many.
FAR_SHARE, FAR_COUNT = 0.05, 2

Function = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class OutputDeviation:
    """One output against the reference. `largest`: the largest exact value; `rounded`: elements correctly rounded.

    `nans`: elements that are no finite number where the reference is one (and has not to be rounded to none), or one
    where it is none; `far`: those that are `FAR` off.
    """

    max_error: float = 0.0
    elements: int = 0
    rounded: int = 0
    nans: int = 0
    largest: float = 0.0
    far: int = 0

    @property
    def far_share(self) -> float:
        """`far` of all elements."""
        return self.far / self.elements if self.elements else 0.0

    def __or__(self, other: OutputDeviation) -> OutputDeviation:
        return OutputDeviation(
            max(self.max_error, other.max_error),
            self.elements + other.elements,
            self.rounded + other.rounded,
            self.nans + other.nans,
            max(self.largest, other.largest),
            self.far + other.far,
        )


def run_once(function: Function, call: Call, operation: Operation) -> Tensors:
    """The outputs of `function` on `call`: what it returns, or `call.written` where it returns None.

    Errors: TypeError where it returns neither None nor as many tensors as the operation has outputs.
    """
    return outputs_of(function(*call.arguments), call, operation)


def outputs_of(result: Any, call: Call, operation: Operation) -> Tensors:
    """The outputs where a path has returned `result` of `call`. Errors: as `run_once`."""
    names = [output.name for output in operation.outputs]
    if result is None:
        if len(call.written) != len(names):
            raise TypeError(
                f"the path returned None; expected {_listed(names)}: this operation has no in-place paths"
                if not call.written
                else f"the operation's 'written' holds {len(call.written)} tensors; expected {_listed(names)}"
            )
        return call.written
    found = (result,) if isinstance(result, torch.Tensor) else tuple(result) if isinstance(result, tuple | list) else ()
    if len(found) != len(names) or not all(isinstance(part, torch.Tensor) for part in found):
        raise TypeError(
            f"the path returned {_said(result)}; expected {_listed(names)}, or None where it works in place"
        )
    return found


def _said(result: Any) -> str:
    if isinstance(result, tuple | list):
        return f"{len(result)} values ({', '.join(type(part).__name__ for part in result)})"
    return type(result).__name__


def _listed(names: Sequence[str]) -> str:
    return f"{len(names)} {'tensor' if len(names) == 1 else 'tensors'} ({', '.join(names)})"


def deviations(out: Tensors, operation: Operation, case: Setting, call: Call) -> tuple[OutputDeviation, ...]:
    """`out` against the reference of `call`, output by output, a stretch of rows at a time.

    Errors: OperationError for a reference of another number or shape; TypeError for outputs of another shape.
    """
    found = [OutputDeviation() for _ in operation.outputs]
    call = copied(call)  # a reference that works in place must not change what the next path is held to
    for part in _stretches(out, operation):
        with own_words(operation.name, "exact"):
            exact = operation.exact(case, call, part)
        _require_alike(out, exact, part, operation)
        for i, (got, want) in enumerate(zip(out, exact, strict=True)):
            found[i] |= deviation(got[part] if operation.by_rows else got, want)
    return tuple(found)


def _stretches(out: Tensors, operation: Operation) -> list[slice]:
    rows = max((each.shape[0] if each.dim() else 1 for each in out), default=0)
    if not operation.by_rows or not rows:
        return [slice(None)]
    across = sum(each.numel() // each.shape[0] if each.dim() and each.shape[0] else 1 for each in out)
    size = max(1, CHUNK // max(1, across))
    return [slice(first, min(rows, first + size)) for first in range(0, rows, size)]


def _require_alike(out: Tensors, exact: Tensors, part: slice, operation: Operation) -> None:
    names = [output.name for output in operation.outputs]
    tensors = isinstance(exact, tuple) and all(isinstance(each, torch.Tensor) for each in exact)
    if not tensors or len(exact) != len(names):
        raise OperationError(f"operation {operation.name!r}: exact gives {_said(exact)}; expected {_listed(names)}")
    for name, got, want in zip(names, out, exact, strict=True):
        if want.dtype != torch.float64:
            raise OperationError(
                f"operation {operation.name!r}: exact gives {name!r} in {_dtype(want)}; expected float64, unrounded, "
                "of whole numbers too"
            )
        shape = tuple((got[part] if operation.by_rows else got).shape)
        if tuple(want.shape) != shape:
            raise ShapeError(name, shape, tuple(want.shape))


class ShapeError(TypeError):
    """An output and the reference are of different shapes: whose fault it is, the baseline tells."""

    def __init__(self, name: str, got: tuple[int, ...], want: tuple[int, ...]) -> None:
        super().__init__(f"the path returned {name!r} of shape {got}; expected {want}")
        self.name, self.got, self.want = name, got, want


def deviation(got: torch.Tensor, want: torch.Tensor) -> OutputDeviation:
    """`got` of any dtype against `want` in float64: correctly rounded = `want` rounded once to the dtype of `got`."""
    if not got.numel():
        return OutputDeviation()
    wide, nearest = got.detach().to(torch.float64), rounded(want, got.dtype).to(torch.float64)
    right = wide == nearest
    finite = wide.isfinite() & want.isfinite()
    apart = (wide - want).abs().masked_fill(~finite, 0.0)
    meant = right | (wide == want) | (wide.isnan() & want.isnan())
    return OutputDeviation(
        max_error=float(apart.max()),
        elements=got.numel(),
        rounded=int(right.sum()),
        nans=int((~finite & ~meant).sum()),
        largest=float(want.abs().masked_fill(~finite, 0.0).max()),
        far=int((finite & ~right & (apart > FAR * want.abs())).sum()),
    )


def rounded(exact: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """`exact` (float64) rounded once to `dtype`: to the nearest, ties to even, within the range of whole numbers."""
    if dtype.is_floating_point or dtype == torch.bool:
        return exact.to(dtype)
    info = torch.iinfo(dtype)
    return exact.round().clamp(info.min, info.max).to(dtype)


def step(dtype: torch.dtype, largest: float) -> float:
    """The distance of two neighbours of `dtype` at `largest`; 0 for whole numbers, which a right path hits."""
    if not dtype.is_floating_point or largest <= 0 or not math.isfinite(largest):
        return 0.0
    return float(torch.finfo(dtype).eps) * 2.0 ** math.floor(math.log2(largest))


@dataclass(frozen=True, slots=True)
class ErrorLimits:
    """What the baseline gives of a case: how far each output may lie from the reference, its dtype and its shape.

    `far`: the share of its elements that may be far off.
    """

    errors: tuple[float, ...]
    far: tuple[float, ...]
    dtypes: tuple[torch.dtype, ...]
    shapes: tuple[tuple[int, ...], ...]


def limits(operation: Operation, case: Setting, call: Call) -> ErrorLimits:
    """The limits of `call`, by the baseline on a copy. Errors: OperationError for a reference of another shape."""
    baseline = path_of(operation, operation.paths[0]).call
    out = run_once(baseline, copied(call), operation)
    _require_repeated(out, run_once(baseline, copied(call), operation), operation)
    try:
        found = deviations(out, operation, case, call)
    except ShapeError as error:
        raise OperationError(
            f"operation {operation.name!r}: exact gives {error.name!r} of shape {error.want}, the baseline "
            f"{operation.paths[0]!r} returns {error.got}; expected the same shape"
        ) from error
    dtypes = tuple(each.dtype for each in out)
    errors = tuple(
        max(2 * one.max_error, step(dtype, one.largest), output.tolerance * one.largest)
        for one, dtype, output in zip(found, dtypes, operation.outputs, strict=True)
    )
    far = tuple(_far_limit(one, output.tolerance) for one, output in zip(found, operation.outputs, strict=True))
    return ErrorLimits(errors, far, dtypes, tuple(tuple(each.shape) for each in out))


def _far_limit(baseline: OutputDeviation, tolerance: float) -> float:
    """The share that may be far off: any, where the operation itself says what an output may err."""
    if tolerance > 0 or not baseline.elements:
        return 1.0
    return max(2 * baseline.far_share, FAR_SHARE, FAR_COUNT / baseline.elements)


def _require_repeated(out: Tensors, again: Tensors, operation: Operation) -> None:
    """OperationError where the baseline gives other outputs on the same inputs: nothing is held to draws."""
    for output, one, two in zip(operation.outputs, out, again, strict=True):
        apart = deviation(one, two.to(torch.float64)) if one.shape == two.shape else None
        if apart is None or apart.max_error > REPEATED_WITHIN * apart.largest:
            by = "another shape" if apart is None else f"values up to {apart.max_error:.3g} apart"
            raise OperationError(
                f"operation {operation.name!r}: the baseline {operation.paths[0]!r} gives {output.name!r} with {by} "
                "when it is called again on the same inputs; expected the same: draw what is random ahead, as an input"
            )


def judged(out: Tensors, operation: Operation, case: Setting, call: Call, known: ErrorLimits, dtype: str) -> Accuracy:
    """How far `out` lies from the reference of `call`; the figures of all are those of the output nearest its limit.

    Errors: TypeError for outputs of another shape or dtype than the baseline's.
    """
    for output, got, want, shape in zip(operation.outputs, out, known.dtypes, known.shapes, strict=True):
        if tuple(got.shape) != shape:  # a reference asked for the rows that are there would find nothing amiss
            raise ShapeError(output.name, tuple(got.shape), shape)
        if got.dtype != want:
            less = ": a lower precision than stated" if got.dtype.itemsize < want.itemsize else ""
            raise TypeError(
                f"the path returned {output.name!r} in {_dtype(got)}; expected {str(want).removeprefix('torch.')}, as "
                f"the baseline {operation.paths[0]!r} does{less}"
            )
    found = deviations(out, operation, case, call)
    outputs = tuple(
        OutputAccuracy(
            name=output.name,
            dtype=_dtype(got),
            max_error=one.max_error,
            limit=limit,
            rounded_share=one.rounded / one.elements if one.elements else 1.0,
            nans=one.nans,
            far_share=one.far_share,
            far_limit=far,
        )
        for output, got, one, limit, far in zip(operation.outputs, out, found, known.errors, known.far, strict=True)
    )
    worst = max(outputs, key=lambda one: (one.wrong, _used(one), one.max_error))
    elements = sum(one.elements for one in found)
    return Accuracy(
        max_error=worst.max_error,
        limit=worst.limit,
        rounded_share=sum(one.rounded for one in found) / elements if elements else 1.0,
        nans=sum(one.nans for one in found),
        dtype=dtype,
        outputs=outputs,
    )


def _used(one: OutputAccuracy) -> float:
    return one.max_error / one.limit if one.limit > 0 else math.inf if one.max_error > 0 else 0.0


def _dtype(tensor: torch.Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def dtype_of(case: Case, out: Tensors) -> str:
    """What a check was made in: the case's own dtype, else that of the first output."""
    return str(dict(case.values).get("dtype") or _dtype(out[0]))
