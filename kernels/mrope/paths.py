"""The implementations of the multimodal rotary embedding by name, each imported when it is asked for."""

from __future__ import annotations

from collections.abc import Callable

import torch
from rope_prof.kernels.mrope.shape import MropeShape
from rope_prof.kernels.operation import Path
from rope_prof.kernels.paths import users_path


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
    """The path called `name`: one of NAMES, or a user's own `package.module:function`. Errors: LookupError.

    Each takes `(q, k, positions, cos_sin_cache, shape)` and returns new (q, k), or None where it works in place.
    """
    return _OWN[name]() if name in _OWN else users_path(name, NAMES)


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
