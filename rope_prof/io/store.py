"""What was worked out once, kept as files in the user's own cache folder under a key of what it was made from.

An entry is a folder of files and a list of their digests: what does not match is not there. Entries lie in a folder
that this user alone can write, written to a temporary name and renamed; at most so many bytes in all: what was not
opened for longest goes. Where the folder cannot be written, or is not this user's alone, nothing is kept and nothing
fails. Knows nothing of what the files mean.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from rope_prof.model.frozen import Frozen

#: All entries of one store together.
TRACES_BYTES: Final = 4 << 30
#: A trace of so many bytes may be kept as it was parsed; of one of fewer than the second the answers are.
PARSED_FROM: Final = 4 << 20
ANSWERED_TO: Final = 64 << 20
ANSWERS_BYTES: Final = 256 << 20
COMPILED_BYTES: Final = 1 << 20
#: How long one process waits for another's answer before it works it out too.
WAIT_S: Final = 30.0
_DIGESTS: Final = "digests.json"
_CHUNK: Final = 8 << 20
_BUFFER: Final = 256 << 10


def digest(data: bytes) -> str:
    """The name of a content."""
    return hashlib.blake2b(data, digest_size=20).hexdigest()


def file_digest(path: Path) -> str:
    """The name of a file's content, in pieces side by side (most processors compute SHA-256). Errors: OSError."""
    size = path.stat().st_size
    with path.open("rb") as file:
        if 0 < size <= _CHUNK:  # a thread for each of a run's captures takes longer than they do
            return digest(_piece_digest(file.fileno(), 0).encode())
        with ThreadPoolExecutor(2) as pool:
            pieces = pool.map(lambda at: _piece_digest(file.fileno(), at), range(0, size, _CHUNK))
            return digest("".join(pieces).encode())


def _piece_digest(file: int, start: int) -> str:
    """Of the bytes from `start` on, read into a buffer that stays in a core's cache."""
    made, buffer = hashlib.sha256(), memoryview(bytearray(_BUFFER))
    for at in range(start, start + _CHUNK, _BUFFER):
        count = os.preadv(file, [buffer], at)
        made.update(buffer[:count])
        if count < _BUFFER:
            break
    return made.hexdigest()


def stamps(paths: Iterable[Path], endings: tuple[str, ...] = ("",)) -> list[tuple[str, int, int, int]]:
    """(path, bytes, time of the last change, inode) of every file of `paths`, in order, folders to the bottom; of those
    whose names end so.

    Errors: OSError for a path that is not there.
    """
    found = []
    for path in paths:
        files = _files(str(path), endings) if path.is_dir() else [(str(path), path.stat())]
        for file, about in sorted(files):
            if not stat.S_ISREG(about.st_mode):
                raise OSError(f"{file} is no file")
            found.append((file, about.st_size, about.st_mtime_ns, about.st_ino))
    return found


