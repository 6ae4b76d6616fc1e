"""Run a program where it sees no other process and a host name of nobody: `python -I launch.py PROGRAM ARGUMENT...`.

`nsys` writes the host's name and the command line and environment of every process that it can see into its report,
which cannot be edited. Where this process may (CAP_SYS_ADMIN), the program gets namespaces of its own: the host is
called `localhost`, `/proc` shows its own processes alone, and a file `hidden` in the working directory says so.
Elsewhere it runs as it is, and the recorder says what the report holds. Standard library alone: it runs as a file.
"""

from __future__ import annotations

import ctypes
import os
import socket
import sys
from pathlib import Path

CLONE_NEWNS, CLONE_NEWUTS, CLONE_NEWPID = 0x00020000, 0x04000000, 0x20000000
MS_REC, MS_PRIVATE = 0x4000, 0x40000
NAME = "localhost"
#: Left in the working directory where the program saw nothing of the machine's other processes.
HIDDEN_FILE = "hidden"


def enter() -> bool:
    """Whether the next child of this process is the first one of namespaces of its own."""
    unshare = getattr(ctypes.CDLL(None), "unshare", None)
    return unshare is not None and unshare(CLONE_NEWUTS | CLONE_NEWNS | CLONE_NEWPID) == 0


def hide() -> None:
    """Inside: another host name, and a /proc that shows the new namespace. OSError where one of them fails."""
    socket.sethostname(NAME)
    mount = ctypes.CDLL(None, use_errno=True).mount
    if mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None) or mount(b"proc", b"/proc", b"proc", 0, None):
        raise OSError(ctypes.get_errno(), "cannot mount /proc")


def first_process(arguments: list[str]) -> int:
    """The first process of the namespace: start the program, wait for it and for all that it leaves behind."""
    try:
        hide()
        Path(HIDDEN_FILE).touch()
    except OSError:
        pass
    program = os.fork()
    if program == 0:
        os.execv(arguments[0], arguments)
    while True:
        try:
            child, status = os.wait()
        except ChildProcessError:
            return 1
        if child == program:
            return _code(status)


def _code(status: int) -> int:
    """As a shell gives it: 128 + the signal where one ended the process."""
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


def main(arguments: list[str]) -> int:
    """Run `arguments`; its exit code."""
    if not enter():
        os.execv(arguments[0], arguments)
    child = os.fork()
    if child == 0:
        os._exit(first_process(arguments))
    return _code(os.waitpid(child, 0)[1])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
