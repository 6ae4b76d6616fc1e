"""Exports of nsys as folders of Parquet and Arrow files: the trace of the SQLite export of the same report."""

from __future__ import annotations

import sqlite3
from datetime import date, timedelta
from pathlib import Path

import polars as pl
import pytest

from rope_prof.analysis.trace.analyze import analyze
from rope_prof.cli import main
from rope_prof.errors import TraceError
from rope_prof.io.trace.read import read_trace
from rope_prof.io.trace.storage import found, several
from tests.io.test_nsys import export, kernel, launch, nvtx


@pytest.fixture
def report(tmp_path: Path) -> Path:
    sides = {f"{side}{d}": 2 for side in ("grid", "block") for d in "XYZ"}
    return export(
        tmp_path / "t.sqlite",
        CUPTI_ACTIVITY_KIND_KERNEL_V2=[kernel(100, 200, 1, **sides), kernel(220, 260, 2, **sides)],
        CUPTI_ACTIVITY_KIND_RUNTIME=[launch(10, 20, 1), launch(30, 40, 2)],
        NVTX_EVENTS=[nvtx(0, 90)],
    )


def as_folder(report: Path, kind: str) -> Path:
    folder = report.parent / f"t_{kind}dir"
    folder.mkdir()
    with sqlite3.connect(report) as database:
        for (name,) in database.execute("SELECT name FROM sqlite_master").fetchall():
            cursor = database.execute(f"SELECT * FROM {name}")
            columns = [column[0] for column in cursor.description]
            frame = pl.DataFrame(cursor.fetchall(), schema=columns, orient="row")
            if kind == "parquet":
                frame.write_parquet(folder / f"{name}.parquet")
            else:
                frame.write_ipc(folder / f"{name}.arrow")
    return folder


@pytest.mark.parametrize("kind", ["parquet", "arrow"])
def test_a_folder_of_tables_is_one_trace(report: Path, kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    folder = as_folder(report, kind)
    there, here = read_trace(report), read_trace(folder)
    for frame in ("gpu", "calls", "ranges"):
        assert getattr(here, frame).equals(getattr(there, frame)) and getattr(here, frame).height
    assert analyze(here).as_json() == analyze(there).as_json()
    assert not several([str(folder)])
    assert [Path(source.address) for source in found([str(folder.parent)])] == sorted([report, folder])
    assert main(["analyze", str(folder)]) == 0
    assert "2 GPU events" in capsys.readouterr().out


def test_a_damaged_table_is_one_sentence(report: Path) -> None:
    folder = as_folder(report, "parquet")
    table = folder / "CUPTI_ACTIVITY_KIND_KERNEL_V2.parquet"
    table.write_bytes(table.read_bytes()[:40])
    with pytest.raises(TraceError, match="cannot read the export"):
        read_trace(folder)


@pytest.mark.parametrize(
    "odd", [[7], {"a": 7}, 7, 1.5, 2**63 - 1, True, b"\xff", date(2026, 1, 1), timedelta(1), None], ids=str
)
@pytest.mark.parametrize("column", ["StringIds.id", "StringIds.value", "CUPTI_ACTIVITY_KIND_KERNEL_V2.demangledName"])
def test_cells_of_any_kind_cost_a_name_at_most(report: Path, column: str, odd: object) -> None:
    folder = as_folder(report, "parquet")
    table, _, name = column.partition(".")
    frame = pl.read_parquet(folder / f"{table}.parquet")
    made = pl.Series(name, [odd] * frame.height)
    frame.with_columns(made).write_parquet(folder / f"{table}.parquet")
    assert read_trace(folder).gpu["dur_ns"].to_list() == [100, 40]
