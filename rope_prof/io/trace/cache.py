"""A trace that took long to parse, kept as Parquet in the user's own cache folder by its content: it reopens sooner.

The compiled scan reads a quarter of a gigabyte in the time that hashing, writing and opening it again take together:
what takes less than `WORTH_S` is not kept, and no file is hashed where nothing of its size was.

The key is the hash of the file's content, of the frames' schemas and of this package's version: another content or
another reader never meets an old cache, and what is damaged is parsed again (`io.store`). Never beside a trace, where
who made the trace could have put one.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import asdict, fields
from io import BytesIO
from pathlib import Path
from typing import Any, Final

import polars as pl

from rope_prof import __version__
from rope_prof.io.store import PARSED_FROM, Entry, digest, file_digest, traces_kept
from rope_prof.model.trace import (
    CPU_OPS,
    GPU_EVENTS,
    GRAPH_NODES,
    HOST_CALLS,
    MEMORY,
    OVERHEADS,
    PYTHON_CALLS,
    RANGES,
    Finding,
    Trace,
)

#: Folders beside traces that versions before this one left; nothing reads them any more.
SUFFIX: Final = ".rope_prof-cache"
#: Processor seconds, of helpers too, that reading takes where its result is kept.
WORTH_S: Final = 1.0
#: Raise it when a loader starts to read the same bytes otherwise.
CACHE_VERSION: Final = 6
_FACTS: Final = "facts.json"


def worth_caching(path: Path) -> bool:
    """Whether reading `path` may take long enough to keep it; False where it cannot be told."""
    try:
        return path.stat().st_size >= PARSED_FROM
    except OSError:
        return False


def cached_trace(path: Path, read: Callable[[], Trace]) -> Trace:
    """The trace in `path`, from its cache where that is whole and of this content, else from `read`, then kept."""
    kept = None
    with contextlib.suppress(OSError):
        entry = traces_kept().entry(_key(path)) if traces_kept().holds(_sized(path)) else None
        kept = None if entry is None else _load(entry, str(path))
    if kept is not None:
        return kept
    before = sum(os.times()[:4])
    trace = read()
    if sum(os.times()[:4]) - before >= WORTH_S:
        with contextlib.suppress(OSError, TypeError, pl.exceptions.PolarsError):
            traces_kept().keep(_key(path), _files(trace))
    return trace


def _sized(path: Path) -> str:
    """What the keys of all files of that size begin with."""
    return f"{path.stat().st_size:x}-"


def _key(path: Path) -> str:
    """The size, and the hash of content and shape."""
    schemas = [GPU_EVENTS, GRAPH_NODES, HOST_CALLS, RANGES, CPU_OPS, OVERHEADS, PYTHON_CALLS, MEMORY]
    shape = [CACHE_VERSION, __version__, [field.name for field in fields(Trace)], [str(each) for each in schemas]]
    return _sized(path) + digest(json.dumps([file_digest(path), shape]).encode())


def _load(entry: Entry, source: str) -> Trace | None:
    """The kept trace; None where anything about it is off."""
    try:
        facts: dict[str, Any] = json.loads(entry.read(_FACTS))
        frames = {name: pl.read_parquet(entry.read(f"{name}.parquet")) for name in facts.pop("frames")}
        findings = tuple(Finding(**f | {"events": tuple(f["events"])}) for f in facts.pop("findings"))
        return Trace(**facts | frames | {"source": source, "findings": findings})
    except (OSError, ValueError, KeyError, TypeError, pl.exceptions.PolarsError):
        return None


def _files(trace: Trace) -> Iterator[tuple[str, bytes]]:
    """Name and content of each file, a frame at a time. Errors: TypeError for facts that JSON cannot carry."""
    facts = {field.name: getattr(trace, field.name) for field in fields(Trace)}
    frames = {name: facts.pop(name) for name, value in list(facts.items()) if isinstance(value, pl.DataFrame)}
    for name, frame in frames.items():
        packed = BytesIO()
        frame.write_parquet(packed, compression="lz4", statistics=False)
        yield f"{name}.parquet", packed.getvalue()
    facts["frames"] = list(frames)
    facts["findings"] = [asdict(f) | {"events": list(f.events)} for f in trace.findings]
    body = json.dumps(facts)
    if json.loads(body) != facts:
        raise TypeError("facts that JSON cannot carry")
    yield _FACTS, body.encode()
