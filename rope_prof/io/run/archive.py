"""A copy of a run, or of one trace, for others: host, user, environment and paths out of what can be edited.

JSON (Kineto's, Proton's, `run.json`) is edited as text, so that no digit of a time is touched; SQLite cell by cell;
parquet column by column; a zipped trace is unpacked and packed again. `.nsys-rep`, `.ncu-rep` and other binary files
cannot be edited: they are searched, left out where they hold a private word, and named either way.
"""

from __future__ import annotations

import gzip
import io
import re
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from rope_prof.errors import RunError, UsageError
from rope_prof.io.run.redact import BLANK, Words, kinds_in, private_words

#: Fields of a Kineto file's top level that name the machine or its owner.
PRIVATE_FIELDS: Final = ("host_name", "hostname", "hostName", "username", "user_name")
#: Tables of an nsys export that tell of the machine alone.
PRIVATE_TABLES: Final = re.compile(
    r"TARGET_INFO_(SYSTEM_ENV|NIC|NETWORK|NVTX_CUDA_DEVICE_NAME|PROCESS)|PROCESSES|ProcessStreams|PROCESS_|ThreadNames|ANALYSIS_FILE|DIAGNOSTIC"
)
_PRIVATE_ROW: Final = re.compile(r"ENV|LAUNCH|COMMAND|WORKING|USER|HOST|ARGS|PATH|DIRECTORY", re.IGNORECASE)
#: Columns that name one piece of hardware of all that were made.
_IDENTITIES: Final = frozenset(("uuid", "serial", "macaddress", "guid"))
_VARIABLE: Final = re.compile(r"^[A-Za-z_][A-Za-z0-9_]{2,}=")
_ARCHIVES: Final = {".zip": "zip", ".tar": "tar", ".gz": "gztar", ".tgz": "gztar"}
_SKIPPED: Final = (".part", ".rope_prof-cache")


@dataclass(frozen=True, slots=True)
class Archive:
    """What was made. `uneditable`: file -> what is to be known of it; `left_out`: file -> why it is not in the copy."""

    path: Path
    cleaned: tuple[str, ...] = ()
    uneditable: dict[str, str] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)

    def lines(self) -> Iterator[str]:
        """What a user must read, a line each."""
        yield f"{len(self.cleaned)} files cleaned of host, user, environment and paths in {self.path}"
        for name, why in self.uneditable.items():
            yield f"{name}: cannot be edited; {why}"
        for name, why in self.left_out.items():
            yield f"{name}: left out; {why}"


def write_archive(source: Path, out: Path, words: Words | None = None) -> Archive:
    """Write a cleaned copy of `source` (a run folder or one trace) to `out`: a folder, or a .zip, .tar or .tar.gz.

    `words`: what counts as private besides paths; by default this machine's own.
    Errors: UsageError where `out` is there already or `source` is not; RunError where a file cannot be read or written.
    """
    if not source.exists():
        raise UsageError(f"no file or folder {str(source)!r}; expected a run folder or a trace")
    if out.exists():
        raise UsageError(f"{str(out)!r} is there already; choose another -o, an archive overwrites nothing")
    files = sorted(path for path in source.rglob("*") if path.is_file()) if source.is_dir() else [source]
    found = private_words() if words is None else words
    root = source if source.is_dir() else source.parent
    with tempfile.TemporaryDirectory(prefix="rope_prof-") as scratch:
        copy = Path(scratch) / _stem(out)
        copy.mkdir()
        try:
            archive = _fill(copy, {str(path.relative_to(root)): path for path in files}, found, out)
            _deliver(copy, out)
        except OSError as error:
            raise RunError(
                f"cannot write the archive {str(out)!r} ({error.strerror or error}); choose another -o"
            ) from error
    return archive


def _stem(out: Path) -> str:
    return re.sub(r"\.(zip|tar|tgz|tar\.gz)$", "", out.name) or "run"


def _fill(copy: Path, files: dict[str, Path], words: Words, out: Path) -> Archive:
    cleaned: list[str] = []
    uneditable: dict[str, str] = {}
    left_out: dict[str, str] = {}
    for name, path in files.items():
        if path.name.endswith(_SKIPPED):
            continue
        target = copy / name
        target.parent.mkdir(parents=True, exist_ok=True)
        data = path.read_bytes()
        clean = _cleaner(data)
        if clean is not None:
            target.write_bytes(clean(data, words))
            cleaned.append(name)
            continue
        kinds = kinds_in(data, words)
        if kinds:
            left_out[name] = f"it cannot be edited and holds private words ({', '.join(kinds)})"
        else:
            target.write_bytes(data)
            uneditable[name] = "none of this machine's private words stand in it as plain text"
    return Archive(out, tuple(cleaned), uneditable, left_out)


def _deliver(copy: Path, out: Path) -> None:
    out.parent.mkdir(parents=True, exist_ok=True)
    kind = _ARCHIVES.get(out.suffix)
    if kind is None:
        shutil.copytree(copy, out)
        return
    made = shutil.make_archive(str(copy.parent / "made"), kind, root_dir=copy.parent, base_dir=copy.name)
    shutil.copyfile(made, out)


Cleaner = Callable[[bytes, Words], bytes]


def _cleaner(data: bytes) -> Cleaner | None:
    """How to clean a file with this content; None where it cannot be edited."""
    if data[:2] == b"\x1f\x8b":
        return clean_gzip
    if data[:16] == b"SQLite format 3\x00":
        return clean_sqlite
    if data[:4] == b"PAR1":
        return clean_parquet
    return clean_text if _is_text(data) else None


