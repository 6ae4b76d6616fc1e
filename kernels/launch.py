"""A launch of a compiled kernel with nothing in the way: one driver call on a block of memory packed beforehand.

The ordinary Triton launch costs 15 to 20 µs of host time, most of it in binding and hashing arguments; here a `Launch`
keeps the grid, the attributes and every argument but the four pointers packed for `cuLaunchKernelEx`, whose ABI does not
change between Triton versions. It knows nothing of the operation; whoever builds a `Launch` has checked its arguments.

A `Launch` belongs to the thread that built it: packing and launching are two steps.
"""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Callable
from functools import lru_cache
from typing import Any

_SCRATCH_SLOTS = 4  # pointers that Triton appends to a kernel's parameters; the driver reads as many as there are
_PROGRAMMATIC_SERIALIZATION = 6  # CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION


class _Attribute(ctypes.Structure):
    """CUlaunchAttribute: an id, padding to 8 bytes, a union of 64 bytes whose first int is the flag."""

    _fields_ = (
        ("id", ctypes.c_uint),
        ("pad", ctypes.c_uint),
        ("flag", ctypes.c_int),
        ("rest", ctypes.c_char * 60),
    )


class _Config(ctypes.Structure):
    """CUlaunchConfig of the driver API."""

    _fields_ = (
        ("grid", ctypes.c_uint * 3),
        ("block", ctypes.c_uint * 3),
        ("shared_bytes", ctypes.c_uint),
        ("stream", ctypes.c_void_p),
        ("attributes", ctypes.c_void_p),
        ("attribute_count", ctypes.c_uint),
    )


@lru_cache(maxsize=1)
def _driver() -> ctypes.CDLL:
    return ctypes.CDLL("libcuda.so.1")


def driver_error(code: int) -> str:
    """The driver's own name for a CUresult."""
    text = ctypes.c_char_p()
    _driver().cuGetErrorName(code, ctypes.byref(text))
    return (text.value or b"unknown").decode()


class Launch:
    """One kernel, grid and set of integers, ready to go on any stream of its device.

    `call(stream, a, b, c, d)` launches with four pointers; it raises RuntimeError with the driver's name for a failure.
    """

    __slots__ = ("call",)

    def __init__(self, compiled: Any, grid: int, integers: tuple[int, ...], *, overlap: bool) -> None:
        """`compiled`: a Triton CompiledKernel with loaded handles whose parameters are four pointers, then int32s.

        `overlap`: programmatic dependent launch; the kernel must wait for its predecessors itself.
        """
        attribute = _Attribute(id=_PROGRAMMATIC_SERIALIZATION, flag=1)
        config = _Config(
            grid=(grid, 1, 1),
            block=(32 * compiled.metadata.num_warps, 1, 1),
            shared_bytes=compiled.metadata.shared,
            attributes=ctypes.addressof(attribute),
            attribute_count=int(overlap),
        )
        pointers = (ctypes.c_uint64 * 4)()
        numbers = (ctypes.c_int32 * len(integers))(*integers)
        scratch = ctypes.c_uint64(0)
        slots = [ctypes.addressof(pointers) + 8 * i for i in range(4)]
        slots += [ctypes.addressof(numbers) + 4 * i for i in range(len(integers))]
        slots += [ctypes.addressof(scratch)] * _SCRATCH_SLOTS
        arguments = (ctypes.c_void_p * len(slots))(*slots)
        pointed_at = (compiled, attribute, numbers, scratch)
        self.call = _bound_call(compiled.function, config, pointers, arguments, pointed_at)


def _bound_call(
    function: int,
    config: _Config,
    pointers: ctypes.Array[ctypes.c_uint64],
    arguments: ctypes.Array[ctypes.c_void_p],
    pointed_at: tuple[object, ...],
) -> Callable[[int, int, int, int, int], None]:
    """The hot path: every name a closure cell, every constant a ctypes object already; `pointed_at` lives as long."""
    launch = _driver().cuLaunchKernelEx
    pack_stream = struct.Struct("=Q").pack_into
    pack = struct.Struct("=4Q").pack_into
    at_stream = _Config.stream.offset
    config_ptr, handle, arguments_ptr = (
        ctypes.byref(config),
        ctypes.c_void_p(function),
        ctypes.byref(arguments),
    )
    current = 0

    def call(stream: int, a: int, b: int, c: int, d: int, _alive: tuple[object, ...] = pointed_at) -> None:
        nonlocal current
        if stream != current:
            pack_stream(config, at_stream, stream)
            current = stream
        pack(pointers, 0, a, b, c, d)
        code = launch(config_ptr, handle, arguments_ptr, None)
        if code:
            raise RuntimeError(f"the CUDA driver refused the launch: {driver_error(code)} ({code})")

    return call
