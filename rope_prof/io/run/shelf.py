"""Folders of small files on this machine or behind a URL: what a store of baselines is made of. Knows no baseline.

A folder on this machine needs nothing; a URL needs fsspec and the package of its kind, as reading traces does.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, Protocol

from rope_prof.errors import RunError
from rope_prof.io.atomic import write_atomic
from rope_prof.io.run.writer import writing
from rope_prof.io.trace.storage import answered, file_system, timeout_s


class Shelf(Protocol):
    """Folders of files, addressed by words with `/` between them. Each file is replaced whole."""

    address: str

    def names(self, under: str = "") -> list[str]:
        """What lies directly under that folder, in order; nothing where there is none."""

    def read(self, at: Sequence[str]) -> list[bytes]:
        """Those files. Errors: RunError."""

    def write(self, at: str, data: bytes) -> None:
        """Put `data` there, whole or not at all. Errors: RunError."""

    def remove(self, at: str) -> None:
        """Take that file or folder away, if it is there. Errors: RunError."""

    def writer(self) -> Any:
        """A context in which this process is the one writer."""

    def folder(self, at: str) -> Any:
        """A context that gives a folder of this machine with the files under `at`."""


class LocalShelf:
    """A folder of this machine; one process writes at a time."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.address = str(root)

    def names(self, under: str = "") -> list[str]:
        """As of `Shelf`; hidden ones are none."""
        try:
            return sorted(each.name for each in (self.root / under).iterdir() if not each.name.startswith("."))
        except FileNotFoundError:
            return []
        except OSError as error:
            raise _unread(str(self.root / under), error) from error

    def read(self, at: Sequence[str]) -> list[bytes]:
        """As of `Shelf`."""
        return [self._read(self.root / one) for one in at]

    @staticmethod
    def _read(path: Path) -> bytes:
        try:
            return path.read_bytes()
        except OSError as error:
            raise _unread(str(path), error) from error

    def write(self, at: str, data: bytes) -> None:
        """As of `Shelf`."""
        write_atomic(self.root / at, lambda part: part.write_bytes(data))

    def remove(self, at: str) -> None:
        """As of `Shelf`."""
        path = self.root / at
        try:
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        except OSError as error:
            raise RunError(f"cannot delete {str(path)!r} ({error.strerror or error}); check its permissions") from error

    def writer(self) -> Any:
        """As of `Shelf`. Errors: RunError that names the other writer."""
        return writing(self.root, "the store of baselines", "--store")

    def folder(self, at: str) -> Any:
        """As of `Shelf`: the folder itself."""
        return nullcontext(self.root / at)


class RemoteShelf:
    """A folder behind a URL. Objects are put whole, and no two writers put the same one: nothing is locked."""

    def __init__(self, url: str) -> None:
        self.address = url.rstrip("/")
        self._system, path = file_system(url)
        self._root = path.rstrip("/")

    def _ask(self, verb: str, at: str, work: Any) -> Any:
        return answered(timeout_s(), work, f"{self.address}/{at}".rstrip("/"), verb)

    def names(self, under: str = "") -> list[str]:
        """As of `Shelf`. Errors: StorageError."""
        where = f"{self._root}/{under}".rstrip("/")

        def listed() -> list[str]:
            try:
                return [str(each) for each in self._system.ls(where, detail=False, refresh=True)]
            except FileNotFoundError:
                return []

        found = (one.rstrip("/").rpartition("/")[2] for one in self._ask("list", under, listed) if one != where)
        return sorted({one for one in found if one and not one.startswith(".")})

    def read(self, at: Sequence[str]) -> list[bytes]:
        """As of `Shelf`, all at once where the store can. Errors: StorageError."""
        paths = [f"{self._root}/{one}" for one in at]
        found = self._ask("read", ", ".join(at), lambda: self._system.cat(paths)) if paths else {}
        # of one path some stores give the bytes alone
        return [bytes(found if isinstance(found, bytes) else found[one]) for one in paths]

    def write(self, at: str, data: bytes) -> None:
        """As of `Shelf`. Errors: StorageError."""

        def put() -> None:
            where = f"{self._root}/{at}"
            self._system.makedirs(where.rpartition("/")[0], exist_ok=True)
            self._system.pipe_file(where, data)

        self._ask("write", at, put)

    def remove(self, at: str) -> None:
        """As of `Shelf`. Errors: StorageError."""

        def gone() -> None:
            if self._system.exists(f"{self._root}/{at}"):
                self._system.rm(f"{self._root}/{at}", recursive=True)

        self._ask("delete", at, gone)

    def writer(self) -> Any:
        """As of `Shelf`."""
        return nullcontext()

    @contextmanager
    def folder(self, at: str) -> Iterator[Path]:
        """As of `Shelf`: a copy that goes with the context. Errors: StorageError."""
        with tempfile.TemporaryDirectory(prefix="rope_prof-") as scratch:
            names = self.names(at)
            for name, data in zip(names, self.read([f"{at}/{name}" for name in names]), strict=True):
                (Path(scratch) / name).write_bytes(data)
            yield Path(scratch)


def shelf(place: str) -> Shelf:
    """The shelf at that folder or URL. Errors: UsageError for a bad URL, UnavailableError for a missing package."""
    if "://" in place and not place.startswith("file://"):
        return RemoteShelf(place)
    return LocalShelf(Path(place.removeprefix("file://")).expanduser())


def _unread(path: str, error: OSError) -> RunError:
    return RunError(f"cannot read {path!r} ({error.strerror or error}); restore it, or name another store with --store")
