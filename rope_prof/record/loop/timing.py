"""Timed passes: the call alone, nothing else in the loop. Clock and device are arguments; no torch here.

`wall` is the host clock around an unsynchronised loop of calls with one synchronisation at its end, taken again where
another program had the core meanwhile; of replays of a graph, what some of them add to the time of one, so that all
modes say what a call adds to a loop. `device` is the device's own clock around calls that were all enqueued while the
device was held busy, so that the host's launch cost does not leak in; if the queue was not full in time the sample is
taken again with a longer hold or fewer calls.
"""

from __future__ import annotations

import gc
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from typing import Protocol

from rope_prof.record.device.throttle import UNKNOWN, Conditions, either

Clock = Callable[[], int]
Work = Callable[[], None]

#: Launches that a CUDA stream takes before the host must wait: its queue holds 1024.
QUEUE = 1000
#: No launch takes the host less; so a call of W ns makes at most W / 3000 launches.
LAUNCH_NS = 3_000
#: A wall sample should last this long, so that the synchronisation at its end is under a percent of it.
SAMPLE_NS = 3_000_000
#: One of a host without a device has no such end; it is shorter than the turns of programs that share a core.
HOST_SAMPLE_NS = 1_000_000
#: A sample that was interrupted is taken again for so long; one that always is, is taken where it was least so. The
#: host of a device launches from a core that few others want: more samples than so many cost more than they tell.
AGAIN_NS, AGAIN_BY_DEVICE = 50_000_000, 3
MAX_CALLS = 1000
#: Steps of a cold subject beyond the first, each on buffers that no other of a sample touches.
COLD_STEPS = 3
#: Samples of up to so many times the calls are made of one size.
LEVEL = 1.5
ATTEMPTS = 14
LONGEST_HOLD_NS = 50_000_000


class Device(Protocol):
    """What timing needs of a device."""

    @property
    def has_clock(self) -> bool:
        """Whether it has a clock of its own (a CPU has none)."""

    def synchronize(self) -> None:
        """Wait until all that was enqueued has run."""

    def held(self, work: Work, hold_ns: int) -> tuple[int, bool]:
        """(device ns of `work`, whether all of it was enqueued while the device was held busy for `hold_ns`)."""

    def interruptions(self) -> int:
        """How often the system has taken a core from this process for another: only ever more."""


@dataclass(slots=True)
class Subject:
    """One key under the clock. `work(n)` returns a thunk of `n` calls on the next buffers of the ring.

    `step`: calls come in multiples of it (28 for a graph). `before` runs ahead of each sample, outside the
    clock. `one_step`: the device's clock sees one step a sample, the host's `COLD_STEPS` at most. `takes_off`: a sample
    by wall has a step more, and the time of one step alone is taken off it, with what starting it and waiting for it
    cost. `waits`: the path was seen to wait for the device. `taker`: who takes its samples where it lives in another
    process; it is asked with the number of the round, and whether to run a step ahead of the clock. `remark`: what a
    reader must know of how it came to be measured.
    """

    name: str
    work: Callable[[int], Work]
    step: int = 1
    before: Work | None = None
    one_step: bool = False
    takes_off: bool = False
    calls: int = 0
    device_calls: int = 0
    hold_ns: int = 0
    waits: bool = False
    taker: Taker | None = None
    remark: str | None = None


Taker = Callable[[Subject, int, bool], list["Sample"]]


def repeated(call: Callable[[], object]) -> Callable[[int], Work]:
    """`work` of a subject whose calls take nothing."""

    def work(calls: int) -> Work:
        def run() -> None:
            for _ in range(calls):
                call()

        return run

    return work


@dataclass(frozen=True, slots=True)
class Sample:
    """One row of samples.parquet: `ns` for `calls` calls; what follows is None where nothing says.

    `process` took it, and has a channel of the device that starts queued launches `launch_ns` apart; the rest is what
    the device said at the end of the round, see `model.samples.conditions_schema`.
    """

    key: str
    round: int
    clock: str
    calls: int
    ns: int
    throttled: bool | None = None
    process: int | None = None
    sm_clock_mhz: int | None = None
    memory_clock_mhz: int | None = None
    temperature_c: int | None = None
    power_mw: int | None = None
    launch_ns: int | None = None


