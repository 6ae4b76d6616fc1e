"""One path's place in a recording: a worker process as long as it lives, and the next one when it does not.

Whoever sits here has the open case and the subjects that it was asked for; a new process is brought to the same point
before it goes on. Only what was asked of the process when it died has failed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from rope_prof.model.run import Case, Ceiling, CeilingName, Key
from rope_prof.record.loop.describe import ToldError
from rope_prof.record.loop.timing import Clock, Sample, Subject
from rope_prof.record.worker.channels import Channels
from rope_prof.record.worker.messages import PROTOCOL, Greeting, Setup, Size, Taken, Turn, put, size_of
from rope_prof.record.worker.process import FailedCallError, LostWorkerError, WorkerProcess
from rope_prof.record.worker.sides import split

#: Processes that one seat may lose before what is left of it fails too: a path that dies in every call.
MOST_LOST = 12
#: So often one is ended since another found no memory beside it: what its allocator keeps it may not need again.
MOST_CROWDED = 1


@dataclass(slots=True)
class Seat:
    """Where the workers of `setup` sit, one after the other. `numbers` gives each a number of its own in the run.

    `begin` starts a process. Errors: LostWorkerError. `origin`: what it is forked from. `channels`: who chooses among
    several, where their launches differ.
    """

    setup: Setup
    begin: Callable[[], WorkerProcess]
    clock: Clock
    numbers: Callable[[], int]
    origin: object = None
    channels: Channels | None = None
    greeting: Greeting | None = None
    process_number: int | None = None
    process: WorkerProcess | None = None
    launch_ns: float | None = None
    _begun: bool = False
    _greeted: bool = False
    _case: Case | None = None
    _round: int | None = None
    _keys: dict[str, Key] = field(default_factory=dict)
    _inner: dict[str, str] = field(default_factory=dict)
    _ceilings: dict[str, tuple[Case, int, CeilingName]] = field(default_factory=dict)
    _here: set[str] = field(default_factory=set)
    lost: int = 0
    crowded: int = 0

    @property
    def device(self) -> str:
        """What it measures on."""
        return self.setup.device

    def start(self) -> WorkerProcess:
        """The process that sits here: a new one, which is asked nothing yet, where there is none."""
        if self.process is None:
            if self.lost >= MOST_LOST:
                raise ToldError(f"its process ended {self.lost} times; no further one is started")
            if self.crowded > MOST_CROWDED:
                raise ToldError("its process holds so much of the device's memory that other paths find none beside it")
            if self.channels is not None:
                self.channels.fill([self])
            if self.process is None:
                self.process = self.begin()
        return self.process

    def accept(self, process: WorkerProcess, launch_ns: float | None) -> None:
        """Have it sit here; `launch_ns`: from one of its launches to the next, where that is known."""
        self.process, self.launch_ns = process, launch_ns

    def spawn(self) -> None:
        """Start a process where none sits, without waiting until it can be asked."""
        self.start()
        if self._begun or self.process is None:
            return
        self._begun = True
        try:
            self.process.tell("begin", self.setup)
        except LostWorkerError:
            self.leave()
            raise

    def hello(self) -> Greeting:
        """What the worker says of itself. Errors: LostWorkerError, ToldError, errors of our own."""
        self.spawn()
        if not self._greeted or self.greeting is None:
            try:
                self.greeting = self._told("begin")
            except Exception:
                self._gone()
                raise
            if self.greeting.protocol != PROTOCOL:
                self._gone()
                raise ToldError(f"its rope_prof {self.greeting.rope_prof} speaks another protocol than this one")
            self._greeted = True
            self.process_number = self.numbers()
        return self.greeting

    def ask(self, call: str, *arguments: Any) -> Any:
        """What `call` returns, of a worker that has the open case or any other."""
        self.hello()
        assert self.process is not None
        try:
            self.process.tell(call, *arguments)
        except LostWorkerError:
            self._gone()
            raise
        return self._told(call)

    def _told(self, call: str) -> Any:
        assert self.process is not None
        try:
            return self.process.told(call)
        except LostWorkerError:
            self._gone()
            raise
        except FailedCallError as error:
            if error.poisoned or error.memory:  # what its allocator keeps, the other workers of the card lack
                self._gone()
            raise

    def _gone(self) -> None:
        self.lost += self.process is not None
        self.leave()

    def opened(self, case: Case, number: int | None) -> None:
        """Have `case` open, its buffers filled for round `number`."""
        self.hello()
        if self._case != case:
            self._here.clear()
            self._case = None
            self.ask("open_case", case)
            self._case, self._round = case, None
        if number is not None and self._round != number:
            self.ask("refill", number)
            self._round = number

    def begin_refill(self, case: Case, number: int) -> bool:
        """Let the buffers be filled anew where `case` is open here and they are not; whether `end_refill` is due."""
        if self._case != case or self._round == number or not self.tell("refill", number):
            return False
        self._round = number
        return True

    def end_refill(self) -> None:
        """Wait for it. Errors: OperationError."""
        self.told("refill")

    def tell(self, call: str, *arguments: Any) -> bool:
        """Begin `call` in the process that sits here; whether one does, so that `told` is due."""
        if self.process is None or not self._greeted:
            return False
        try:
            self.process.tell(call, *arguments)
        except LostWorkerError:
            self._gone()
            return False
        return True

    def told(self, call: str) -> None:
        """Wait for it; a process that ends over it is followed by another later."""
        try:
            self._told(call)
        except ToldError:
            self.leave()

    def ready(self, key: Key) -> Subject:
        """`key` in the worker, to be sampled from here."""
        size: Size = self.ask("ready", bare(key))
        self._keys[key.name], self._inner[key.name] = key, size.name
        self._here.add(key.name)
        return self._subject(replace(size, name=key.name))

    def ask_of(self, subject: Subject, call: str, *more: Any) -> Any:
        """What `call` returns of `subject`, in a worker that has the case open."""
        self.revive(subject)
        return self.ask(call, self.size(subject), *more)

    def held_share(self) -> float:
        """The part of the device's memory that the process holds which sits here; 0 where none does or can say."""
        if self.process is None or not self._greeted:
            return 0.0
        try:
            return float(self.ask("held_share"))
        except ToldError:
            return 0.0

    def size(self, subject: Subject) -> Size:
        """The numbers of `subject`, under the name that the worker knows: it knows nothing of sides."""
        return replace(size_of(subject), name=self._inner.get(subject.name, subject.name))

    def ceilings(self, case: Case, rank: int, names: Sequence[CeilingName]) -> list[tuple[Ceiling, Subject | None]]:
        """The card's own ceilings, in this worker."""
        made: list[tuple[Ceiling, Subject | None]] = []
        for ceiling, size in self.ask("ceilings", case, rank, tuple(names)):
            made.append((ceiling, None if size is None else self._subject(size)))
            if size is not None:
                self._ceilings[size.name] = (case, rank, ceiling.name)
                self._here.add(size.name)
        return made

    def take(self, subject: Subject, case: Case, number: int, *, wake: bool, core: int | None) -> list[Sample]:
        """The worker's turn: the samples of `subject` in round `number`."""
        self.opened(case, number)
        wake = self.revive(subject) or wake
        before = self.clock()
        taken: Taken = self.ask("turn", Turn(size=self.size(subject), round=number, wake=wake, core=core))
        after = self.clock()
        put(subject, taken.size)
        require_clock(taken, before, after)
        mine, apart = self.process_number, None if self.launch_ns is None else round(self.launch_ns)
        return [replace(sample, key=subject.name, process=mine, launch_ns=apart) for sample in taken.samples]

    def revive(self, subject: Subject) -> bool:
        """Bring a new worker to where the one before was: the same subject, warm, of the same size; whether it was."""
        if subject.name in self._here:
            return False
        key = self._keys.get(subject.name)
        if key is not None:
            self.ask("ready", bare(key))
            self.ask("settle", self.size(subject))
        else:
            case, rank, name = self._ceilings[subject.name]
            self._here |= {size.name for _, size in self.ask("ceilings", case, rank, (name,)) if size is not None}
            self.ask("settle_ceiling", size_of(subject))
        self._here.add(subject.name)
        return True

    def _subject(self, size: Size) -> Subject:
        subject = Subject(size.name, _elsewhere)
        put(subject, size)
        subject.step, subject.one_step = size.step, size.one_step
        return subject

    def leave(self) -> None:
        """End the process that sits here."""
        if self.process is not None:
            self.process.end()
        self.process, self._greeted, self._case = None, False, None
        self._begun, self.launch_ns = False, None
        self._here.clear()


def require_clock(taken: Taken, before_ns: int, after_ns: int) -> None:
    """ToldError where the worker's clock says other than the recorder's of the same turn.

    Both read CLOCK_MONOTONIC, so a turn lies within the recorder's own two readings, and its samples within the turn. A
    clock that runs slow or fast leaves them within a few turns.
    """
    wall = sum(sample.ns for sample in taken.samples if sample.clock == "wall")
    inner = taken.ended_ns - taken.began_ns
    if before_ns <= taken.began_ns <= taken.ended_ns <= after_ns and wall <= inner:
        return
    raise ToldError(
        f"the worker's clock is not the recorder's: a turn from {before_ns} to {after_ns} ns was from "
        f"{taken.began_ns} to {taken.ended_ns} by it, and its samples {wall} ns long; has the path replaced a clock?"
    )


def bare(key: Key) -> Key:
    """`key` as its worker knows it."""
    return replace(key, path=split(key.path)[0])


def _elsewhere(calls: int) -> Callable[[], None]:
    raise RuntimeError(f"{calls} calls of a subject that lives in a worker were asked for here")