def _files(folder: str, endings: tuple[str, ...]) -> Iterator[tuple[str, os.stat_result]]:
    """Without a `Path` for each of them, which takes longer than all else."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir():
                yield from _files(entry.path, endings)
            elif entry.name.endswith(endings):
                yield entry.path, entry.stat()


def user_cache() -> Path:
    """The folder of all that this package keeps for the user: `rope_prof` in XDG_CACHE_HOME, else in `~/.cache`."""
    told = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(told) if Path(told).is_absolute() else Path.home() / ".cache") / "rope_prof"


class Entry(Frozen):
    """The files of one entry by name; reading one holds it against its digest."""

    folder: Path
    digests: dict[str, str]

    def read(self, name: str) -> bytes:
        """Errors: OSError, KeyError; ValueError for a damaged file."""
        data = (self.folder / name).read_bytes()
        if digest(data) != self.digests[name]:
            raise ValueError(f"{self.folder / name} is damaged")
        return data


class Store(Frozen):
    """The entries in one folder of `user_cache`; together `most_bytes` at most."""

    name: str
    most_bytes: int

    @property
    def folder(self) -> Path:
        """Where they lie."""
        return user_cache() / self.name

    def kept_bytes(self) -> int:
        """How much is kept."""
        return sum(size for _, size, _ in self._entries())

    def clear(self) -> int:
        """Delete all that is kept; the bytes that are free now."""
        freed = self.kept_bytes()
        shutil.rmtree(self.folder, ignore_errors=True)
        return freed - self.kept_bytes()

    def entry(self, key: str) -> Entry | None:
        """What is kept under `key`, marked as opened now; None where there is none."""
        folder = self.folder / key
        if not self._is_ours():
            return None
        try:
            body, _, told = (folder / _DIGESTS).read_text().rpartition("\n")
            if digest(body.encode()) != told:
                return None
            with contextlib.suppress(OSError):
                os.utime(folder)
            return Entry(folder, json.loads(body))
        except (OSError, ValueError):
            return None

    def holds(self, prefix: str) -> bool:
        """Whether the key of any entry begins so. Errors: OSError where there is no folder."""
        return any(entry.name.startswith(prefix) for entry in self.folder.iterdir())

    def keep(self, key: str, files: Iterable[tuple[str, bytes]]) -> None:
        """Keep the files (name, content) under `key`. No error where that cannot be."""
        with contextlib.suppress(OSError):
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            if self._is_ours():
                self._keep(key, files)
                self._shrink(key)

    @contextlib.contextmanager
    def alone(self, key: str) -> Iterator[None]:
        """One process of this user at a time works out what is kept under `key`; who waited looks there again.

        The lock (`flock`; `filelock` loads for longer than most answers take) ends with its process, however that ends.
        Nobody waits for longer than `WAIT_S`, or where nothing can be kept or locked.
        """
        with contextlib.ExitStack() as stack:
            with contextlib.suppress(OSError):
                self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
                if self._is_ours():
                    lock = self.folder / f"{key}.lock"
                    _hold(stack.enter_context(lock.open("wb")).fileno())
                    stack.callback(lock.unlink, missing_ok=True)
            yield

    def _keep(self, key: str, files: Iterable[tuple[str, bytes]]) -> None:
        """All files under a temporary name, then rename the folder."""
        part = Path(tempfile.mkdtemp(prefix=f"{key}.", suffix=".part", dir=self.folder))
        try:
            digests = {}
            for name, data in files:
                (part / name).write_bytes(data)
                digests[name] = digest(data)
            body = json.dumps(digests)
            (part / _DIGESTS).write_text(f"{body}\n{digest(body.encode())}")
            shutil.rmtree(self.folder / key, ignore_errors=True)
            part.rename(self.folder / key)
        except BaseException:
            shutil.rmtree(part, ignore_errors=True)
            raise

    def _is_ours(self) -> bool:
        """Whether this user owns the folder and nobody else can write into it."""
        try:
            about = self.folder.lstat()
        except OSError:
            return False
        mine = not hasattr(os, "getuid") or about.st_uid == os.getuid()
        return mine and stat.S_ISDIR(about.st_mode) and not about.st_mode & 0o022

    def _entries(self) -> Sequence[tuple[float, int, Path]]:
        """(when it was opened last, its bytes, its folder) of each entry, the oldest first."""
        found = []
        with contextlib.suppress(OSError):
            for entry in self.folder.iterdir():
                with contextlib.suppress(OSError):
                    size = sum(file.stat().st_size for file in entry.iterdir())
                    found.append((entry.stat().st_mtime, size, entry))
        return sorted(found)

    def _shrink(self, key: str) -> None:
        """Let the oldest go until the rest is within the bound; `key` stays."""
        entries = self._entries()
        total = sum(size for _, size, _ in entries)
        for _, size, entry in entries:
            if total <= self.most_bytes:
                return
            if entry.name != key:
                shutil.rmtree(entry, ignore_errors=True)
                total -= size


def _hold(file: int) -> None:
    """Lock that file, once nobody else holds it. Errors: OSError where it has no locks; TimeoutError, which is one."""
    limit = time.monotonic() + WAIT_S
    while time.monotonic() < limit:
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        time.sleep(0.02)
    raise TimeoutError


def traces_kept() -> Store:
    """Where parsed traces are kept."""
    return Store("traces", TRACES_BYTES)


def answers_kept() -> Store:
    """Where what commands answered is kept."""
    return Store("answers", ANSWERS_BYTES)


def compiled_kept() -> Store:
    """Where what was compiled on this machine is kept."""
    return Store("compiled", COMPILED_BYTES)
