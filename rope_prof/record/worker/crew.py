"""The bench of a recording whose paths run in processes of their own: who sits where, and whose turn it is.

Of a GPU all workers launch from one core of the host in a round, and from the next one in the next: cores differ, by
who else is on them, and a worker that kept to its own would look faster or slower by that. So do channels of the card
(`channels`): of more processes than there are seats those stay whose launches are alike.

It answers as `protocols.Bench` does and touches no device: each path has a seat, the baseline's holds the ceilings of
the card and is asked of the card's state. One worker works at a time while anything is timed.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from rope_prof.errors import OperationError
from rope_prof.model.kind import Kind
from rope_prof.model.run import CEILINGS, Accuracy, Case, Ceiling, CeilingName, Key
from rope_prof.record.device.throttle import UNKNOWN, Conditions
from rope_prof.record.loop.describe import ToldError
from rope_prof.record.loop.protocols import Checked
from rope_prof.record.loop.timing import Clock, Device, Sample, Subject
from rope_prof.record.worker.channels import Channels
from rope_prof.record.worker.interpreter import Interpreter, alone
from rope_prof.record.worker.messages import put
from rope_prof.record.worker.process import WorkerProcess
from rope_prof.record.worker.seat import Seat, bare
from rope_prof.record.worker.sides import split

SeatMaker = Callable[[str], Seat]
T = TypeVar("T")
#: One worker that holds this part of the card may be why another finds no memory.
LARGE_SHARE = 0.125
#: What is said of a key that was measured all the same.
MADE_ROOM = "memory ran out beside the workers of other paths; measured once that was free again"


class Elsewhere:
    """The device of a bench whose subjects all live in workers: nothing is timed in this process."""

    has_clock = False

    def synchronize(self) -> None:
        """Nothing runs here."""

    def interruptions(self) -> int:
        """None that matters."""
        return 0

    def held(self, work: Callable[[], None], hold_ns: int) -> tuple[int, bool]:
        """Nothing runs here."""
        raise RuntimeError((work, hold_ns))


def own_cores() -> tuple[int, ...]:
    """The host's cores that this process may run on; () where the system does not say."""
    return tuple(sorted(os.sched_getaffinity(0))) if hasattr(os, "sched_getaffinity") else ()


