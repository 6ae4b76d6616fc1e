"""Traces over the cores of this machine: a pool of spawned processes, as many at a time as memory allows.

A worker that dies (out of memory, a crash in native code) breaks its pool. The pool is made anew and the traces that
were in hand are tried again one at a time, so that the one that kills its worker is named and the others are kept.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import connection, get_context, parent_process
from typing import Final

from rope_prof.ranks.work import Task, TraceDone, account, failed

#: Of the memory that is free at the start so much is for the workers.
MEMORY_SHARE: Final = 0.7
_UNKNOWN_BYTES: Final = 4 << 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """How many processes, and how much memory they may take together (by `Task.bytes_needed`)."""

    workers: int
    memory_bytes: int

    def run(self, tasks: Iterable[Task]) -> Iterator[TraceDone]:
        """Every task's answer, as each is ready. Closing the iterator ends the processes."""
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
        executor = _executor(self.workers)
        try:
            while waiting or held:
                while waiting and len(held) < self.workers and self.fits(waiting[0], held.values()):
                    task = waiting.popleft()
                    held[executor.submit(account, task)] = task
                done, _ = wait(held, return_when=FIRST_COMPLETED)
                for future in done:
                    answer = future.result()
                    del held[future]
                    yield answer
        except BrokenProcessPool:
            suspects.extend(held.values())
        finally:
            _end(executor)

    def _alone(self, task: Task) -> Iterator[TraceDone]:
        executor = _executor(1)
        try:
            yield executor.submit(account, task).result()
        except BrokenProcessPool:
            yield failed(
                task,
                "its worker died (out of memory, or a crash in native code) twice, the second time alone; "
                "analyze it by itself to see why",
            )
        finally:
            _end(executor)

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


def _executor(workers: int) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_begin)


def _begin() -> None:
    """In a new worker, before polars is loaded: one thread each, and no life beyond the parent's."""
    import signal

    from rope_prof.io.kineto.processes import VARIABLE

    os.environ["POLARS_MAX_THREADS"] = "1"
    os.environ[VARIABLE] = "1"
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends this process
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
