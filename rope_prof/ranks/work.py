"""What a worker does: fetch one trace, analyze it, give its rows back as Parquet. The same on a pool and on Dask.

Whatever is wrong with one trace becomes its row; nothing of one trace ends the analysis of the others.
"""

from __future__ import annotations

import contextlib
import io
import resource
import sys
import time
from dataclasses import dataclass
from typing import Final

import polars as pl
from polars.exceptions import PanicException

from rope_prof import __version__
from rope_prof.analysis.fixes.fixes import losses
from rope_prof.analysis.ranks.rows import no_rows, row_set
from rope_prof.analysis.trace.analyze import accounted, analyze
from rope_prof.errors import TraceError, UnavailableError, UsageError
from rope_prof.io.trace.read import read_trace
from rope_prof.io.trace.storage import Source, StorageError, fetched

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


def account(task: Task) -> TraceDone:
    """Fetch, read, analyze. Never raises for what a trace or its store does."""
    began = time.perf_counter()
    rows = _rows(task)
    return _done(task, rows.with_columns(seconds=_on_head(time.perf_counter() - began, pl.Float64)))


def failed(task: Task, why: str) -> TraceDone:
    """The answer in place of a worker that gave none."""
    return _done(task, no_rows("failed", None, why, name=task.source.name))


def _rows(task: Task) -> pl.DataFrame:
    name, path = task.source.name, None
    try:
        with fetched(task.source) as path:
            trace = accounted(read_trace(path), task.device)
        pattern = task.range_pattern
        answer = analyze(trace, range_pattern=pattern)
        return row_set(trace, answer, losses(trace, answer)[1], name=name, range_pattern=pattern)
    except (StorageError, UnavailableError, UsageError) as error:
        return no_rows("failed", None, str(error), name=name)
    except TraceError as error:
        return no_rows("done", "unreadable", str(error).replace(str(path), task.source.shown), name=name)
    except MemoryError:
        return no_rows("failed", None, "out of memory; give the worker more, or the pool fewer workers", name=name)
    except (Exception, PanicException) as error:
        said = " ".join(str(error).split())[:300]
        return no_rows("failed", None, f"a bug of rope_prof: {type(error).__name__}: {said}", name=name)


def _done(task: Task, rows: pl.DataFrame) -> TraceDone:
    whole = rows.with_columns(
        source=pl.lit(task.source.shown),
        folder=pl.lit(task.source.folder),
        stamp=pl.lit(task.stamp),
        peak_bytes=_on_head(_peak_bytes(), pl.Int64),
    )
    data = io.BytesIO()
    whole.write_parquet(data)
    head = whole.row(0, named=True)
    facts = {name: head[name] for name in ("rank", "status", "verdict", "reason")}
    return TraceDone(task=task, rows=data.getvalue(), **facts)


def _on_head(value: float | None, dtype: type[pl.DataType]) -> pl.Expr:
    return pl.when(pl.col("row") == "trace").then(pl.lit(value, dtype=dtype))


def _peak_bytes() -> int | None:
    """The most that this process has held; None where the system does not say."""
    with contextlib.suppress(ImportError):
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak << 10
    return None
