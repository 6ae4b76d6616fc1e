"""Pieces of a large file decoded by several processes, given back in the file's order.

A piece's columns depend on its text alone, so who reads it changes no figure. The helpers are plain children on pipes
(no fork, and the caller's `__main__` is not imported again), started for files over `WORTH_BYTES` where there are
cores for them and ended with the reading, however it ends. `ROPE_PROF_READERS` sets the number of processes; where it
is not set the compiled scan (`scanner`) reads alone, which costs less than the pipes of helpers do.
"""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Generator, Iterable
from pathlib import Path
from typing import Any, BinaryIO, Final, cast

from rope_prof.errors import TraceError, UsageError
from rope_prof.io.kineto.columns import Columns
from rope_prof.io.kineto.scanner import SOURCE, Room, columns_of

#: Below it (over a second to read) a helper's start costs more than it gives.
WORTH_BYTES: Final = 48 << 20
MOST_READERS: Final = 4
VARIABLE: Final = "ROPE_PROF_READERS"
_QUEUED: Final = 2  # pieces with a helper: the one in hand and the next
_HEAD_BYTES: Final = 9
_START: Final = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from rope_prof.io.kineto.processes import serve; serve()"
)


def columns_in_order(pieces: Iterable[tuple[bytes, bool]], packed_bytes: int = 0) -> Generator[Columns, None, None]:
    """`read_columns` of each (text, last), in order. Close it to end the helpers.

    Helpers start at once where `packed_bytes` is large, else when so much text has come.
    """
    beside = readers() - 1
    helpers: list[_Helper] = []
    results: queue.SimpleQueue[tuple[int, Columns | BaseException]] = queue.SimpleQueue()
    done: dict[int, Columns] = {}
    given = seen = index = 0
    room = Room()
    try:
        for index, (text, last) in enumerate(pieces, start=1):
            worth = max(seen, packed_bytes)
            alone = SOURCE.ready(worth) and VARIABLE not in os.environ
            if not helpers and beside and not alone and worth >= WORTH_BYTES:
                helpers = [_Helper(results) for _ in range(beside)]
            seen += len(text)
            free = min(helpers, key=lambda helper: helper.held, default=None)
            if free is not None and free.held < _QUEUED:
                free.give(index - 1, text, last)
            else:
                done[index - 1] = columns_of(text, last, room)
            del text
            _collect(results, done)
            while given in done:
                yield done.pop(given)
                given += 1
        while given < index:
            own = next((job for helper in helpers if (job := helper.take_back()) is not None), None)
            if own is not None:
                done[own[0]] = columns_of(own[1], own[2], room)
            _collect(results, done, wait=own is None and given not in done)
            while given in done:
                yield done.pop(given)
                given += 1
    finally:
        for helper in helpers:
            helper.end()


def _collect(
    results: queue.SimpleQueue[tuple[int, Columns | BaseException]], done: dict[int, Columns], wait: bool = False
) -> None:
    """Move what the helpers have finished to `done`; an error of theirs is raised here."""
    while wait or not results.empty():
        number, result = results.get()
        if isinstance(result, BaseException):
            raise result
        done[number] = result
        wait = False


def readers() -> int:
    """How many processes decode a large file: the variable's number, else one for each core, four at most."""
    told = os.environ.get(VARIABLE)
    if told is not None:
        if not told.isdecimal() or not 1 <= int(told) <= 64:
            raise UsageError(f"{VARIABLE} is {told!r}; expected a number of processes from 1 to 64")
        return int(told)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores, MOST_READERS) if sys.executable else 1


class _Helper:
    """One child process and the thread that talks to it."""

    def __init__(self, results: queue.SimpleQueue[tuple[int, Columns | BaseException]]) -> None:
        self._results = results
        self._jobs: queue.Queue[tuple[int, bytes, bool] | None] = queue.Queue()
        self._lock = threading.Lock()
        self.held = 0
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-c", _START, json.dumps([path for path in sys.path if path] or [str(Path.cwd())])],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "POLARS_MAX_THREADS": "1"},
        )
        self._thread = threading.Thread(target=self._talk, daemon=True)
        self._thread.start()

    def give(self, number: int, text: bytes, last: bool) -> None:
        self._hold(1)
        self._jobs.put((number, text, last))

    def take_back(self) -> tuple[int, bytes, bool] | None:
        """A piece that it has not begun."""
        try:
            job = self._jobs.get_nowait()
        except queue.Empty:
            return None
        self._hold(-1)
        return job

    def end(self) -> None:
        """End the child, whatever it is doing, and leave no pipe open."""
        self._process.kill()
        self._jobs.put(None)
        self._thread.join()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()

    def _hold(self, change: int) -> None:
        with self._lock:
            self.held += change

    def _talk(self) -> None:
        out, back = cast(BinaryIO, self._process.stdin), cast(BinaryIO, self._process.stdout)
        while (job := self._jobs.get()) is not None:
            number, text, last = job
            result: Columns | BaseException
            try:
                out.write(len(text).to_bytes(_HEAD_BYTES - 1, "little") + bytes([last]))
                out.write(text)
                out.flush()
                result = pickle.load(back)
            except (OSError, EOFError, ValueError, pickle.UnpicklingError):
                code = self._process.wait()
                result = TraceError(
                    f"a process that helps to read the trace ended with exit code {code} (-9: out of memory); "
                    f"free memory, or set {VARIABLE}=1 to read with one process"
                )
            del job, text
            self._hold(-1)
            self._results.put((number, result))


def serve() -> None:
    """The child: texts on standard input, columns (or the error) on standard output, until the input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends this process
    source, sink = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    while len(head := source.read(_HEAD_BYTES)) == _HEAD_BYTES:
        size, last = int.from_bytes(head[:-1], "little"), bool(head[-1])
        answer: Any
        try:
            answer = columns_of(source.read(size), last)
        except Exception as error:
            answer = error
        try:
            pickle.dump(answer, sink, protocol=pickle.HIGHEST_PROTOCOL)
            sink.flush()
        except BrokenPipeError:
            return
