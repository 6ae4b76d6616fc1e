"""The worker itself: `python -m rope_prof.record.worker.child DESCRIPTOR` answers calls until the recorder is gone.

It holds a real bench: import of the path, compilation, capture, allocation and the timing loop of each sample happen
here, by clocks that were taken before the path's code was first imported. Only what the recorder asks is done, one
call after the other. Whatever a call raises is an answer, an attempt to end Python too.
"""

from __future__ import annotations

import ctypes
import faulthandler
import gc
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path
from typing import Any, cast

import msgspec

from rope_prof import __version__, errors
from rope_prof.errors import RopeProfError
from rope_prof.model.frozen import decodable
from rope_prof.model.run import Case, CeilingName, Key
from rope_prof.record.loop.describe import one_line, out_of_memory, said
from rope_prof.record.loop.protocols import Bench, Checked
from rope_prof.record.loop.timing import Subject, turn
from rope_prof.record.worker import wire
from rope_prof.record.worker.messages import (
    CALLS,
    PROTOCOL,
    Answer,
    Ask,
    Done,
    Greeting,
    Raised,
    Setup,
    Size,
    Taken,
    Turn,
    put,
    size_of,
    unpacked,
)

_PR_SET_PDEATHSIG = 1


class Servant:
    """The bench of this process and its subjects by name: a method for each call of `messages.CALLS`, here or there."""

    def __init__(self) -> None:
        self.bench: Bench | None = None
        self.subjects: dict[str, Subject] = {}

    @property
    def _bench(self) -> Bench:
        if self.bench is None:
            raise RuntimeError("this worker was asked before it was set up")
        return self.bench

    def __getattr__(self, call: str) -> Any:
        """What names no subject is the bench's own: check, facts, refill, throttled, conditions."""
        return getattr(self._bench, call)

    def launch_ns(self, device: str) -> float | None:
        """ns between two queued launches of this process on that device."""
        measure: Callable[[str], float | None] = import_module("rope_prof.record.device.queues").launch_ns
        return measure(device)

    def begin(self, setup: Setup) -> Greeting:
        if setup.kernels:
            import rope_prof.kernels

            rope_prof.kernels.__path__.insert(0, setup.kernels)
        module, _, function = setup.bench.partition(":")
        self.bench = cast(Bench, getattr(import_module(module), function)(setup))
        machine = getattr(self.bench, "machine", None)
        return Greeting(protocol=PROTOCOL, rope_prof=__version__, pid=os.getpid(), machine=machine)

    def interpret(self, key: Key, seed: int) -> Checked:
        """Of a process that holds no bench."""
        from rope_prof.record.bench.interpret import interpreted

        return interpreted(key, seed)

    def path(self, name: str) -> tuple[str | None, str | None]:
        """(the sentence on a word that names nothing, the line on code that cannot be loaded)."""
        find: Callable[[str], object] = getattr(self._bench, "find_path")  # noqa: B009
        try:
            find(name)
        except LookupError as error:
            names_nothing = error.__cause__ is None or isinstance(error.__cause__, ImportError)
            return (said(error), None) if names_nothing else (None, said(error))
        except BaseException as error:
            return None, one_line(error)
        return None, None

    def open_case(self, case: Case) -> None:
        self.subjects.clear()
        self._bench.open_case(case)

    def ready(self, key: Key) -> Size:
        subject = self._bench.ready(key)
        self.subjects[subject.name] = subject
        return size_of(subject)

    def settle(self, size: Size) -> Size:
        subject = self._subject(size)
        self._bench.settle(subject)
        return size_of(subject)

    def ceilings(self, case: Case, rank: int, names: tuple[CeilingName, ...]) -> Any:
        made = []
        for ceiling, subject in self._bench.ceilings(case, rank, names):
            if subject is not None:
                self.subjects[subject.name] = subject
            made.append((ceiling, None if subject is None else size_of(subject)))
        return made

    def settle_ceiling(self, size: Size) -> Size:
        subject = self._subject(size)
        self._bench.settle_ceiling(subject)
        return size_of(subject)

    def node_busy(self, size: Size) -> float | None:
        return self._bench.node_busy(self._subject(size))

    def turn(self, asked: Turn) -> Taken:
        bench, subject = self._bench, self._subject(asked.size)
        wake, audits = asked.wake, getattr(bench, "audits", lambda *_: ())
        with on_core(asked.core):
            for stage in audits(subject.name, asked.round):
                turn(stage, asked.round, bench.clock, bench.device, wake=False)
                wake = True
            began = bench.clock()
            samples = turn(subject, asked.round, bench.clock, bench.device, wake=wake)
            return Taken(samples=tuple(samples), size=size_of(subject), began_ns=began, ended_ns=bench.clock())

    def held_share(self) -> float:
        share: Callable[[], float] = getattr(self._bench, "held_share")  # noqa: B009
        return share()

    def listen(self) -> None:
        attach: Callable[[], None] = getattr(self._bench, "listen")  # noqa: B009
        attach()

    def capture(self, size: Size, key: Key, folder: str) -> tuple[str, int]:
        return self._bench.capture(self._subject(size), key, Path(folder))

    def capture_light(self, size: Size, key: Key, folder: str) -> str | None:
        return self._bench.capture_light(self._subject(size), key, Path(folder))

    def _subject(self, size: Size) -> Subject:
        """The subject called so, with the recorder's numbers."""
        subject = self.subjects[size.name]
        put(subject, size)
        return subject


