"""SiLU and multiply, as a gated MLP has it: `x [N, 2H]` -> `silu(x[:, :H]) * x[:, H:]`, `[N, H]`."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import triton
import triton.language as tl
from rope_prof.kernels.examples.rows import DTYPE, OverTokens, hidden, require_adjacent, tokens
from rope_prof.kernels.launch import options
from rope_prof.kernels.operation import Axis, Call, Output, Setting, Tensors, floating

BLOCK = 1024


def unfused(x: torch.Tensor) -> torch.Tensor:
    """Two kernels of torch's own."""
    gate, up = x.chunk(2, dim=-1)
    return torch.nn.functional.silu(gate) * up


@triton.jit
def _kernel(x_ptr, out_ptr, stride, width, BLOCK: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    column = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    inside = column < width
    gate = tl.load(x_ptr + row * stride + column, mask=inside, other=0.0).to(tl.float32)
    up = tl.load(x_ptr + row * stride + width + column, mask=inside, other=0.0).to(tl.float32)
    out = gate / (1.0 + tl.exp(-gate)) * up
    tl.store(out_ptr + row * width + column, out.to(out_ptr.dtype.element_ty), mask=inside)


def fused(x: torch.Tensor) -> torch.Tensor:
    """A program a stretch of a token. Errors: ValueError for rows whose elements are not adjacent."""
    require_adjacent(x=x)
    rows, width = x.shape[0], x.shape[1] // 2
    out = torch.empty(rows, width, dtype=x.dtype, device=x.device)
    if rows:
        _kernel[(rows, triton.cdiv(width, BLOCK))](x, out, x.stride(0), width, BLOCK=BLOCK, **options(4))
    return out


@dataclass(frozen=True, slots=True, kw_only=True)
class SiluMul(OverTokens):
    """`(x,)` -> (out,)."""

    name: str = "silu-mul"
    halves: int = 2
    axes: tuple[Axis, ...] = (hidden(8192, 1024, 1 << 17), tokens((1, 64, 1024, 8192), (1, 64, 256)), DTYPE)
    outputs: tuple[Output, ...] = (Output(name="out", tolerance=1e-6),)
    formula: str = "both halves read once, their product written once"

    def exact(self, case: Setting, call: Call, rows: slice) -> Tensors:
        """The formula in float64."""
        gate, up = call.arguments[0][rows].double().chunk(2, dim=-1)
        return (gate / (1 + torch.exp(-gate)) * up,)

    def moved_bytes(self, case: Setting, path: str | None) -> int | None:
        """Three halves in one kernel; the chain writes the activation and reads it again."""
        one = int(case["tokens"]) * int(case["hidden"]) * floating(case["dtype"]).itemsize
        return 5 * one if path == "unfused" else 3 * one


SILU_MUL = SiluMul(functions={"unfused": unfused, "fused": fused})
