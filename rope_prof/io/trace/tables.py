"""Where the tables of an nsys export lie: an SQLite file, or a folder of Parquet or Arrow files, one a table.

`nsys export --type sqlite`, `--type parquetdir`, `--type arrowdir`: the same tables in each.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Final, Protocol

import polars as pl

from rope_prof.io.bombs import columns_of
from rope_prof.io.layout import TABLE_SUFFIXES
from rope_prof.io.sqlite import fetched

_FETCH: Final = 100_000
_READERS: Final[dict[str, Callable[..., pl.LazyFrame]]] = dict(
    zip(TABLE_SUFFIXES, (pl.scan_parquet, pl.scan_ipc, pl.scan_ipc), strict=True)
)


class ExportTables(Protocol):
    """The tables of one export."""

    def names(self) -> list[str]:
        """Of all tables."""

    def columns(self, table: str) -> set[str]:
        """Of one table."""

    def rows(self, table: str, columns: Sequence[str]) -> Iterator[list[tuple[Any, ...]]]:
        """Those of its columns, in the file's order, many rows at a time."""


class SqliteTables:
    """Of an open database (`io.sqlite`). Errors: sqlite3.Error."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database

    def names(self) -> list[str]:
        rows = self._database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        return [str(name) for (name,) in rows]

    def columns(self, table: str) -> set[str]:
        return {str(row[1]) for row in self._database.execute(f'PRAGMA table_info("{_quoted(table)}")')}

    def rows(self, table: str, columns: Sequence[str]) -> Iterator[list[tuple[Any, ...]]]:
        picked = ", ".join(f'"{column}"' for column in columns) or "NULL"
        cursor = self._database.execute(f'SELECT {picked} FROM "{_quoted(table)}" ORDER BY rowid')
        yield from fetched(cursor)


class FolderTables:
    """Of a folder; a cell that SQLite could not hold is its text. Errors: polars' own, for damage and for a bomb."""

    def __init__(self, folder: Path) -> None:
        self._files = {file.stem: file for file in sorted(folder.iterdir()) if file.suffix in _READERS}

    def names(self) -> list[str]:
        return list(self._files)

    def columns(self, table: str) -> set[str]:
        return set(self._scan(table).collect_schema())

    def rows(self, table: str, columns: Sequence[str]) -> Iterator[list[tuple[Any, ...]]]:
        frame = columns_of(self._scan(table), self._files[table].stat().st_size, columns)
        nested = [_as_text(column) for column in frame.iter_columns() if column.dtype.is_nested()]
        each = iter(frame.with_columns(nested).iter_rows())
        while more := list(islice(each, _FETCH)):
            yield more

    def _scan(self, table: str) -> pl.LazyFrame:
        file = self._files[table]
        return _READERS[file.suffix](file)


def _as_text(column: pl.Series) -> pl.Series:
    return pl.Series(column.name, [None if cell is None else str(cell) for cell in column.to_list()], dtype=pl.String)


def _quoted(table: str) -> str:
    return table.replace('"', '""')
