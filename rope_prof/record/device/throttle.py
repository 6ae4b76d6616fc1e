"""Whether the GPU's clock is held down right now, by NVIDIA's management library: one short call, no subprocess.

The library is part of the driver (`libnvidia-ml.so.1`) and is called directly. It names the reasons for the present
clock as bits; those of power and heat mean that it is held down, those of an idle or a fixed clock do not. Source:
NVML API reference, nvmlClocksEventReasons. Where the library or the GPU does not say, the answer is None.
"""

from __future__ import annotations

import ctypes
from typing import Any

#: Software power cap, hardware slowdown, sync boost, software and hardware thermal slowdown, power brake.
HELD_DOWN = 0x4 | 0x8 | 0x10 | 0x20 | 0x40 | 0x80
_LIBRARY = "libnvidia-ml.so.1"
#: The same call by its present and by its older name.
_CALLS = ("nvmlDeviceGetCurrentClocksEventReasons", "nvmlDeviceGetCurrentClocksThrottleReasons")


class Throttle:
    """Asks the GPU with this UUID (`GPU-...`)."""

    def __init__(self, uuid: str, library: Any = None) -> None:
        self._handle = ctypes.c_void_p()
        self._ask = None
        try:
            found = ctypes.CDLL(_LIBRARY) if library is None else library
            name = uuid if uuid.startswith("GPU-") else f"GPU-{uuid}"
            if found.nvmlInit_v2() == 0 and not found.nvmlDeviceGetHandleByUUID(
                name.encode(), ctypes.byref(self._handle)
            ):
                self._ask = next((getattr(found, call) for call in _CALLS if hasattr(found, call)), None)
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


def either(before: bool | None, after: bool | None) -> bool | None:
    """Of a round, read at its two ends: True where either is; None where neither is and one is not known."""
    if before or after:
        return True
    return None if before is None or after is None else False
