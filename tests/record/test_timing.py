"""Timed passes under a fake clock and a fake device: what is timed, in what order, and what is thrown away."""

from __future__ import annotations

import gc
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rope_prof.record.bench import subjects
from rope_prof.record.device.devices import CpuDevice
from rope_prof.record.loop.timing import (
    AGAIN_BY_DEVICE,
    ATTEMPTS,
    LEVEL,
    MAX_CALLS,
    QUEUE,
    Failures,
    Sample,
    Subject,
    by_wall,
    level,
    measure,
    on_device,
    order,
    settle,
    wall,
)


@dataclass
class World:
    """A host clock and a device with a queue: a launch costs the host time and gives the device work."""

    now: int = 0
    busy_until: int = 0
    device_ns: int = 0
    has_clock: bool = True
    depth: int = 1024
    queued: int = 0
    log: list[str] = field(default_factory=list)

    def clock(self) -> int:
        return self.now

    def launch(self, host_ns: int, device_ns: int) -> None:
        if self.queued >= self.depth:
            self.now = max(self.now, self.busy_until)
            self.queued = 0
        self.now += host_ns
        self.busy_until = max(self.busy_until, self.now) + device_ns
        self.device_ns += device_ns
        self.queued += 1

    def synchronize(self) -> None:
        self.now = max(self.now, self.busy_until)
        self.queued = 0
        self.log.append("sync")

    def interruptions(self) -> int:
        return 0

    def held(self, work: Callable[[], None], hold_ns: int) -> tuple[int, bool]:
        self.synchronize()
        begin = self.now + hold_ns
        self.busy_until = begin
        work()
        held = self.now < begin
        self.synchronize()
        return self.busy_until - begin, held

    def subject(self, name: str, *, launches: int = 1, host_ns: int = 5_000, device_ns: int = 1_000) -> Subject:
        def work(calls: int) -> Callable[[], None]:
            def run() -> None:
                self.log.append(f"{name} x{calls}")
                for _ in range(calls * launches):
                    self.launch(host_ns, device_ns)

            return run

        return Subject(name, work)


def test_wall_is_the_loop_and_one_synchronisation() -> None:
    world = World()
    assert wall(world.subject("a", host_ns=10, device_ns=1), 7, world.clock, world) == 7 * 10 + 1
    assert world.log == ["sync", "a x7", "sync"]


def test_wall_waits_for_work_of_before_outside_the_clock() -> None:
    world = World()
    world.launch(1, 10_000)
    assert wall(world.subject("a", host_ns=10, device_ns=1), 1, world.clock, world) == 11


def test_what_runs_before_a_sample_is_not_timed() -> None:
    world = World()
    subject = world.subject("a", host_ns=10, device_ns=1)
    subject.before = lambda: world.launch(500, 5_000)
    assert wall(subject, 2, world.clock, world) == 21


@given(launches=st.integers(1, 40), host_ns=st.integers(3_000, 20_000), device_ns=st.integers(500, 400_000))
def test_device_time_is_free_of_the_hosts_launch_cost(launches: int, host_ns: int, device_ns: int) -> None:
    world = World()
    subject = world.subject("a", launches=launches, host_ns=host_ns, device_ns=device_ns)
    settle(subject, 28, world.clock, world)
    found = on_device(subject, world)
    assert found is not None
    calls, ns = found
    assert ns == calls * launches * device_ns
    assert calls * launches <= max(QUEUE, launches)


def test_a_hold_that_was_too_short_is_not_a_sample() -> None:
    world = World()
    subject = world.subject("a", launches=2, host_ns=5_000, device_ns=100)
    subject.device_calls, subject.hold_ns = 64, 1
    found = on_device(subject, world)
    assert found is not None
    assert found[1] == found[0] * 2 * 100


def test_a_path_that_synchronises_has_no_device_time() -> None:
    world = World()

    def work(_: int) -> Callable[[], None]:
        def run() -> None:
            world.launch(5_000, 10)
            world.synchronize()

        return run

    subject = Subject("a", work, device_calls=4, hold_ns=1_000)
    assert on_device(subject, world) is None
    assert subject.waits
    subject.calls = 4
    taken = measure([subject], range(2), seed=0, case="", clock=world.clock, device=world, failures=Failures())
    assert {sample.clock for samples in taken for sample in samples} == {"wall"}


