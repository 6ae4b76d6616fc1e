"""Where traces lie: files, folders, globs and URLs -> `Source`s, and a source -> a file on this machine.

Local files need nothing; a URL (`s3://`, `gs://`, `https://`, anything that fsspec opens) needs fsspec and the package
of its kind. A store that sends no byte for `timeout_s()` seconds is given up with a sentence, never waited for.
Credentials and endpoints come from the store's own environment variables (AWS_ENDPOINT_URL, ...).
"""

from __future__ import annotations

import contextlib
import glob
import os
import queue
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import unquote, urlsplit, urlunsplit

from rope_prof.errors import TraceError, UnavailableError, UsageError
from rope_prof.io.layout import DATASET_FILE, RANKS_FOLDER, RUN_FILE, TRACE_SUFFIX, is_export_folder, written_down
from rope_prof.io.trace.formats import SUFFIXES
from rope_prof.io.trace.members import WITHIN, extracted, is_archive, members
from rope_prof.model.frozen import Frozen

#: Archives that a folder is searched for; what they hold counts if its own name does.
ARCHIVES: Final = (".zip", ".tar", ".tar.gz", ".tgz")
VARIABLE: Final = "ROPE_PROF_STORAGE_TIMEOUT"
_TIMEOUT_S: Final = 60.0
_TRIES: Final = 2
_CHUNK: Final = 4 << 20
_MAGIC: Final = frozenset("*?[")

T = TypeVar("T")


class StorageError(TraceError):
    """A trace that is there (or was) could not be fetched: not the trace's fault, worth another try."""

    code = "storage"


class Source(Frozen, kw_only=True):
    """One trace: its absolute path or URL, its size, and what changes when its content does."""

    address: str
    size: int
    stamp: str

    @property
    def is_url(self) -> bool:
        """Whether it lies in a store."""
        return "://" in self.address

    @property
    def shown(self) -> str:
        """The address without user, password and query (the signature of a signed URL): what may be written down."""
        if not self.is_url:
            return written_down(self.address)
        parts = urlsplit(self.address)
        return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))

    @property
    def folder(self) -> str:
        """The address of the folder that it lies in."""
        return self.shown.rpartition("/")[0]

    @property
    def name(self) -> str:
        """Its file name."""
        return self.shown.rpartition("/")[2]


def several(places: Iterable[str]) -> bool:
    """Whether `places` mean more than one trace here: a folder, a glob, a URL, an archive of many, several words."""
    words = list(places)
    if len(words) != 1 or "://" in words[0] or _is_glob(words[0]):
        return True
    path = Path(words[0])
    return (path.is_dir() and not is_export_folder(path)) or (is_archive(path) and len(members(path, SUFFIXES)) > 1)


def found(places: Iterable[str]) -> tuple[Source, ...]:
    """Every trace of `places`, each once, by address. Folders are searched to the bottom.

    Errors: TraceError for a place without a trace, StorageError for a store that does not answer, UnavailableError
    where fsspec or the package of a URL's kind is missing.
    """
    sources: dict[str, Source] = {}
    for place in places:
        here = list(_remote(place) if "://" in place and not place.startswith("file://") else _local(place))
        if not here:
            raise TraceError(f"no trace in {place!r}; expected files that end in {', '.join(SUFFIXES)}")
        sources.update((source.shown, source) for source in here)
    return tuple(sources[address] for address in sorted(sources))


def timeout_s() -> float:
    """Seconds without a byte after which a store is given up: the variable's number, else 60."""
    told = os.environ.get(VARIABLE)
    try:
        seconds = _TIMEOUT_S if told is None else float(told)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= 86_400:
        raise UsageError(f"{VARIABLE} is {told!r}; expected seconds, as in 60")
    return seconds


@contextlib.contextmanager
def fetched(source: Source) -> Iterator[Path]:
    """A path on this machine that holds the trace: its own, or a temporary copy that goes with the context.

    Errors: StorageError where it cannot be had.
    """
    archive, inside, member = source.address.rpartition(WITHIN)
    if inside and not source.is_url and is_archive(Path(archive)):
        with extracted(Path(archive), member) as path:
            yield path
        return
    if not source.is_url:
        if not Path(source.address).exists():
            raise StorageError(f"no file {source.address!r} on this machine; is its folder shared with it?")
        yield Path(source.address)
        return
    with tempfile.TemporaryDirectory(prefix="rope_prof-") as folder:
        path = Path(folder) / (source.name or "trace")
        for attempt in range(1, _TRIES + 1):
            try:
                _copy(source, path)
                break
            except StorageError:
                if attempt == _TRIES:
                    raise
        yield path


def _local(place: str) -> Iterator[Source]:
    path = unquote(urlsplit(place).path) if place.startswith("file://") else place
    if _is_glob(path) and not Path(path).exists():
        hits = sorted(glob.glob(path, recursive=True))  # noqa: PTH207 - absolute patterns too
    elif Path(path).exists():
        hits = [path]
    else:
        raise TraceError(f"no file or folder {place!r}; expected a trace, a folder of traces, a glob or a URL")
    for hit in map(Path, hits):
        for file in _walk(hit) if hit.is_dir() and not is_export_folder(hit) else (hit,):
            with contextlib.suppress(FileNotFoundError):  # a file that went while the folder was read
                stat = file.stat()
                address, stamp = str(file.absolute()), f"{stat.st_size}-{stat.st_mtime_ns}"
                for member in members(file, SUFFIXES) if is_archive(file) else (None,):
                    here = address if member is None else f"{address}{WITHIN}{member}"
                    yield Source(address=here, size=stat.st_size, stamp=stamp)


