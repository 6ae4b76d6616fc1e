"""One worker process: started, asked, ended. Knows how a process dies and says it in a sentence; knows no benches.

What the path prints goes to a file of its own that nobody else reads: nothing printed can be taken for an answer. The
process leads a session, so that all that its path has started ends with it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import msgspec

from rope_prof import errors
from rope_prof.errors import RopeProfError
from rope_prof.model.frozen import decodable
from rope_prof.record.loop.describe import ToldError, short
from rope_prof.record.worker import wire
from rope_prof.record.worker.messages import CALLS, Answer, Ask, Done, Raised, packed, unpacked

MODULE = "rope_prof.record.worker.child"
#: Seconds that a call may take where nothing else is asked for: a first compilation of a large kernel is within it.
PATIENCE_S = 300.0
#: What a path has printed is kept up to here; of more only the end.
PRINTED_BYTES = 1 << 20
_GRACE_S = 10.0


class LostWorkerError(ToldError):
    """The process is gone, or was ended since it did not answer; the message is the reason for a table."""


class FailedCallError(ToldError):
    """A call has raised inside the worker; `poisoned` where its device answers it no longer."""

    def __init__(self, line: str, *, memory: bool, poisoned: bool) -> None:
        super().__init__(line, memory=memory)
        self.poisoned = poisoned


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """How a worker's process is started: interpreter, folders of its import path, folder that it runs in.

    `folders` come ahead of all else; () leaves that path as it is. `preload`: modules to load before anything is asked.
    """

    python: str = sys.executable
    folders: tuple[str, ...] = field(default_factory=lambda: own_folders())
    cwd: str | None = None
    preload: tuple[str, ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict)

    def environment(self) -> dict[str, str]:
        """The variables of the process."""
        path = {"PYTHONPATH": os.pathsep.join(self.folders)} if self.folders else {}
        return os.environ | path | dict(self.variables)


def own_folders() -> tuple[str, ...]:
    """The import path of this process, and the folder that it runs in."""
    return tuple(dict.fromkeys([*filter(None, sys.path), os.getcwd()]))  # noqa: PTH109


class Child(Protocol):
    """A process of ours, or one that another process forked for us."""

    @property
    def pid(self) -> int:
        """Its number, which no other process has until it was waited for."""

    @property
    def returncode(self) -> int | None:
        """How it ended, once it was waited for."""

    def wait(self, timeout: float | None = None) -> int:
        """How it ended. Errors: subprocess.TimeoutExpired."""


#: (the worker's end of the link, where it prints, seconds) -> the child; None where it cannot be had so.
Fork = Callable[[socket.socket, int, float], "Child | None"]


class WorkerProcess:
    """A process that answers calls, one after the other, in the order in which they were begun.

    Errors of every method: LostWorkerError.

    `fork`: how to have it from a process that has loaded all already; without it a program is started.
    """

    def __init__(self, start: Start, patience_s: float = PATIENCE_S, fork: Fork | None = None) -> None:
        self.patience_s = patience_s
        self._printed = _appended_file()
        self._link, theirs = socket.socketpair()
        with theirs:
            forked = fork(theirs, self._printed, patience_s) if fork is not None else None
            self._child: Child = forked or self._started(start, theirs)
        self.forked = forked is not None
        self._number = 0
        self._begun: deque[int] = deque()  # of the calls that are not answered yet
        self._open = True

    def _started(self, start: Start, theirs: socket.socket) -> Child:
        try:
            return subprocess.Popen(
                [start.python, "-m", MODULE, str(theirs.fileno()), str(os.getpid()), *start.preload],
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL,
                stdout=self._printed,
                stderr=self._printed,
                env=start.environment(),
                cwd=start.cwd,
                start_new_session=True,
            )
        except OSError as error:
            self._link.close()
            os.close(self._printed)
            raise LostWorkerError(f"cannot start {start.python!r} ({error.strerror})") from error

    @property
    def pid(self) -> int:
        """The number of the process."""
        return self._child.pid

    def ask(self, call: str, *arguments: Any) -> Any:
        """What the worker's `call` returns; raises what it raised, as FailedCallError unless it is an error of ours."""
        self.tell(call, *arguments)
        return self.told(call)

    def tell(self, call: str, *arguments: Any) -> None:
        """Begin `call`; `told` waits for it."""
        self._number += 1
        self._begun.append(self._number)
        ask = Ask(self._number, call, packed(*arguments))
        try:
            wire.send(self._link, msgspec.msgpack.encode(ask))
        except wire.ClosedError:
            raise self._lost() from None

    def told(self, call: str) -> Any:
        """What the `call` that was begun first of those that are not answered returns."""
        number = self._begun.popleft()
        try:
            data = wire.receive(self._link, seconds=self.patience_s, pid=self.pid)
            found = msgspec.msgpack.decode(data, type=decodable(Answer))
            if found.number != number:
                raise wire.WireError(f"the answer has the number {found.number}; expected {number}")
            if isinstance(found, Done):
                return unpacked(CALLS[call].gives, found.value)
        except wire.ClosedError:
            raise self._lost() from None
        except wire.LateError:
            self.end()
            raise LostWorkerError(
                f"its process gave no answer for {self.patience_s:g} s and was ended ({call}); "
                "allow more with --patience SECONDS"
            ) from None
        except (wire.WireError, msgspec.MsgspecError) as error:
            self.end()
            raise LostWorkerError(f"its process wrote what is no answer and was ended ({short(str(error))})") from None
        self._trim()
        raise _raised(found)

    def _lost(self) -> LostWorkerError:
        """The process has ended by itself: how, and the last line that it printed."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._child.wait(_GRACE_S)
        printed = last_line(self.printed())
        said = f"; the last it printed: {short(printed)}" if printed else ""
        how = ending(self._child.returncode)
        self.end()
        return LostWorkerError(f"its process {how}{said}")

    def printed(self) -> str:
        """The end of what the process has written to its standard output and error."""
        if not self._open:
            return ""
        size = os.fstat(self._printed).st_size
        return os.pread(self._printed, 4096, max(0, size - 4096)).decode(errors="replace")

    def _trim(self) -> None:
        """Keep a path that prints at every call from filling the disk."""
        if os.fstat(self._printed).st_size > PRINTED_BYTES:
            os.ftruncate(self._printed, 0)

    def end(self) -> None:
        """Kill the process and all of its session, and wait for it; nothing where it is gone."""
        if not self._open:
            return
        self._open = False
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._child.pid, signal.SIGKILL)
        if self._child.returncode is None:  # one that was forked just now may lead no group yet
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._child.pid, signal.SIGKILL)
        self._child.wait()
        self._link.close()
        os.close(self._printed)


def ending(code: int | None) -> str:
    """How a process ended: `was killed by SIGSEGV`, `ended with code 3`."""
    if code is None:
        return "closed its link and went on"
    if code >= 0:
        return f"ended with code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    by_system = ", as the system does when memory runs out" if -code == signal.SIGKILL else ""
    return f"was killed by {name}{by_system}"


def last_line(text: str) -> str:
    """The last line that is not blank and no part of the interpreter's list of threads and modules."""
    lines = [line.strip() for line in text.splitlines()]
    told = [line for line in lines if line and not line.startswith(("File ", "Extension modules", "Current thread"))]
    return next((line for line in told if line.startswith("Fatal Python error")), told[-1] if told else "")


def _raised(found: Raised) -> Exception:
    kind = getattr(errors, found.kind, None) if found.kind else None
    if isinstance(kind, type) and issubclass(kind, RopeProfError) and not found.poisoned:
        return kind(found.line)
    return FailedCallError(found.line, memory=found.memory, poisoned=found.poisoned)


def _appended_file() -> int:
    """A descriptor of a file without a name, to which every write is appended."""
    handle, name = tempfile.mkstemp(prefix="rope_prof-")
    os.close(handle)
    path = Path(name)
    try:
        return os.open(path, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC)
    finally:
        path.unlink()
