"""Every format of a trace that is read: the one list of them. A new one is a reader beside this file and an entry here.

Names of files only choose what is offered; what a file is, its content says (`TraceFormat.claims`). A reader is loaded
when a file is its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Final

from rope_prof.io.layout import NATIVE_SUFFIX, SYSTEMS_SUFFIX
from rope_prof.io.trace.members import is_archive
from rope_prof.io.trace.unpack import ZSTD_MAGIC, Progress, Unpacked
from rope_prof.model.frozen import Frozen

if TYPE_CHECKING:
    from rope_prof.model.trace import Trace

SQLITE: Final = b"SQLite format 3\0"
_ROCPROF: Final = b'"rocprofiler-sdk-tool"'
#: nlohmann's JSON sorts its keys.
_PROTON_TRACE: Final = b'{"displayTimeUnit":"us","traceEvents":['
_BLANK: Final = b" \t\r\n\xef\xbb\xbf"
#: So much of a file tells what it is.
LOOK: Final = 64 << 10


class FileStart:
    """The beginning of a file, as it lies and unpacked; the rest is read on. Errors: OSError."""

    def __init__(self, path: Path, progress: Progress | None = None) -> None:
        self.path = path
        with path.open("rb") as file:
            self.magic = file.read(len(SQLITE))
        self.unpacked = Unpacked(path, progress)
        self._chunks = iter(self.unpacked)

    @cached_property
    def head(self) -> bytes:
        """At least the first 64 KiB, unpacked; less of a shorter file."""
        head = next(self._chunks, b"")
        while len(head) < LOOK:
            more = next(self._chunks, None)
            if more is None:
                break
            head += more
        return head

    @cached_property
    def rocpd(self) -> bool:
        """Whether it is SQLite with the tables of rocprofv3."""
        from rope_prof.io.rocm.rocpd import holds_rocpd

        return holds_rocpd(self.tables)

    @cached_property
    def tables(self) -> list[str]:
        """The names of an SQLite file's tables; none where it cannot be read, or is none."""
        if self.magic != SQLITE:
            return []
        from rope_prof.io.rocm.rocpd import sqlite_tables

        return sqlite_tables(self.path)

    @cached_property
    def packets(self) -> bool:
        """Whether it begins as a native Perfetto trace does."""
        from rope_prof.io.perfetto.blocks import holds_packets

        return holds_packets(self.head[:LOOK])

    @cached_property
    def report(self) -> bool:
        """Whether it is nsys's own report."""
        from rope_prof.io.trace.nsys import is_report

        return is_report(self.path, self.head)

    @property
    def opens(self) -> bytes:
        """The first letter that is no blank."""
        return self.head.lstrip(_BLANK)[:1]

    def chunks(self) -> Iterator[bytes]:
        """All of the file, unpacked."""
        return chain((self.head,), self._chunks)


class TraceFormat(Frozen, kw_only=True):
    """What one format is called (`title` on screens, `writer` in help), which names its files have, and who reads it.

    `drawn`: the Perfetto UI does not open the file, but a drawing of it. One format alone claims a file.
    """

    title: str
    writer: str
    suffixes: tuple[str, ...]
    claims: Callable[[FileStart], bool]
    read: Callable[[FileStart], Trace]
    drawn: bool = False


def _is_json(start: FileStart) -> bool:
    return start.magic != SQLITE and start.opens in (b"{", b"[") and not start.packets


def _is_proton_trace(start: FileStart) -> bool:
    return start.head.startswith(_PROTON_TRACE) and b'"call_stack"' in start.head


def _is_rocprof(start: FileStart) -> bool:
    return _is_json(start) and _ROCPROF in start.head[:4096]


def _is_proton(start: FileStart) -> bool:
    return _is_json(start) and start.opens == b"[" and b'"frame"' in start.head and b'"ph"' not in start.head


def _read_kineto(start: FileStart) -> Trace:
    from rope_prof.io.kineto.reader import KinetoReader

    trace = KinetoReader(str(start.path), start.path.stat().st_size).read(start.chunks())
    return replace(trace, findings=(*start.unpacked.findings, *trace.findings))


