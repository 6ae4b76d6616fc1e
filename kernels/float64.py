"""A function of torch's operators as the same function in float64, whatever it casts to on its way.

A chain that says `x.float()` or `.to(torch.bfloat16)` would round in the middle of its own reference. Here every
floating tensor that an operator reads, the function's own weights among them, is float64 first, and a cast to another
floating dtype is none. Casts to whole numbers and to bool stay: they are the function's own meaning. Kernels that torch
does not know (Triton's, an extension's) are called as they are, and what draws random numbers draws others.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map

_ATEN = torch.ops.aten


class InFloat64(TorchDispatchMode):
    """Operators within run in float64. What is written in place keeps its dtype: it may be somebody else's."""

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """One operator; its name and packages are torch's."""
        named = dict(kwargs or {})
        if func._schema.is_mutable:
            return func(*args, **named)
        if func is _ATEN.view.dtype:
            return self._reinterpreted(func, args)
        if func in (_ATEN._softmax.default, _ATEN._log_softmax.default):
            args = (*args[:2], False)  # half_to_float: the input is no half any more
        return func(*tree_map(wide, args), **{name: wide(value) for name, value in named.items()})

    def _reinterpreted(self, func: Any, args: tuple[Any, ...]) -> Any:
        if args[0].is_floating_point():
            raise TypeError("it reads the bits of a floating tensor, which float64 does not have")
        return func(*args)


def wide(value: Any) -> Any:
    """A floating tensor or dtype as float64, all else as it is (of a list or tuple each)."""
    if isinstance(value, torch.Tensor):
        return value.double() if value.is_floating_point() else value
    if isinstance(value, torch.dtype):
        return torch.float64 if value.is_floating_point else value
    if isinstance(value, list | tuple):
        return type(value)(wide(each) for each in value)
    return value


def in_float64(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function` with all its arithmetic in float64 and no gradients. Raises what it raises there."""
    plain = eager(function)

    def exact(*arguments: Any) -> Any:
        with torch.no_grad(), warnings.catch_warnings(), InFloat64():
            warnings.filterwarnings("ignore", message="Mismatch dtype between input and weight")
            return plain(*(wide(each) for each in arguments))

    return exact


def eager(function: Callable[..., Any]) -> Callable[..., Any]:
    """What `torch.compile` was given, where `function` came of it; else `function` itself."""
    found = getattr(function, "_orig_mod", None) or getattr(function, "_torchdynamo_orig_callable", None)
    return found or function


def compiled(function: Callable[..., Any]) -> bool:
    """Whether `function` came of `torch.compile`."""
    return eager(function) is not function
