"""Nsight Systems: the SQLite export (schemas 3.16 to 3.28) and, through `nsys export`, the report -> `Trace`.

A table exists only if it has rows and columns vary by version: each is looked up before use. The file is opened
immutable, as tables alone (`sqlite`): nothing is ever written beside it, nothing in it is carried out. The environment,
process list and paths that an export carries are not read. Source of the facts: nsys's export schema and real exports.
"""

from __future__ import annotations

import re
import shutil
import sqlite3
import subprocess
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import polars as pl

from rope_prof.errors import TraceError, UnavailableError
from rope_prof.io.kineto.args import as_int, ints
from rope_prof.io.kineto.digits import LIMIT_NS
from rope_prof.io.layout import SYSTEMS_SUFFIX
from rope_prof.io.sqlite import damaged_table, tables_of
from rope_prof.io.trace.tables import ExportTables, FolderTables, SqliteTables
from rope_prof.model.trace import GPU_EVENTS, GRAPH_NODES, HOST_CALLS, OVERHEADS, RANGES, Finding, Trace, fitted, proof

_KERNEL: Final = "CUPTI_ACTIVITY_KIND_KERNEL"
_MEMCPY: Final = "CUPTI_ACTIVITY_KIND_MEMCPY"
_MEMSET: Final = "CUPTI_ACTIVITY_KIND_MEMSET"
_GRAPH: Final = "CUPTI_ACTIVITY_KIND_GRAPH_TRACE"
_HOST_NODE: Final = "CUPTI_ACTIVITY_KIND_GRAPH_HOST_NODE"
_RUNTIME: Final = "CUPTI_ACTIVITY_KIND_RUNTIME"
_MARKS: Final = (_KERNEL, _MEMCPY, _MEMSET, _GRAPH, _RUNTIME, "NVTX_EVENTS", "META_DATA_EXPORT", "StringIds")
_COPIES: Final = dict(
    enumerate(("HtoD", "DtoH", "HtoA", "AtoH", "AtoA", "AtoD", "DtoA", "DtoD", "HtoH", "PtoP"), start=1)
)
_RANGE_TYPES: Final = (59, 60)
_DOMAIN_TYPE: Final = 75
_TESTED: Final = ((3, 16), (3, 28))


def read_nsys(path: Path) -> Trace:
    """The trace of an nsys SQLite export. Raises `TraceError` where the file is no export or is damaged throughout."""
    try:
        with tables_of(path) as database:
            return _Export(SqliteTables(database), str(path)).trace()
    except sqlite3.DatabaseError as error:
        raise TraceError(f"cannot read {str(path)!r} as SQLite: {error}; export it again with nsys") from error


def read_nsys_folder(path: Path) -> Trace:
    """The trace of an export as a folder of Parquet or Arrow files. Errors as of `read_nsys`."""
    try:
        return _Export(FolderTables(path), str(path)).trace()
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        first = str(error).partition("\n")[0]
        raise TraceError(f"cannot read the export in {str(path)!r}: {first}; export it again with nsys") from error


