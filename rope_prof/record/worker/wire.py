"""Messages between the recorder and a worker: bytes of a stated length over a socket pair. Knows not what they say.

A message is four letters, its length in four bytes, and so many bytes. Whatever else comes (a path that writes to
descriptors which are not its own) is seen at once: the letters or the length are wrong.
"""

from __future__ import annotations

import os
import select
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager

MAGIC = b"RPw1"
_HEADER = struct.Struct("<4sI")
#: No message of ours comes near it: traces are files.
LONGEST_BYTES = 64 << 20
#: How often to look whether the other side lives, where the system cannot say it at once.
_LOOK_S = 1.0


class WireError(Exception):
    """What came is no message, in words."""


class ClosedError(Exception):
    """The other side is gone."""


class LateError(Exception):
    """Nothing whole came within the time."""


def send(wire: socket.socket, payload: bytes) -> None:
    """Send one message. Errors: ClosedError."""
    if len(payload) > LONGEST_BYTES:
        raise WireError(f"a message of {len(payload)} bytes is over the limit of {LONGEST_BYTES}")
    try:
        wire.sendall(_HEADER.pack(MAGIC, len(payload)) + payload)
    except OSError as error:
        raise ClosedError(str(error)) from error


def receive(wire: socket.socket, *, seconds: float | None = None, pid: int | None = None) -> bytes:
    """The next message; waits `seconds` for it, or for ever.

    `pid`: the process on the other side, whose end counts even where a child of it holds the socket open. Errors:
    ClosedError, LateError, WireError.
    """
    until = None if seconds is None else time.monotonic() + seconds
    with _watched(pid) as watch:
        magic, size = _HEADER.unpack(_exactly(wire, _HEADER.size, until, watch))
        if magic != MAGIC:
            raise WireError(f"a message begins with {magic!r}; expected {MAGIC!r}")
        if size > LONGEST_BYTES:
            raise WireError(f"a message says that it has {size} bytes; the limit is {LONGEST_BYTES}")
        return _exactly(wire, size, until, watch)


@contextmanager
def _watched(pid: int | None) -> Iterator[int | None]:
    """A descriptor that is readable once process `pid` has ended; None where there is none to be had."""
    watch = None
    if pid is not None and hasattr(os, "pidfd_open"):
        try:
            watch = os.pidfd_open(pid)
        except OSError:
            watch = None
    try:
        yield watch
    finally:
        if watch is not None:
            os.close(watch)


def _exactly(wire: socket.socket, size: int, until: float | None, watch: int | None) -> bytes:
    found = bytearray()
    while len(found) < size:
        ended = _wait(wire, until, watch)
        try:
            part = wire.recv(size - len(found), socket.MSG_DONTWAIT)
        except BlockingIOError:
            if ended:
                raise ClosedError("the process has ended") from None
            continue
        except OSError as error:
            raise ClosedError(str(error)) from error
        if not part:
            raise ClosedError("the socket is closed")
        found += part
    return bytes(found)


def _wait(wire: socket.socket, until: float | None, watch: int | None) -> bool:
    """Wait until something came or the process ended; whether it has."""
    poll = select.poll()
    poll.register(wire, select.POLLIN)
    if watch is not None:
        poll.register(watch, select.POLLIN)
    while True:
        left = None if until is None else until - time.monotonic()
        if left is not None and left <= 0:
            raise LateError
        wait_s = _LOOK_S if left is None else min(left, _LOOK_S)
        ready = {handle for handle, _ in poll.poll(None if watch is not None and left is None else 1000 * wait_s)}
        if ready:
            return watch in ready
