"""Each path against the float64 oracle on the very input; the limit is twice the unfused chain's own error there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from rope_prof.kernels.mrope.inputs import Inputs, views
from rope_prof.kernels.mrope.reference import Error, error, reference
from rope_prof.kernels.mrope.shape import MropeShape
from rope_prof.kernels.mrope.unfused import unfused
from rope_prof.model.run import Accuracy

#: q elements that the oracle turns at once: its float64 copies are what fills the memory at long prompts.
CHUNK = 1 << 25

Call = Callable[..., Any]


def fresh(inputs: Inputs, shape: MropeShape) -> Inputs:
    """The same values in tensors of their own, laid out alike: a path in place must not touch the ring's."""
    return views(shape, inputs.qkv.clone(), inputs.positions, inputs.cos_sin_cache)


def run_once(call: Call, inputs: Inputs, shape: MropeShape) -> tuple[torch.Tensor, torch.Tensor]:
    """What `call` makes of `inputs`: what it returns, or q and k themselves where it returns None.

    Errors: TypeError where it returns neither None nor two tensors of the shapes of q and k.
    """
    result = call(inputs.q, inputs.k, inputs.positions, inputs.cos_sin_cache, shape)
    if result is None:
        return inputs.q, inputs.k
    pair = tuple(result) if isinstance(result, tuple | list) else ()
    if len(pair) != 2 or not all(isinstance(part, torch.Tensor) for part in pair):
        raise TypeError(
            f"the path returned {type(result).__name__}; expected a pair of tensors (q, k), or None if in place"
        )
    q, k = pair
    shapes = (tuple(q.shape), tuple(k.shape))
    if shapes != (tuple(inputs.q.shape), tuple(inputs.k.shape)):
        raise TypeError(
            f"the path returned shapes {shapes}; expected {tuple(inputs.q.shape)} and {tuple(inputs.k.shape)}"
        )
    return q, k


def deviation(out: tuple[torch.Tensor, torch.Tensor], exact_of: Inputs, shape: MropeShape) -> Error:
    """`out` against the oracle of `exact_of`, a stretch of tokens at a time."""
    tokens = exact_of.q.shape[0]
    stretch = max(1, CHUNK // max(1, shape.heads * shape.head_dim))
    worst, right, nans = 0.0, 0.0, 0
    for first in range(0, tokens, stretch):
        part = slice(first, min(tokens, first + stretch))
        where = exact_of.positions[..., part]
        exact = tuple(reference(x[part], where, shape) for x in (exact_of.q, exact_of.k))
        found = error(tuple(x[part] for x in out), exact)
        worst, nans = max(worst, found.max_error), nans + found.nans
        right += found.rounded_share * (part.stop - part.start)
    return Error(max_error=worst, rounded_share=right / tokens if tokens else 1.0, nans=nans)


def limit(inputs: Inputs, shape: MropeShape) -> float:
    """Twice the unfused chain's own largest error on `inputs`."""
    own = fresh(inputs, shape)
    return 2 * float(deviation(run_once(unfused, own, shape), inputs, shape).max_error)


def accuracy(call: Call, inputs: Inputs, shape: MropeShape, bound: float, dtype: str) -> Accuracy:
    """How far `call` lies from the oracle on `inputs`, which it leaves untouched. Raises what `call` raises."""
    found = deviation(run_once(call, fresh(inputs, shape), shape), inputs, shape)
    return Accuracy(
        max_error=found.max_error,
        limit=bound,
        rounded_share=found.rounded_share,
        nans=found.nans,
        dtype=dtype,
    )
