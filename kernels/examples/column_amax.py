"""A reduction across tokens: `x [N, H]` -> the largest magnitude of each channel and its fp8 scale, both `[H]` fp32."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import triton
import triton.language as tl
from rope_prof.kernels.examples.rows import DTYPE, OverTokens, hidden, require_adjacent, tokens
from rope_prof.kernels.launch import options
from rope_prof.kernels.operation import Axis, Call, Output, Setting, Tensors, floating

MOST = 448.0
#: Tokens and channels of a tile: 32 channels of bf16 are two sectors, and 4,096 channels 128 programs.
ROWS, COLUMNS = 128, 32


def unfused(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """A cast, a magnitude, a reduction, a bound, a division."""
    largest = x.float().abs().amax(0)
    return largest, largest.clamp_min(1e-12) / MOST


@triton.jit
def _kernel(
    x_ptr, amax_ptr, scale_ptr, stride, rows, width, MOST: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr
):
    column = tl.program_id(0) * COLUMNS + tl.arange(0, COLUMNS)
    inside = column < width
    largest = tl.zeros((COLUMNS,), dtype=tl.float32)
    for first in range(0, rows, ROWS):
        row = first + tl.arange(0, ROWS)
        at = x_ptr + row.to(tl.int64)[:, None] * stride + column[None, :]
        x = tl.load(at, mask=(row < rows)[:, None] & inside[None, :], other=0.0).to(tl.float32)
        largest = tl.maximum(largest, tl.max(tl.abs(x), axis=0))
    tl.store(amax_ptr + column, largest, mask=inside)
    tl.store(scale_ptr + column, tl.maximum(largest, 1e-12) / MOST, mask=inside)


def fused(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """A program a few channels, over all tokens. Errors: ValueError for rows whose elements are not adjacent."""
    require_adjacent(x=x)
    rows, width = x.shape
    largest, scale = (torch.empty(width, dtype=torch.float32, device=x.device) for _ in range(2))
    _kernel[(triton.cdiv(width, COLUMNS),)](
        x, largest, scale, x.stride(0), rows, width, MOST=MOST, ROWS=ROWS, COLUMNS=COLUMNS, **options(4)
    )
    return largest, scale


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnAmax(OverTokens):
    """`(x,)` -> (amax, scale). Its rows depend on one another, so that the reference gives all at once."""

    name: str = "column-amax"
    axes: tuple[Axis, ...] = (hidden(4096, 512, 1 << 16), tokens((64, 1024, 8192), (64, 256)), DTYPE)
    outputs: tuple[Output, ...] = (Output(name="amax"), Output(name="scale", tolerance=1e-6))
    by_rows: bool = False
    formula: str = "x read once, two figures a channel written"

    def exact(self, case: Setting, call: Call, rows: slice) -> Tensors:
        """All channels over all tokens."""
        largest = call.arguments[0].double().abs().amax(0)
        return largest, largest.clamp_min(1e-12) / MOST

    def moved_bytes(self, case: Setting, path: str | None) -> int | None:
        """The least of any path, which the kernel moves; of the chain's kernels nobody counted."""
        width = int(case["hidden"])
        return None if path == "unfused" else width * (int(case["tokens"]) * floating(case["dtype"]).itemsize + 8)


COLUMN_AMAX = ColumnAmax(functions={"unfused": unfused, "fused": fused})
