"""Workers that begin at once: each is forked from a process that has loaded what all of its environment need.

One such process (`zygote`) an environment; where the system has none of it, or where something that is to be loaded has
opened a device, a worker is a program of its own as before: slower to start, and the same in all else.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from threading import Lock
from typing import Any

from rope_prof.record.worker.process import PATIENCE_S, Start, WorkerProcess
from rope_prof.record.worker.zygote import ASKED, FIT, WORD, forked

MODULE = "rope_prof.record.worker.zygote"
#: Forking a process that has loaded so much is safe where nothing but Linux's own calls are between.
ABLE = sys.platform == "linux"


class ForkedChild:
    """A worker that another process has forked, as `process.Child`; `place` is where that one says its status."""

    def __init__(self, place: socket.socket, seconds: float) -> None:
        self._place = place
        self._one_waits = Lock()  # the status is said once: a recording may end while a check is waited for
        self.returncode: int | None = None
        self.pid = self._word(seconds)

    def _word(self, seconds: float | None) -> int:
        """Errors: TimeoutError; ConnectionError where the zygote is gone."""
        self._place.settimeout(seconds)
        data = self._place.recv(WORD.size, socket.MSG_WAITALL)
        if len(data) != WORD.size:
            raise ConnectionError("the process that workers are forked from is gone")
        number: int = WORD.unpack(data)[0]
        return number

    def wait(self, timeout: float | None = None) -> int:
        """Its status, and lets its number go. Errors: subprocess.TimeoutExpired."""
        with self._one_waits:
            if self.returncode is None:
                try:
                    self.returncode = self._word(timeout)
                except TimeoutError:
                    raise subprocess.TimeoutExpired("worker", timeout or 0.0) from None
                except ConnectionError:  # a worker ends with the one it was forked from
                    self.returncode = -signal.SIGKILL
                self._place.close()
            return self.returncode


class OwnChild:
    """A process that this one has forked, as `subprocess.Popen`."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._status: int | None = None

    def poll(self, flags: int = os.WNOHANG) -> int | None:
        """How it ended, if it did."""
        if self._status is None and os.waitpid(self.pid, flags)[0]:
            self._status = 0
        return self._status

    def kill(self) -> None:
        """End it."""
        if self.poll() is None:
            os.kill(self.pid, signal.SIGKILL)

    def wait(self) -> None:
        """Until it has ended."""
        self.poll(0)


class Zygote:
    """One process to fork workers of `start` from; `ready` once it has loaded all."""

    def __init__(self, start: Start, *, here: bool = False) -> None:
        self._control, theirs = socket.socketpair()
        self._fit: bool | None = None
        self._child: subprocess.Popen[bytes] | OwnChild | None = None
        with theirs, suppress(OSError):
            if here and _like_this_one(start):
                self._child = OwnChild(forked(self._control, theirs, start.folders, start.preload))
                return
            self._child = subprocess.Popen(
                [start.python, "-m", MODULE, str(theirs.fileno()), str(os.getpid()), *start.preload],
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=start.environment(),
                cwd=start.cwd,
                start_new_session=True,
            )

    def fork(self, link: socket.socket, printed: int, seconds: float) -> ForkedChild | None:
        """A worker that answers on `link`; None where there is none to be had from here."""
        try:
            if self._fit is None:
                self._control.settimeout(seconds)
                self._fit = self._control.recv(1) == FIT
            if not self._fit:
                return None
            ours, theirs = socket.socketpair()
            with theirs:
                socket.send_fds(self._control, [ASKED], [link.fileno(), printed, theirs.fileno()])
        except OSError:  # it is late or gone
            self._fit = False
            return None
        try:
            return ForkedChild(ours, seconds)
        except OSError:
            ours.close()
            self._fit = False
            return None

    @property
    def gone(self) -> bool:
        """Whether it was fit, and has ended since."""
        return bool(self._fit) and self._child is not None and self._child.poll() is not None

    def end(self) -> None:
        """End it, and with it the workers that are left."""
        self._control.close()
        if self._child is not None:
            self._child.kill()
            self._child.wait()


def _like_this_one(start: Start) -> bool:
    """Whether a process of `start` may be forked from this one: it would load the same, and nothing works beside.

    What both need, torch, takes longest to load, and is loaded here first. A thread could hold a lock that nobody gives
    back in the child: there is none but those of torch and numpy, which workers are forked beside too; polars, which
    starts some as it is loaded, is loaded after this.
    """
    if replace(start, preload=()) != Start() or len(list(Path("/proc/self/task").iterdir())) > 1:
        return False
    with suppress(Exception):  # the worker's `begin` says what is wrong
        import_module("torch")
    return True


class Zygotes:
    """The zygotes of a recording, one for each way to start a worker.

    `here`: the first may be forked from this process, a command's, which has no threads and opened no device yet.
    """

    def __init__(self, *, here: bool = False) -> None:
        self._here = here
        self._made: list[tuple[Start, Zygote]] = []
        self._one_at_a_time = Lock()

    def begin(self, start: Start) -> Zygote | None:
        """The one of `start`, which begins to load; None where the system cannot do it."""
        if not ABLE:
            return None
        for place, (known, zygote) in enumerate(self._made):
            if known == start:
                if zygote.gone:
                    zygote.end()
                    del self._made[place]
                    break
                return zygote
        zygote = Zygote(start, here=self._here)
        self._made.append((start, zygote))
        return zygote

    def process(self, start: Start, patience_s: float = PATIENCE_S) -> WorkerProcess:
        """A worker of `start`. Errors: LostWorkerError."""
        with self._one_at_a_time:  # paths are checked side by side, and their processes may end at once
            zygote = self.begin(start)
            return WorkerProcess(start, patience_s, fork=zygote.fork if zygote else None)

    def renew(self) -> None:
        """Begin anew: what workers of one zygote share by chance, as the places of their code, the next do not have."""
        starts = [start for start, _ in self._made]
        self.close()
        for start in starts:
            self.begin(start)

    def close(self) -> None:
        """End them all."""
        for _, zygote in self._made:
            zygote.end()
        self._made.clear()

    def __enter__(self) -> Zygotes:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()
