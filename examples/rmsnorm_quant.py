"""RMSNorm and int8 quantisation per token: the chain of a model's own code against one pass, from nothing to a verdict.

    python examples/rmsnorm_quant.py [--save RUN]

On a CPU the chain is held against the same in fewer operators; on an NVIDIA GPU against one Triton kernel as well, in
every mode. Outputs (int8 values and a scale a row) are checked against the formula in float64, each by itself.
"""

from __future__ import annotations

import sys

import torch

import rope_prof

if torch.cuda.is_available():
    from rmsnorm_quant_triton import rmsnorm_quant

EPS = 1e-6
Pair = tuple[torch.Tensor, torch.Tensor]


@rope_prof.path(baseline=True)
def chain(x: torch.Tensor, weight: torch.Tensor) -> Pair:
    """As models write it: every step reads and writes the whole tensor."""
    y = x.to(torch.float32)
    y = y * torch.rsqrt(y.pow(2).mean(-1, keepdim=True) + EPS)
    y = weight.to(torch.float32) * y
    scale = y.abs().amax(-1, keepdim=True) / 127
    return (y / scale).round().clamp(-128, 127).to(torch.int8), scale


@rope_prof.path("fewer operators")
def fewer(x: torch.Tensor, weight: torch.Tensor) -> Pair:
    """The norm in one operator, and what follows in place."""
    y = torch.nn.functional.rms_norm(x.float(), x.shape[-1:], weight.float(), EPS)
    scale = torch.linalg.vector_norm(y, torch.inf, -1, keepdim=True) / 127
    return y.div_(scale).round_().to(torch.int8), scale


@rope_prof.path(needs="cuda")
def triton(x: torch.Tensor, weight: torch.Tensor) -> Pair:
    """One kernel, a program a row."""
    return rmsnorm_quant(x, weight, EPS)


def exact(x: torch.Tensor, weight: torch.Tensor) -> Pair:
    """The formula, called with float64: what the scale is, and the values before they are rounded."""
    y = x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + EPS) * weight
    scale = y.abs().amax(-1, keepdim=True) / 127
    return y / scale, scale


def inputs() -> Pair:
    """A batch of rows in bf16, on the GPU where there is one."""
    device, rows, hidden = ("cuda", 2048, 4096) if torch.cuda.is_available() else ("cpu", 32, 2048)
    x = torch.randn(rows, hidden, dtype=torch.bfloat16, device=device)
    return x, torch.randn(hidden, dtype=torch.bfloat16, device=device)


if __name__ == "__main__":
    found = rope_prof.measure(
        [chain, fewer, triton], inputs, reference=exact, name="rmsnorm-quant", outputs=("values", "scale"), shared=(1,)
    )
    sys.stdout.write(str(found))
    if "--save" in sys.argv:
        sys.stdout.write(f"saved in {found.save(sys.argv[sys.argv.index('--save') + 1])}\n")