def _is_text(data: bytes) -> bool:
    if b"\x00" in data[:65536]:
        return False
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def clean_gzip(data: bytes, words: Words) -> bytes:
    """What is packed, cleaned and packed again without a name or a time."""
    try:
        inner = gzip.decompress(data)
    except (OSError, EOFError) as error:
        raise RunError(
            f"a packed file of the run is damaged ({error}); restore it, or delete it from the run"
        ) from error
    clean = _cleaner(inner)
    if clean is None:
        raise RunError("a packed file of the run is neither JSON, SQLite nor parquet; delete it from the run")
    return gzip.compress(clean(inner, words), 6, mtime=0)


def clean_text(data: bytes, words: Words) -> bytes:
    """JSON or other text: private fields emptied, private words and paths blanked; all else keeps its bytes."""
    text = data.decode("utf-8")
    for name in PRIVATE_FIELDS:
        text = re.sub(rf'("{name}"\s*:\s*)"(?:[^"\\]|\\.)*"', rf'\1"{BLANK}"', text)
    return words.blank(text).encode("utf-8")


def clean_parquet(data: bytes, words: Words) -> bytes:
    """The same rows, text columns cleaned; what other writers put beside the columns is gone."""
    import polars as pl

    try:
        frame = pl.read_parquet(io.BytesIO(data))
    except pl.exceptions.PolarsError as error:
        first = str(error).partition("\n")[0]
        raise RunError(f"a parquet file of the run is damaged ({first}); restore it, or delete it") from error
    texts = [name for name, dtype in frame.schema.items() if dtype == pl.String]
    for name in texts:
        unique = frame[name].drop_nulls().unique().to_list()
        changed = {value: after for value in unique if (after := words.blank(value)) != value}
        if changed:
            frame = frame.with_columns(pl.col(name).replace(changed))
    out = io.BytesIO()
    frame.write_parquet(out)
    return out.getvalue()


def clean_sqlite(data: bytes, words: Words) -> bytes:
    """An nsys export (or other SQLite): tables about the machine emptied, all other text cleaned, free pages gone."""
    with tempfile.TemporaryDirectory(prefix="rope_prof-") as scratch:
        path = Path(scratch) / "copy.sqlite"
        path.write_bytes(data)
        database = sqlite3.connect(f"file:{quote(str(path))}", uri=True, isolation_level=None)
        try:
            database.text_factory = bytes
            database.execute("PRAGMA journal_mode = OFF")
            database.execute("BEGIN")
            for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
                _clean_table(database, name.decode(), words)
            _drop_strings(database)
            database.execute("COMMIT")
            database.execute("VACUUM")
        except sqlite3.DatabaseError as error:
            raise RunError(f"an SQLite file of the run is damaged ({error}); export it again, or delete it") from error
        finally:
            database.close()
        return path.read_bytes()


def _clean_table(database: sqlite3.Connection, name: str, words: Words) -> None:
    table = '"' + name.replace('"', '""') + '"'
    if PRIVATE_TABLES.match(name):
        database.execute(f"DELETE FROM {table}")
        return
    columns = [row[1].decode() for row in database.execute(f"PRAGMA table_info({table})")]
    if name.startswith("META_DATA") and "name" in columns:
        for (key,) in database.execute(f"SELECT DISTINCT name FROM {table}").fetchall():
            if isinstance(key, bytes) and _PRIVATE_ROW.search(key.decode(errors="replace")):
                database.execute(f"DELETE FROM {table} WHERE CAST(name AS BLOB) = ?", (key,))
    for column in columns:
        quoted = '"' + column.replace('"', '""') + '"'
        if column.lower() in _IDENTITIES:
            database.execute(f"UPDATE {table} SET {quoted} = '{BLANK}' WHERE {quoted} IS NOT NULL")
        rows = database.execute(
            f"SELECT DISTINCT CAST({quoted} AS BLOB) FROM {table} WHERE typeof({quoted}) IN ('text', 'blob')"
        ).fetchall()
        for (cell,) in rows:
            after = _clean_cell(cell, words)
            if after is not None:
                database.execute(
                    f"UPDATE {table} SET {quoted} = ? WHERE CAST({quoted} AS BLOB) = ? AND typeof({quoted}) IN "
                    "('text', 'blob')",
                    (after, cell),
                )


def _drop_strings(database: sqlite3.Connection) -> None:
    """Blank the strings of an nsys export that nothing names any more: names of processes and threads, for one.

    An export's own table definitions say which columns hold them; without those words nothing is dropped.
    """
    used: set[int] = set()
    definitions = dict(database.execute("SELECT name, sql FROM sqlite_master WHERE type = 'table'").fetchall())
    for name, sql in definitions.items():
        for column in re.findall(r'^\s*"?(\w+)"?[^\n]*REFERENCES StringIds\(id\)', sql.decode(), re.MULTILINE):
            rows = database.execute(f'SELECT DISTINCT "{column}" FROM "{name.decode()}"')
            used.update(number for (number,) in rows if isinstance(number, int))
    if used:
        database.execute(f"UPDATE StringIds SET value = '{BLANK}' WHERE id NOT IN ({','.join(map(str, used))})")


def _clean_cell(cell: Any, words: Words) -> str | None:
    """The cell as it is to be; None where it may stay. Environment blocks hide behind a NUL: they go whole."""
    if not isinstance(cell, bytes):
        return None
    text = cell.decode("utf-8", errors="replace")
    if "\x00" in text or _VARIABLE.match(text):
        return BLANK
    after = words.blank(text)
    return after if after != text else None
