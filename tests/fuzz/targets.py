"""What the fuzzer reads: for each kind of file a corpus to begin with (`corpora`), and what is done with an input.

Nothing here runs or writes outside its folder. Tables of Parquet and Arrow are drawn from columns that were mutated:
made-up bytes reach only binary readers that are made for files of strangers (SQLite, protobuf, archives).
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec
import polars as pl

from rope_prof.analysis.trace.analyze import analyze
from rope_prof.commands.gate_matrix import read_matrix
from rope_prof.foreign.flashinfer_schema import Definition, read_definition, read_solution, read_workloads
from rope_prof.io.run.baselines import Baselines
from rope_prof.io.run.clean_files import clean_file
from rope_prof.io.run.clean_json import clean_json
from rope_prof.io.run.folder import read_run
from rope_prof.io.run.nsight import read_nsight
from rope_prof.io.run.redact import PrivateWords
from rope_prof.io.run.requests import read_end_to_end
from rope_prof.io.trace.ncu import from_csv
from rope_prof.io.trace.perfetto import check_opens
from rope_prof.io.trace.read import read_trace
from rope_prof.model.drawn import KEY
from tests.foreign.written import definition
from tests.fuzz import corpora
from tests.fuzz.corpora import Corpus
from tests.io import packets

_WORDS: Final = PrivateWords({"cnryuser": "user", "/home/cnryhome": "home"})
#: An analysis costs twenty times as much as a reading.
_ANALYZE_EVERY: Final = 64
_DEFINITION: Final = msgspec.convert(definition(), Definition)


@dataclass(frozen=True)
class Target:
    """`corpus(folder)`: inputs that read. `tried(data, folder)`: read one. `weight`: its share of all tries."""

    corpus: Corpus
    tried: Callable[[bytes, Path], None]
    weight: int = 1


def _analyzed(path: Path, data: bytes) -> None:
    trace = read_trace(path)
    if zlib.crc32(data) % _ANALYZE_EVERY == 0:
        json.dumps(analyze(trace).as_json())


def _trace_named(name: str) -> Callable[[bytes, Path], None]:
    """Read a trace from a file of that name."""

    def tried(data: bytes, folder: Path) -> None:
        (folder / name).write_bytes(data)
        _analyzed(folder / name, data)

    return tried


def _read_as(name: str, read: Callable[[Path], object]) -> Callable[[bytes, Path], None]:
    """Read the file of that name."""

    def tried(data: bytes, folder: Path) -> None:
        (folder / name).write_bytes(data)
        read(folder / name)

    return tried


def _in_run(name: str, read: Callable[[Path], object]) -> Callable[[bytes, Path], None]:
    """Read the run folder that holds it under that name, and nothing else."""

    def tried(data: bytes, folder: Path) -> None:
        (folder / "run").mkdir(exist_ok=True)
        (folder / "run" / name).write_bytes(data)
        read(folder / "run")
        (folder / "run" / name).unlink()

    return tried


def _read_drawn(data: bytes, folder: Path) -> None:
    """A drawing that says that of itself."""
    about = packets.packet()
    about.chrome_events.metadata.add(name=KEY, string_value=data.decode("utf-8", errors="replace"))
    drawn = [packets.track(number, "stream 7") for number in (1, 2)]
    path = folder / "drawn.pftrace"
    path.write_bytes(packets.data(about, *drawn, packets.spans((10, 20), (30, 45)), packets.spans((10, 25), track=2)))
    _analyzed(path, data)


def _read_tables(data: bytes, folder: Path) -> None:
    """A folder of the tables that `data` tells, a column a line; Parquet or Arrow. What is no column is left out."""
    tables: dict[str, pl.DataFrame] = {}
    for line in data.splitlines():
        try:
            table, column, values = line.decode().split(" ", 2)
            made = pl.Series(column, json.loads(values), strict=False).to_frame()
            tables[table] = pl.concat([tables.get(table, pl.DataFrame()), made], how="horizontal")
        except Exception:  # what polars makes no column of is no file either
            continue
    place = folder / "tables"
    place.mkdir(exist_ok=True)
    for old in place.iterdir():
        old.unlink()
    arrow = zlib.crc32(data) % 2
    for number, (name, frame) in enumerate(tables.items()):
        file = place / ("".join(letter for letter in name if letter.isalnum() or letter == "_")[:80] or str(number))
        with suppress(pl.exceptions.PolarsError):
            frame.write_ipc(f"{file}.arrow") if arrow else frame.write_parquet(f"{file}.parquet")
    _analyzed(place, data)


def _read_baseline(data: bytes, folder: Path) -> None:
    place = folder / "store" / "main"
    place.mkdir(parents=True, exist_ok=True)
    (place / "20260101000000-aaaaaaaa.json").write_bytes(data)
    with suppress(ValueError, KeyError, TypeError, OSError, RecursionError):  # it must stand where it says it does
        (place / "20260101000000-aaaaaaaa.json").rename(place / f"{json.loads(data)['id']}.json")
    try:
        store = Baselines(str(folder / "store"))
        store.names()
        store.all("main")
    finally:
        for file in place.iterdir():
            file.unlink()


def _read_ncu(data: bytes, _folder: Path) -> None:
    list(from_csv(data.decode("utf-8", errors="replace"), "rope_prof"))


def _clean(data: bytes, _folder: Path) -> None:
    """Cleaned once is clean: a second time changes nothing."""
    made = clean_file("x.json", data, _WORDS)
    if made.data is not None and data[:2] != b"\x1f\x8b":
        assert not list(_WORDS.found(made.data.decode("utf-8", errors="replace"))), made.data
        again = clean_file("x.json", made.data, _WORDS)
        assert again.data == made.data, (made.data, again.data)
    clean_json(data, _WORDS)


def _clean_binary(data: bytes, _folder: Path) -> None:
    clean_file("x.bin", data, _WORDS)


_read_trace: Final = _trace_named("trace.json")

#: What costs little is tried the more: a million inputs take an hour of one core.
TARGETS: Final = {
    "kineto": Target(corpora.kineto_corpus, _read_trace, weight=6),
    "torch monitor": Target(corpora.monitor_corpus, _read_trace),
    "perfetto": Target(corpora.perfetto_corpus, _read_trace, weight=2),
    "drawn by us": Target(corpora.drawn_corpus, _read_drawn),
    "proton": Target(corpora.proton_corpus, _read_trace, weight=3),
    "proton trace": Target(corpora.proton_trace_corpus, _read_trace, weight=2),
    "nsys": Target(corpora.nsys_corpus, _read_trace, weight=2),
    "nsys folder": Target(corpora.export_folder_corpus, _read_tables),
    "rocpd": Target(corpora.rocpd_corpus, _read_trace),
    "rocprofv3": Target(corpora.rocprof_corpus, _read_trace, weight=3),
    "archive": Target(corpora.archive_corpus, _read_trace, weight=2),
    "tar.gz": Target(corpora.tar_gz_corpus, _trace_named("trace.tar.gz")),
    "run.json": Target(corpora.run_corpus, _in_run("run.json", read_run), weight=3),
    "end_to_end.json": Target(
        corpora.shipped("end_to_end.json"), _in_run("end_to_end.json", read_end_to_end), weight=3
    ),
    "nsight.json": Target(corpora.shipped("nsight.json"), _in_run("nsight.json", read_nsight), weight=3),
    "baseline": Target(corpora.baseline_corpus, _read_baseline, weight=3),
    "ncu csv": Target(corpora.ncu_corpus, _read_ncu, weight=3),
    "perfetto ui": Target(corpora.kineto_corpus, _read_as("opens.json", check_opens), weight=3),
    "definition": Target(corpora.definition_corpus, _read_as("definition.json", read_definition), weight=3),
    "solution": Target(
        corpora.solution_corpus, _read_as("a.json", lambda path: read_solution(path, _DEFINITION)), weight=3
    ),
    "workload": Target(
        corpora.workload_corpus, _read_as("a.jsonl", lambda path: read_workloads(path, _DEFINITION)), weight=3
    ),
    "rope_prof.toml": Target(corpora.matrix_corpus, _read_as("rope_prof.toml", read_matrix), weight=3),
    "cleaner": Target(corpora.cleaner_corpus, _clean, weight=4),
    "cleaner, packed": Target(corpora.binary_corpus, _clean_binary, weight=4),
}
