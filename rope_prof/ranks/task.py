"""One trace for a worker, and its answer: what passes between processes, light for both."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from rope_prof import __version__
from rope_prof.io.trace.storage import Source

#: Raise it when the rows of the same trace would come out otherwise.
ROWS_VERSION: Final = 6
#: Peak memory of a worker over the unpacked bytes of its trace, and what it holds before the first.
BYTES_PER_BYTE: Final = 4.0
BYTES_AT_REST: Final = 300 << 20
#: Unpacked bytes over packed ones, where gzip does not say. Real traces pack 15 to 60 times; most near 15.
PACKED: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One trace and how to look at it."""

    source: Source
    range_pattern: str | None = None
    device: str | None = None

    @property
    def stamp(self) -> str:
        """What decides whether rows that are there still hold: the content, the options, the version."""
        return f"{self.source.stamp}|{self.range_pattern}|{self.device}|{__version__}.{ROWS_VERSION}"

    @property
    def bytes_needed(self) -> int:
        """The memory that its worker will take, estimated from its size and kind."""
        packed = self.source.name.endswith(".gz")
        return BYTES_AT_REST + int(self.source.size * (PACKED if packed else 1) * BYTES_PER_BYTE)


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceDone:
    """The answer of a worker: the rows as a Parquet file, and what the caller asks of them at once."""

    task: Task
    rows: bytes
    rank: int | None
    status: str
    verdict: str | None
    reason: str | None
