"""A parsed trace kept beside its file as Parquet: `<trace>.rope_prof-cache/<key>/`, so that it reopens at once.

The key is the hash of the file's content, of the frames' schemas and of this package's version: another content or
another reader never meets an old cache. Every file in it carries a hash of its own; what does not match is parsed
again. Written to a temporary name and renamed; where the folder cannot be written there is no cache, and no error.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, Final

import polars as pl

from rope_prof import __version__
from rope_prof.model.trace import CPU_OPS, GPU_EVENTS, HOST_CALLS, OVERHEADS, RANGES, Finding, Trace

SUFFIX: Final = ".rope_prof-cache"
#: Raise it when a loader starts to read the same bytes otherwise.
CACHE_VERSION: Final = 3
#: Below it (about a tenth of a second to read) commands leave no folder behind.
WORTH_BYTES: Final = 4 << 20
_FACTS: Final = "facts.json"
_CHUNK: Final = 8 << 20


def worth_caching(path: Path) -> bool:
    """Whether reading `path` takes long enough for a folder beside it; False where it cannot be told."""
    try:
        return path.stat().st_size >= WORTH_BYTES
    except OSError:
        return False


def cached_trace(path: Path, read: Callable[[], Trace]) -> Trace:
    """The trace in `path`, from its cache where that is whole and of this content, else from `read`, then kept."""
    try:
        key = _key(path)
    except OSError:
        return read()
    folder = path.with_name(path.name + SUFFIX)
    kept = _load(folder / key, str(path))
    if kept is not None:
        return kept
    trace = read()
    with contextlib.suppress(OSError, TypeError, pl.exceptions.PolarsError):
        _keep(trace, folder, key)
    return trace


def _key(path: Path) -> str:
    """Hash of content and shape, the content in pieces side by side: a gigabyte in about a second on two cores."""
    size = path.stat().st_size
    with path.open("rb") as file, ThreadPoolExecutor(2) as pool:
        pieces = list(pool.map(lambda at: _digest(os.pread(file.fileno(), _CHUNK, at)), range(0, size, _CHUNK)))
    schemas = [GPU_EVENTS, HOST_CALLS, RANGES, CPU_OPS, OVERHEADS]
    shape = [CACHE_VERSION, __version__, [field.name for field in fields(Trace)], [str(each) for each in schemas]]
    return _digest(json.dumps([size, pieces, shape]).encode())


def _digest(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=20).hexdigest()


def _load(folder: Path, source: str) -> Trace | None:
    """The kept trace; None where there is none or anything about it is off."""
    try:
        body, _, digest = (folder / _FACTS).read_text().rpartition("\n")
        if _digest(body.encode()) != digest:
            return None
        facts: dict[str, Any] = json.loads(body)
        digests: dict[str, str] = facts.pop("frames")
        frames = {name: _frame(folder / f"{name}.parquet", digest) for name, digest in digests.items()}
        findings = tuple(Finding(**f | {"events": tuple(f["events"])}) for f in facts.pop("findings"))
        return Trace(**facts | frames | {"source": source, "findings": findings})
    except (OSError, ValueError, KeyError, TypeError, pl.exceptions.PolarsError):
        return None


def _frame(path: Path, digest: str) -> pl.DataFrame:
    data = path.read_bytes()
    if _digest(data) != digest:
        raise ValueError(f"{path} is damaged")
    return pl.read_parquet(data)


def _keep(trace: Trace, folder: Path, key: str) -> None:
    """Write all files under a temporary name, then rename the folder; older keys go."""
    folder.mkdir(exist_ok=True)
    part = Path(tempfile.mkdtemp(prefix=f"{key}.", suffix=".part", dir=folder))
    try:
        facts = {field.name: getattr(trace, field.name) for field in fields(Trace)}
        frames = {name: facts.pop(name) for name, value in list(facts.items()) if isinstance(value, pl.DataFrame)}
        facts["frames"] = {name: _write_frame(frame, part / f"{name}.parquet") for name, frame in frames.items()}
        facts["findings"] = [asdict(f) | {"events": list(f.events)} for f in trace.findings]
        body = json.dumps(facts)
        if json.loads(body) != facts:
            raise TypeError("facts that JSON cannot carry")
        (part / _FACTS).write_text(f"{body}\n{_digest(body.encode())}")
        shutil.rmtree(folder / key, ignore_errors=True)
        part.rename(folder / key)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        with contextlib.suppress(OSError):
            folder.rmdir()
        raise
    for old in folder.iterdir():
        if old.name != key and not old.name.endswith(".part"):
            shutil.rmtree(old, ignore_errors=True)


def _write_frame(frame: pl.DataFrame, path: Path) -> str:
    frame.write_parquet(path, compression="lz4", statistics=False)
    return _digest(path.read_bytes())
