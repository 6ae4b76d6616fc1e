"""The process that workers of one environment are forked from: `python -m rope_prof.record.worker.zygote`.

It has loaded what each of them needs and has touched no device: a worker begins at once, and its pages are the zygote's
until it writes to them. It forks when it is asked, says how a worker ended, and knows nothing of what they do. A device
that was opened would be broken in every child: Inductor, which opens one, is left to the workers, and a zygote that has
one all the same says that it is unfit.

A request is one byte with three descriptors: a worker's link, where it prints, and the place to say its number and,
once it has ended, its status (each eight bytes, signed). Its number stays taken until that place is closed.
"""

from __future__ import annotations

import ctypes
import faulthandler
import os
import select
import signal
import socket
import struct
import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from rope_prof.record.worker.child import die_with, load, serve, take_over

ASKED, FIT, UNFIT = b"f", b"y", b"n"
WORD = struct.Struct("<q")
#: What the system calls a worker in its list of processes.
NAME = b"rope_prof-work"
INDUCTOR = "torch._inductor"
DRIVER = Path("/dev/nvidiactl")
_PR_SET_NAME = 15


def opened_devices(descriptors: Path = Path("/proc/self/fd")) -> list[str]:
    """Files of an NVIDIA driver that this process holds open: none unless something has called it."""
    found = []
    for each in descriptors.iterdir():
        with suppress(OSError):
            found.append(str(each.readlink()))
    return sorted(name for name in found if name.startswith("/dev/nvidia"))


def broken_in_children() -> bool:
    """Whether torch says in a child of this process that CUDA was called before it was forked."""
    torch = sys.modules.get("torch")
    asked = getattr(getattr(torch, "_C", None), "_cuda_isInBadFork", None)
    if asked is None:
        return False
    pid = os.fork()
    if pid == 0:
        os._exit(1 if asked() else 0)
    return os.waitpid(pid, 0)[1] != 0


def fit_to_load(modules: Sequence[str]) -> list[str]:
    """Those that may be loaded here: where there is a driver none of Inductor's, which open a device in torch 2.11.

    All workers load them at once then, in the time that one takes; to try them in a child first would take it again.
    """
    return [module for module in modules if not (DRIVER.exists() and module.startswith(INDUCTOR))]


class Nursery:
    """The children of this process, each a worker: by number, and where its end is told."""

    def __init__(self, control: socket.socket) -> None:
        self.control = control
        self._alive: dict[int, socket.socket] = {}
        self._ended: dict[int, tuple[int, socket.socket]] = {}
        self._bell, bell = socket.socketpair()  # rung by the system when a child ends
        bell.setblocking(False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(bell.fileno(), warn_on_full_buffer=False)
        self._ours = [control, self._bell, bell]
        self._poll = select.poll()
        for each in (control, self._bell):
            self._poll.register(each, select.POLLIN)

    def run(self) -> None:
        """Fork and reap until the recorder is gone."""
        while True:
            for descriptor, _ in self._poll.poll():
                if descriptor == self.control.fileno():
                    if not self._asked():
                        return
                elif descriptor == self._bell.fileno():
                    self._bell.recv(1 << 10)
                    self._say_ends()
                else:
                    self._reap(descriptor)

    def _asked(self) -> bool:
        word, handles, _, _ = socket.recv_fds(self.control, 1, 3)
        if word != ASKED or len(handles) != 3:
            return False
        link, printed, told = handles
        place, mine = socket.socket(fileno=told), os.getpid()
        pid = os.fork()
        if pid == 0:
            self._become(link, printed, place, mine)
        os.close(link)
        os.close(printed)
        place.send(WORD.pack(pid))
        self._alive[pid] = place
        self._say_ends()  # the bell may have rung before it was known
        return True

    def _become(self, link: int, printed: int, place: socket.socket, parent: int) -> NoReturn:
        """What a child does: a session of its own, its own output, nothing of its siblings', then answers."""
        try:
            os.setsid()
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            for number in (1, 2):
                os.dup2(printed, number)
            os.close(printed)
            for each in (*self._ours, place, *self._alive.values(), *(pair[1] for pair in self._ended.values())):
                each.close()
            die_with(parent)
            with suppress(OSError, AttributeError):
                ctypes.CDLL(None).prctl(_PR_SET_NAME, NAME)
            faulthandler.enable()
            serve(take_over(link))
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)  # a path's threads and handlers of exit have no say

    def _say_ends(self) -> None:
        for pid, place in list(self._alive.items()):
            status = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT | os.WNOHANG)
            if status is None:
                continue
            code = status.si_status if status.si_code == os.CLD_EXITED else -status.si_status
            with suppress(OSError):
                place.send(WORD.pack(code))
            del self._alive[pid]
            self._ended[place.fileno()] = pid, place
            self._poll.register(place, select.POLLIN)

    def _reap(self, descriptor: int) -> None:
        pid, place = self._ended.pop(descriptor)
        self._poll.unregister(place)
        place.close()
        os.waitpid(pid, 0)


def main() -> None:
    """Serve on the descriptor of argv[1], for the recorder whose process is argv[2]; load the modules that follow."""
    die_with(int(sys.argv[2]))
    control = take_over(int(sys.argv[1]))
    modules, sys.argv = sys.argv[3:], sys.argv[:1]
    nurse(control, modules)


def nurse(control: socket.socket, modules: Sequence[str]) -> NoReturn:
    """Load the modules, then serve."""
    load(fit_to_load(modules))
    control.send(UNFIT if opened_devices() or broken_in_children() else FIT)
    Nursery(control).run()
    os._exit(0)


def forked(control: socket.socket, theirs: socket.socket, folders: Sequence[str], modules: Sequence[str]) -> int:
    """The number of such a process, forked from this one, whose end of the link is `control`. For one of one thread."""
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    recorder = os.getpid()
    pid = os.fork()
    if pid:
        return pid
    try:  # from here on as a program of its own would be
        os.setsid()
        die_with(recorder)
        control.close()
        for number in range(3):
            os.dup2(nothing := os.open(os.devnull, os.O_RDWR), number)
            os.close(nothing)
        sys.stdin, sys.stdout, sys.stderr = (os.fdopen(number, mode) for number, mode in enumerate("rww"))
        for each in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(each, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        os.environ["PYTHONPATH"] = os.pathsep.join(folders)
        sys.path[:] = dict.fromkeys([str(Path.cwd()), *folders])
        sys.argv = sys.argv[:1]
        nurse(theirs, modules)
    finally:
        os._exit(1)


if __name__ == "__main__":
    main()
