"""A launch of a compiled kernel with nothing in the way: one driver call on a block of memory packed beforehand.

The ordinary Triton launch costs 15 to 20 µs of host time, most of it in binding and hashing arguments; here a
`Launch` keeps the grid, the attributes and every argument but the pointers packed for `cuLaunchKernelEx`, whose
ABI does not change between Triton versions. It knows nothing of the operation; whoever builds a `Launch` has checked
its arguments.

A `Launch` belongs to the thread that built it: packing and launching are two steps.
"""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

_SCRATCH_SLOTS = 4  # pointers that Triton appends to a kernel's parameters; the driver reads as many as there are
_PROGRAMMATIC_SERIALIZATION = 6  # CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION

PACK_POINTERS = struct.Struct("=4Q").pack_into


def options(warps: int, *, overlap: bool = False) -> dict[str, Any]:
    """How Triton compiles and launches a kernel of ours. Fused multiply-adds are asked for: Triton 3.10 no longer makes
    them by itself, and no kernel's figures shall change with the version. `overlap`: programmatic dependent launch.
    """
    return {"num_warps": warps, "enable_fp_fusion": True} | ({"launch_pdl": True} if overlap else {})


def packer(pointers: int) -> Callable[..., None]:
    """What writes so many pointers into `Launch.pointers`, as `PACK_POINTERS` does four."""
    return struct.Struct(f"={pointers}Q").pack_into


class Attribute(ctypes.Structure):
    """CUlaunchAttribute: an id, padding to 8 bytes, a union of 64 bytes whose first int is the flag."""

    _fields_ = (
        ("id", ctypes.c_uint),
        ("pad", ctypes.c_uint),
        ("flag", ctypes.c_int),
        ("rest", ctypes.c_char * 60),
    )


class Config(ctypes.Structure):
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
def driver() -> ctypes.CDLL:
    return ctypes.CDLL("libcuda.so.1")


def driver_error(code: int) -> str:
    """The driver's own name for a CUresult."""
    text = ctypes.c_char_p()
    driver().cuGetErrorName(code, ctypes.byref(text))
    return (text.value or b"unknown").decode()


@dataclass(frozen=True, slots=True)
class Launch:
    """One kernel, grid and set of integers, ready to go on any stream of its device.

    The caller writes the pointers into `pointers` with `PACK_POINTERS` (four) or a `packer`, `set_stream` where the
    stream changed, and calls `launch(config, function, arguments, None)`; a code other than 0 goes to `driver_error`.
    """

    launch: Callable[..., int]
    config: Any
    function: ctypes.c_void_p
    arguments: Any
    pointers: ctypes.Array[ctypes.c_uint64]
    stream: list[int]
    alive: tuple[object, ...]

    def set_stream(self, stream: int) -> None:
        """Launch on this raw stream from now on."""
        self.alive[0].stream = stream  # type: ignore[attr-defined]
        self.stream[0] = stream


def packed(compiled: Any, grid: int, integers: tuple[int, ...], *, overlap: bool, pointers: int = 4) -> Launch:
    """Pack a Triton CompiledKernel with loaded handles, whose parameters are `pointers` pointers and then int32s.

    `overlap`: programmatic dependent launch; the kernel must wait for its predecessors itself.
    """
    attribute = Attribute(id=_PROGRAMMATIC_SERIALIZATION, flag=1)
    config = Config(
        grid=(grid, 1, 1),
        block=(32 * compiled.metadata.num_warps, 1, 1),
        shared_bytes=compiled.metadata.shared,
        attributes=ctypes.addressof(attribute),
        attribute_count=int(overlap),
    )
    addresses = (ctypes.c_uint64 * pointers)()
    numbers = (ctypes.c_int32 * len(integers))(*integers)
    scratch = ctypes.c_uint64(0)
    slots = [ctypes.addressof(addresses) + 8 * i for i in range(pointers)]
    slots += [ctypes.addressof(numbers) + 4 * i for i in range(len(integers))]
    slots += [ctypes.addressof(scratch)] * _SCRATCH_SLOTS
    arguments = (ctypes.c_void_p * len(slots))(*slots)
    return Launch(
        launch=driver().cuLaunchKernelEx,
        config=ctypes.byref(config),
        function=ctypes.c_void_p(compiled.function),
        arguments=ctypes.byref(arguments),
        pointers=addresses,
        stream=[0],
        alive=(config, compiled, attribute, numbers, scratch, arguments),
    )
