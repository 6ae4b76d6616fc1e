"""The rotary paths of other projects, under their own names, where they are installed. Nothing is vendored.

Each returns a path function `(q, k, positions, cos_sin_cache, shape)`, as `--path module:function` takes one.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import torch
from rope_prof.kernels.mrope.shape import MropeShape

PathFunction = Callable[..., Any]


def _first(function: str, *places: str) -> Any:
    """`function` of the first of these modules that is there."""
    for place in places[:-1]:
        try:
            return getattr(import_module(place), function)
        except ModuleNotFoundError as error:
            if not place.startswith(str(error.name)):
                raise
    return getattr(import_module(places[-1]), function)


def _sglang() -> PathFunction:
    run = _first(
        "triton_ernie45_rope_fused_inplace",
        "sglang.kernels.ops.attention.rotary_triton",  # since 0.5.23
        "sglang.srt.layers.rotary_embedding",
    )
    cast: dict[tuple[int, torch.dtype], tuple[torch.Tensor, torch.Tensor]] = {}

    def sglang(q: Any, k: Any, positions: Any, table: Any, shape: MropeShape) -> None:
        if (key := (id(table), q.dtype)) not in cast:  # once, as the server does at start
            cast[key] = table, table.to(q.dtype)
        served = cast[key][1]
        t, h, w = shape.sections
        run(q, k, served, positions, [h, w, t], shape.head_dim, shape.rotary_dim, shape.pairing == "neox")

    return sglang


def vllm_embedding() -> PathFunction:
    """The chain that vLLM serves Ernie with."""
    embedding = import_module("vllm.model_executor.layers.rotary_embedding.ernie45_vl_rope").Ernie4_5_VLRotaryEmbedding
    built: dict[tuple[MropeShape, torch.dtype], Any] = {}

    def vllm(q: Any, k: Any, positions: Any, _table: Any, shape: MropeShape) -> Any:
        t, h, w = shape.sections
        if (shape, q.dtype) not in built:
            built[shape, q.dtype] = embedding(
                shape.head_dim, shape.rotary_dim, shape.max_position, shape.theta, shape.pairing == "neox", q.dtype,
                mrope_section=[h, w, t],
            ).to(q.device)  # fmt: skip
        return built[shape, q.dtype].forward_native(positions, q, k)

    return vllm


def _flashinfer() -> PathFunction:
    run = import_module("flashinfer").apply_rope_with_cos_sin_cache_inplace

    def flashinfer(q: Any, k: Any, positions: Any, table: Any, shape: MropeShape) -> None:
        """One row of positions: right for text alone; with three different rows the check shows it as wrong."""
        run(positions[0].contiguous(), q, k, shape.head_dim, table, shape.pairing == "neox")

    return flashinfer


def _liger_kernel() -> PathFunction:
    run = import_module("liger_kernel.ops.qwen2vl_mrope").LigerQwen2VLMRopeFunction.apply

    def liger_kernel(q: Any, k: Any, positions: Any, table: Any, shape: MropeShape) -> Any:
        """Chunked [t, h, w] order, NeoX halves, cos and sin gathered outside: another order than Ernie's."""
        cos, sin = table[positions].chunk(2, dim=-1)
        heads = [x.view(1, x.shape[0], -1, shape.head_dim).transpose(1, 2) for x in (q, k)]
        both = [torch.cat((x, x), dim=-1).to(q.dtype).unsqueeze(1) for x in (cos, sin)]
        out = run(*heads, *both, list(shape.sections), 1)
        return tuple(x.transpose(1, 2).reshape(y.shape) for x, y in zip(out, (q, k), strict=True))

    return liger_kernel


Builders = dict[str, tuple[str, Callable[[], PathFunction]]]
#: Name -> (the package that it needs, what builds it).
_PEERS: Builders = {
    "sglang": ("sglang", _sglang),
    "vllm": ("vllm", vllm_embedding),
    "flashinfer": ("flashinfer", _flashinfer),
    "liger_kernel": ("liger_kernel", _liger_kernel),
}
NOT_INSTALLED = "not installed"


def installed(builders: Builders = _PEERS) -> tuple[dict[str, PathFunction], dict[str, str]]:
    """(name -> path function of each peer that is installed and loads, name -> why each of the others does not)."""
    found: dict[str, PathFunction] = {}
    failed: dict[str, str] = {}
    for name, (package, build) in builders.items():
        if find_spec(package) is None:
            failed[name] = NOT_INSTALLED
            continue
        try:
            found[name] = build()
        except Exception as error:
            failed[name] = f"installed, but does not load: {type(error).__name__}: {error}"
    return found, failed


def missing(failed: dict[str, str]) -> list[str]:
    """One line a peer that is not measured."""
    return [f"peer {name}: {reason}" for name, reason in failed.items()]
