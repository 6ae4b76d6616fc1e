"""The memory that a packed launch hands to the driver, read back as the driver reads it: by address."""

from __future__ import annotations

import ctypes
import gc
from types import SimpleNamespace
from typing import Any

import pytest
from rope_prof.kernels.launch import PACK_POINTERS, Launch, driver_error, packed

from rope_prof.kernels import launch as module

INTEGERS = (973, 448, 449, 64, -(2**31))
FUNCTION = 0xABCDEF


class Driver:
    """Stands for libcuda: reads the configuration and the arguments of a launch through raw addresses."""

    def __init__(self) -> None:
        self.seen: dict[str, Any] = {}
        kind = ctypes.CFUNCTYPE(ctypes.c_int, *[ctypes.c_void_p] * 4)
        self.cuLaunchKernelEx = kind(self._launch)

    def _launch(self, config: int, function: int, arguments: int, extra: int | None) -> int:
        word = ctypes.c_uint32.from_address
        slot = [ctypes.c_uint64.from_address(arguments + 8 * i).value for i in range(4 + len(INTEGERS) + 2)]
        attributes = ctypes.c_uint64.from_address(config + 40).value
        self.seen = {
            "grid": [word(config + 4 * i).value for i in range(3)],
            "block": [word(config + 12 + 4 * i).value for i in range(3)],
            "shared": word(config + 24).value,
            "stream": ctypes.c_uint64.from_address(config + 32).value,
            "attribute_count": word(config + 48).value,
            "attribute": (word(attributes).value, word(attributes + 8).value),
            "function": function,
            "pointers": [ctypes.c_uint64.from_address(a).value for a in slot[:4]],
            "integers": tuple(ctypes.c_int32.from_address(a).value for a in slot[4 : 4 + len(INTEGERS)]),
            "scratch": [ctypes.c_uint64.from_address(a).value for a in slot[4 + len(INTEGERS) :]],
            "extra": extra,
        }
        return 0


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> Driver:
    fake = Driver()
    monkeypatch.setattr(module, "driver", lambda: fake)
    return fake


def compiled() -> SimpleNamespace:
    return SimpleNamespace(function=FUNCTION, metadata=SimpleNamespace(num_warps=2, shared=96))


def run(launch: Launch) -> None:
    assert launch.launch(launch.config, launch.function, launch.arguments, None) == 0


@pytest.mark.parametrize("overlap", [True, False])
def test_the_driver_reads_what_was_packed(driver: Driver, overlap: bool) -> None:
    launch = packed(compiled(), 1948, INTEGERS, overlap=overlap)
    PACK_POINTERS(launch.pointers, 0, 0x10, 2**63 + 5, 0x30, 0x40)
    launch.set_stream(0x7F00_0000_1234)
    run(launch)
    assert driver.seen == {
        "grid": [1948, 1, 1],
        "block": [64, 1, 1],
        "shared": 96,
        "stream": 0x7F00_0000_1234,
        "attribute_count": int(overlap),
        "attribute": (6, 1),  # programmatic stream serialization, allowed
        "function": FUNCTION,
        "pointers": [0x10, 2**63 + 5, 0x30, 0x40],
        "integers": INTEGERS,
        "scratch": [0, 0],
        "extra": None,
    }


def test_all_that_a_launch_points_at_lives_as_long_as_it(driver: Driver) -> None:
    launches = [packed(compiled(), 7, (n, 2, 3, 4, 5), overlap=True) for n in range(50)]
    gc.collect()
    trash = [(ctypes.c_uint64 * 9)(*[2**64 - 1] * 9) for _ in range(5000)]
    for n, launch in enumerate(launches):
        PACK_POINTERS(launch.pointers, 0, n, n + 1, n + 2, n + 3)
        run(launch)
        assert driver.seen["pointers"] == [n, n + 1, n + 2, n + 3]
        assert driver.seen["integers"] == (n, 2, 3, 4, 5)
        assert driver.seen["grid"] == [7, 1, 1] and driver.seen["attribute"] == (6, 1)
        assert driver.seen["scratch"] == [0, 0]
    assert len(trash) == 5000


def test_two_launches_share_no_memory(driver: Driver) -> None:
    one, other = (packed(compiled(), 1, INTEGERS, overlap=False) for _ in range(2))
    PACK_POINTERS(one.pointers, 0, 1, 2, 3, 4)
    PACK_POINTERS(other.pointers, 0, 5, 6, 7, 8)
    other.set_stream(9)
    run(one)
    assert driver.seen["pointers"] == [1, 2, 3, 4] and driver.seen["stream"] == 0
    run(other)
    assert driver.seen["pointers"] == [5, 6, 7, 8] and driver.seen["stream"] == 9


def test_the_structures_have_the_drivers_size() -> None:
    """CUlaunchAttribute is 72 bytes with its value at 8, CUlaunchConfig 56 with stream 32, attributes 40, count 48."""
    attribute, config = module.Attribute, module.Config
    assert (ctypes.sizeof(attribute), attribute.flag.offset) == (72, 8)
    offsets = (config.stream.offset, config.attributes.offset, config.attribute_count.offset)
    assert (ctypes.sizeof(config), *offsets) == (56, 32, 40, 48)


def test_an_error_has_the_drivers_own_name(monkeypatch: pytest.MonkeyPatch) -> None:
    def name(code: int, text: Any) -> int:
        if code == 700:
            text._obj.value = b"CUDA_ERROR_ILLEGAL_ADDRESS"
        return 0

    monkeypatch.setattr(module, "driver", lambda: SimpleNamespace(cuGetErrorName=name))
    assert driver_error(700) == "CUDA_ERROR_ILLEGAL_ADDRESS"
    assert driver_error(12345) == "unknown"