def test_samples_are_long_enough_to_hide_the_end() -> None:
    world = World()
    short, long = world.subject("a", host_ns=5_000), world.subject("b", host_ns=500_000)
    for subject in (short, long):
        settle(subject, 28, world.clock, world)
    assert long.calls == 28
    assert 500 <= short.calls <= MAX_CALLS


def test_a_replay_is_sampled_whole() -> None:
    world = World()
    subject = world.subject("a", host_ns=100)
    subject.step, subject.one_step = 28, True
    settle(subject, 10, world.clock, world)
    assert (subject.calls, subject.device_calls) == (28, 28)


class Replays:
    """A device whose replay costs `start` to begin and `wait` to wait for, once a sample, and `call` each of its calls.

    `late`: samples whose clock jumps ahead by so many ns, by their number.
    """

    def __init__(self, start: int, wait: int, call: int, late: dict[int, int] | None = None) -> None:
        self.start, self.wait, self.call, self.late = start, wait, call, late or {}
        self.now = self.queued = self.samples = 0
        self.has_clock = False

    def clock(self) -> int:
        return self.now

    def synchronize(self) -> None:
        if self.queued:
            self.now += self.start + self.queued * self.call + self.wait + self.late.get(self.samples, 0)
            self.samples += 1
        self.queued = 0

    def interruptions(self) -> int:
        return 0

    def held(self, work: Callable[[], None], hold_ns: int) -> tuple[int, bool]:
        raise AssertionError((work, hold_ns))

    def subject(self, *, one_step: bool, takes_off: bool = True) -> Subject:
        def work(calls: int) -> Callable[[], None]:
            def run() -> None:
                self.queued += calls

            return run

        return Subject("a", work, step=28, one_step=one_step, takes_off=takes_off)


@pytest.mark.parametrize("one_step", [True, False], ids=["cold", "hot"])
@given(start=st.integers(0, 90_000), wait=st.integers(0, 90_000), call=st.integers(100, 90_000))
def test_what_starting_a_replay_and_waiting_for_it_cost_cancels(
    one_step: bool, start: int, wait: int, call: int
) -> None:
    world = Replays(start, wait, call)
    subject = world.subject(one_step=one_step)
    settle(subject, 28, world.clock, world)
    calls, ns = by_wall(subject, world.clock, world)
    assert calls % 28 == 0
    if subject.takes_off:
        assert ns == calls * call
    else:  # of replays as long as a sample it is a share that nobody sees
        assert ns - calls * call == start + wait <= 0.07 * ns