def _read_nsys(start: FileStart) -> Trace:
    from rope_prof.io.trace.nsys import read_nsys, read_report

    return read_nsys(start.path) if start.magic == SQLITE else read_report(start.path)


def _read_proton(start: FileStart) -> Trace:
    from rope_prof.io.trace.proton import read_proton

    return read_proton(start.chunks(), str(start.path), start.unpacked.findings)


def _read_perfetto(start: FileStart) -> Trace:
    from rope_prof.io.perfetto.compiled import SOURCE
    from rope_prof.io.perfetto.reader import read_perfetto

    SOURCE.ready(start.path.stat().st_size)
    return read_perfetto(start.chunks(), str(start.path), start.unpacked.findings)


def _read_proton_trace(start: FileStart) -> Trace:
    from rope_prof.io.trace.proton_trace import read_proton_trace

    return read_proton_trace(start.chunks(), str(start.path), start.unpacked.findings)


def _read_rocpd(start: FileStart) -> Trace:
    from rope_prof.io.rocm.rocpd import read_rocpd

    return read_rocpd(start.path)


def _read_rocprof(start: FileStart) -> Trace:
    from rope_prof.io.rocm.rocprofv3 import read_rocprof

    return read_rocprof(start.chunks(), str(start.path), start.unpacked.findings)


#: `Trace.format` -> the format, the most usual one first.
FORMATS: Final = {
    "kineto": TraceFormat(
        title="Kineto",
        writer="Kineto",
        suffixes=(".json", ".json.gz", ".json.zst"),
        claims=lambda start: (
            _is_json(start) and not any(other(start) for other in (_is_proton, _is_proton_trace, _is_rocprof))
        ),
        read=_read_kineto,
    ),
    "nsys": TraceFormat(
        title="Nsight Systems",
        writer="nsys",
        suffixes=(".sqlite", SYSTEMS_SUFFIX),
        claims=lambda start: not start.rocpd if start.magic == SQLITE else not _is_json(start) and start.report,
        read=_read_nsys,
        drawn=True,
    ),
    "proton": TraceFormat(
        title="Proton",
        writer="Proton",
        suffixes=(".hatchet",),
        claims=_is_proton,
        read=_read_proton,
    ),
    "perfetto": TraceFormat(
        title="Perfetto",
        writer="Perfetto",
        suffixes=(NATIVE_SUFFIX, ".perfetto-trace", f"{NATIVE_SUFFIX}.gz"),
        claims=lambda start: start.packets and not start.report,
        read=_read_perfetto,
    ),
    "proton_trace": TraceFormat(
        title="Proton trace",
        writer="Proton",
        suffixes=(".chrome_trace",),
        claims=_is_proton_trace,
        read=_read_proton_trace,
        drawn=True,
    ),
    "rocpd": TraceFormat(
        title="rocpd",
        writer="rocprofv3",
        suffixes=(".db",),
        claims=lambda start: start.rocpd,
        read=_read_rocpd,
        drawn=True,
    ),
    "rocprofv3": TraceFormat(
        title="rocprofv3",
        writer="rocprofv3",
        suffixes=(),
        claims=_is_rocprof,
        read=_read_rocprof,
        drawn=True,
    ),
}
#: What a folder is searched for, and what a viewer is offered.
SUFFIXES: Final = tuple(suffix for one in FORMATS.values() for suffix in one.suffixes)


def kinds(word: Callable[[TraceFormat], str]) -> str:
    """`Kineto .json or .json.gz, nsys .sqlite or .nsys-rep, Proton .hatchet`; `word` names a format."""
    return ", ".join(f"{word(one)} {' or '.join(one.suffixes)}" for one in FORMATS.values() if one.suffixes)


def needs_drawing(path: Path) -> bool:
    """Whether the Perfetto UI can only open a drawing of that file; no where it cannot be read at all."""
    try:
        start = FileStart(path)
        if is_archive(path) or start.magic.startswith(ZSTD_MAGIC):
            return True
        return any(one.drawn and one.claims(start) for one in FORMATS.values())
    except OSError:
        return False
