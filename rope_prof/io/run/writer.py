"""Who writes a run folder: one process at a time. A second one is told who, a dead one's lock is taken over.

The lock is the kernel's own (`flock`), which ends with its process however that ends, so that a stale lock holds
nobody up; on a file system without it `filelock` marks the file with the process instead and asks whether that lives.
Reading needs no lock: every file of a run is replaced whole.
"""

from __future__ import annotations

import datetime
import json
import os
import socket
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from rope_prof.errors import RunError

#: Stays in the folder when the writer is gone: a lock file that is deleted lets two processes lock two files.
LOCK_FILE: Final = ".writer.lock"
#: Who holds the lock, while it is held.
HOLDER_FILE: Final = ".writer.json"


@contextmanager
def writing(folder: Path, what: str = "run", option: str = "-o") -> Iterator[None]:
    """Be the one writer of the run in `folder`, which is made where it is not there yet, and gone where nothing came.

    `what` lies there, and the `option` that names another folder, for the errors.

    Errors: RunError that names the other writer, or says why the folder cannot be written.
    """
    from filelock import FileLock, Timeout

    new = not folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / LOCK_FILE, thread_local=False)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # no flock here: filelock's mark takes its place
            lock.acquire(blocking=False)
    except Timeout:
        raise RunError(
            f"{what} {str(folder)!r} is being written by {_holder(folder)}; wait until it ends, or choose another "
            f"folder with {option}"
        ) from None
    except FileExistsError:
        raise RunError(
            f"{str(folder)!r} is a file; expected a folder that is new or empty: choose another with {option}"
        ) from None
    except OSError as error:
        raise RunError(
            f"cannot write to {str(folder)!r} ({error.strerror or error}); free space, check its permissions or choose "
            f"another folder with {option}"
        ) from error
    try:
        with suppress(OSError):  # a full disk: the lock holds all the same
            (folder / HOLDER_FILE).write_text(_me())
        yield
    finally:
        with suppress(OSError):
            (folder / HOLDER_FILE).unlink(missing_ok=True)
            if new and [each.name for each in folder.iterdir()] == [LOCK_FILE]:
                (folder / LOCK_FILE).unlink()
                folder.rmdir()
        lock.release()


def _me() -> str:
    since = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    return json.dumps({"pid": os.getpid(), "host": socket.gethostname(), "since": since})


def _holder(folder: Path) -> str:
    """`process 4711 on gpubox since ...`; another process where it did not say."""
    try:
        said = json.loads((folder / HOLDER_FILE).read_text())
        return f"process {int(said['pid'])} on {said['host']} since {said['since']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"
