"""What the GPU says of itself right now, by NVIDIA's management library: short calls, no subprocess.

Whether its clock is held down, and under what clocks, heat and power it works.

The library is part of the driver (`libnvidia-ml.so.1`) and is called directly. It names the reasons for the present
clock as bits; those of power and heat mean that it is held down, those of an idle or a fixed clock do not. Source:
NVML API reference, nvmlClocksEventReasons. Where the library or the GPU does not say, the answer is None.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from typing import Any

#: Software power cap, hardware slowdown, sync boost, software and hardware thermal slowdown, power brake.
HELD_DOWN = 0x4 | 0x8 | 0x10 | 0x20 | 0x40 | 0x80
_LIBRARY = "libnvidia-ml.so.1"
#: nvmlClockType_t and nvmlTemperatureSensors_t.
_SM, _MEMORY, _GPU_SENSOR = 1, 2, 0
#: The same call by its present and by its older name.
_CALLS = ("nvmlDeviceGetCurrentClocksEventReasons", "nvmlDeviceGetCurrentClocksThrottleReasons")


@dataclass(frozen=True, slots=True)
class Conditions:
    """Clocks of the cores (SM) and the memory, temperature, power; None where nothing says."""

    sm_clock_mhz: int | None = None
    memory_clock_mhz: int | None = None
    temperature_c: int | None = None
    power_mw: int | None = None


UNKNOWN = Conditions()


class Throttle:
    """Asks the GPU with this UUID (`GPU-...`)."""

    def __init__(self, uuid: str, library: Any = None) -> None:
        self._handle = ctypes.c_void_p()
        self._ask = None
        self._library: Any = None
        try:
            found = ctypes.CDLL(_LIBRARY) if library is None else library
            name = uuid if uuid.startswith("GPU-") else f"GPU-{uuid}"
            if found.nvmlInit_v2() == 0 and not found.nvmlDeviceGetHandleByUUID(
                name.encode(), ctypes.byref(self._handle)
            ):
                self._ask = next((getattr(found, call) for call in _CALLS if hasattr(found, call)), None)
                self._library = found
        except (OSError, AttributeError):
            self._ask = None

    def __call__(self) -> bool | None:
        """Whether the clock is held down; None where that cannot be known."""
        if self._ask is None:
            return None
        reasons = ctypes.c_ulonglong()
        if self._ask(self._handle, ctypes.byref(reasons)) != 0:
            return None
        return bool(reasons.value & HELD_DOWN)

    def conditions(self) -> Conditions:
        """Clocks, temperature and power of this moment."""
        return Conditions(
            sm_clock_mhz=self._read("nvmlDeviceGetClockInfo", _SM),
            memory_clock_mhz=self._read("nvmlDeviceGetClockInfo", _MEMORY),
            temperature_c=self._read("nvmlDeviceGetTemperature", _GPU_SENSOR),
            power_mw=self._read("nvmlDeviceGetPowerUsage"),
        )

    def _read(self, call: str, *which: int) -> int | None:
        """The unsigned number that `call` of the library writes for this GPU; None where it does not say."""
        ask = getattr(self._library, call, None)
        value = ctypes.c_uint()
        if ask is None or ask(self._handle, *which, ctypes.byref(value)) != 0:
            return None
        return int(value.value)


def either(before: bool | None, after: bool | None) -> bool | None:
    """Of a round, read at its two ends: True where either is; None where neither is and one is not known."""
    if before or after:
        return True
    return None if before is None or after is None else False
