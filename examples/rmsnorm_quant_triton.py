"""RMSNorm and int8 quantisation per token in one Triton kernel: a program reads its row once and writes it once."""

from __future__ import annotations

import torch
import triton
import triton.language as tl


@triton.jit
def _rmsnorm_quant(x_ptr, weight_ptr, values_ptr, scale_ptr, stride_x, hidden, eps, BLOCK: tl.constexpr):
    row = tl.program_id(0)
    columns = tl.arange(0, BLOCK)
    mask = columns < hidden
    x = tl.load(x_ptr + row.to(tl.int64) * stride_x + columns, mask, 0.0).to(tl.float32)
    weight = tl.load(weight_ptr + columns, mask, 0.0).to(tl.float32)
    y = x * tl.rsqrt(tl.sum(x * x) / hidden + eps) * weight
    scale = tl.max(tl.abs(y)) / 127
    scaled = y / scale
    whole = tl.floor(tl.abs(scaled) + 0.5)  # a tie goes away from zero, torch's to the even: one step apart at most
    tl.store(values_ptr + row.to(tl.int64) * hidden + columns, tl.where(scaled < 0, -whole, whole).to(tl.int8), mask)
    tl.store(scale_ptr + row, scale)


def rmsnorm_quant(x: torch.Tensor, weight: torch.Tensor, eps: float) -> tuple[torch.Tensor, torch.Tensor]:
    """(int8 values [rows, hidden], float32 scales [rows, 1]). ValueError for columns that do not lie side by side."""
    if x.dim() != 2 or x.stride(-1) != 1 or weight.stride(-1) != 1:
        raise ValueError(f"strides {x.stride()} and {weight.stride()}; expected rows whose columns lie side by side")
    rows, hidden = x.shape
    values = torch.empty(rows, hidden, dtype=torch.int8, device=x.device)
    scale = torch.empty(rows, 1, dtype=torch.float32, device=x.device)
    block = triton.next_power_of_2(hidden)
    _rmsnorm_quant[(rows,)](x, weight, values, scale, x.stride(0), hidden, eps, BLOCK=block, num_warps=8)
    return values, scale
