"""A parsed trace kept as Parquet in the user's own cache folder, by its content, so that it reopens at once.

The key is the hash of the file's content, of the frames' schemas and of this package's version: another content or
another reader never meets an old cache. Every file in it carries a hash of its own; what does not match is parsed
again. It lies in a folder that this user alone can write, never beside a trace, where who made the trace could have
put one. At most `MOST_BYTES`: what was not opened for longest goes. Written to a temporary name and renamed; where the
folder cannot be written, or is not this user's alone, there is no cache, and no error.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import stat
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, Final

import polars as pl

from rope_prof import __version__
from rope_prof.model.trace import CPU_OPS, GPU_EVENTS, GRAPH_NODES, HOST_CALLS, OVERHEADS, RANGES, Finding, Trace

#: Folders beside traces that versions before this one left; nothing reads them any more.
SUFFIX: Final = ".rope_prof-cache"
#: All kept traces together.
MOST_BYTES: Final = 4 << 30
#: Raise it when a loader starts to read the same bytes otherwise.
CACHE_VERSION: Final = 4
#: Below it (about a tenth of a second to read) commands leave no folder behind.
WORTH_BYTES: Final = 4 << 20
_FACTS: Final = "facts.json"
_CHUNK: Final = 8 << 20


def worth_caching(path: Path) -> bool:
    """Whether reading `path` takes long enough to keep it; False where it cannot be told."""
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
    folder = cache_folder()
    kept = _load(folder / key, str(path)) if _is_ours(folder) else None
    if kept is not None:
        with contextlib.suppress(OSError):
            os.utime(folder / key)
        return kept
    trace = read()
    with contextlib.suppress(OSError, TypeError, pl.exceptions.PolarsError):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if _is_ours(folder):
            _keep(trace, folder, key)
            _shrink(folder, key)
    return trace


def cache_folder() -> Path:
    """Where parsed traces are kept: `rope_prof/traces` in XDG_CACHE_HOME, else in `~/.cache`."""
    told = os.environ.get("XDG_CACHE_HOME", "")
    base = Path(told) if Path(told).is_absolute() else Path.home() / ".cache"
    return base / "rope_prof" / "traces"


def cache_bytes() -> int:
    """How much is kept."""
    return sum(size for _, size, _ in _entries(cache_folder()))


def clear_cache() -> int:
    """Delete all that is kept; the bytes that are free now."""
    freed = cache_bytes()
    shutil.rmtree(cache_folder(), ignore_errors=True)
    return freed - cache_bytes()


def _is_ours(folder: Path) -> bool:
    """Whether this user owns the folder and nobody else can write into it."""
    try:
        about = folder.lstat()
    except OSError:
        return False
    mine = not hasattr(os, "getuid") or about.st_uid == os.getuid()
    return mine and stat.S_ISDIR(about.st_mode) and not about.st_mode & 0o022


def _entries(folder: Path) -> list[tuple[float, int, Path]]:
    """(when it was opened last, its bytes, its folder) of each kept trace, the oldest first."""
    found = []
    with contextlib.suppress(OSError):
        for entry in folder.iterdir():
            with contextlib.suppress(OSError):
                size = sum(file.stat().st_size for file in entry.iterdir())
                found.append((entry.stat().st_mtime, size, entry))
    return sorted(found)


def _shrink(folder: Path, key: str) -> None:
    """Let the oldest go until the rest is within the bound; `key` stays."""
    entries = _entries(folder)
    total = sum(size for _, size, _ in entries)
    for _, size, entry in entries:
        if total <= MOST_BYTES:
            return
        if entry.name != key:
            shutil.rmtree(entry, ignore_errors=True)
            total -= size


def _key(path: Path) -> str:
    """Hash of content and shape, the content in pieces side by side: a gigabyte in about a second on two cores."""
    size = path.stat().st_size
    with path.open("rb") as file, ThreadPoolExecutor(2) as pool:
        pieces = list(pool.map(lambda at: _digest(os.pread(file.fileno(), _CHUNK, at)), range(0, size, _CHUNK)))
    schemas = [GPU_EVENTS, GRAPH_NODES, HOST_CALLS, RANGES, CPU_OPS, OVERHEADS]
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
    """Write all files under a temporary name, then rename the folder."""
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
        raise


def _write_frame(frame: pl.DataFrame, path: Path) -> str:
    frame.write_parquet(path, compression="lz4", statistics=False)
    return _digest(path.read_bytes())
