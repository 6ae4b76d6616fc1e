"""One callable under the clock: samples of a call, with a cold L2 and a full queue on a GPU, by the host on a CPU.

It answers how long a call takes, never whether another is faster: two answers of this kind share no rounds, and
`rope_prof.measure` is there for that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import torch

from rope_prof.analysis.stats import LEAST, Figure, figure
from rope_prof.errors import UnavailableError
from rope_prof.record.device import devices
from rope_prof.record.device.devices import RecordDevice, find_device
from rope_prof.record.loop.timing import Clock, Device, Subject, Work, hold_ns, no_collection, on_device, repeated, wall
from rope_prof.units import MS

#: A CPU's sample holds so many calls that the clock's own cost is lost in it.
LEAST_WALL_NS = 20_000
#: Calls from which the first estimate comes.
_TRIED = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Timed:
    """The samples of one callable, ms per call, in the order in which they were taken.

    `clock`: `device`, around a call whose queue was full, each on a cold L2; `wall`: the host's, on a CPU.
    """

    samples_ms: tuple[float, ...]
    clock: Literal["device", "wall"]

    @property
    def figure(self) -> Figure:
        """Median, and the interval that holds the true one with 95 % coverage, in ms."""
        found = figure(self.samples_ms)
        assert found is not None, "timed takes samples until there are some"
        return found

    def __str__(self) -> str:
        made = self.figure
        return f"{made.median:.4g} ms [{made.lo:.4g}, {made.hi:.4g}], {made.n} samples, {self.clock} clock"


def timed(
    call: Callable[[], Any],
    *,
    warmup_ms: float = 25,
    rep_ms: float = 100,
    grad_to_none: Iterable[Any] = (),
    device: RecordDevice | None = None,
    clock: Clock = devices.clock,
) -> Timed:
    """Sample `call` for `rep_ms` of the host's time, at least six times, after its first call and `warmup_ms` more.

    `grad_to_none`: tensors whose `grad` is dropped ahead of each call, outside the clock. Errors: UnavailableError
    where a call waits for the device, or launches more than its queue holds: it has no device time.
    """
    on = device or current_device()
    grads = tuple(grad_to_none)
    subject = Subject("call", repeated(call), before=_ahead(on, grads))
    wall(subject, 1, clock, on)
    one_ns = _warmed(subject, warmup_ms, clock, on, tries=1 if grads else _TRIED)
    until = clock() + round(rep_ms * MS)
    take = _device_sample if on.has_clock else _wall_sample
    subject.device_calls, subject.hold_ns = 1, hold_ns(one_ns)
    subject.calls = 1 if grads else max(1, round(LEAST_WALL_NS / one_ns))
    taken: list[float] = []
    with no_collection():
        while len(taken) < LEAST or clock() < until:
            taken.append(take(subject, clock, on))
    return Timed(samples_ms=tuple(taken), clock="device" if on.has_clock else "wall")


def current_device() -> RecordDevice:
    """The current GPU, else the CPU; the same object each time, since a GPU's spin is calibrated once."""
    return _device(torch.cuda.current_device() if torch.cuda.is_available() else None)


@lru_cache(maxsize=16)
def _device(index: int | None) -> RecordDevice:
    return find_device("cpu" if index is None else f"cuda:{index}")


def _ahead(device: RecordDevice, grads: Sequence[Any]) -> Work:
    """What runs before each sample: gradients dropped, the L2 overwritten (a CPU's caches stay as they are)."""

    def ahead() -> None:
        for tensor in grads:
            tensor.grad = None
        device.flush()

    return ahead


def _warmed(subject: Subject, warmup_ms: float, clock: Clock, device: Device, tries: int) -> float:
    """ns of a call by the host's clock, the least seen while it was warmed up."""
    until = clock() + round(warmup_ms * MS)
    least = wall(subject, tries, clock, device) / tries
    while clock() < until:
        least = min(least, wall(subject, tries, clock, device) / tries)
    return max(1.0, least)


def _device_sample(subject: Subject, clock: Clock, device: Device) -> float:  # noqa: ARG001
    found = on_device(subject, device)
    if found is None:
        raise UnavailableError(
            "the call waits for the device, or launches more than its queue of 1024 holds, so that it has no device "
            "time of its own; time it by the host's clock, or compare it by rope_prof.measure, which takes both clocks"
        )
    calls, ns = found
    return ns / calls / MS


def _wall_sample(subject: Subject, clock: Clock, device: Device) -> float:
    return wall(subject, subject.calls, clock, device) / subject.calls / MS
