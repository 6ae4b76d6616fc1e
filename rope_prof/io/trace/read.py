"""Any trace file -> `Trace`: the format is told from the content, never from the name."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Final

from rope_prof.errors import TraceError
from rope_prof.io.kineto.reader import KinetoReader
from rope_prof.io.trace.cache import cached_trace
from rope_prof.io.trace.unpack import Progress, Unpacked
from rope_prof.model.trace import Trace

_SQLITE: Final = b"SQLite format 3\0"
_BLANK: Final = b" \t\r\n\xef\xbb\xbf"
_LOOK: Final = 64 << 10
#: What a trace may be wrapped in that is not read: said by name, so that a reader knows what to undo.
_FOREIGN: Final = {
    b"\x28\xb5\x2f\xfd": "packed by zstd",
    b"PK\x03\x04": "a zip archive",
    b"\xfd7zXZ\0": "packed by xz",
    b"BZh": "packed by bzip2",
    b"\xff\xfe": "text in UTF-16 or UTF-32",
    b"\xfe\xff": "text in UTF-16",
}


def read_trace(path: Path, *, progress: Progress | None = None, cache: bool = False) -> Trace:
    """The trace in `path`: Kineto JSON (plain or gzip), an Nsight Systems export or report, a Proton profile.

    `progress(read, total)` is called with bytes of the file. What reading discovers (a cut, mended events) is in
    `Trace.findings`. With `cache` the parsed trace is kept beside the file and reopened from there (`io.cache`).
    Raises `TraceError` where the file is missing, of no known format, or over a stated limit.
    """
    if cache:
        return cached_trace(path, lambda: read_trace(path, progress=progress))
    try:
        if not (path.is_file() or path.is_dir()) and path.exists():
            raise TraceError(f"{str(path)!r} is no file but a pipe or a device; write the trace to a file first")
        with path.open("rb") as file:
            magic = file.read(len(_SQLITE))
        if magic == _SQLITE:
            from rope_prof.io.trace.nsys import read_nsys

            return read_nsys(path)
        return _read_text(path, progress)
    except IsADirectoryError:
        raise TraceError(f"{str(path)!r} is a folder; expected a trace file") from None
    except FileNotFoundError:
        raise TraceError(f"no trace file {str(path)!r}") from None
    except OSError as error:
        raise TraceError(f"cannot read {str(path)!r}: {error.strerror or error}") from error


def _read_text(path: Path, progress: Progress | None) -> Trace:
    unpacked = Unpacked(path, progress)
    chunks = iter(unpacked)
    first = next(chunks, b"")
    while len(first) < _LOOK:
        more = next(chunks, None)
        if more is None:
            break
        first += more
    start = first.lstrip(_BLANK)[:1]
    if start not in (b"{", b"["):
        return _read_other(path, first, unpacked)
    rest: Iterator[bytes] = chain((first,), chunks)
    if start == b"[" and b'"frame"' in first and b'"ph"' not in first:
        from rope_prof.io.trace.proton import read_proton

        return read_proton(rest, str(path), unpacked.findings)
    trace = KinetoReader(str(path), path.stat().st_size).read(rest)
    return _with_findings(trace, unpacked)


def _with_findings(trace: Trace, unpacked: Unpacked) -> Trace:
    from dataclasses import replace

    return replace(trace, findings=(*unpacked.findings, *trace.findings))


def _read_other(path: Path, first: bytes, unpacked: Unpacked) -> Trace:
    from rope_prof.io.trace.nsys import is_report, read_report

    if is_report(path, first):
        return read_report(path)
    if not first and unpacked.findings:
        raise TraceError(f"nothing can be unpacked from {str(path)!r}: {unpacked.findings[0].detail}; record again")
    if not first:
        raise TraceError(f"{str(path)!r} is empty; expected a trace")
    packing = next((what for magic, what in _FOREIGN.items() if first.startswith(magic)), None)
    seen = f"is {packing}" if packing else f"starts with {first[:8]!r}"
    raise TraceError(
        f"{str(path)!r} {seen}; expected Kineto JSON (plain or gzip), an nsys SQLite export, "
        "an .nsys-rep or Proton JSON"
    )
