"""Traces inside an archive (zip, tar, tar.gz): their names, and one of them as a file of its own for a while.

What is no trace by its name is not looked at. Names are only names: a member is unpacked into a new folder under the
last part of its name, within the limits of any packed file.
"""

from __future__ import annotations

import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, Final

from rope_prof.errors import TraceError
from rope_prof.io.trace.unpack import MAX_BYTES, MAX_RATIO, RATIO_FROM

#: Stands between an archive and the name of one of its members, wherever one of them is told.
WITHIN: Final = "::"
MOST_MEMBERS: Final = 100_000
_ZIP: Final = b"PK\x03\x04"
_TAR_AT: Final = 257
_CHUNK: Final = 4 << 20
_DAMAGE: Final = (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, NotImplementedError, RuntimeError)


def is_archive(path: Path) -> bool:
    """By its content; no for what is no plain file (a pipe would be waited for) or cannot be read."""
    if not path.is_file():
        return False
    try:
        with path.open("rb") as file:
            head = file.read(_TAR_AT + 5)
        if head.startswith(_ZIP):
            return True
        if head[:2] == b"\x1f\x8b":  # `w|gz` writes the name of the archive, so its end has to do
            return path.name.endswith((".tar.gz", ".tgz"))
        return head[_TAR_AT:] == b"ustar"
    except OSError:
        return False


def members(path: Path, suffixes: tuple[str, ...]) -> list[str]:
    """The names of the traces in it, sorted. Errors: TraceError for a damaged archive."""
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as packed:
                names = [one.filename for one in packed.infolist()[:MOST_MEMBERS] if not one.is_dir()]
        else:
            with tarfile.open(path) as unpacked:
                names = [one.name for _, one in zip(range(MOST_MEMBERS), unpacked, strict=False) if one.isfile()]
    except _DAMAGE as error:
        raise _damaged(path, error) from None
    hidden = (".", "__MACOSX/")
    return sorted(name for name in names if name.endswith(suffixes) and not name.startswith(hidden))


@contextmanager
def extracted(path: Path, member: str) -> Iterator[Path]:
    """That member as a file of its own name, which goes with the context. Errors: TraceError as of `members`."""
    with tempfile.TemporaryDirectory(prefix="rope_prof-") as folder:
        target = Path(folder) / (PurePosixPath(member.replace("\\", "/")).name or "trace")
        try:
            _write(path, member, target)
        except KeyError:
            raise TraceError(f"{str(path)!r} holds no {member!r}; see what it holds with any unpacker") from None
        except _DAMAGE as error:
            raise _damaged(path, error) from None
        yield target


def _write(path: Path, member: str, target: Path) -> None:
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as packed, packed.open(member) as source:
            _copy(source, target, path, packed.getinfo(member).compress_size)
        return
    with tarfile.open(path) as unpacked:
        found = unpacked.extractfile(member)
        if found is None:
            raise KeyError(member)
        with found as source:
            _copy(source, target, path, path.stat().st_size)


def _copy(source: IO[bytes], target: Path, path: Path, packed: int) -> None:
    size = 0
    with target.open("wb") as out:
        while piece := source.read(_CHUNK):
            size += len(piece)
            if size > MAX_BYTES or (size > RATIO_FROM and size > MAX_RATIO * packed):
                raise TraceError(
                    f"{str(path)!r} unpacks to over {MAX_RATIO} times its size or {MAX_BYTES >> 30} GiB, the limits "
                    "against bombs; unpack it yourself if you trust it"
                )
            out.write(piece)


def _damaged(path: Path, error: Exception) -> TraceError:
    said = str(error).partition("\n")[0] or type(error).__name__
    return TraceError(f"{str(path)!r} is a damaged or locked archive ({said}); unpack it yourself, or pack it again")
