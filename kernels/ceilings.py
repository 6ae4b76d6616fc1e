"""What the card itself can do, each by its best known way: an in-place pass, a copy, an empty launch.

The in-place pass reads and writes the very lanes that the rotary embedding touches and computes nothing to speak of: no
in-place operation on these views is faster. It is tuned over tile shapes; the best is the limit.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import torch
import triton
import triton.language as tl
from rope_prof.kernels.launch import driver_error, options, packed

#: (rows, columns, warps) of the in-place pass that are tried at every point.
SCALE_TILES = ((1, 512, 4), (2, 512, 4), (2, 512, 1), (1, 1024, 4), (8, 1024, 4), (2, 1024, 1))


@triton.jit(do_not_specialize=["rows", "stride"])
def _scale_kernel(
    x_ptr, rows, stride, COLS: tl.constexpr, ROWS: tl.constexpr, WIDTH: tl.constexpr, OVERLAP: tl.constexpr
):
    groups: tl.constexpr = (COLS + WIDTH - 1) // WIDTH
    program = tl.program_id(0)
    row = (program // groups).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    column = program % groups * WIDTH + tl.arange(0, WIDTH)
    at = x_ptr + (row * stride * 8)[:, None] + column[None, :]
    mask = (row < rows)[:, None] & (column < COLS)[None, :]
    if OVERLAP:
        tl.extra.cuda.gdc_wait()
        tl.extra.cuda.gdc_launch_dependents()
    x = tl.load(at, mask=mask)
    tl.store(at, (x.to(tl.float32) * 0.9999).to(x.dtype), mask=mask)


@triton.jit
def _empty_kernel(OVERLAP: tl.constexpr):
    if OVERLAP:
        tl.extra.cuda.gdc_wait()
        tl.extra.cuda.gdc_launch_dependents()


def scale(x: torch.Tensor, tile: tuple[int, int, int], *, overlap: bool = False) -> None:
    """Scale `x [N, C]` in place, row stride a multiple of 8 elements, 128-bit accesses."""
    if x.stride(0) % 8 or x.stride(1) != 1 or x.data_ptr() % 16:
        raise ValueError(
            f"a view with strides {tuple(x.stride())} at {x.data_ptr() % 16} bytes past 16; expected rows of adjacent "
            "elements whose stride is a multiple of 8, on 16 bytes"
        )
    rows, width, warps = tile
    grid = triton.cdiv(x.shape[0], rows) * triton.cdiv(x.shape[1], width)
    _scale_kernel[(grid,)](
        x,
        x.shape[0],
        x.stride(0) // 8,
        COLS=x.shape[1],
        ROWS=rows,
        WIDTH=width,
        OVERLAP=overlap,
        **options(warps, overlap=overlap),
    )


def empty_launch(*, overlap: bool = False) -> None:
    """One kernel that does nothing."""
    _empty_kernel[(1,)](OVERLAP=overlap, **options(1, overlap=overlap))


@lru_cache(maxsize=4)
def short_empty_launch(device: int) -> Callable[[], None]:
    """A kernel that does nothing, launched by one driver call on memory packed beforehand, on the current stream.

    The cheapest launch that Python can make: `fused` takes the same way. Raises RuntimeError with the driver's word.
    """
    made = packed(_empty_kernel[(1,)](OVERLAP=False, **options(1)), 1, (), overlap=False)
    launch, config, function, arguments = made.launch, made.config, made.function, made.arguments
    current, stream = torch._C._cuda_getCurrentRawStream, made.stream

    def call() -> None:
        now = current(device)
        if now != stream[0]:
            made.set_stream(now)
        code = launch(config, function, arguments, None)
        if code:
            raise RuntimeError(f"an empty launch failed: {driver_error(code)}")

    return call


def copy_bandwidth(repeats: int = 30) -> float:
    """Bytes per second of a device-to-device copy of 1 GiB, counting bytes read and written; the best of `repeats`.

    Eager: a captured copy was seen a third slower.
    """
    source = torch.empty(2**28, dtype=torch.int32, device="cuda").random_()
    target = torch.empty_like(source)
    times = []
    for _ in range(repeats):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        target.copy_(source)
        end.record()
        end.synchronize()
        times.append(start.elapsed_time(end))
    return float(2 * source.nbytes / (min(times) * 1e-3))
