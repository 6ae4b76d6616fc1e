"""name -> Path: one implementation of the operation, what it needs, and how to call it; a user's own joins by name."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass

import torch
from rope_prof.kernels.mrope.shape import MropeShape

#: `(q, k, positions, cos_sin_cache, shape) -> (q, k)`, or None where the path works in place.
PathFunction = Callable[
    [torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor, MropeShape],
    "tuple[torch.Tensor, torch.Tensor] | None",
]


@dataclass(frozen=True, slots=True)
class Path:
    """One implementation. `in_place`: q and k are overwritten. `triton`: needs Triton and a GPU, or its interpreter."""

    name: str
    call: PathFunction
    in_place: bool
    triton: bool = False


def _unfused() -> Path:
    from rope_prof.kernels.mrope.unfused import unfused

    return Path("unfused", unfused, in_place=False)


def _per_token() -> Path:
    from rope_prof.kernels.mrope.per_token import per_token

    return Path("per-token", per_token, in_place=True, triton=True)


def _fused() -> Path:
    from rope_prof.kernels.mrope.fused import fused

    return Path("fused", fused, in_place=True, triton=True)


_OWN: dict[str, Callable[[], Path]] = {"unfused": _unfused, "per-token": _per_token, "fused": _fused}
NAMES = tuple(_OWN)


def path(name: str) -> Path:
    """The path called `name`: one of NAMES, or a user's own `package.module:function`.

    Errors: LookupError with one sentence for an unknown name, a module that is not there, or a function that it lacks.
    """
    if name in _OWN:
        return _OWN[name]()
    module_name, _, attribute = name.partition(":")
    if not attribute or not module_name:
        raise LookupError(f"unknown path {name!r}; expected {', '.join(map(repr, NAMES))} or 'module:function'")
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        raise LookupError(
            f"path {name!r}: cannot import {module_name!r} ({error}); put its folder on PYTHONPATH"
        ) from error
    function = getattr(module, attribute, None)
    if not callable(function):
        raise LookupError(f"path {name!r}: {module_name!r} has no function {attribute!r}")
    return Path(name, function, in_place=bool(getattr(function, "in_place", False)))


def outputs(
    path: Path,
    q: torch.Tensor,
    k: torch.Tensor,
    positions: torch.Tensor,
    table: torch.Tensor,
    shape: MropeShape,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Call `path` once and return its (q, k): what it returned, or q and k themselves where it works in place."""
    result = path.call(q, k, positions, table, shape)
    return (q, k) if result is None else result
