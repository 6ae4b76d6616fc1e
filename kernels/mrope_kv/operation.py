"""Rotary embedding and paged KV-cache write as an operation: models, caches, paths, the float64 oracle."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import torch
from rope_prof.kernels.mrope.inputs import DTYPES, PROMPTS, Prompt
from rope_prof.kernels.mrope.operation import MROPE, shape_of
from rope_prof.kernels.mrope.shape import PRESETS, MropeShape
from rope_prof.kernels.mrope_kv.cache import LAYOUTS, Layout
from rope_prof.kernels.mrope_kv.inputs import KINDS, Kind, KvInputs, make_kv_ring
from rope_prof.kernels.mrope_kv.paths import NAMES, path
from rope_prof.kernels.mrope_kv.reference import reference
from rope_prof.kernels.mrope_kv.traffic import least_bytes, path_bytes
from rope_prof.kernels.operation import Argument, Axis, Call, Operation, Output, Path, Setting, Tensors

_AXES = (
    Axis(
        name="model", defaults={"any": ("28b",), "sweep": ("28b", "qwen2-vl-7b", "qwen3-vl-8b")}, choices=tuple(PRESETS)
    ),
    Axis(name="tp", form="TP {}", defaults={"any": (1,)}),
    Axis(
        name="tokens",
        form="n{}",
        noun="token",
        defaults={
            "cuda": (1, 64, 973, 8192),
            "cpu": (1, 16),
            "quick cuda": (64, 973),
            "quick cpu": (8,),
            "sweep": tuple(4**power for power in range(9)),
        },
        most=4_000_000,
    ),
    Axis(name="dtype", defaults={"any": ("bf16",)}, choices=tuple(DTYPES)),
    Axis(name="cache", form="cache {}", noun="cache", defaults={"any": ("same",)}, choices=KINDS),
    Axis(name="layout", defaults={"any": ("NHD",)}, choices=LAYOUTS),
    Axis(name="page", form="page {}", defaults={"any": (16,)}, most=1 << 16),
    Axis(name="prompt", noun="prompt", defaults={"any": ("image",)}, choices=PROMPTS),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class MropeKv(Operation):
    """`(q, k, v, positions, table, k_cache, v_cache, slots, k_scale, v_scale, shape, layout)` -> (q, k_cache, v_cache).

    The outputs are whole caches: what no token writes must be as it was.
    """

    name: str = "mrope-kv"
    axes: tuple[Axis, ...] = _AXES
    swept: str = "tokens"
    paths: tuple[str, ...] = NAMES
    outputs: tuple[Output, ...] = (Output(name="q"), Output(name="k_cache"), Output(name="v_cache"))
    arguments: tuple[Argument, ...] = (
        Argument(name="q", layouts=("rows", "offset")),
        Argument(name="k", layouts=("rows", "offset"), scratch=True),
        Argument(name="v", layouts=("rows", "offset")),
        Argument(name="positions", layouts=("rows", "offset")),
        Argument(name="cos_sin_cache", layouts=()),
        Argument(name="k_cache", layouts=("rows", "offset")),
        Argument(name="v_cache", layouts=("rows", "offset")),
        Argument(name="slots", layouts=("offset",)),
        Argument(name="k_scale", layouts=()),
        Argument(name="v_scale", layouts=()),
    )
    by_rows: bool = False
    formula: str = "at least q, k and v read, q and the cache's k and v written, a slot a token"

    def path(self, name: str) -> Path:
        """One of ours."""
        return path(name)

    def check(self, case: Setting) -> None:
        """The ranks must divide the heads."""
        shape_of(case)

    def calls(
        self, case: Setting, count: int, device: torch.device, dtype: torch.dtype | None, seed: int
    ) -> Sequence[Call]:
        """Buffers and caches one behind the other; positions, table, slots and scales are shared, as layers do."""
        shape = shape_of(case)
        ring = make_kv_ring(
            shape,
            int(case["tokens"]),
            count,
            DTYPES[str(case["dtype"])] if dtype is None else dtype,
            device,
            kind=cast(Kind, case["cache"]),
            layout=cast(Layout, case["layout"]),
            page_size=int(case["page"]),
            prompt=cast(Prompt, case["prompt"]),
            seed=seed,
        )
        return [self._call(each, shape) for each in ring]

    def _call(self, each: KvInputs, shape: MropeShape) -> Call:
        return Call(
            arguments=each.arguments(shape),
            fresh=(each.q, each.k, each.v, each.k_cache, each.v_cache),
            written=(each.q, each.k_cache, each.v_cache),
        )

    def exact(self, case: Setting, call: Call, rows: slice) -> Tensors:
        """q turned by the formula, the caches with every token's k and v in its slot."""
        return reference(*call.arguments)

    def moved_bytes(self, case: Setting, path: str | None) -> int | None:
        """What each kernel of ours reads and writes; None for a path of a user."""
        shape, tokens, itemsize = shape_of(case), int(case["tokens"]), DTYPES[str(case["dtype"])].itemsize
        kept = itemsize if case["cache"] == "same" else 1
        if path is None:
            return least_bytes(shape, tokens, itemsize, kept)
        return path_bytes(path, shape, tokens, itemsize, kept)

    def refill(self, calls: Sequence[Call], seed: int) -> None:
        """New random q, k and v in the one allocation that all calls are views of; the caches are written over."""
        MROPE.refill(calls, seed)


MROPE_KV = MropeKv()
