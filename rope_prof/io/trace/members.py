"""Traces inside an archive (zip, tar, tar.gz): their names, and one of them as a file of its own for a while.

What is no trace by its name is not looked at. Names are only names: a member is unpacked into a new folder under the
last part of its name, within the limits of any packed file. A packed tar is unpacked from its beginning to that member
and no further, so that what stands before it is held to the limits as well.
"""

from __future__ import annotations

import io
import lzma
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import IO, Any, Final

from rope_prof.errors import TraceError
from rope_prof.io.bombs import LIMITS, is_bomb
from rope_prof.io.trace.unpack import GZIP_MAGIC, Progress, Unpacked

#: Stands between an archive and the name of one of its members, wherever one of them is told.
WITHIN: Final = "::"
MOST_MEMBERS: Final = 100_000
_ZIP: Final = b"PK\x03\x04"
_TAR_AT: Final = 257
_CHUNK: Final = 4 << 20
_LONGEST_NAME: Final = 100
_DAMAGE: Final = (
    *(zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, NotImplementedError, RuntimeError),
    *(OSError, ValueError),  # of bzip2, and of names and numbers that are none
)


class _Unpacking(io.RawIOBase):
    """A packed file as it unpacks, for a reader that goes forward alone. Errors: TraceError past the limits."""

    def __init__(self, path: Path, progress: Progress | None) -> None:
        self._chunks = iter(Unpacked(path, progress))
        self._left = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, into: Any) -> int:
        if not self._left:
            self._left = memoryview(next(self._chunks, b""))
        taken = min(len(into), len(self._left))
        into[:taken], self._left = self._left[:taken], self._left[taken:]
        return taken


def is_archive(path: Path) -> bool:
    """By its content; no for what is no plain file (a pipe would be waited for) or cannot be read."""
    if not path.is_file():
        return False
    try:
        with path.open("rb") as file:
            head = file.read(_TAR_AT + 5)
        if head.startswith(_ZIP):
            return True
        if head.startswith(GZIP_MAGIC):  # `w|gz` writes the name of the archive, so its end has to do
            return path.name.endswith((".tar.gz", ".tgz"))
        return head[_TAR_AT:] == b"ustar"
    except OSError:
        return False


def members(path: Path, suffixes: tuple[str, ...]) -> list[str]:
    """The names of the traces in it, sorted. Errors: TraceError for a damaged archive."""
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as packed:
                names = [one.filename for one in packed.infolist() if not one.is_dir()]
        else:
            with _tar(path) as unpacked:
                names = [one.name for one in islice(unpacked, MOST_MEMBERS + 1) if one.isfile()]
    except _DAMAGE as error:
        raise _damaged(path, error) from None
    if len(names) > MOST_MEMBERS:
        raise TraceError(f"{str(path)!r} holds more than {MOST_MEMBERS:,} files, the limit; unpack it yourself")
    return sorted({name for name in names if name.endswith(suffixes) and not _hidden(name)})


def _hidden(name: str) -> bool:
    parts = name.replace("\\", "/").split("/")
    return parts[0] == "__MACOSX" or any(part.startswith(".") and part.strip(".") for part in parts)


def _tar(path: Path, progress: Progress | None = None) -> tarfile.TarFile:
    with path.open("rb") as file:
        packed = file.read(len(GZIP_MAGIC)) == GZIP_MAGIC
    if not packed:
        return tarfile.open(path)
    return tarfile.open(fileobj=io.BufferedReader(_Unpacking(path, progress)), mode="r|")


@contextmanager
def extracted(path: Path, member: str, progress: Progress | None = None) -> Iterator[Path]:
    """That member as a file of its own name, which goes with the context. Errors: TraceError as of `members`."""
    with tempfile.TemporaryDirectory(prefix="rope_prof-") as folder:
        name = PurePosixPath(member.replace("\\", "/").replace("\0", "")).name[-_LONGEST_NAME:]
        target = Path(folder) / (name if name.strip(".") else "trace")
        try:
            _write(path, member, target, progress)
        except KeyError:
            raise TraceError(f"{str(path)!r} holds no {member!r}; see what it holds with any unpacker") from None
        except _DAMAGE as error:
            raise _damaged(path, error) from None
        yield target


def _write(path: Path, member: str, target: Path, progress: Progress | None) -> None:
    whole = path.stat().st_size
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as packed, packed.open(member) as source:
            told = packed.getinfo(member)
            _copy(source, target, path, min(told.compress_size, whole), told.file_size, progress)
        return
    with _tar(path, progress) as unpacked:
        for one in unpacked:
            found = unpacked.extractfile(one) if one.name == member and one.isfile() else None
            if found is not None:
                with found as source:
                    _copy(source, target, path, whole, one.size, progress)
                return
    raise KeyError(member)


def _copy(source: IO[bytes], target: Path, path: Path, packed: int, told: int, progress: Progress | None) -> None:
    """`packed`: the bytes that it is unpacked from; `told`: how many the archive says that come."""
    size = 0
    with target.open("wb") as out:
        while piece := source.read(_CHUNK):
            size += len(piece)
            if is_bomb(size, packed):
                raise TraceError(f"{str(path)!r} unpacks to {LIMITS}; unpack it yourself if you trust it")
            out.write(piece)
            if progress is not None:
                progress(size, max(size, told))


def _damaged(path: Path, error: Exception) -> TraceError:
    if isinstance(error, OSError) and error.errno is not None:
        return TraceError(f"cannot unpack {str(path)!r} ({error.strerror}); free some room, or unpack it yourself")
    said = str(error).partition("\n")[0] or type(error).__name__
    return TraceError(f"{str(path)!r} is a damaged or locked archive ({said}); unpack it yourself, or pack it again")
