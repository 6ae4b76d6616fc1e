"""Whether the Perfetto UI reads a file, told from its first bytes; the trace itself is not parsed."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path
from typing import Final

from rope_prof.errors import TraceError
from rope_prof.io.perfetto.blocks import PacketBlocks, holds_packets
from rope_prof.io.perfetto.match import Matcher

#: Kineto writes a list of devices and of ranks before its events: that far a head may reach.
_LOOK: Final = 8 << 20
_BLANK: Final = b" \t\r\n\xef\xbb\xbf"
_EXPECTED: Final = "expected a Chrome JSON trace (.json, .json.gz) or a Perfetto trace (.pftrace)"


def check_opens(path: Path) -> None:
    """Return if the Perfetto UI reads the file at `path`; TraceError in one sentence if not."""
    try:
        data = _head(path)
    except OSError as error:
        raise TraceError(f"cannot read {str(path)!r} ({error.strerror or error}); {_EXPECTED}") from error
    if data.startswith(b"SQLite format 3\0"):
        raise TraceError(
            f"{str(path)!r} is an SQLite file, which Perfetto does not read; "
            "draw it with `rope_prof export FILE --to perfetto`, or open its .nsys-rep in Nsight Systems"
        )
    start = data.lstrip(_BLANK)
    if start[:1] in (b"{", b"[") and (b'"traceEvents"' in data or b'"ph"' in data):
        return
    if start[:1] == b"[" and b'"frame"' in data:
        raise TraceError(f"{str(path)!r} is a Proton profile, totals without a timeline; {_EXPECTED}")
    if not holds_packets(data):
        raise TraceError(f"{str(path)!r} is no trace: it starts with {data[:8]!r}; {_EXPECTED}")


def names_kernels_by_stage(path: Path) -> bool:
    """Whether kernels of a native trace are render stages with names of their own, as those of torch's monitor."""
    try:
        blocks = PacketBlocks(iter((_head(path),)), str(path))
        return any("kernel_iid" in shape.values for block in blocks for shape, _ in Matcher().of(block))
    except (OSError, TraceError):
        return False


def _head(path: Path) -> bytes:
    """The first bytes, unpacked; of a cut or damaged gzip file as far as it goes."""
    with path.open("rb") as file:
        if file.read(2) != b"\x1f\x8b":
            file.seek(0)
            return file.read(_LOOK)
    data = bytearray()
    try:
        with gzip.open(path) as unpacked:
            while len(data) < _LOOK and (piece := unpacked.read1(1 << 16)):
                data += piece
    except (EOFError, zlib.error, gzip.BadGzipFile):
        pass  # what could be unpacked decides
    return bytes(data)