@dataclass(slots=True)
class Failures:
    """Subjects that raised, by name; they leave the rounds and the others go on."""

    by_name: dict[str, Exception | SystemExit] = field(default_factory=dict)


def wall(subject: Subject, calls: int, clock: Clock, device: Device) -> int:
    """Host ns of `calls` calls: an unsynchronised loop, one synchronisation at its end."""
    work = subject.work(calls)
    if subject.before:
        subject.before()
    device.synchronize()
    start = clock()
    work()
    device.synchronize()
    return clock() - start


def uninterrupted(subject: Subject, clock: Clock, device: Device) -> int:
    """`wall` of the subject's calls, the first sample in which nobody else had the core, or the least interrupted.

    What is kept hangs on the interruptions alone, never on how long a sample took.
    """
    begun, found = clock(), list[tuple[int, int]]()
    while len(found) < (AGAIN_BY_DEVICE if device.has_clock else ATTEMPTS):
        before = device.interruptions()
        ns = wall(subject, subject.calls, clock, device)
        found.append((device.interruptions() - before, ns))
        if not found[-1][0] or clock() - begun > AGAIN_NS:
            break
    return min(found, key=lambda one: one[0])[1]


def by_wall(subject: Subject, clock: Clock, device: Device) -> tuple[int, int]:
    """(calls, host ns of them): of a subject that takes off, what further steps add to the time of one.

    A loop of calls starts and waits once in some hundreds of calls; a replay once in 28, which is a third of a short
    call. What one step and several have in common is in neither then, as in no share worth speaking of of the loop.
    Errors: RuntimeError where further steps take no time.
    """
    if not subject.takes_off:
        return subject.calls, uninterrupted(subject, clock, device)
    for _ in range(ATTEMPTS):
        one = wall(subject, subject.step, clock, device)
        found = wall(subject, subject.step + subject.calls, clock, device) - one
        if found > 0:
            return subject.calls, found
    raise RuntimeError(f"{subject.calls} calls more took no time in {ATTEMPTS} samples; is the host's clock disturbed?")


