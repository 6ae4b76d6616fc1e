"""RMSNorm and quantisation a token: `x [N, H]` -> whole numbers or fp8 `[N, H]` and one fp32 scale a token `[N]`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import triton
import triton.language as tl
from rope_prof.kernels.examples.rows import DTYPE, OverTokens, hidden, require_adjacent, tokens
from rope_prof.kernels.launch import options
from rope_prof.kernels.operation import Argument, Axis, Call, Output, Setting, Tensors, floating

EPSILON = 1e-6
KINDS = {"int8": (torch.int8, 127.0), "fp8": (torch.float8_e4m3fn, 448.0)}


def unfused(x: torch.Tensor, weight: torch.Tensor, kind: str) -> tuple[torch.Tensor, torch.Tensor]:
    """As served without a kernel of its own: the norm in fp32, rounded to the dtype of `x`, then the quantisation."""
    dtype, most = KINDS[kind]
    wide = x.float()
    normed = (wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + EPSILON)).to(x.dtype) * weight
    scale = normed.float().abs().amax(-1, keepdim=True).clamp_min(1e-12) / most
    scaled = (normed.float() / scale).clamp(-most, most)
    return (scaled if dtype.is_floating_point else scaled.round()).to(dtype), scale.squeeze(-1)


@triton.jit
def _kernel(
    x_ptr, weight_ptr, out_ptr, scale_ptr, stride, width, EPS: tl.constexpr, MOST: tl.constexpr, BLOCK: tl.constexpr,
    WHOLE: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0).to(tl.int64)
    column = tl.arange(0, BLOCK)
    inside = column < width
    x = tl.load(x_ptr + row * stride + column, mask=inside, other=0.0).to(tl.float32)
    weight = tl.load(weight_ptr + column, mask=inside, other=0.0).to(tl.float32)
    normed = x * (1.0 / tl.sqrt(tl.sum(x * x, axis=0) / width + EPS)) * weight
    scale = tl.maximum(tl.max(tl.abs(normed), axis=0), 1e-12) / MOST
    scaled = tl.minimum(tl.maximum(normed / scale, -MOST), MOST)
    if WHOLE:
        scaled = (scaled + 12582912.0) - 12582912.0  # 1.5 * 2^23: to the nearest whole number, ties to even
    tl.store(out_ptr + row * width + column, scaled.to(out_ptr.dtype.element_ty), mask=inside)
    tl.store(scale_ptr + row, scale)


def fused(x: torch.Tensor, weight: torch.Tensor, kind: str) -> tuple[torch.Tensor, torch.Tensor]:
    """One program a token. Errors: ValueError for rows or a weight whose elements are not adjacent."""
    require_adjacent(x=x, weight=weight)
    dtype, most = KINDS[kind]
    rows, width = x.shape
    out = torch.empty(rows, width, dtype=dtype, device=x.device)
    scale = torch.empty(rows, dtype=torch.float32, device=x.device)
    if rows:
        block = triton.next_power_of_2(width)
        _kernel[(rows,)](
            x, weight, out, scale, x.stride(0), width, EPS=EPSILON, MOST=most, BLOCK=block,
            WHOLE=not dtype.is_floating_point, **options(min(16, max(1, block // 512))),
        )  # fmt: skip
    return out, scale


@dataclass(frozen=True, slots=True, kw_only=True)
class RmsnormQuant(OverTokens):
    """`(x, weight, kind)` -> (quantised, scale): each output has its own limit."""

    name: str = "rmsnorm-quant"
    axes: tuple[Axis, ...] = (
        hidden(4096, 1024, 1 << 16),
        tokens((1, 64, 1024, 8192), (1, 64, 256)),
        DTYPE,
        Axis(name="quantised", defaults={"any": ("int8",)}, choices=tuple(KINDS)),
    )
    outputs: tuple[Output, ...] = (Output(name="quantised"), Output(name="scale", tolerance=1e-6))
    arguments: tuple[Argument, ...] = (Argument(name="x"), Argument(name="weight", layouts=("offset", "strided")))
    formula: str = "at least x once, its quantised values once, a scale a token, the weight once"

    def more(self, case: Setting, x: torch.Tensor, generator: torch.Generator) -> tuple[Any, ...]:
        """One weight for all, and what to quantise to."""
        weight = torch.empty(int(case["hidden"]), dtype=x.dtype, device=x.device)
        return weight.normal_(1.0, 0.1, generator=generator), str(case["quantised"])

    def exact(self, case: Setting, call: Call, rows: slice) -> Tensors:
        """Norm and quotient in float64, not rounded."""
        x, weight, kind = call.arguments
        wide = x[rows].double()
        normed = wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + EPSILON) * weight.double()
        scale = normed.abs().amax(-1, keepdim=True).clamp_min(1e-12) / KINDS[kind][1]
        return normed / scale, scale.squeeze(-1)

    def moved_bytes(self, case: Setting, path: str | None) -> int | None:
        """The least of any path, which the kernel moves; of the chain's kernels nobody counted."""
        rows, width, size = int(case["tokens"]), int(case["hidden"]), floating(case["dtype"]).itemsize
        return None if path == "unfused" else rows * (width * (size + 1) + 4) + width * size


RMSNORM_QUANT = RmsnormQuant(functions={"unfused": unfused, "fused": fused})
