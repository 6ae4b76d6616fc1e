"""The multimodal rotary embedding as an operation: the models' axes, its paths, packed views, the float64 oracle."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import torch
from rope_prof.kernels.mrope.inputs import DTYPES, PROMPTS, Prompt, make_ring
from rope_prof.kernels.mrope.paths import NAMES, path
from rope_prof.kernels.mrope.reference import reference
from rope_prof.kernels.mrope.shape import PRESETS, MropeShape
from rope_prof.kernels.mrope.traffic import least_bytes, path_bytes
from rope_prof.kernels.operation import Argument, Axis, Call, Operation, Output, Path, Setting, Tensors

#: A sweep: powers of four, both models, every number of ranks that divides the heads.
SWEEP_TOKENS = tuple(4**power for power in range(9))
SWEEP_TP = (1, 2, 4, 8)
MOST_TOKENS = 4_000_000
#: The models that are recorded where none is asked for, and all.
SWEEP_MODELS = ("28b", "424b")

_AXES = (
    Axis(name="model", defaults={"any": ("28b",), "sweep": SWEEP_MODELS}, choices=tuple(PRESETS)),
    Axis(name="tp", form="TP {}", defaults={"any": (1,), "sweep": SWEEP_TP}),
    Axis(
        name="tokens",
        form="n{}",
        noun="token",
        defaults={
            "cuda": (1, 64, 973, 8192),
            "cpu": (1, 64, 256),
            "quick cuda": (64, 973),
            "quick cpu": (64,),
            "sweep": SWEEP_TOKENS,
        },
        most=MOST_TOKENS,
    ),
    Axis(name="dtype", defaults={"any": ("bf16",)}, choices=tuple(DTYPES)),
    Axis(name="prompt", noun="prompt", defaults={"any": ("image",)}, choices=PROMPTS),
)


def shape_of(case: Setting) -> MropeShape:
    """The shape of one rank of `case`. Errors: ValueError where the ranks do not divide the heads."""
    return PRESETS[str(case["model"])].tp(int(case["tp"]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Mrope(Operation):
    """`(q, k, positions, cos_sin_cache, shape)` -> (q, k). The rows of `positions` are t, h and w."""

    name: str = "mrope"
    axes: tuple[Axis, ...] = _AXES
    swept: str = "tokens"
    paths: tuple[str, ...] = NAMES
    outputs: tuple[Output, ...] = (Output(name="q"), Output(name="k"))
    arguments: tuple[Argument, ...] = (
        Argument(name="q", layouts=("rows", "offset")),
        Argument(name="k", layouts=("rows", "offset")),
        Argument(name="positions", layouts=("rows", "offset")),
        Argument(name="cos_sin_cache", layouts=()),
    )
    by_rows: bool = True
    formula: str = "for a path in place 2 x tokens x heads x rotated lanes x item size"

    def path(self, name: str) -> Path:
        """One of ours, or a user's own `module:function`."""
        return path(name)

    def check(self, case: Setting) -> None:
        """The ranks must divide the heads."""
        shape_of(case)

    def lacks(self, case: Setting, path: str) -> str | None:
        """The first fused design knows the order of its own model alone."""
        order = PRESETS[str(case["model"])].order
        if path != "per-token" or order == "ernie":
            return None
        return f"path {path!r} knows the order 'ernie' alone; {case['model']} has {order!r}"

    def calls(
        self, case: Setting, count: int, device: torch.device, dtype: torch.dtype | None, seed: int
    ) -> Sequence[Call]:
        """Buffers that lie one behind the other and share positions and table, as the layers of a model do."""
        shape = shape_of(case)
        kind = DTYPES[str(case["dtype"])] if dtype is None else dtype
        prompt = cast(Prompt, case["prompt"])
        ring = make_ring(shape, int(case["tokens"]), count, kind, device, prompt=prompt, seed=seed)
        return [
            Call(
                arguments=(each.q, each.k, each.positions, each.cos_sin_cache, shape),
                fresh=(each.q, each.k),
                written=(each.q, each.k),
                one_pass=rotated(each.q, shape),
            )
            for each in ring
        ]

    def exact(self, case: Setting, call: Call, rows: slice) -> Tensors:
        """q and k turned by the formula."""
        q, k, positions, _, shape = call.arguments
        return tuple(reference(x[rows], positions[..., rows], shape) for x in (q, k))

    def moved_bytes(self, case: Setting, path: str | None) -> int | None:
        """What each kernel of ours reads and writes; None for a path of a user."""
        tokens, itemsize = int(case["tokens"]), DTYPES[str(case["dtype"])].itemsize
        if path is None:
            return least_bytes(shape_of(case), tokens, itemsize)
        return path_bytes(path, shape_of(case), tokens, itemsize)

    def refill(self, calls: Sequence[Call], seed: int) -> None:
        """New random q, k and v in the one allocation that all calls are views of."""
        packed = calls[0].arguments[0]._base
        assert packed is not None, "make_ring gives views of one allocation"
        packed.normal_(generator=torch.Generator(device=packed.device).manual_seed(seed))


def rotated(q: torch.Tensor, shape: MropeShape) -> torch.Tensor:
    """q and the k behind it as the one view `[N, heads * D]` that they are."""
    return q.as_strided((q.shape[0], shape.heads * shape.head_dim), (q.stride(0), 1))


MROPE = Mrope()
