"""Two ways to the same values whose times are far apart on any machine: a chain of small operators, and one."""

from __future__ import annotations

import torch

STEPS = 300


def many(x: torch.Tensor) -> torch.Tensor:
    """`STEPS` operators."""
    for _ in range(STEPS):
        x = x + 1
    return x


def single(x: torch.Tensor) -> torch.Tensor:
    """One."""
    return x + STEPS


def wrong(x: torch.Tensor) -> torch.Tensor:
    """One, of other values."""
    return x + STEPS + 1


def inputs() -> torch.Tensor:
    """A few whole numbers, so that every path is exact."""
    return torch.arange(16, dtype=torch.float32)
