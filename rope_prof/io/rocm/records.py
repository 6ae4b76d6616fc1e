"""What rocprofv3 records, in whatever file -> `Trace`: dispatches, copies, calls and markers as named columns.

A correlation is rocprofiler's internal one: that of the call inside which a dispatch or copy was enqueued. The grid is
told in work items and becomes one of blocks, as in Kineto's files of the same cards.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import polars as pl

from rope_prof.model.trace import GPU_EVENTS, HOST_CALLS, NAMED, RANGES, Finding, Trace, fitted, proof

_DIMS: Final = tuple(f"{side}_{dim}" for side in ("grid", "block") for dim in "xyz")
#: One row per dispatch, and per copy, as far as it has the columns.
DISPATCHES: Final[dict[str, Any]] = {
    "name": pl.String,
    "device": pl.String,
    **dict.fromkeys(("stream", "process", "start_ns", "end_ns", "correlation", "shared_bytes", *_DIMS), pl.Int64),
}
COPIES: Final[dict[str, Any]] = {
    "name": pl.String,
    "device": pl.String,
    **dict.fromkeys(("stream", "process", "start_ns", "end_ns", "correlation", "bytes"), pl.Int64),
}
#: One row per call of an API; `domain` is rocprofiler's, as HIP_RUNTIME_API. `message`: of a marker, its text.
CALLS: Final[dict[str, Any]] = {
    "name": pl.String,
    "domain": pl.String,
    "message": pl.String,
    **dict.fromkeys(("process", "thread", "start_ns", "end_ns", "correlation"), pl.Int64),
}
_WAYS: Final = {
    "MEMORY_COPY_HOST_TO_DEVICE": "HtoD (Host -> Device)",
    "MEMORY_COPY_DEVICE_TO_HOST": "DtoH (Device -> Host)",
    "MEMORY_COPY_DEVICE_TO_DEVICE": "DtoD (Device -> Device)",
    "MEMORY_COPY_HOST_TO_HOST": "HtoH (Host -> Host)",
}


def copy_name(name: pl.Expr) -> pl.Expr:
    """rocprofiler's name of a copy in the words of the other formats; any other name as it is."""
    return name.replace({before: f"Memcpy {after}" for before, after in _WAYS.items()})


def rocm_trace(
    source: str,
    form: str,
    dispatches: pl.DataFrame,
    copies: pl.DataFrame,
    calls: pl.DataFrame,
    *,
    device_names: dict[str, str],
    findings: Sequence[Finding] = (),
) -> Trace:
    """The trace of format `form`. Rows without a start or an end are left out and counted."""
    count = dispatches.height + copies.height + calls.height
    taken = (pl.col("start_ns") + pl.col("end_ns") > 0).fill_null(False)
    timed = [frame.filter(taken) for frame in (dispatches, copies, calls)]
    lost = count - sum(frame.height for frame in timed)
    if lost:
        detail = "records have no readable start or end and are left out"
        untimed = [frame.filter(~taken).with_columns(dur_ns=pl.lit(None)) for frame in (dispatches, copies, calls)]
        events = [*proof(untimed[0]), *proof(untimed[1]), *proof(untimed[2], "host")]
        found = Finding(code="unreadable_times", detail=detail, count=lost, events=tuple(events[:NAMED]))
        findings = (*findings, found)
    marks = pl.col("domain").str.starts_with("MARKER").fill_null(False)
    return Trace(
        format=form,
        source=source,
        gpu=pl.concat([_kernels(timed[0]), _copies(timed[1])]),
        calls=_calls(timed[2].filter(~marks)),
        ranges=_ranges(timed[2].filter(marks)),
        events=count - lost,
        findings=tuple(findings),
        device_names=device_names,
    )


def _kernels(rows: pl.DataFrame) -> pl.DataFrame:
    blocks = (
        pl.concat_str([_whole(f"grid_{d}", f"block_{d}") for d in "xyz"], separator="x"),
        pl.concat_str([f"block_{d}" for d in "xyz"], separator="x"),
    )
    return fitted(rows, GPU_EVENTS, kind=pl.lit("kernel"), grid=blocks[0], block=blocks[1], **_SHARED)


def _whole(items: str, size: str) -> pl.Expr:
    return (pl.col(items) + pl.col(size) - 1) // pl.when(pl.col(size) > 0).then(size)


def _copies(rows: pl.DataFrame) -> pl.DataFrame:
    return fitted(rows, GPU_EVENTS, kind=pl.lit("memcpy"), **_SHARED | {"name": copy_name(pl.col("name"))})


def _calls(rows: pl.DataFrame) -> pl.DataFrame:
    low = pl.col("domain").str.starts_with("HSA").fill_null(False)
    api = pl.when(low).then(pl.lit("driver")).otherwise(pl.lit("runtime"))
    return fitted(rows, HOST_CALLS, api=api, dur_ns=_LENGTH)


def _ranges(rows: pl.DataFrame) -> pl.DataFrame:
    """Markers that last: a mark of no length is none."""
    rows = rows.filter(pl.col("end_ns") > pl.col("start_ns"))
    return fitted(rows, RANGES, name=pl.coalesce("message", "name"), kind=pl.lit("nvtx"), dur_ns=_LENGTH)


_LENGTH: Final = pl.col("end_ns") - pl.col("start_ns")
_SHARED: Final = {"dur_ns": _LENGTH, "name": pl.col("name").fill_null("(unnamed kernel)")}
