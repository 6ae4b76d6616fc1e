"""A file is written whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from rope_prof.errors import RunError


def write_atomic(path: Path, write: Callable[[Path], Any]) -> None:
    """Let `write` fill a temporary file beside `path` and rename it; nothing is left where it fails.

    Errors: RunError in one sentence where the disk is full or the folder cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f"{path.name}.", suffix=".part", dir=path.parent)
        os.close(handle)
    except OSError as error:
        raise _unwritable(path, error) from error
    part = Path(name)
    try:
        write(part)
        part.chmod(0o666 & ~_umask())
        to_disk(part)
        part.replace(path)
        with suppress(OSError):  # a file system that has no such thing; the name itself is there
            to_disk(path.parent)
    except OSError as error:
        raise _unwritable(path, error) from error
    finally:
        part.unlink(missing_ok=True)


def to_disk(part: Path) -> None:
    """Let the bytes of a file, or the names in a folder, be on the disk before what comes next: a file system may carry
    out a write and a rename, or two renames, in either order.
    """
    handle = os.open(part, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _unwritable(path: Path, error: OSError) -> RunError:
    return RunError(
        f"cannot write {str(path)!r} ({error.strerror or error}); "
        "free space or choose another folder with -o; what was written before is kept"
    )