class _Export:
    """One open export; `findings` grow while tables are read."""

    def __init__(self, tables: ExportTables, source: str) -> None:
        self._held = tables
        self._source = source
        self._findings: list[Finding] = []
        self._events = 0
        self._tables = _by_plain_name(tables.names())
        if not self._tables.keys() & set(_MARKS):
            raise TraceError(
                f"{source!r} is SQLite, but no nsys export (tables: {', '.join(sorted(self._tables)[:5]) or 'none'}); "
                "expected the output of 'nsys export --type sqlite'"
            )
        self._unread()
        self._strings = {
            number: value if value is None or isinstance(value, str) else str(value)
            for number, value in self._rows("StringIds", ("id", "value")).iter_rows()
        }

    def trace(self) -> Trace:
        gpu = pl.concat([self._kernels(), self._copies(), self._sets(), self._graphs()])
        calls, ranges, overheads = self._calls(), self._ranges(), self._overheads()
        times = self._rows("TARGET_INFO_SESSION_START_TIME", ("utcEpochNs",))["utcEpochNs"].to_list()
        names = self._rows("TARGET_INFO_GPU", ("id", "name")).iter_rows()
        metadata = self._metadata()
        return Trace(
            format="nsys",
            source=self._source,
            gpu=gpu,
            calls=calls,
            ranges=ranges,
            overheads=overheads,
            events=self._events,
            nodes=self._gpu(self._timed(_HOST_NODE, _WHERE), "host_node", pl.lit("HostNode")).select(list(GRAPH_NODES)),
            findings=tuple(self._findings),
            base_time_ns=as_int(times[0]) if times else None,
            device_names={str(device): str(name) for device, name in names if name},
            metadata=metadata,
        )

    def _unread(self) -> None:
        """Say which tables look like ones of GPU work, calls or ranges and are of no name that is known."""
        strange = sorted(name for plain, name in self._tables.items() if _KNOWN.match(plain) and plain not in _READ)
        if strange:
            detail = f"tables hold events of a kind that is not read: {', '.join(strange[:5])}"
            self._findings.append(Finding(code="unread_tables", detail=detail, count=len(strange)))

    def _rows(self, table: str, wanted: Sequence[str]) -> pl.DataFrame:
        """Those columns of a table as untyped values; missing columns are null, a missing table has no rows."""
        rows: list[tuple[Any, ...]] = []
        if table in self._tables and wanted:
            name = self._tables[table]
            held = [column for column in wanted if column in self._held.columns(name)]
            places = [held.index(column) if column in held else None for column in wanted]
            try:
                for more in self._held.rows(name, held) if held else ():
                    rows += [tuple(None if k is None else row[k] for k in places) for row in more]
            except sqlite3.OperationalError as error:
                raise TraceError(f"cannot read table {table} of {self._source!r}: {error}; export it again") from error
            except sqlite3.DatabaseError as error:
                self._findings.append(damaged_table(table, wanted, rows, error))
        return pl.DataFrame({c: pl.Series([r[k] for r in rows], dtype=pl.Object) for k, c in enumerate(wanted)})

    def _timed(self, table: str, extra: Sequence[str]) -> dict[str, pl.Series]:
        """Integer columns of a table with start and end; rows without a readable start are left out and counted."""
        frame = self._rows(table, ("start", "end", *extra))
        texts = [name for name in extra if name in _TEXTS]
        columns = {n: ints(n, _integers(frame[n].to_list())) for n in frame.columns if n not in texts}
        columns |= {n: pl.Series(n, list(map(self._text, frame[n])), dtype=pl.String) for n in texts}
        good = columns["start"].is_between(-LIMIT_NS, LIMIT_NS, closed="none").fill_null(False)
        end = columns["end"].is_between(-LIMIT_NS, LIMIT_NS, closed="none")
        good &= end.fill_null(table == "NVTX_EVENTS")
        lost = frame.height - int(good.sum())
        if lost:
            detail = f"rows of {table} have no readable start or end and are left out"
            rows = pl.DataFrame([*(columns[n] for n in texts), columns["start"].alias("start_ns")]).filter(~good)
            named = rows.with_columns(name=pl.coalesce(*texts, pl.lit(table)), dur_ns=pl.lit(None))
            events = proof(named, "gpu" if table in _GPU_TABLES else "host")
            self._findings.append(Finding(code="unreadable_times", detail=detail, count=lost, events=events))
        self._events += frame.height - lost
        return {name: column.filter(good) for name, column in columns.items()}

    def _text(self, value: Any) -> str | None:
        """A `StringIds` reference, or text that stands in the column itself."""
        return value if isinstance(value, str) or value is None else self._strings.get(value)

    def _gpu(self, rows: dict[str, pl.Series], kind: str, name: pl.Series | pl.Expr) -> pl.DataFrame:
        frame = pl.DataFrame([column.alias(key) for key, column in rows.items()])
        device = pl.col("deviceId").cast(pl.String).fill_null("?")
        known = {
            "kind": pl.lit(kind),
            "name": name,
            "device": device,
            "stream": pl.col("streamId"),
            "process": _process("globalPid"),
            "start_ns": pl.col("start"),
            "dur_ns": pl.col("end") - pl.col("start"),
            "correlation": pl.when(pl.col("correlationId") != 0).then("correlationId"),
        }
        optional = {
            "graph": "graphId",
            "graph_node": "graphNodeId",
            "bytes": "bytes",
            "registers": "registersPerThread",
        }
        for column, source in optional.items():
            if source in rows:
                zero_is_none = column.startswith("graph")
                known[column] = pl.when(pl.col(source) != 0).then(source) if zero_is_none else pl.col(source)
        if "gridX" in rows:
            shared = pl.col("staticSharedMemory").fill_null(0) + pl.col("dynamicSharedMemory").fill_null(0)
            told = pl.col("staticSharedMemory").is_not_null() | pl.col("dynamicSharedMemory").is_not_null()
            known["shared_bytes"] = pl.when(told).then(shared)
            known["grid"], known["block"] = (
                pl.concat_str([f"{side}{d}" for d in "XYZ"], separator="x") for side in ("grid", "block")
            )
        return fitted(frame, GPU_EVENTS, **known)

    def _kernels(self) -> pl.DataFrame:
        sides = [f"{side}{d}" for side in ("grid", "block") for d in "XYZ"]
        extra = (*_WHERE, "demangledName", "shortName", "mangledName", "registersPerThread", "staticSharedMemory")
        rows = self._timed(_KERNEL, (*extra, "dynamicSharedMemory", "graphId", "graphNodeId", *sides))
        names = pl.coalesce("demangledName", "shortName", "mangledName").fill_null("(unnamed kernel)")
        return self._gpu(rows, "kernel", names)

    def _copies(self) -> pl.DataFrame:
        rows = self._timed(_MEMCPY, (*_WHERE, "bytes", "copyKind", "srcKind", "dstKind", "graphId", "graphNodeId"))
        ways = (_COPIES.get(k, f"kind {k}") for k in rows.pop("copyKind").to_list())
        memory = dict(self._rows("ENUM_CUDA_MEM_KIND", ("id", "label")).iter_rows())
        ends = (rows.pop("srcKind").to_list(), rows.pop("dstKind").to_list())
        told = (
            f" ({memory[a]} -> {memory[b]})" if a in memory and b in memory else "" for a, b in zip(*ends, strict=True)
        )
        kinds = [f"Memcpy {way}{ends}" for way, ends in zip(ways, told, strict=True)]
        return self._gpu(rows, "memcpy", pl.lit(pl.Series(kinds, dtype=pl.String)))

    def _sets(self) -> pl.DataFrame:
        return self._gpu(self._timed(_MEMSET, (*_WHERE, "bytes", "graphId", "graphNodeId")), "memset", pl.lit("Memset"))

    def _graphs(self) -> pl.DataFrame:
        rows = self._timed(_GRAPH, (*_WHERE, "graphId"))
        return self._gpu(rows, "graph", pl.format("CUDA graph {}", pl.col("graphId").cast(pl.String).fill_null("?")))

    def _calls(self) -> pl.DataFrame:
        rows = self._timed(_RUNTIME, ("globalTid", "correlationId", "nameId"))
        name = pl.col("nameId").fill_null("(unnamed call)").str.replace(r"_v\d+$", "")
        known = {
            "name": name,
            "api": pl.when(name.str.contains(r"^(?:cu|hipModule)[A-Z]"))
            .then(pl.lit("driver"))
            .otherwise(pl.lit("runtime")),
            "correlation": pl.when(pl.col("correlationId") != 0).then("correlationId"),
        }
        return fitted(pl.DataFrame(list(rows.values())), HOST_CALLS, **known, **_HOST)

    def _ranges(self) -> pl.DataFrame:
        values = ("int64Value", "uint64Value", "int32Value", "uint32Value")
        extra = ("eventType", "text", "textId", "globalTid", "endGlobalTid", "domainId", *values)
        frame = pl.DataFrame(list(self._timed("NVTX_EVENTS", extra).values()))
        named = pl.coalesce("text", "textId")
        domains = frame.filter(pl.col("eventType") == _DOMAIN_TYPE).select("domainId", domain=named).unique("domainId")
        frame = frame.filter(pl.col("eventType").is_in(_RANGE_TYPES)).join(
            domains, on="domainId", how="left", maintain_order="left"
        )
        known = {
            "name": named.fill_null(""),
            "kind": pl.lit("nvtx"),
            "domain": pl.col("domain"),
            "payload": pl.coalesce(*values),
            **_HOST,
            "thread": pl.when(pl.col("eventType") == 59).then(_HOST["thread"]),  # start/end: of the process
        }
        return fitted(frame, RANGES, **known)

    def _overheads(self) -> pl.DataFrame:
        frames = []
        for table in ("PROFILER_OVERHEAD", "CUPTI_ACTIVITY_KIND_OVERHEAD"):
            rows = self._timed(table, ("globalTid", "nameId"))
            name = pl.col("nameId").fill_null("(profiler overhead)")
            frames.append(fitted(pl.DataFrame(list(rows.values())), OVERHEADS, name=name, **_HOST))
        return pl.concat(frames)

    def _metadata(self) -> dict[str, Any]:
        told = dict(self._rows("META_DATA_EXPORT", ("name", "value")).iter_rows())
        captured = dict(self._rows("META_DATA_CAPTURE", ("name", "value")).iter_rows())
        schema = str(told.get("EXPORT_SCHEMA_VERSION") or "")
        numbers = tuple(as_int(part) or 0 for part in schema.split(".")[:2])
        if len(numbers) == 2 and not _TESTED[0] <= numbers <= _TESTED[1]:
            detail = f"export schema {schema}; 3.16 to 3.28 are known, others are read as far as their tables are alike"
            self._findings.append(Finding(code="untested_schema", detail=detail))
        facts = {
            "schema": schema or None,
            "nsys": told.get("EXPORT_PRODUCT_VERSION"),
            "graph_mode": captured.get("CUDA_GRAPH_TRACE_OPTIONS:MODE"),
        }
        return {key: str(value) for key, value in facts.items() if value}