def _is_glob(text: str) -> bool:
    """In a web address `?` begins the query."""
    return not text.startswith(("http://", "https://")) and not _MAGIC.isdisjoint(text)


def _walk(folder: Path) -> Iterator[Path]:
    for at, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith(".") and not name.endswith("-cache"))
        if is_export_folder(Path(at)):
            folders.clear()
            yield Path(at)
            continue
        if DATASET_FILE in files:
            folders.clear()
            continue
        if RUN_FILE in files and RANKS_FOLDER in folders:
            folders.remove(RANKS_FOLDER)
        yield from (Path(at) / name for name in sorted(files) if _is_trace(name, RUN_FILE in files))


def _is_trace(name: str, of_run: bool) -> bool:
    """In the folder of a run of ours only its captures are traces, and those that a lost rank left in `ranks/`."""
    if name.startswith("."):
        return False
    return name.endswith(TRACE_SUFFIX if of_run else (*SUFFIXES, *ARCHIVES))


def _remote(place: str) -> Iterator[Source]:
    system, path = file_system(place)

    def listing() -> dict[str, dict[str, Any]]:
        if _is_glob(path):
            hits: dict[str, dict[str, Any]] = system.glob(path, detail=True)
            within = [system.find(name, detail=True) for name, info in hits.items() if info["type"] == "directory"]
            files = {name: info for name, info in hits.items() if info["type"] == "file"}
            return {name: info for part in (*within, files) for name, info in part.items()}
        if system.isfile(path):
            return {path: system.info(path)}
        return dict(system.find(path, detail=True))

    listed = answered(timeout_s(), listing, place, "list")
    runs = {name.rpartition("/")[0] for name in listed if name.rpartition("/")[2] == RUN_FILE}
    hidden = [name.rpartition("/")[0] + "/" for name in listed if name.rpartition("/")[2] == DATASET_FILE]
    hidden += [f"{run}/{RANKS_FOLDER}/" for run in runs]
    for name, info in listed.items():
        folder, _, last = name.rpartition("/")
        if name.startswith(tuple(hidden)) or not (name == path or _is_trace(last, folder in runs)):
            continue
        size = int(info.get("size") or 0)
        mark = next((info[key] for key in ("ETag", "etag", "md5Hash", "LastModified", "mtime") if info.get(key)), "")
        address = place if place.startswith(("http://", "https://")) and name == path else system.unstrip_protocol(name)
        yield Source(address=address, size=size, stamp=f"{size}-{mark}".replace('"', ""))


def file_system(place: str) -> tuple[Any, str]:
    """(what fsspec opens that URL with, the path inside it). Errors: UnavailableError for a package that is missing."""
    try:
        url_to_fs = import_module("fsspec.core").url_to_fs
    except ImportError:
        raise _lacks(place, "fsspec") from None
    try:
        system, path = url_to_fs(place)
    except ImportError as error:
        name = error.name or getattr(error.__cause__, "name", None) or str(error)
        raise _lacks(place, name.split(".")[0]) from None
    except ValueError as error:
        raise UsageError(
            f"{place!r} is no URL that fsspec opens ({error}); expected s3://, gs://, https:// ..."
        ) from None
    return system, path


def _lacks(place: str, package: str) -> UnavailableError:
    return UnavailableError(
        f"{place!r} needs the package {package}, which is not installed; install it: pip install 'rope-prof[fleet]' "
        "(s3://), or gcsfs (gs://), adlfs (abfs://); files on this machine need none"
    )


def answered(seconds: float, work: Callable[[], T], place: str, verb: str) -> T:
    """What `work` gives, within `seconds`. It runs in a thread of its own, since a store may never answer."""
    answer: queue.SimpleQueue[tuple[bool, Any]] = queue.SimpleQueue()

    def run() -> None:
        try:
            answer.put((True, work()))
        except Exception as error:
            answer.put((False, error))

    threading.Thread(target=run, daemon=True).start()
    return _taken(answer, seconds, place, verb)  # type: ignore[no-any-return]


def _taken(answer: queue.SimpleQueue[tuple[bool, Any]], seconds: float, place: str, verb: str) -> Any:
    try:
        good, value = answer.get(timeout=seconds)
    except queue.Empty:
        raise StorageError(
            f"cannot {verb} {place!r}: the store sent nothing for {seconds:g} s ({VARIABLE} sets the limit)"
        ) from None
    if good:
        return value
    if isinstance(value, FileNotFoundError):
        raise StorageError(f"cannot {verb} {place!r}: the store has no such object or folder") from None
    said = " ".join(str(value).split())[:300] or type(value).__name__
    raise StorageError(f"cannot {verb} {place!r}: {said}") from None


def _copy(source: Source, path: Path) -> None:
    """The object into `path`, a few megabytes at a time; each has its own time limit."""
    system, inside = file_system(source.address)
    chunks: queue.SimpleQueue[tuple[bool, Any]] = queue.SimpleQueue()
    room = threading.Semaphore(2)
    stopped = threading.Event()

    def read() -> None:
        try:
            with system.open(inside, "rb", block_size=_CHUNK, cache_type="readahead") as file:
                while not stopped.is_set():
                    room.acquire()
                    piece = file.read(_CHUNK)
                    chunks.put((True, piece))
                    if not piece:
                        return
        except Exception as error:
            chunks.put((False, error))

    threading.Thread(target=read, daemon=True).start()
    try:
        with path.open("wb") as out:
            while piece := _taken(chunks, timeout_s(), source.shown, "fetch"):
                out.write(piece)
                room.release()
    finally:
        stopped.set()
        room.release()
    if source.size and path.stat().st_size != source.size:
        raise StorageError(
            f"cannot fetch {source.shown!r}: {path.stat().st_size} of {source.size} bytes came; it changed or was cut"
        )
