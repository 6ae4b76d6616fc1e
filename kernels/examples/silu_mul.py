"""SiLU and multiply, as a gated MLP has it: `x [N, 2H]` -> `silu(x[:, :H]) * x[:, H:]`, `[N, H]`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import triton
import triton.language as tl
from rope_prof.kernels.operation import Argument, Axis, Call, Operation, Output, Path, Setting, Tensors, floating

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
    if x.stride(-1) != 1:
        raise ValueError(f"last stride {x.stride(-1)}; expected adjacent elements")
    rows, width = x.shape[0], x.shape[1] // 2
    out = torch.empty(rows, width, dtype=x.dtype, device=x.device)
    if rows:
        _kernel[(rows, triton.cdiv(width, BLOCK))](x, out, x.stride(0), width, BLOCK=BLOCK, num_warps=4)
    return out


@dataclass(frozen=True, slots=True, kw_only=True)
class SiluMul(Operation):
    """`(x,)` -> (out,)."""

    name: str = "silu-mul"
    axes: tuple[Axis, ...] = (
        Axis(name="hidden", form="h{}", noun="channel", defaults={"any": (8192,), "cpu": (1024,)}, most=1 << 17),
        Axis(
            name="tokens",
            form="n{}",
            noun="token",
            defaults={"cuda": (1, 64, 1024, 8192), "cpu": (1, 64, 256), "quick": (64,), "sweep": (1, 16, 256, 4096)},
        ),
        Axis(name="dtype", defaults={"any": ("bf16",)}, choices=("bf16", "fp16", "fp32")),
    )
    swept: str = "tokens"
    paths: tuple[str, ...] = ("unfused", "fused")
    outputs: tuple[Output, ...] = (Output(name="out", tolerance=1e-6),)
    arguments: tuple[Argument, ...] = (Argument(name="x"),)
    by_rows: bool = True
    formula: str = "both halves read once, their product written once"

    def path(self, name: str) -> Path:
        """The chain, or the kernel."""
        found = {"unfused": Path("unfused", unfused), "fused": Path("fused", fused, triton=True)}
        if name not in found:
            raise LookupError(f"unknown path {name!r}; expected {', '.join(map(repr, found))}")
        return found[name]

    def calls(
        self, case: Setting, count: int, device: torch.device, dtype: torch.dtype | None, seed: int
    ) -> Sequence[Call]:
        """Random normal values."""
        rows, width, kind = int(case["tokens"]), int(case["hidden"]), dtype or floating(case["dtype"])
        generator = torch.Generator(device=device).manual_seed(seed)
        x = torch.empty(count, rows, 2 * width, dtype=kind, device=device).normal_(generator=generator)
        return [Call(arguments=(each,), fresh=(each,)) for each in x.unbind(0)]

    def exact(self, case: Setting, call: Call, rows: slice) -> Tensors:
        """The formula in float64."""
        gate, up = call.arguments[0][rows].double().chunk(2, dim=-1)
        return (gate / (1 + torch.exp(-gate)) * up,)

    def moved_bytes(self, case: Setting, path: str | None) -> int | None:
        """Three halves in one kernel; the chain writes the activation and reads it again."""
        one = int(case["tokens"]) * int(case["hidden"]) * floating(case["dtype"]).itemsize
        return 5 * one if path == "unfused" else 3 * one

    def refill(self, calls: Sequence[Call], seed: int) -> None:
        """New random values in the one allocation that all calls are views of."""
        packed = calls[0].fresh[0]._base
        assert packed is not None, "`calls` gives views of one allocation"
        packed.normal_(generator=torch.Generator(device=packed.device).manual_seed(seed))


SILU_MUL = SiluMul()