@pytest.mark.parametrize(("buffers", "graphs"), [(28, 1), (29, 2), (57, 3), (112, 4), (9_000, 4)])
def test_replays_of_a_cold_sample_are_on_buffers_of_their_own(
    buffers: int, graphs: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[list[int]] = []
    monkeypatch.setattr(subjects, "replays", lambda _, first, further: taken.extend([first, *further]))
    places = itertools.cycle(range(buffers))
    device = SimpleNamespace(flush=lambda: None)
    made = subjects.cold_graph("a", print, lambda n: [next(places) for _ in range(n)], buffers, device)  # type: ignore[arg-type,misc]
    assert (made.step, made.one_step, made.takes_off) == (28, True, True)
    assert len(taken) == graphs
    distinct = {place for batch in taken for place in batch}
    assert len(distinct) == min(buffers, 28 * graphs)


def test_a_sample_of_replays_without_further_ones_carries_a_share() -> None:
    """So it was before, and so it is of subjects that ask for nothing else."""
    world = Replays(10_000, 5_000, 1_800)
    subject = world.subject(one_step=True, takes_off=False)
    settle(subject, 28, world.clock, world)
    assert by_wall(subject, world.clock, world) == (28, 28 * 1_800 + 15_000)


def test_a_replay_that_was_held_up_is_taken_again_and_never_negative() -> None:
    world = Replays(10_000, 5_000, 1_800, late={0: 10_000_000})
    subject = world.subject(one_step=True)
    subject.calls = 84
    assert by_wall(subject, world.clock, world) == (84, 84 * 1_800)
    assert world.samples == 4
    world.late = {number: 10_000_000 * (number % 2 == 0) for number in range(100)}
    with pytest.raises(RuntimeError, match="84 calls more took no time in 14 samples"):
        by_wall(subject, world.clock, world)


@given(st.lists(st.integers(1, MAX_CALLS), min_size=1, max_size=8))
def test_samples_of_nearly_one_size_hold_the_same_calls(sizes: list[int]) -> None:
    subjects = [Subject(str(n), lambda _: lambda: None, calls=size) for n, size in enumerate(sizes)]
    level(subjects)
    for size, subject in zip(sizes, subjects, strict=True):
        assert size <= subject.calls <= LEVEL * size
    close = [(a, b) for a in range(len(sizes)) for b in range(a) if sizes[a] == sizes[b]]
    assert all(subjects[a].calls == subjects[b].calls for a, b in close)
    if max(sizes) <= LEVEL * min(sizes):
        assert {subject.calls for subject in subjects} == {max(sizes)}


def test_after_a_late_queue_both_of_one_speed_have_fewer_calls() -> None:
    """One of two subjects of one speed was late: from then on neither has more calls to share the events' cost."""
    world = World()
    pair, other = [world.subject(name) for name in "ab"], world.subject("c", host_ns=500_000)
    for subject in (*pair, other):
        settle(subject, 28, world.clock, world)
        subject.device_calls = 28 if subject is other else 112
    pair[0].device_calls = 56
    taken = list(
        measure([*pair, other], range(3), seed=0, case="", clock=world.clock, device=world, failures=Failures())
    )
    sizes = [{s.key: s.calls for s in samples if s.clock == "device"} for samples in taken]
    assert [found["a"] == found["b"] for found in sizes] == [False, True, True]
    assert {found["c"] for found in sizes} == {28}
    assert sizes[-1]["b"] == 56


def test_a_graph_keeps_its_step_and_a_cold_one_its_single_replay() -> None:
    eager, graph = (
        Subject(n, lambda _: lambda: None, step=step, calls=c) for n, step, c in (("a", 1, 100), ("b", 28, 84))
    )
    cold = Subject("c", lambda _: lambda: None, step=28, one_step=True, calls=28)
    level([eager, graph, cold])
    assert (eager.calls, graph.calls, cold.calls) == (100, 84, 28)


def test_whoever_is_first_in_a_round_pays_nothing_for_it() -> None:
    """The host's caches are cold after a refill: the first call after it takes longer, whichever path makes it."""
    world = World(has_clock=False)
    refilled = False

    def subject(name: str) -> Subject:
        def work(calls: int) -> Callable[[], None]:
            def run() -> None:
                nonlocal refilled
                world.launch(5_000 * calls + 3_000 * refilled, 1)
                refilled = False

            return run

        return Subject(name, work, calls=28)

    def refill(_: int) -> None:
        nonlocal refilled
        refilled = True

    pair = [subject("a"), subject("b")]
    taken = measure(
        pair, range(4), seed=0, case="", clock=world.clock, device=world, failures=Failures(), before_round=refill
    )
    assert {sample.ns for samples in taken for sample in samples} == {28 * 5_000 + 1}


@given(st.sets(st.text(min_size=1, max_size=3), min_size=1, max_size=6), st.integers(0, 99), st.integers(0, 99))
def test_the_order_of_a_round_is_fixed_by_its_seed(names: set[str], seed: int, number: int) -> None:
    found = order(sorted(names), seed, "case", number)
    assert sorted(found) == sorted(names)
    assert found == order(sorted(names), seed, "case", number)


def test_rounds_differ_in_order_and_none_is_first_always() -> None:
    firsts = {order(["a", "b", "c", "d"], 0, "case", number)[0] for number in range(60)}
    assert firsts == {"a", "b", "c", "d"}


def run_rounds(world: World, subjects: list[Subject], numbers: range) -> tuple[list[list[Sample]], Failures]:
    failures = Failures()
    for subject in subjects:
        settle(subject, 2, world.clock, world)
    taken = measure(subjects, numbers, seed=3, case="c", clock=world.clock, device=world, failures=failures)
    return list(taken), failures


def test_every_round_holds_every_key_once_per_clock() -> None:
    world = World()
    taken, failures = run_rounds(world, [world.subject(n) for n in "ab"], range(5))
    assert [{(s.key, s.clock) for s in samples} for samples in taken] == [
        {(name, clock) for name in "ab" for clock in ("wall", "device")}
    ] * 5
    assert [sample.round for samples in taken for sample in samples] == [n for n in range(5) for _ in range(4)]
    assert not failures.by_name


def test_a_resumed_recording_goes_on_with_the_same_orders() -> None:
    def orders(numbers: range) -> list[list[str]]:
        world = World(has_clock=False)
        taken, _ = run_rounds(world, [world.subject(n) for n in "abcd"], numbers)
        return [[sample.key for sample in samples] for samples in taken]

    assert orders(range(8)) == orders(range(3)) + orders(range(3, 8))


def test_a_key_that_fails_leaves_and_the_others_go_on() -> None:
    world = World(has_clock=False)
    bad = world.subject("bad")
    calls = iter(range(100))

    def work(n: int) -> Callable[[], None]:
        if next(calls) > 4:
            raise MemoryError
        return lambda: world.launch(n, 1)

    bad.work = work
    taken, failures = run_rounds(world, [world.subject("good"), bad], range(6))
    assert isinstance(failures.by_name["bad"], MemoryError)
    assert [any(s.key == "good" for s in samples) for samples in taken] == [True] * 6
    assert not any(s.key == "bad" for s in taken[-1])


def test_the_garbage_collector_is_held_off_and_comes_back() -> None:
    world = World(has_clock=False)
    seen = []
    subject = world.subject("a")
    subject.work = lambda _: lambda: seen.append(gc.isenabled())
    subject.calls = 1
    list(measure([subject], range(1), seed=0, case="", clock=world.clock, device=world, failures=Failures()))
    assert seen == [False, False], "ahead of the first sample, and in it"
    assert gc.isenabled()


def test_without_subjects_no_round() -> None:
    world = World()
    assert not list(measure([], range(3), seed=0, case="", clock=world.clock, device=world, failures=Failures()))


@dataclass
class BusyHost(World):
    """A host whose other programs take the core `lots[i]` times in the i-th sample, each for a microsecond."""

    lots: tuple[int, ...] = ()
    seen: int = 0
    samples: int = 0

    def interruptions(self) -> int:
        return self.seen

    def subject(self, call_ns: int = 100) -> Subject:
        def work(calls: int) -> Callable[[], None]:
            def run() -> None:
                lot = self.lots[min(self.samples, len(self.lots) - 1)]
                self.samples += 1
                self.seen += lot
                self.now += calls * call_ns + 1000 * lot

            return run

        return Subject("a", work, calls=10)


@pytest.mark.parametrize(
    ("lots", "samples", "ns"),
    [((0,), 1, 1000), ((2, 1, 0, 0), 3, 1000), ((3, 1, 2), ATTEMPTS, 2000), ((1, 0), 2, 1000)],
)
def test_a_sample_in_which_another_program_had_the_core_is_taken_again(
    lots: tuple[int, ...], samples: int, ns: int
) -> None:
    host = BusyHost(lots=lots, has_clock=False)
    assert by_wall(host.subject(), host.clock, host) == (10, ns)
    assert host.samples == samples


def test_long_samples_that_are_always_interrupted_are_not_taken_for_ever() -> None:
    host = BusyHost(lots=(1,), has_clock=False)
    assert by_wall(host.subject(call_ns=3_000_000), host.clock, host) == (10, 30_001_000)
    assert host.samples == 2
    launches = BusyHost(lots=(2, 1))
    assert by_wall(launches.subject(), launches.clock, launches) == (10, 2000)
    assert launches.samples == AGAIN_BY_DEVICE


def test_the_system_counts_how_often_this_process_had_to_leave_its_core() -> None:
    device = CpuDevice()
    before = device.interruptions()
    assert before >= 0
    assert device.interruptions() >= before
