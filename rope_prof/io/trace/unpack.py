"""The bytes of a trace file, unpacked where it is gzip or zstd (by content), within stated limits.

A packing that is cut or damaged gives what can be unpacked and a finding, not an error. The limits are those of
`bombs`, and hold while it unpacks.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

import zstandard

from rope_prof.errors import TraceError
from rope_prof.io.bombs import MAX_BYTES, MAX_RATIO, is_bomb

if TYPE_CHECKING:
    from rope_prof.model.trace import Finding

GZIP_MAGIC: Final = b"\x1f\x8b"
ZSTD_MAGIC: Final = b"\x28\xb5\x2f\xfd"
#: So little goes into zstd at once: four bytes of it can become 128 KiB.
_ZSTD_READ: Final = 2 << 10
_READ: Final = 64 << 10
_OUT: Final = 4 << 20

Progress = Callable[[int, int], None]


class Unpacked:
    """Iterate for the bytes; afterwards `findings` says what was wrong with the packing and `size` how much came."""

    def __init__(self, path: Path, progress: Progress | None = None) -> None:
        self.path = path
        self.findings: list[Finding] = []
        self.size = 0
        self._progress = progress
        self._total = path.stat().st_size
        self._read = 0

    def __iter__(self) -> Iterator[bytes]:
        with self.path.open("rb") as file:
            magic = file.read(4)
            engine = self._gunzip if magic[:2] == GZIP_MAGIC else self._unzstd if magic == ZSTD_MAGIC else None
            packed = engine is not None
            file.seek(0)
            source = iter(lambda: file.read(_READ if packed else _OUT), b"")
            for piece in self._counted(source) if engine is None else engine(self._counted(source)):
                self.size += len(piece)
                self._check_limits(packed)
                yield piece

    def _counted(self, source: Iterator[bytes]) -> Iterator[bytes]:
        for piece in source:
            self._read += len(piece)
            if self._progress is not None:
                self._progress(self._read, self._total)
            yield piece

    def _check_limits(self, packed: bool) -> None:
        if self.size > MAX_BYTES:
            raise TraceError(
                f"{str(self.path)!r} unpacks to more than {MAX_BYTES >> 30} GiB, the limit; "
                "cut it into shorter captures"
            )
        if packed and is_bomb(self.size, self._read):
            raise TraceError(
                f"{str(self.path)!r} unpacks to over {MAX_RATIO} times its size ({self._read} bytes gave {self.size}), "
                "the limit against gzip bombs; unpack it yourself if you trust it"
            )

    def _gunzip(self, source: Iterator[bytes]) -> Iterator[bytes]:
        engine = zlib.decompressobj(31)
        begun = True  # inside a member: its end has not been seen
        for piece in source:
            rest = piece
            while rest:
                if engine.eof:
                    if not rest.lstrip(b"\0"):
                        break
                    if not rest.startswith(GZIP_MAGIC[: len(rest)]):
                        self._found("gzip_trailing", f"{len(rest)} bytes after the end of the gzip data are ignored")
                        return
                    engine, begun = zlib.decompressobj(31), True
                before, given = engine.copy(), 0
                try:
                    for out in _inflate(engine, rest):
                        given += len(out)
                        yield out
                except zlib.error as error:
                    yield from _inflate_slowly(before, rest, given)
                    kind = "gzip_checksum" if "incorrect" in str(error) and "check" in str(error) else "gzip_damaged"
                    self._found(kind, f"gzip data is damaged at packed byte {self._read} or before ({error})")
                    return
                rest = engine.unused_data if engine.eof else b""
                begun = not engine.eof
        if begun:
            self._found("cut_gzip", f"gzip data ends early: {self._read} packed bytes hold no end of the stream")

    def _unzstd(self, source: Iterator[bytes]) -> Iterator[bytes]:
        """Frame after frame; what is behind the last one is ignored and said."""
        engine, begun = zstandard.ZstdDecompressor().decompressobj(), False
        for piece in source:
            for at in range(0, len(piece), _ZSTD_READ):
                rest = piece[at : at + _ZSTD_READ]
                while rest:
                    if engine.eof:
                        if not ZSTD_MAGIC.startswith(rest[:4]):
                            self._found("gzip_trailing", "bytes after the end of the zstd data are ignored")
                            return
                        engine = zstandard.ZstdDecompressor().decompressobj()
                    try:
                        out = engine.decompress(rest)
                    except zstandard.ZstdError as error:
                        detail = f"zstd data is damaged at packed byte {self._read} or before ({error})"
                        self._found("gzip_damaged", detail)
                        return
                    if out:
                        yield out
                    rest, begun = engine.unused_data if engine.eof else b"", not engine.eof
        if begun:
            self._found("cut_gzip", f"zstd data ends early: {self._read} packed bytes hold no end of the frame")

    def _found(self, code: str, detail: str) -> None:
        from rope_prof.model.trace import Finding

        self.findings.append(Finding(code=code, detail=detail))


def _inflate(engine: zlib._Decompress, data: bytes) -> Iterator[bytes]:
    piece = engine.decompress(data, _OUT)
    while piece:
        yield piece
        if engine.eof:
            return
        piece = engine.decompress(engine.unconsumed_tail, _OUT)


def _inflate_slowly(engine: zlib._Decompress, data: bytes, given: int) -> Iterator[bytes]:
    """What came before the damage inside `data`, byte by byte, without the first `given` bytes."""
    for k in range(len(data)):
        try:
            piece = engine.decompress(data[k : k + 1])
        except zlib.error:
            return
        if len(piece) > given:
            yield piece[given:]
        given = max(0, given - len(piece))
