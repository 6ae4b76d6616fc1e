"""The two devices that a recording runs on: what timing and capture ask of them, in torch's words."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import torch

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

from rope_prof.errors import UnavailableError, UsageError
from rope_prof.model.kind import Kind
from rope_prof.record.device.throttle import UNKNOWN, Conditions, Throttle
from rope_prof.units import MS

clock: Callable[[], int] = time.perf_counter_ns


def interruptions() -> int:
    """How often a thread of this process had to leave its core for another program; 0 where nobody counts it."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw if resource is not None else 0


@dataclass(frozen=True, slots=True)
class CpuDevice:
    """The host itself: every call has run when it returns, and there is no second clock."""

    kind: Kind = "cpu"
    torch_device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    l2_bytes: int | None = None

    @property
    def has_clock(self) -> bool:
        """False."""
        return False

    def synchronize(self) -> None:
        """Nothing to wait for."""

    def held(self, work: Callable[[], None], hold_ns: int) -> tuple[int, bool]:  # noqa: ARG002
        """A CPU has no clock of its own."""
        raise UnavailableError("device time needs an NVIDIA GPU; a CPU has wall time alone")

    def interruptions(self) -> int:
        """As the system counts them."""
        return interruptions()

    def throttled(self) -> bool | None:
        """Not known of a CPU."""
        return None

    def conditions(self) -> Conditions:
        """Not known of a CPU."""
        return UNKNOWN

    def flush(self) -> None:
        """A CPU's caches are left as they are: its L2 state is `hot`."""


class CudaDevice:
    """One NVIDIA GPU, on its current stream."""

    kind: Kind = "cuda"
    has_clock = True

    def __init__(self, torch_device: torch.device) -> None:
        self.torch_device = torch_device
        torch.cuda.set_device(torch_device)
        self.l2_bytes: int | None = torch.cuda.get_device_properties(torch_device).L2_cache_size
        self._begin, self._end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        self._per_ns = self._cycles_per_ns()
        self._throttle = Throttle(str(torch.cuda.get_device_properties(torch_device).uuid))
        self._scratch: torch.Tensor | None = None

    def synchronize(self) -> None:
        """Wait for all streams of the device."""
        torch.cuda.synchronize(self.torch_device)

    def held(self, work: Callable[[], None], hold_ns: int) -> tuple[int, bool]:
        """Device ns of `work`, and whether all of it was enqueued before a spin of `hold_ns` had ended."""
        self.synchronize()
        torch.cuda._sleep(int(hold_ns * self._per_ns))
        self._begin.record()
        work()
        self._end.record()
        held = not self._begin.query()
        self._end.synchronize()
        return round(self._begin.elapsed_time(self._end) * MS), held

    def interruptions(self) -> int:
        """As the system counts them."""
        return interruptions()

    def hold(self, hold_ns: int) -> None:
        """Keep the current stream busy for `hold_ns`: what is enqueued next waits behind it."""
        torch.cuda._sleep(int(hold_ns * self._per_ns))

    def throttled(self) -> bool | None:
        """Whether power or heat hold its clock down right now; None where the driver does not say."""
        return self._throttle()

    def conditions(self) -> Conditions:
        """Clocks, temperature and power right now."""
        return self._throttle.conditions()

    def flush(self) -> None:
        """Write three times the L2, so that nothing that was in it is left."""
        if self._scratch is None:
            self._scratch = torch.empty(3 * (self.l2_bytes or 1 << 26), dtype=torch.uint8, device=self.torch_device)
        self._scratch.zero_()

    def _cycles_per_ns(self) -> float:
        """How many cycles of `torch.cuda._sleep` pass in a nanosecond, measured."""
        cycles = 2_000_000
        torch.cuda._sleep(cycles)
        self.synchronize()
        self._begin.record()
        torch.cuda._sleep(cycles)
        self._end.record()
        self._end.synchronize()
        return cycles / (float(self._begin.elapsed_time(self._end)) * MS)


RecordDevice = CpuDevice | CudaDevice


@dataclass(frozen=True, slots=True)
class NamedDevice:
    """A device that this process has not opened: which one it is. Others time on it."""

    kind: Kind
    torch_device: torch.device


AnyDevice = NamedDevice | CpuDevice | CudaDevice


def find_device(name: str) -> RecordDevice:
    """The device called so, opened. Errors: as `named_device`."""
    named = named_device(name)
    return CpuDevice() if named.kind == "cpu" else CudaDevice(named.torch_device)


def named_device(name: str) -> NamedDevice:
    """The device called `auto`, `cpu`, `cuda` or `cuda:<n>`; `auto` is the first GPU, else the CPU. It must be there.

    Errors: UsageError, UnavailableError.
    """
    if name == "cpu" or (name == "auto" and not torch.cuda.is_available()):
        return NamedDevice("cpu", torch.device("cpu"))
    family, _, index = name.partition(":")
    if family not in {"auto", "cuda"} or (index and not index.isdigit()):
        raise UsageError(f"unknown device {name!r}; expected 'auto', 'cpu', 'cuda' or 'cuda:<n>'")
    if torch.version.hip is not None:
        raise UnavailableError(f"device {name!r} is an AMD GPU; recording needs NVIDIA, use --device cpu")
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    number = int(index or 0)
    if number >= count:
        raise UnavailableError(
            f"device {name!r} is not there ({count} usable GPUs, torch {torch.__version__}); "
            "see `rope_prof doctor`, or use --device cpu"
        )
    return NamedDevice("cuda", torch.device("cuda", number))
