"""Run a program under a host name that names nobody: `python -I nsight_launch.py PROGRAM ARGUMENT...`.

Nsight's reports carry the name of the host and cannot be edited. Where this process may (CAP_SYS_ADMIN), it enters a
UTS namespace of its own, calls itself `localhost` there and becomes the program; elsewhere the name stays, and the
recorder says that the report has it. Standard library alone: it is run as a file.
"""

from __future__ import annotations

import ctypes
import os
import socket
import sys

CLONE_NEWUTS = 0x04000000
NAME = "localhost"


def hide_host() -> bool:
    """Whether this process now has a host name of its own."""
    unshare = getattr(ctypes.CDLL(None), "unshare", None)
    if unshare is None or unshare(CLONE_NEWUTS) != 0:
        return False
    try:
        socket.sethostname(NAME)
    except OSError:
        return False
    return True


if __name__ == "__main__":
    hide_host()
    os.execv(sys.argv[1], sys.argv[1:])
