"""Kernels that keep the GPU busy: for a number of turns that is read from memory, or for a time by the GPU's timer.

The turns are there for graphs, so that one captured graph spins for as long as is asked of it: two captures of one
graph were seen to differ by up to 0.5 %, which is more than what a planted slow-down of 2 % may be wrong by.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from triton.language.extra.cuda import globaltimer


@triton.jit
def _spin_kernel(turns_ptr, value_ptr):
    value = tl.load(value_ptr)
    for _ in range(tl.load(turns_ptr)):
        value = value * 1664525 + 1013904223  # each turn needs the one before: none can be left out
    tl.store(value_ptr, value)


@triton.jit
def _spin_ns_kernel(ns):
    began = globaltimer()
    now = began
    while now - began < ns:
        now = globaltimer()


def spin_ns(ns: int, device: torch.device) -> None:
    """Keep `device` busy for `ns` by its own timer, in one launch on the current stream."""
    with torch.cuda.device(device):
        _spin_ns_kernel[(1,)](ns, num_warps=1)


class DeviceSpin:
    """Launches the kernel; `turns` of the next launches, also of those inside a captured graph, by `set`."""

    def __init__(self, device: torch.device) -> None:
        self._turns, self._value = (torch.ones(1, dtype=torch.int32, device=device) for _ in range(2))

    def __call__(self) -> None:
        """One launch on the current stream."""
        _spin_kernel[(1,)](self._turns, self._value, num_warps=1)

    def set(self, turns: int) -> None:
        """Enqueue the number of turns for what is launched from now on."""
        self._turns.fill_(turns)