@dataclass(slots=True)
class Crew:
    """`protocols.Bench` over the seats of paths, the baseline's first. `seat_of` makes the seat of a path.

    `anew`: what is to be done between the processes of one repeat and of the next. `helper` starts the process that
    checks what cannot run here.
    """

    kind: Kind
    seed: int
    seat_of: SeatMaker
    anew: Callable[[], None] = lambda: None
    helper: Callable[[], WorkerProcess] = alone
    clock: Clock = time.perf_counter_ns
    device: Device = field(default_factory=Elsewhere)
    cores: tuple[int, ...] = field(default_factory=lambda: own_cores())
    seats: dict[str, Seat] = field(default_factory=dict)
    _case: Case | None = None
    _round: int | None = None
    _owner: dict[str, Seat] = field(default_factory=dict)
    _last: Seat | None = None
    _turned: bool = False
    _listens: bool = False
    _loaded: dict[str, ToldError | None] = field(default_factory=dict)
    _interpreter: Interpreter | None = None
    _closed: bool = False
    _channels: Channels = field(default_factory=Channels)
    _pool: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(32, "rope_prof-check"))
    _ahead: dict[str, Future[dict[str, tuple[Accuracy, int] | BaseException]]] = field(default_factory=dict)
    _found: dict[str, tuple[Accuracy, int] | BaseException] = field(default_factory=dict)
    _remarks: dict[str, str] = field(default_factory=dict)

    def sit(self, paths: Iterable[str]) -> None:
        """Have a seat for each of `paths`, in this order, and let their processes start side by side."""
        self.seats = {path: self.seats.get(path) or self._seat(path) for path in paths}
        self._spawn()

    def begin(self, paths: Iterable[str]) -> None:
        """Let the processes of `paths`, which are asked for one after the other, start side by side."""
        self.seats |= {path: self._seat(path) for path in paths if path not in self.seats}
        self._spawn()

    def _seat(self, path: str) -> Seat:
        seat = self.seat_of(path)
        seat.channels = self._channels if self.kind == "cuda" else None
        return seat

    def _spawn(self) -> None:
        seats = list(self.seats.values())[:: -1 if self._turned else 1]
        if self.kind == "cuda":
            self._channels.fill([seat for seat in seats if seat.process is None])
        for seat in seats:
            try:
                seat.spawn()
            except ToldError:
                seat.leave()

    def load(self, path: str) -> str | None:
        """Let the worker of `path` find it: the sentence on a name that names nothing; None where it is there.

        Code that cannot be loaded, or that ends its process, fails the keys of the path, each with that line.
        """
        if path in self._loaded:
            return None
        self._loaded[path] = None
        if path not in self.seats:
            self.seats[path] = self._seat(path)
        try:
            name, side = split(path)
            unknown, broken = self.seats[path].ask("path", name)
        except ToldError as error:
            self._loaded[path] = error
            return None
        if unknown and side:  # its own cure is for this side
            what = str(unknown).rpartition(";")[0] or unknown
            unknown = f"{what}; {side} lacks it, and only what both sides hold can be compared"
        failed = unknown or broken
        self._loaded[path] = ToldError(failed) if failed else None
        return unknown if unknown is None else str(unknown)

    def _able(self, path: str) -> Seat:
        """The seat of `path`, whose code is loaded. Errors: ToldError."""
        self.load(path)
        error = self._loaded[path]
        if error is not None:
            raise error
        return self.seats[path]

    @property
    def _anchor(self) -> Seat:
        return next(iter(self.seats.values()))

    def _opened(self, seat: Seat) -> Case:
        if self._case is None:
            raise RuntimeError("no case is open")
        seat.opened(self._case, self._round)
        return self._case

    def open_case(self, case: Case) -> None:
        """`case` is next: each worker makes its input when it is first asked for it."""
        self._case, self._round = case, None
        self._owner.clear()

    def check_ahead(self, keys: Sequence[Key]) -> None:
        """Let the workers of a GPU check theirs of `keys` side by side, which compiles; a CPU has too few cores.

        Nothing is timed meanwhile. All keys of a path are checked by the time that `check` gives the first of them.
        """
        for path in dict.fromkeys(key.path for key in keys) if self.kind == "cuda" else ():
            with suppress(Exception):  # `check` says what is wrong
                seat = self._able(path)
                seat.hello()
                mine = [key for key in keys if key.path == path]
                self._ahead[path] = self._pool.submit(self._checked, seat, mine)

    def _checked(self, seat: Seat, keys: Sequence[Key]) -> dict[str, tuple[Accuracy, int] | BaseException]:
        found: dict[str, tuple[Accuracy, int] | BaseException] = {}
        for key in keys:
            if self._closed:  # a process that was ended is not followed by another
                break
            try:
                found[key.name] = self._check(seat, key)
            except (Exception, SystemExit) as error:
                found[key.name] = error
        return found

    def check(self, key: Key) -> tuple[Accuracy, int]:
        """Accuracy and first call of `key`, in its worker."""
        for future in self._ahead.values():  # of all paths: no worker fills the card while another gets ready
            self._found |= future.result()
        self._ahead.clear()
        found = self._found.pop(key.name, None)
        crowded = isinstance(found, ToldError) and found.memory  # what filled it beside this one was ended with it
        if isinstance(found, BaseException) and not crowded:
            raise found
        if found is None or isinstance(found, BaseException):
            seat = self._able(key.path)
            found = self._with_room(key.name, seat, lambda: self._check(seat, key))
        if crowded:
            self._remarks[key.name] = MADE_ROOM
        return found

    def _with_room(self, name: str, seat: Seat, work: Callable[[], T]) -> T:
        """What `work` gives, in the worker of `seat`, for the key called `name`.

        Where its memory runs out while another worker holds much of the card, that one is ended, and what is left of it
        goes on later in a fresh one; but not the baseline's, which all others are held against.
        """
        try:
            return work()
        except ToldError as error:
            others = [one for one in list(self.seats.values())[1:] if one is not seat] if error.memory else []
            shares = {place: one.held_share() for place, one in enumerate(others)}
            largest = max(shares, key=shares.__getitem__, default=None)
            if largest is None or shares[largest] < LARGE_SHARE:
                raise
        others[largest].leave()
        others[largest].crowded += 1
        found = work()
        self._remarks[name] = MADE_ROOM
        return found

    def _check(self, seat: Seat, key: Key) -> tuple[Accuracy, int]:
        self._opened(seat)
        accuracy, first_ns = seat.ask("check", bare(key))
        return accuracy, first_ns

    def ready(self, key: Key) -> Subject:
        """`key`, to be sampled in its worker."""
        seat = self._able(key.path)

        def made() -> Subject:
            self._opened(seat)
            return seat.ready(key)

        subject = self._owned(seat, self._with_room(key.name, seat, made))
        subject.remark = self._remarks.get(key.name)
        return subject

    def _owned(self, seat: Seat, subject: Subject) -> Subject:
        def take(one: Subject, number: int, first: bool) -> list[Sample]:
            wake = first or self._last is not seat
            self._last = seat
            return self._roomy(one, lambda case: seat.take(one, case, number, wake=wake, core=self._core(number)))

        self._owner[subject.name] = seat
        subject.taker = take
        return subject

    def _core(self, number: int) -> int | None:
        """The core that all launch from in that round; a CPU's paths run on all of them."""
        if self.kind == "cpu" or len(self.cores) < 2:
            return None
        return self.cores[number % len(self.cores)]

    def settle(self, subject: Subject) -> None:
        """Warm it up and size its samples, in its worker."""
        self._settle(subject, "settle")

    def _settle(self, subject: Subject, call: str) -> None:
        put(subject, self._asked(subject, call))

    def facts(self, key: Key) -> dict[str, Any]:
        """in_place, bytes_moved, and what the ring is; of a path that has no worker the baseline's knows them."""
        if key.path in self.seats:
            facts: dict[str, Any] = self.seats[key.path].ask("facts", bare(key))
            return facts
        try:
            found: dict[str, Any] = self._anchor.ask("facts", bare(key))
        except ToldError:
            return {}
        return found

    def refill(self, number: int) -> None:
        """New values in the buffers of every worker that has the case open, all at once."""
        self._round = number
        case = self._case
        if case is not None:
            for seat in [seat for seat in self.seats.values() if seat.begin_refill(case, number)]:
                try:
                    seat.end_refill()
                except OperationError:  # a path may leave a process in which nothing else runs; the baseline does not
                    if seat is self._anchor:
                        raise
                    seat.leave()

    def throttled(self) -> bool | None:
        """Whether the device's clock is held down; None where it does not say."""
        found: bool | None = self._state("throttled", None)
        return found

    def conditions(self) -> Conditions:
        """Clocks, temperature and power of the device right now."""
        found: Conditions = self._state("conditions", UNKNOWN)
        return found

    def _state(self, call: str, unknown: Any) -> Any:
        """The state of the card: none of a path's keys fails where its worker cannot say it."""
        if self.kind == "cpu":
            return unknown
        try:
            return self._anchor.ask(call)
        except ToldError:
            return unknown

    def start_checks(self, keys: tuple[Key, ...]) -> None:
        """Start the interpreter's child on `keys`."""
        self._interpreter = Interpreter(keys, self.seed, self.helper)

    def finish_checks(self) -> dict[str, Checked]:
        """Wait for the interpreter's child."""
        return self._interpreter.results() if self._interpreter else {}

    def ceilings(
        self, case: Case, rank: int, names: Sequence[CeilingName] = CEILINGS
    ) -> Iterable[tuple[Ceiling, Subject | None]]:
        """What the device itself can do, in the baseline's worker; in another's where that has none."""
        for path, seat in self.seats.items():
            try:
                self._able(path)
                self._opened(seat)
                made = seat.ceilings(case, rank, names)
            except ToldError:
                continue
            return [(ceiling, self._owned(seat, one) if one is not None else None) for ceiling, one in made]
        return []

    def settle_ceiling(self, subject: Subject) -> None:
        """Warm it up and size its short samples."""
        self._settle(subject, "settle_ceiling")

    def node_busy(self, subject: Subject) -> float | None:
        """ns that a node of the graph of `subject` is busy, by the profiler."""
        found: float | None = self._asked(subject, "node_busy")
        return found

    def _asked(self, subject: Subject, call: str, *more: Any) -> Any:
        return self._roomy(subject, lambda _: self._owner[subject.name].ask_of(subject, call, *more))

    def _roomy(self, subject: Subject, work: Callable[[Case], T]) -> T:
        """What `work` gives of `subject` once its worker has the case open; with room, which is then said of it."""
        seat = self._owner[subject.name]
        found = self._with_room(subject.name, seat, lambda: work(self._opened(seat)))
        subject.remark = self._remarks.get(subject.name)
        return found

    def _listen(self) -> None:
        """Let all workers of a GPU attach their profilers at once: nothing is timed from here on."""
        if self.kind == "cuda" and not self._listens:
            self._listens = True
            for seat in [seat for seat in self.seats.values() if seat.tell("listen")]:
                seat.told("listen")

    def capture(self, subject: Subject, key: Key, folder: Path) -> tuple[str, int]:
        """A trace of calls of `subject`, written by its worker."""
        self._listen()
        name, calls = self._asked(subject, "capture", key, str(folder.absolute()))
        return name, calls

    def capture_light(self, subject: Subject, key: Key, folder: Path) -> str | None:
        """A trace without the host's operators."""
        name: str | None = self._asked(subject, "capture_light", key, str(folder.absolute()))
        return name

    def renew(self) -> None:
        """A fresh process on every seat; they start in the other order than the ones before."""
        self._case, self._last = None, None
        self._owner.clear()
        self._ahead.clear()
        self._found.clear()
        for seat in self.seats.values():
            seat.leave()
        self._turned = not self._turned
        self.finish_checks()  # of a process that goes with those that all were forked from
        self.anew()
        self._spawn()

    def close(self) -> None:
        """End every process, of checks that are at work too."""
        self._closed = True
        for wait in (False, True):
            for seat in self.seats.values():
                seat.leave()
            self._pool.shutdown(wait=wait, cancel_futures=True)
        if self._interpreter is not None:
            self._interpreter.close()
