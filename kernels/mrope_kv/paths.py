"""The implementations of the cache write by name, each imported when it is asked for."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from rope_prof.kernels.mrope_kv.chains import unfused
from rope_prof.kernels.operation import Path


def _fused(name: str, *, settled: bool) -> Path:
    from rope_prof.kernels.mrope_kv.fused import fused

    return Path(name, partial(fused, settled=True) if settled else fused, in_place=True, triton=True)


def _composed(name: str) -> Path:
    from rope_prof.kernels.mrope_kv import composed

    return Path(name, getattr(composed, name.replace("-", "_")), in_place=True, triton=True)


_OWN: dict[str, Callable[[], Path]] = {
    "unfused": lambda: Path("unfused", unfused),
    "served": lambda: _composed("served"),
    "rope-then-index": lambda: _composed("rope-then-index"),
    "rope-then-write": lambda: _composed("rope-then-write"),
    "fused": lambda: _fused("fused", settled=False),
    "fused-settled": lambda: _fused("fused-settled", settled=True),
}
NAMES = tuple(_OWN)


def path(name: str) -> Path:
    """One of NAMES. Errors: LookupError.

    Each takes `(q, k, v, positions, cos_sin_cache, k_cache, v_cache, slots, k_scale, v_scale, shape, layout)` and
    returns (q, k_cache, v_cache), or None where it turns q in place; all write the caches in place.
    """
    if name not in _OWN:
        raise LookupError(f"unknown path {name!r}; expected {', '.join(map(repr, NAMES))}")
    return _OWN[name]()