@contextmanager
def on_core(core: int | None) -> Iterator[None]:
    """Let this thread run on that core alone, and then where it might before; where it may not, as it is."""
    if core is None:
        yield
        return
    before = os.sched_getaffinity(0)
    with suppress(OSError):
        os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def answer(servant: Servant, ask: Ask) -> Answer:
    """Do what `ask` says. Every end of it but that of the process is an answer."""
    try:
        call = CALLS[ask.call]
        value = getattr(servant, ask.call)(*unpacked(call.takes, ask.arguments))
        return Done(ask.number, msgspec.Raw(msgspec.msgpack.encode(value)))
    except BaseException as error:
        ours = isinstance(error, RopeProfError) and hasattr(errors, type(error).__name__)
        return Raised(
            number=ask.number,
            kind=type(error).__name__ if ours else "",
            line=said(error) if ours else ended_python(error) or one_line(error),
            memory=out_of_memory(error),
            poisoned=_poisoned(servant.bench),
        )


def ended_python(error: BaseException) -> str | None:
    """The sentence on an attempt to end this process from within a call; None for any other error."""
    if isinstance(error, SystemExit):
        return f"SystemExit: the path asked Python to end with code {0 if error.code is None else said(error)}"
    if isinstance(error, KeyboardInterrupt):
        return "KeyboardInterrupt: the path raised it itself"
    return None


def _poisoned(bench: Bench | None) -> bool:
    """Whether the device no longer answers this process: after an illegal access every call of CUDA fails."""
    if bench is None:
        return False
    try:
        bench.device.synchronize()
    except BaseException:
        return True
    return False


def serve(link: socket.socket) -> None:
    """Answer until the recorder is gone."""
    servant = Servant()
    decoder = msgspec.msgpack.Decoder(decodable(Ask))
    while True:
        try:
            ask = decoder.decode(wire.receive(link))
            wire.send(link, msgspec.msgpack.encode(answer(servant, ask)))
        except wire.ClosedError:
            return


def take_over(descriptor: int) -> socket.socket:
    """The socket of `descriptor`, under another number that no child of a path inherits."""
    private = os.dup(descriptor)  # not inheritable
    os.close(descriptor)
    return socket.socket(fileno=private)


def die_with(parent: int) -> None:
    """Let the system end this process when the recorder ends in any way, and choose it first when memory runs out."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("500")
    if os.getppid() != parent:
        sys.exit(0)


def load(modules: Sequence[str]) -> None:
    """Import them. What they leave is for good: to search it for circles as it grows took a quarter of the time."""
    gc.disable()
    for module in modules:
        with suppress(Exception):  # the worker's `begin` says what is wrong
            import_module(module)
    gc.freeze()
    gc.enable()


def main() -> None:
    """Serve on the descriptor of argv[1], for the recorder whose process is argv[2]; load the modules that follow."""
    die_with(int(sys.argv[2]))
    faulthandler.enable()
    link = take_over(int(sys.argv[1]))
    preload, sys.argv = sys.argv[3:], sys.argv[:1]
    load(preload)
    serve(link)
    os._exit(0)  # a path's threads and handlers of exit have no say


if __name__ == "__main__":
    main()
