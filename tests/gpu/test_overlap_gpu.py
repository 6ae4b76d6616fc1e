"""What a launch that overlaps its predecessor's end may not take for granted, on a real GPU that overlaps them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, Literal

import pytest
import torch
import triton
import triton.language as tl
from rope_prof.kernels.launch import options
from rope_prof.kernels.mrope.reference import reference
from rope_prof.kernels.mrope.shape import ERNIE_28B, QWEN3_VL_8B, MropeShape
from rope_prof.kernels.mrope.turning import BEFORE_ROWS, GUESSED

pytestmark = pytest.mark.skipif(
    not torch.cuda.is_available() or torch.cuda.get_device_capability()[0] < 9, reason="needs overlapped launches"
)


@triton.jit
def _late(to_ptr, from_ptr, count, spins, BLOCK: tl.constexpr):  # noqa: N803
    """Lets its dependents go at once, takes its time, then copies: what they read ahead of the wait is the past."""
    tl.extra.cuda.gdc_wait()
    tl.extra.cuda.gdc_launch_dependents()
    began = tl.extra.cuda.globaltimer()
    while tl.extra.cuda.globaltimer() - began < spins:
        pass
    at = tl.arange(0, BLOCK)
    tl.store(to_ptr + at, tl.load(from_ptr + at, mask=at < count, other=0), mask=at < count)


def late(to: torch.Tensor, source: torch.Tensor, spins: int) -> None:
    """`source` into `to`, so many nanoseconds after a dependent may have begun."""
    _late[(1,)](to, source, to.numel(), spins, BLOCK=triton.next_power_of_2(to.numel()), **options(1, overlap=True))


def rope(x: Any, shape: MropeShape, early: int) -> Callable[[], object]:
    from rope_prof.kernels.mrope.fused import blocks, launch

    cut = replace(blocks(shape, 2, "decode"), early=early)
    return lambda: launch(x.q, x.k, x.positions, x.cos_sin_cache, shape, how=cut)


def cache_write(
    x: Any, shape: MropeShape, early: int, length: Literal["step", "decode"] = "decode"
) -> Callable[[], object]:
    from rope_prof.kernels.mrope_kv.checks import Given
    from rope_prof.kernels.mrope_kv.cut import cut
    from rope_prof.kernels.mrope_kv.program import launch

    given, how = Given(*x.arguments(shape)[:10]), replace(cut(shape, 2, length), early=early)
    return lambda: launch(given, shape, x.layout, how=how)


@pytest.mark.parametrize("early", [BEFORE_ROWS, GUESSED])
@pytest.mark.parametrize(
    "made", [rope, cache_write, partial(cache_write, length="step")], ids=["rope", "kv", "kv step"]
)
@pytest.mark.parametrize("shape", [ERNIE_28B, QWEN3_VL_8B], ids=lambda shape: shape.model)
@pytest.mark.parametrize("tokens", [1, 63, 700])
def test_positions_that_the_kernel_ahead_still_writes_are_the_ones_that_count(
    made: Callable[..., Callable[[], object]], shape: MropeShape, tokens: int, early: int
) -> None:
    """Each token's guess wrong, the last token's alone, none; written before, while and after the kernel begins."""
    from rope_prof.kernels.mrope_kv.inputs import make_kv_ring

    x = make_kv_ring(shape, tokens, 1, device="cuda", prompt="random", seed=3)[0]
    call, before, true = made(x, shape, early), x.qkv.clone(), x.positions.clone()
    call()
    want = reference(before[:, : x.q.shape[1]], true, shape)
    last = true.clone()
    last[:, -1] += 1
    for stale in (true.flip(1) + 1, last, true):
        for spins in range(5_000, 65_000, 1_000):
            x.qkv.copy_(before)
            x.positions.copy_(stale)
            torch.cuda.synchronize()
            late(x.positions, true, spins)
            call()
            near = (x.q.double() - want).abs().max()
            assert near < 0.05, (spins, float(near))
            assert torch.equal(x.positions, true)
