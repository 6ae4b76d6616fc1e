"""Opening an SQLite file that somebody else made: it may hold tables and rows, nothing that runs.

A view, a trigger or a virtual table makes a reader carry out what the file says. Here they are neither entered nor
fired: an authorizer lets a statement read tables alone, the schema is not trusted, and a statement that has gone on for
`MOST_STEPS` steps of the engine without end is stopped. Read-only and immutable: nothing is written beside it.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from rope_prof.model.trace import Finding

#: Steps of SQLite's engine that one statement may take: reading 50 million rows of ten columns takes a billion.
MOST_STEPS: Final = 4_000_000_000
LOOK_EVERY: Final = 1_000_000
_FETCH: Final = 100_000
_OF_GPU: Final = re.compile("(?i)kernel|mem_?copy|memcpy|memset|graph_trace")
#: What a reader of tables does. A view asks for the reading of what stands behind it, under its own name.
_ALLOWED: Final = frozenset((sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION))
_PRAGMAS: Final = frozenset(("table_info",))
#: Functions of ours; one that reads files or loads code is none of them.
_FUNCTIONS: Final = frozenset(("typeof", "cast", "count", "min", "max", "sum"))


@contextmanager
def tables_of(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection that can read the tables in `path` and do nothing else; text that is not UTF-8 has U+FFFD in it.

    Raises sqlite3.DatabaseError for a damaged file, and for a statement over the limit (`interrupted`).
    """
    address = f"file:{quote(str(path.absolute()))}?mode=ro&immutable=1"
    with closing(sqlite3.connect(address, uri=True)) as database:
        database.execute("PRAGMA trusted_schema = OFF")
        database.execute("PRAGMA query_only = ON")
        limit_steps(database)
        database.set_authorizer(_reading)
        database.text_factory = _text
        with names_of_engine():
            yield database


@contextmanager
def names_of_engine() -> Iterator[None]:
    """Inside, what is no UTF-8 is a sqlite3.DatabaseError: the engine's own message, say, that quotes the file, which
    Python 3.11's sqlite3 cannot decode.
    """
    try:
        yield
    except UnicodeDecodeError as error:
        raise sqlite3.DatabaseError(f"a name in it is no UTF-8 ({error.reason})") from error


def fetched(cursor: sqlite3.Cursor) -> Iterator[list[tuple[Any, ...]]]:
    """The rows, many at a time; where a table is damaged those before come first, then sqlite3.DatabaseError."""
    while True:
        rows: list[tuple[Any, ...]] = []
        try:
            rows.extend(islice(cursor, _FETCH))
        except sqlite3.DatabaseError:
            yield rows
            raise
        if not rows:
            return
        yield rows


def damaged_table(table: str, columns: Sequence[str], rows: Sequence[tuple[Any, ...]], why: Exception) -> Finding:
    """Said of a table that breaks off after `rows`, with the last of them and its time, where they have one."""
    last = dict(zip(columns, rows[-1], strict=True)) if rows else {}
    start, end = (time if isinstance(time := last.get(side), int) else None for side in ("start", "end"))
    taken = None if start is None or end is None else end - start
    name = f"row {len(rows)} of {table}, the last that is read" if rows else f"row 1 of {table}"
    event = {"kind": "gpu" if _OF_GPU.search(table) else "host", "name": name, "start_ns": start, "dur_ns": taken}
    return Finding(
        code="damaged_table", detail=f"table {table} breaks off after {len(rows)} rows ({why})", events=(event,)
    )


def limit_steps(database: sqlite3.Connection) -> None:
    """Stop a statement of `database` after `MOST_STEPS` in all with `interrupted`."""
    database.set_progress_handler(_counter(MOST_STEPS), LOOK_EVERY)


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", errors="replace")


def _counter(most: int) -> Callable[[], int]:
    taken = 0

    def steps() -> int:
        nonlocal taken
        taken += LOOK_EVERY
        return taken > most

    return steps


def _reading(action: int, first: str | None, second: str | None, _database: str | None, inside: str | None) -> int:
    """`inside`: the view or trigger on whose behalf it is done; None for a statement of ours."""
    if inside is not None:
        return sqlite3.SQLITE_DENY
    if action == sqlite3.SQLITE_PRAGMA:
        return sqlite3.SQLITE_OK if first in _PRAGMAS else sqlite3.SQLITE_DENY
    if action == sqlite3.SQLITE_FUNCTION:
        return sqlite3.SQLITE_OK if (second or "").lower() in _FUNCTIONS else sqlite3.SQLITE_DENY
    return sqlite3.SQLITE_OK if action in _ALLOWED else sqlite3.SQLITE_DENY
