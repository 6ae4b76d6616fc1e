"""An SQLite file (an nsys export above all) without what is private: tables of the machine, texts, free pages.

Views, triggers, indices and virtual tables go: they hold text of their own, and a file that runs something when it is
read is not handed on. The definitions of the tables are cleaned as text, their comments among them.
"""

from __future__ import annotations

import re
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from rope_prof.errors import RunError
from rope_prof.io.run.clean_json import PRIVATE_NAME, clean_word
from rope_prof.io.run.redact import PrivateWords
from rope_prof.io.run.secrets import BLANK
from rope_prof.io.sqlite import limit_steps, names_of_engine

#: Tables of an nsys export that tell of the machine alone.
PRIVATE_TABLES: Final = re.compile(
    r"TARGET_INFO_(SYSTEM_ENV|NIC|NETWORK|NVTX_CUDA_DEVICE_NAME|PROCESS)|PROCESSES|ProcessStreams|PROCESS_|ThreadNames|ANALYSIS_FILE|DIAGNOSTIC"
)
_PRIVATE_ROW: Final = re.compile(r"ENV|LAUNCH|COMMAND|WORKING|USER|HOST|ARGS|PATH|DIRECTORY", re.IGNORECASE)
#: Columns that name one piece of hardware of all that were made, beside those whose name says private anywhere.
_IDENTITIES: Final = frozenset(("uuid", "serial", "macaddress", "guid"))
#: rocpd's own word for the words that were typed.
_TYPED: Final = "command"
_VARIABLE: Final = re.compile(r"^[A-Za-z_][A-Za-z0-9_]{2,}=")


def clean_sqlite(data: bytes, words: PrivateWords) -> bytes:
    """The file for others: tables about the machine emptied, all other text cleaned, free pages gone.

    Errors: RunError for a damaged file, or one whose tables cannot be gone through within the engine's limit.
    """
    with tempfile.TemporaryDirectory(prefix="rope_prof-") as scratch:
        path = Path(scratch) / "copy.sqlite"
        path.write_bytes(data)
        try:
            with names_of_engine():
                _drop_programs(path, words)
                with closing(_opened(path)) as database:
                    _clean(database, words)
        except sqlite3.DatabaseError as error:
            raise RunError(f"an SQLite file of the run is damaged ({error}); export it again, or delete it") from error
        return path.read_bytes()


def _opened(path: Path) -> sqlite3.Connection:
    database = sqlite3.connect(f"file:{quote(str(path))}", uri=True, isolation_level=None)
    database.text_factory = bytes
    database.execute("PRAGMA trusted_schema = OFF")
    database.execute("PRAGMA journal_mode = OFF")
    limit_steps(database)
    return database


def _drop_programs(path: Path, words: PrivateWords) -> None:
    """Take all but plain tables out of the schema and clean their definitions, before any of it is carried out."""
    with closing(_opened(path)) as database:
        database.execute("PRAGMA writable_schema = ON")
        database.execute("BEGIN")
        database.execute("DELETE FROM sqlite_master WHERE type IN ('view', 'trigger') OR sql LIKE 'CREATE VIRTUAL%'")
        database.execute("DELETE FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL")
        tables = "SELECT rowid, sql FROM sqlite_master WHERE type = 'table' AND sql IS NOT NULL"
        for row, sql in database.execute(tables).fetchall():
            before = sql.decode("utf-8", errors="replace")
            after = words.blank(before)
            if after != before:
                database.execute("UPDATE sqlite_master SET sql = ? WHERE rowid = ?", (after, row))
        database.execute("COMMIT")


def _clean(database: sqlite3.Connection, words: PrivateWords) -> None:
    database.execute("BEGIN")
    for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
        _clean_table(database, name.decode(), words)
    _drop_strings(database)
    database.execute("COMMIT")
    database.execute("VACUUM")


def _clean_table(database: sqlite3.Connection, name: str, words: PrivateWords) -> None:
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
        elif column.lower() == _TYPED or PRIVATE_NAME.fullmatch(column):
            database.execute(f"UPDATE {table} SET {quoted} = '{BLANK}' WHERE typeof({quoted}) IN ('text', 'blob')")
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


def _clean_cell(cell: Any, words: PrivateWords) -> str | None:
    """The cell as it is to be; None where it may stay. Environment blocks hide behind a NUL: they go whole."""
    if not isinstance(cell, bytes):
        return None
    text = cell.decode("utf-8", errors="replace")
    if "\x00" in text or _VARIABLE.match(text):
        return BLANK
    after = clean_word(text, words.blank)
    return after if after != text else None
