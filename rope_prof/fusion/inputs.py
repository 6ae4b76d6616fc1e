"""The inputs of `measure` as sets of arguments by case: made where they are to be made, all on one device."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch.utils._pytree import tree_leaves

from rope_prof.errors import UsageError

Arguments = tuple[Any, ...]
Sets = Arguments | dict[str, Arguments] | dict[int, Arguments]
#: How often something that makes inputs may make something that makes inputs.
_DEEP = 3


def sets_of(inputs: Any, seed: int) -> Sets:
    """A tensor, a tuple of arguments, what makes one, or case -> any of those. Errors: UsageError.

    What makes them is called once, from torch's generators at `seed`.
    """
    made = _made(inputs, seed, "inputs")
    if isinstance(made, Mapping):
        return {
            name: _arguments(_made(each, seed, f"inputs[{name!r}]"), f"inputs[{name!r}]") for name, each in made.items()
        }
    return _arguments(made, "inputs")


def _made(given: Any, seed: int, what: str) -> Any:
    for _ in range(_DEEP):
        if not callable(given) or isinstance(given, torch.Tensor):
            break
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            try:
                given = given()
            except Exception as error:
                raise UsageError(f"{what}() fails ({type(error).__name__}: {error})") from error
    return given


def _arguments(given: Any, what: str) -> Arguments:
    if isinstance(given, torch.Tensor):
        return (given,)
    if isinstance(given, Sequence) and not isinstance(given, str):
        return tuple(given)
    raise UsageError(f"{what} is {type(given).__name__}; expected a tensor, a tuple of arguments, or what makes one")


def device_of(sets: Sets, paths: Mapping[str, Any]) -> torch.device:
    """The one device of all tensors, and of the weights of those `paths` that are modules. Errors: UsageError."""
    found: dict[torch.device, str] = {}
    for case, arguments in sets.items() if isinstance(sets, dict) else ((None, sets),):
        where = "inputs" if case is None else f"inputs[{case!r}]"
        for place, argument in enumerate(arguments):
            for value in tree_leaves(argument):
                if isinstance(value, torch.Tensor):
                    _require_dense(value, f"{where}[{place}]")
                    found.setdefault(value.device, f"{where}[{place}]")
    if not found:
        raise UsageError("inputs hold no tensor; expected the arguments of one call")
    for name, path in paths.items():
        weight = next(iter(path.parameters()), None) if isinstance(path, torch.nn.Module) else None
        if weight is not None:
            found.setdefault(weight.device, f"the weights of path {name!r}")
    if len(found) > 1:
        (one, first), (other, second), *_ = found.items()
        raise UsageError(f"{first} is on {one} and {second} on {other}; expected all on one device")
    device = next(iter(found))
    if device.type not in {"cpu", "cuda"}:
        raise UsageError(f"{found[device]} is on {device}; expected 'cpu' or 'cuda'")
    return device


def _require_dense(tensor: torch.Tensor, where: str) -> None:
    if tensor.layout is not torch.strided or tensor.is_quantized or tensor.is_nested:
        said = "nested" if tensor.is_nested else "quantised" if tensor.is_quantized else f"in {tensor.layout}"
        raise UsageError(f"{where} is {said}; expected dense tensors, such as its parts: a path may put them together")
