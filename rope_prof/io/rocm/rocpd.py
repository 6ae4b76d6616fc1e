"""rocpd, the SQLite database of rocprofv3 (its default since ROCm 7) -> `Trace`.

Each table carries the run's id behind its name, a merged database has one set a run; views are not entered. Two layouts
are in the wild: times and places in each row (schema of ROCm 7.0), or as numbers of tracks and timestamps (schema 3).
Source of the facts: rocprofiler-sdk's rocpd_tables.sql and generateRocpd.cpp.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import polars as pl

from rope_prof.errors import TraceError
from rope_prof.io.kineto.args import ints
from rope_prof.io.rocm.records import CALLS, COPIES, DISPATCHES, rocm_trace
from rope_prof.io.sqlite import damaged_table, fetched, tables_of
from rope_prof.model.trace import Finding, Trace

_TEXTS: Final = frozenset(("string", "display_name", "kernel_name", "name", "type", "extdata", "product_name"))
_WHERE: Final = ("pid", "tid", "agent_id", "queue_id", "stream_id")


def holds_rocpd(tables: Sequence[str]) -> bool:
    """Whether these are the tables of such a database."""
    return any(name.startswith(("rocpd_kernel_dispatch", "rocpd_info_agent")) for name in tables)


def sqlite_tables(path: Path) -> list[str]:
    """The names of its tables; none where it cannot be read."""
    try:
        with tables_of(path) as database:
            rows = database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
            return [str(name) for (name,) in rows]
    except sqlite3.Error:
        return []


def read_rocpd(path: Path) -> Trace:
    """The trace of a rocpd database. Errors: TraceError for a damaged one."""
    try:
        with tables_of(path) as database:
            return _Database(database, str(path)).trace()
    except sqlite3.DatabaseError as error:
        raise TraceError(f"cannot read {str(path)!r} as SQLite: {error}; write it again with rocprofv3") from error


class _Database:
    """One open database."""

    def __init__(self, database: sqlite3.Connection, source: str) -> None:
        self._database = database
        self._source = source
        self._findings: list[Finding] = []
        tables = database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        self._tables = sorted(str(name) for (name,) in tables)
        self._strings = self._read("string", ("id", "string"))
        agents = self._read("info_agent", ("id", "type", "type_index", "absolute_index", "name", "product_name"))
        number = pl.coalesce("type_index", "absolute_index", "id").cast(pl.String)
        gpu = (pl.col("type") == "GPU").fill_null(False)
        self._agents = agents.select("run", "id", "name", "product_name", gpu=gpu, device=number)

    def trace(self) -> Trace:
        names = self._agents.filter("gpu").select("device", pl.coalesce("product_name", "name")).rows()
        return rocm_trace(
            self._source,
            "rocpd",
            self._dispatches(),
            self._copies(),
            self._calls(),
            device_names={device: name for device, name in names if name},
            findings=self._findings,
        )

    def _read(self, base: str, columns: Sequence[str]) -> pl.DataFrame:
        """Those columns of a table of every run, with `run`; integers but for texts, a missing column is null."""
        names = ((table, table.removeprefix(f"rocpd_{base}")) for table in self._tables)
        held = [(table, run) for table, run in names if run != table and run[:1] in ("", "_")]
        frames = [self._rows(table, columns).select(pl.lit(run).alias("run"), pl.all()) for table, run in held]
        schema = {"run": pl.String, **{c: pl.String if c in _TEXTS else pl.Int64 for c in columns}}
        return pl.concat(frames) if frames else pl.DataFrame(schema=schema)

    def _rows(self, table: str, columns: Sequence[str]) -> pl.DataFrame:
        quoted = table.replace('"', '""')
        held = {str(row[1]) for row in self._database.execute(f'PRAGMA table_info("{quoted}")')}
        picked = ", ".join(f'"{c}"' if c in held else f'NULL AS "{c}"' for c in columns)
        rows: list[tuple[Any, ...]] = []
        try:
            for more in fetched(self._database.execute(f'SELECT {picked} FROM "{quoted}" ORDER BY rowid')):
                rows += more
        except sqlite3.OperationalError as error:
            raise TraceError(f"cannot read table {table} of {self._source!r}: {error}; write it again") from error
        except sqlite3.DatabaseError as error:
            self._findings.append(damaged_table(table, columns, rows, error))
        each = list(zip(*rows, strict=True)) or [()] * len(columns)
        made = [
            pl.Series(c, [v if isinstance(v, str) else None for v in values], dtype=pl.String)
            if c in _TEXTS
            else ints(c, list(values))
            for c, values in zip(columns, each, strict=True)
        ]
        return pl.DataFrame(made)

    def _timed(self, base: str, extra: Sequence[str]) -> pl.DataFrame:
        """Rows with start_ns, end_ns, their place and correlation, in either layout."""
        wanted = ("start", "end", "start_id", "end_id", "track_id", "event_id", *_WHERE, *extra)
        rows = self._read(base, wanted)
        for side in ("start", "end"):
            stamps = self._looked_up("timestamp", ("value",)) if rows[f"{side}_id"].null_count() < rows.height else None
            if stamps is not None:
                found = stamps.rename({"id": f"{side}_id", "value": "stamp"})
                rows = rows.join(found, on=["run", f"{side}_id"], how="left", maintain_order="left")
                rows = rows.with_columns(pl.coalesce(side, "stamp").alias(side)).drop("stamp")
        if rows["track_id"].null_count() < rows.height:
            tracks = self._looked_up("track", _WHERE).rename({"id": "track_id"})
            rows = rows.join(tracks, on=["run", "track_id"], how="left", suffix="_track", maintain_order="left")
            rows = rows.with_columns(pl.coalesce(c, f"{c}_track").alias(c) for c in _WHERE)
        for column, table in (("pid", "info_process"), ("tid", "info_thread")):
            real = self._looked_up(table, (column,)).rename({column: "real", "id": column})
            rows = rows.join(real, on=["run", column], how="left", maintain_order="left")
            rows = rows.with_columns(pl.coalesce("real", column).alias(column)).drop("real")
        events = self._looked_up("event", ("stack_id", "category_id", "extdata")).rename({"id": "event_id"})
        rows = rows.join(events, on=["run", "event_id"], how="left", maintain_order="left")
        return rows.rename({"start": "start_ns", "end": "end_ns", "pid": "process", "tid": "thread"}).with_columns(
            correlation="stack_id", stream=pl.coalesce("stream_id", "queue_id")
        )

    def _looked_up(self, base: str, columns: Sequence[str]) -> pl.DataFrame:
        return self._read(base, ("id", *columns)).unique(["run", "id"], keep="first", maintain_order=True)

    def _named(self, rows: pl.DataFrame, column: str, name: str) -> pl.DataFrame:
        """With the string that `column` numbers as `name`."""
        strings = self._strings.rename({"id": column, "string": name})
        return rows.join(strings, on=["run", column], how="left", maintain_order="left")

    def _dispatches(self) -> pl.DataFrame:
        sides = [f"{side}_size_{d}" for side in ("grid", "workgroup") for d in "xyz"]
        rows = self._timed("kernel_dispatch", ("kernel_id", "group_segment_size", *sides))
        symbols = self._looked_up("info_kernel_symbol", ("display_name", "kernel_name")).rename({"id": "kernel_id"})
        rows = rows.join(symbols, on=["run", "kernel_id"], how="left", maintain_order="left")
        agents = self._agents.select("run", "device", agent_id="id")
        rows = rows.join(agents, on=["run", "agent_id"], how="left", maintain_order="left")
        return rows.with_columns(
            *(pl.col(f"grid_size_{d}").alias(f"grid_{d}") for d in "xyz"),
            *(pl.col(f"workgroup_size_{d}").alias(f"block_{d}") for d in "xyz"),
            name=pl.coalesce("display_name", "kernel_name"),
            device=pl.coalesce("device", pl.col("agent_id").cast(pl.String)).fill_null("?"),
            shared_bytes="group_segment_size",
        ).select(*DISPATCHES)

    def _copies(self) -> pl.DataFrame:
        """A copy belongs to the GPU that it goes to, else to the one that it comes from."""
        rows = self._timed("memory_copy", ("name_id", "size", "dst_agent_id", "src_agent_id"))
        rows = self._named(rows, "name_id", "name")
        for end in ("dst", "src"):
            gpus = self._agents.filter("gpu").select("run", pl.col("id").alias(f"{end}_agent_id"), **{end: "device"})
            rows = rows.join(gpus, on=["run", f"{end}_agent_id"], how="left", maintain_order="left")
        return rows.with_columns(device=pl.coalesce("dst", "src").fill_null("?"), bytes="size").select(*COPIES)

    def _calls(self) -> pl.DataFrame:
        rows = self._named(self._timed("region", ("name_id",)), "name_id", "name")
        rows = self._named(rows, "category_id", "domain")
        message = pl.col("extdata").str.json_path_match("$.message")
        return rows.with_columns(message=message).select(*CALLS)
