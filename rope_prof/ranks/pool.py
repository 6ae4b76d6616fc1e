"""Traces over the cores of this machine: a pool of processes, as many at a time as memory allows.

They are forked where nothing can be torn by it: this process has one thread and has not loaded polars, which starts
threads as it is loaded and asks for spawned processes for that; elsewhere they are spawned.

A worker that dies (out of memory, a crash in native code) breaks its pool. The pool is made anew and the traces that
were in hand are tried again one at a time, so that the one that kills its worker is named and the others are kept.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from importlib import import_module
from multiprocessing import connection, get_context, parent_process
from multiprocessing.context import BaseContext
from pathlib import Path
from typing import Final, TypeVar

from rope_prof.ranks.task import Task, TraceDone

#: Of the memory that is free at the start so much is for the workers.
MEMORY_SHARE: Final = 0.7
_UNKNOWN_BYTES: Final = 4 << 30
_THREADS: Final = Path("/proc/self/task")
_POLARS: Final = "POLARS_MAX_THREADS"

T = TypeVar("T")


@dataclass(slots=True, kw_only=True)
class Pool:
    """How many processes, and how much memory they may take together (by `Task.bytes_needed`).

    The processes begin with the first task and end with the context.
    """

    workers: int
    memory_bytes: int
    _begun: ExitStack = field(default_factory=ExitStack, init=False)
    _executor: ProcessPoolExecutor | None = field(default=None, init=False)

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *_: object) -> None:
        self._executor = None
        self._begun.close()

    def run(self, tasks: Iterable[Task]) -> Iterator[TraceDone]:
        """Every task's answer, as each is ready."""
        waiting = deque(sorted(tasks, key=lambda task: -task.bytes_needed))
        suspects: deque[Task] = deque()
        while waiting or suspects:
            if suspects:  # whoever was in hand when a pool broke: alone, so that the guilty one is known
                task = suspects.popleft()
                yield from self._alone(task)
            else:
                yield from self._together(waiting, suspects)

    def _together(self, waiting: deque[Task], suspects: deque[Task]) -> Iterator[TraceDone]:
        held: dict[Future[TraceDone], Task] = {}
        executor = self._executor = self._begun.enter_context(processes(min(self.workers, len(waiting))))
        try:
            while waiting or held:
                while waiting and len(held) < self.workers and self.fits(waiting[0], held.values()):
                    task = waiting.popleft()
                    held[executor.submit(_account, task)] = task
                done, _ = wait(held, return_when=FIRST_COMPLETED)
                for future in done:
                    answer = future.result()
                    del held[future]
                    yield answer
        except BrokenProcessPool:
            suspects.extend(held.values())
            self.__exit__()

    def made(self, make: Callable[..., T], *words: object) -> T:
        """What `make` gives of them: by a process that has loaded what traces are read with, where there is one."""
        if self._executor is not None:
            with suppress(BrokenProcessPool):
                return self._executor.submit(make, *words).result()
        return make(*words)

    def _alone(self, task: Task) -> Iterator[TraceDone]:
        with processes(1) as executor:
            try:
                yield executor.submit(_account, task).result()
            except BrokenProcessPool:
                from rope_prof.ranks.work import failed

                yield failed(
                    task,
                    "its worker died (out of memory, or a crash in native code) twice, the second time alone; "
                    "analyze it by itself to see why",
                )

    def fits(self, task: Task, held: Iterable[Task]) -> bool:
        """Whether there is memory for one more; the first always starts."""
        needed = [other.bytes_needed for other in held]
        return not needed or sum(needed) + task.bytes_needed <= self.memory_bytes


def cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def free_bytes() -> int:
    """The workers' share of the memory that is free now, within the limit of a container where there is one."""
    free = _UNKNOWN_BYTES
    try:
        with open("/proc/meminfo", encoding="ascii") as file:  # noqa: PTH123 - a file of the kernel
            free = next(int(line.split()[1]) << 10 for line in file if line.startswith("MemAvailable:"))
        with open("/sys/fs/cgroup/memory.max", encoding="ascii") as file:  # noqa: PTH123
            limit = file.read().strip()
        with open("/sys/fs/cgroup/memory.current", encoding="ascii") as file:  # noqa: PTH123
            free = min(free, int(limit) - int(file.read())) if limit.isdecimal() else free
    except (OSError, StopIteration, ValueError):
        pass
    return int(MEMORY_SHARE * max(free, 0))


@contextmanager
def processes(workers: int) -> Iterator[ProcessPoolExecutor]:
    """A pool of one thread a process, ended at the end.

    By the environment that they are started in: polars counts its threads when it is loaded, which is before any
    initializer of a spawned process runs.
    """
    before = os.environ.get(_POLARS)
    os.environ[_POLARS] = "1"
    executor = ProcessPoolExecutor(workers, mp_context=_context(), initializer=_begin)
    try:
        yield executor
    finally:
        _end(executor)
        if before is None:
            del os.environ[_POLARS]
        else:
            os.environ[_POLARS] = before


def _context() -> BaseContext:
    """How processes begin here."""
    if sys.platform == "linux" and "polars" not in sys.modules:
        import_module("numpy")  # once for all of them; it may start threads
        if sum(1 for _ in _THREADS.iterdir()) == 1:
            return get_context("fork")
    return get_context("spawn")


def _account(task: Task) -> TraceDone:
    """In a worker: what it needs is loaded by its first task."""
    from rope_prof.ranks.work import account_alone

    return account_alone(task)


def _begin() -> None:
    """In a new worker: no life beyond the parent's, and no search for circles among what it has loaded."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends this process
    gc.freeze()
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)


def _end(executor: ProcessPoolExecutor) -> None:
    """End the pool now: what still runs is of no use to anybody."""
    processes = list((executor._processes or {}).values())
    executor.shutdown(wait=False, cancel_futures=True)
    for process in processes:
        process.kill()
    for process in processes:
        process.join()
