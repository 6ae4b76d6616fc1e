"""Any trace file -> `Trace`: the format is told from the content, never from the name. `formats` lists them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Final

from rope_prof.errors import TraceError
from rope_prof.io.layout import is_export_folder, written_down
from rope_prof.io.trace.cache import cached_trace
from rope_prof.io.trace.foreign import foreign
from rope_prof.io.trace.formats import FORMATS, LOOK, SUFFIXES, FileStart, kinds
from rope_prof.io.trace.members import WITHIN, extracted, is_archive, members
from rope_prof.io.trace.nsys import read_nsys_folder
from rope_prof.io.trace.unpack import Progress
from rope_prof.model.trace import Trace

#: One trace of one host holds 16 at most; each costs two milliseconds.
MOST_DEVICES: Final = 1024
#: What a trace may be wrapped in that is not read: said by name, so that a reader knows what to undo.
_FOREIGN: Final = {
    b"\xfd7zXZ\0": "packed by xz",
    b"BZh": "packed by bzip2",
    b"\xff\xfe": "text in UTF-16 or UTF-32",
    b"\xfe\xff": "text in UTF-16",
}


def read_trace(path: Path, *, progress: Progress | None = None, cache: bool = False) -> Trace:
    """The trace in `path`: Kineto JSON (plain or gzip), an Nsight Systems export or report, a Proton profile.

    `progress(read, total)` is called with bytes of the file. What reading discovers (a cut, mended events) is in
    `Trace.findings`. With `cache` the parsed trace is kept in the user's cache and reopened from there (`cache`).
    Raises `TraceError` where the file is missing, of no known format, or over a stated limit.
    """
    held = cached_trace(path, lambda: _read(path, progress)) if cache else _read(path, progress)
    return _told_apart(replace(held, source=written_down(held.source)))


def _told_apart(trace: Trace) -> Trace:
    """`trace`, where its devices are so few that each can have an account of its own."""
    count = trace.gpu["device"].n_unique()
    if count > MOST_DEVICES:
        raise TraceError(
            f"{trace.source!r} names {count:,} devices, more than the {MOST_DEVICES:,} that are told apart; this is no "
            "trace that a profiler wrote: see where its events lost their device"
        )
    return trace


def _read(path: Path, progress: Progress | None) -> Trace:
    try:
        if not (path.is_file() or path.is_dir()) and path.exists():
            raise TraceError(f"{str(path)!r} is no file but a pipe or a device; write the trace to a file first")
        if is_archive(path):
            return _only_member(path, progress)
        if is_export_folder(path):
            return read_nsys_folder(path)
        start = FileStart(path, progress)
        other = foreign(b"" if start.tables else start.head[:LOOK], start.tables)
        if other is not None:
            raise TraceError(f"{str(path)!r} is {other.what}, which is not read: {other.way}")
        found = next((one for one in FORMATS.values() if one.claims(start)), None)
        if found is None:
            raise _unknown(start)
        return found.read(start)
    except IsADirectoryError:
        raise TraceError(f"{str(path)!r} is a folder; expected a trace file") from None
    except FileNotFoundError:
        raise TraceError(f"no trace file {str(path)!r}") from None
    except OSError as error:
        raise TraceError(f"cannot read {str(path)!r}: {error.strerror or error}") from error


def _only_member(path: Path, progress: Progress | None) -> Trace:
    """The trace of an archive that holds one."""
    held = members(path, SUFFIXES)
    if len(held) != 1:
        told = f"{len(held)} traces" if held else f"no file that ends in {', '.join(SUFFIXES)}"
        more = f" ({', '.join(held[:3])}, ...); `rope_prof analyze` takes them all as ranks: unpack one" if held else ""
        raise TraceError(f"{str(path)!r} is an archive with {told}; expected one trace{more}")
    with extracted(path, held[0], progress) as inside:
        return replace(_read(inside, progress), source=f"{path}{WITHIN}{held[0]}")


def _unknown(start: FileStart) -> TraceError:
    """Why nothing here reads that file."""
    path, first = str(start.path), start.head
    if not first and start.unpacked.findings:
        return TraceError(f"nothing can be unpacked from {path!r}: {start.unpacked.findings[0].detail}; record again")
    if not first:
        return TraceError(f"{path!r} is empty; expected a trace")
    packing = next((what for magic, what in _FOREIGN.items() if first.startswith(magic)), None)
    seen = f"is {packing}" if packing else f"starts with {first[:8]!r}"
    return TraceError(f"{path!r} {seen}; expected a trace of {kinds(lambda one: one.writer)}")
