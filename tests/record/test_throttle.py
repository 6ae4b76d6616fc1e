"""What the driver's library says of the clock, by a stand-in for it: bits of power and heat count, others do not."""

from __future__ import annotations

from typing import Any

import pytest

from rope_prof.record.device.throttle import HELD_DOWN, Conditions, Throttle, either
from rope_prof.record.loop.timing import Failures, Subject, measure


class Library:
    """As NVML behaves, with one GPU."""

    def __init__(self, reasons: int = 0, code: int = 0, known: bytes = b"GPU-1") -> None:
        self.reasons, self.code, self.known = reasons, code, known

    def nvmlInit_v2(self) -> int:  # noqa: N802
        return 0

    def nvmlDeviceGetHandleByUUID(self, uuid: bytes, handle: Any) -> int:  # noqa: N802, ARG002
        return 0 if uuid == self.known else 6

    def nvmlDeviceGetCurrentClocksThrottleReasons(self, handle: Any, reasons: Any) -> int:  # noqa: N802, ARG002
        reasons._obj.value = self.reasons
        return self.code

    def nvmlDeviceGetClockInfo(self, handle: Any, kind: int, value: Any) -> int:  # noqa: N802, ARG002
        value._obj.value = {1: 1980, 2: 3201}[kind]
        return self.code

    def nvmlDeviceGetTemperature(self, handle: Any, sensor: int, value: Any) -> int:  # noqa: N802, ARG002
        value._obj.value = 40 + sensor
        return self.code


@pytest.mark.parametrize(
    ("reasons", "held"),
    [(0x0, False), (0x1, False), (0x2, False), (0x100, False), (0x4, True), (0x8, True), (0x21, True), (0x80, True)],
)
def test_power_and_heat_hold_the_clock_down_and_idling_does_not(reasons: int, held: bool) -> None:
    assert Throttle("1", Library(reasons))() is held
    assert bool(reasons & HELD_DOWN) is held


@pytest.mark.parametrize(
    "library", [Library(0x4, code=3), Library(0x4, known=b"GPU-2"), object()], ids=["refuses", "other GPU", "no calls"]
)
def test_what_is_not_known_is_none(library: object) -> None:
    assert Throttle("1", library)() is None


def test_clocks_heat_and_power_are_read_and_what_the_library_lacks_is_none() -> None:
    assert Throttle("1", Library()).conditions() == Conditions(1980, 3201, 40, None)
    assert Throttle("1", Library(code=3)).conditions() == Conditions()
    assert Throttle("1", object()).conditions() == Conditions()


@pytest.mark.parametrize(
    ("before", "after", "found"),
    [(True, None, True), (None, True, True), (False, True, True), (False, False, False), (None, False, None)],
)
def test_a_round_is_marked_by_either_end(before: bool | None, after: bool | None, found: bool | None) -> None:
    assert either(before, after) is found


def test_each_round_is_asked_at_its_two_ends() -> None:
    class Still:
        has_clock = False

        def synchronize(self) -> None: ...

        def interruptions(self) -> int:
            return 0

        def held(self, work: Any, hold_ns: int) -> tuple[int, bool]:
            raise AssertionError((work, hold_ns))

    answers = iter([False, False, False, True, True, False, False, False])
    taken = measure(
        [Subject("a", lambda _: lambda: None, calls=1)],
        range(4),
        seed=0,
        case="",
        clock=lambda: 0,
        device=Still(),
        failures=Failures(),
        throttled=lambda: next(answers),
    )
    assert [samples[0].throttled for samples in taken] == [False, True, True, False]