def on_device(subject: Subject, device: Device) -> tuple[int, int] | None:
    """(calls, device ns of them), the queue proven full before the first began; None where that never holds.

    A sample whose queue was late is thrown away, and the next has a longer hold and, every other time, fewer calls. A
    path that waits for the device never holds: it has no device time of its own.
    """
    for attempt in range(ATTEMPTS):
        work = subject.work(subject.device_calls)
        if subject.before:
            subject.before()
        ns, held = device.held(work, subject.hold_ns)
        if held:
            return subject.device_calls, ns
        subject.hold_ns = min(4 * subject.hold_ns, LONGEST_HOLD_NS)
        if attempt % 2:
            subject.device_calls = max(subject.step, subject.device_calls // 2 // subject.step * subject.step)
    subject.waits = True
    return None


def settle(subject: Subject, least_calls: int, clock: Clock, device: Device, *, sample_ns: int = SAMPLE_NS) -> None:
    """Warm `subject` up until a sample is no more than a tenth faster than the one before, then size its samples."""
    least = max(subject.step, least_calls)
    before = wall(subject, least, clock, device)
    for _ in range(10):
        after = wall(subject, least, clock, device)
        if after > 0.9 * before:
            break
        before = after
    per_call = max(1.0, min(before, after) / least)
    subject.takes_off = subject.takes_off and per_call * subject.step < sample_ns
    most = COLD_STEPS * subject.step if subject.takes_off else least
    wanted = most if subject.one_step else min(MAX_CALLS, max(least, round(sample_ns / per_call)))
    subject.calls = max(subject.step, wanted // subject.step * subject.step)
    fitting = least if subject.one_step else min(4 * least, subject.calls, int(QUEUE * LAUNCH_NS / per_call))
    subject.device_calls = max(subject.step, fitting // subject.step * subject.step)
    subject.hold_ns = hold_ns(per_call * subject.device_calls)


def hold_ns(enqueued_ns: float) -> int:
    """How long the device must be held for launches that take the host so long: half as long again, and 0.1 ms."""
    return round(1.5 * enqueued_ns) + 100_000


def level(subjects: Iterable[Subject]) -> None:
    """Give subjects whose samples would hold nearly as many calls the same number.

    A sample's fixed cost, its one synchronisation, is shared by its calls: of two paths of one speed the one with fewer
    calls would look slower, by where the warm-up happened to end.
    """
    most = 0
    for subject in sorted((one for one in subjects if not one.one_step), key=lambda one: -one.calls):
        if most > LEVEL * subject.calls or not most:
            most = subject.calls
        subject.calls = max(subject.step, most // subject.step * subject.step)


def level_queues(subjects: Iterable[Subject]) -> None:
    """Give subjects whose samples hold the same number of calls the same number by the device's clock too, the least.

    One of them may have had to take fewer, since its queue was late: the events' own cost would be shared by fewer
    calls for as long as the rounds go on.
    """
    least: dict[tuple[int, int], int] = {}
    listed = [one for one in subjects if not one.waits]
    for one in listed:
        group = (one.calls, one.step)
        least[group] = min(least.get(group, one.device_calls), one.device_calls)
    for one in listed:
        one.device_calls = least[one.calls, one.step]


def order(names: Sequence[str], seed: int, case: str, number: int) -> list[str]:
    """The order of one round: a shuffle that seed, case and round fix, so that a resumed run goes on with it."""
    shuffled = list(names)
    random.Random(f"{seed}/{case}/{number}").shuffle(shuffled)
    return shuffled


def measure(
    subjects: Sequence[Subject],
    numbers: range,
    *,
    seed: int,
    case: str,
    clock: Clock,
    device: Device,
    failures: Failures,
    before_round: Callable[[int], None] = lambda _: None,
    throttled: Callable[[], bool | None] = lambda: None,
    conditions: Callable[[], Conditions] = lambda: UNKNOWN,
) -> Iterator[list[Sample]]:
    """The samples of one round after the other; all subjects once a round and clock, in a shuffled order.

    `before_round` runs outside the clock. So does one step of whoever is first: what ran before has left the host's
    caches cold, and a graph's first replay was seen 2.8 % slower. `throttled` is asked at both ends of a round,
    `conditions` at its end, never within a sample.
    """
    live = {subject.name: subject for subject in subjects}
    for number in numbers if live else ():
        before_round(number)
        taken: list[Sample] = []
        held_before = throttled()
        for place, name in enumerate(order(sorted(live), seed, case, number)):
            subject = live[name]
            try:
                if subject.taker is not None:
                    taken += subject.taker(subject, number, not place)
                else:
                    taken += turn(subject, number, clock, device, wake=not place)
            except (Exception, SystemExit) as error:
                failures.by_name[name] = error
                del live[name]
                taken = [sample for sample in taken if sample.key != name]
        level_queues(live.values())
        held = either(held_before, throttled())
        seen = asdict(conditions())
        yield [replace(sample, throttled=held, **seen) for sample in taken]
        if not live:
            return


def turn(subject: Subject, number: int, clock: Clock, device: Device, *, wake: bool) -> list[Sample]:
    """The samples of `subject` in round `number`, the collector held off; `wake`: after a step outside the clock."""
    with no_collection():
        if wake:
            wall(subject, subject.step, clock, device)
        return _samples(subject, number, clock, device)


def _samples(subject: Subject, number: int, clock: Clock, device: Device) -> list[Sample]:
    taken = [Sample(subject.name, number, "wall", *by_wall(subject, clock, device))]
    found = on_device(subject, device) if device.has_clock and not subject.waits else None
    if found:
        taken.append(Sample(subject.name, number, "device", *found))
    return taken


@contextmanager
def no_collection() -> Iterator[None]:
    """Python's garbage collector held off, and back as it was."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()
