"""What a worker does: fetch one trace, analyze it, give its rows back as Parquet. The same on a pool and on Dask.

Whatever is wrong with one trace becomes its row; nothing of one trace ends the analysis of the others.
"""

from __future__ import annotations

import contextlib
import io
import os
import resource
import sys
import time

import polars as pl
from polars.exceptions import PanicException

from rope_prof.analysis.fixes.fixes import losses
from rope_prof.analysis.ranks.rows import no_rows, row_set
from rope_prof.analysis.trace.analyze import accounted, analyze
from rope_prof.errors import TraceError, UnavailableError, UsageError
from rope_prof.io.kineto.processes import VARIABLE
from rope_prof.io.trace.read import read_trace
from rope_prof.io.trace.storage import StorageError, fetched
from rope_prof.ranks.task import Task, TraceDone


def account(task: Task) -> TraceDone:
    """Fetch, read, analyze. Never raises for what a trace or its store does."""
    began = time.perf_counter()
    rows = _rows(task)
    return _done(task, rows.with_columns(seconds=_on_head(time.perf_counter() - began, pl.Float64)))


def account_alone(task: Task) -> TraceDone:
    """`account` in a process whose other cores have traces of their own."""
    os.environ.setdefault(VARIABLE, "1")
    return account(task)


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