_SUFFIX: Final = re.compile(r"(?i)_v\d+$")
_READ: Final = frozenset((*_MARKS, _HOST_NODE, "CUPTI_ACTIVITY_KIND_OVERHEAD"))
#: Tables of GPU work and launches, in whatever spelling; those of waits, events and memory are no figure's.
_KNOWN: Final = re.compile(r"(?i)(?:CUPTI_ACTIVITY_KIND_(?:.*KERNEL|MEMCPY|MEMSET|GRAPH_TRACE|RUNTIME)|NVTX_EVENTS).*$")
_WHERE: Final = ("deviceId", "streamId", "correlationId", "globalPid")
_GPU_TABLES: Final = frozenset((_KERNEL, _MEMCPY, _MEMSET, _GRAPH, _HOST_NODE))
_TEXTS: Final = frozenset(("demangledName", "shortName", "mangledName", "nameId", "text", "textId"))


def _by_plain_name(tables: Iterable[str]) -> dict[str, str]:
    """Tables by their name without a version suffix (`_V2`); where both are there the plain one is meant."""
    names = sorted(tables, key=lambda name: (-len(name), name))
    return {_SUFFIX.sub("", name): name for name in names}


def _process(column: str) -> pl.Expr:
    return (pl.col(column) // (1 << 24)) % (1 << 24)


_HOST: Final[dict[str, pl.Expr]] = {
    "process": _process("globalTid"),
    "thread": pl.col("globalTid") % (1 << 24),
    "start_ns": pl.col("start"),
    "dur_ns": pl.col("end") - pl.col("start"),
}


def _integers(values: list[Any]) -> list[int | None]:
    return [v if isinstance(v, int) or v is None else as_int(v) for v in values]


def is_report(path: Path, first: bytes) -> bool:
    """Whether this is nsys's own report: its format is not public, so the suffix of a binary file has to do."""
    return path.suffix in (SYSTEMS_SUFFIX, ".qdrep") and bool(first)


def find_nsys() -> Path | None:
    """`nsys` on PATH, or under the usual folders of Nsight Systems and the CUDA toolkit."""
    found = shutil.which("nsys")
    if found:
        return Path(found)
    places = (
        "/usr/local/cuda*/bin/nsys",
        "/opt/nvidia/nsight-systems*/*/bin/nsys",
        "/opt/nvidia/nsight-systems/*/target-linux-x64/nsys",
    )
    candidates = sorted(hit for place in places for hit in Path("/").glob(place[1:]))
    return candidates[-1] if candidates else None


def read_report(path: Path) -> Trace:
    """The trace of an `.nsys-rep`, exported by nsys into a temporary folder."""
    nsys = find_nsys()
    if nsys is None:
        raise UnavailableError(
            f"{str(path)!r} is an Nsight Systems report and 'nsys' is not installed here; run "
            f"'nsys export --type sqlite {path.name}' where it is, and analyze the .sqlite"
        )
    with tempfile.TemporaryDirectory(prefix="rope-prof-") as folder:
        target = Path(folder) / "export.sqlite"
        command = [str(nsys), "export", "--type", "sqlite", "--output", str(target), str(path)]
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
        if done.returncode or not target.exists():
            last = (done.stderr or done.stdout).strip().splitlines()[-1:] or ["no message"]
            raise TraceError(f"'nsys export' of {str(path)!r} failed with exit code {done.returncode}: {last[0]}")
        return replace(read_nsys(target), source=str(path))
