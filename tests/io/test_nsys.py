"""Exports of several schemas, built table by table; the reports through a stand-in `nsys`."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from rope_prof.analysis.trace.analyze import analyze
from rope_prof.analysis.trace.calls import call_frame
from rope_prof.errors import TraceError, UnavailableError
from rope_prof.io.trace import nsys
from rope_prof.io.trace.read import read_trace
from tests.io.made.damage import break_off

PID = 4242 << 24
OTHER = 4243 << 24
NAMES = ["", "void k<int>(float)", "k", "cudaLaunchKernel_v7000", "cuLaunchKernelEx", "a range", "rope_prof"]


def export(path: Path, **tables: list[dict[str, Any]]) -> Path:
    """An SQLite file with those tables; their columns are those of the first row."""
    database = sqlite3.connect(path)
    tables = {"StringIds": [{"id": k, "value": name} for k, name in enumerate(NAMES)], **tables}
    for table, rows in tables.items():
        columns = ", ".join('"' + column + '"' for column in rows[0])
        database.execute(f"CREATE TABLE {table} ({columns})")
        database.executemany(
            f"INSERT INTO {table} VALUES ({', '.join('?' * len(rows[0]))})", [[*r.values()] for r in rows]
        )
    database.commit()
    database.close()
    return path


def kernel(start: int, end: int, correlation: int, process: int = PID, **more: Any) -> dict[str, Any]:
    known = {
        "start": start,
        "end": end,
        "deviceId": 0,
        "streamId": 7,
        "correlationId": correlation,
        "globalPid": process,
    }
    return known | {"demangledName": 1, "shortName": 2} | more


def launch(start: int, end: int, correlation: int, process: int = PID, name: int = 3) -> dict[str, Any]:
    return {"start": start, "end": end, "globalTid": process + 7, "correlationId": correlation, "nameId": name}


def nvtx(start: int, end: int | None, **more: Any) -> dict[str, Any]:
    known = {"start": start, "end": end, "eventType": 59, "text": None, "textId": 5, "globalTid": PID + 7}
    return known | {"domainId": 0, "int64Value": None} | more


def test_a_damaged_table_keeps_the_rows_before_and_names_the_last(tmp_path: Path) -> None:
    kernels = [kernel(100 * k, 100 * k + 40, k + 1) for k in range(2000)]
    launches = [launch(100 * k - 50, 100 * k - 20, k + 1) for k in range(3)]
    path = export(tmp_path / "t.sqlite", CUPTI_ACTIVITY_KIND_RUNTIME=launches, CUPTI_ACTIVITY_KIND_KERNEL=kernels)
    break_off(path, 0.7)
    held = read_trace(path)
    (found,) = (one for one in held.findings if one.code == "damaged_table")
    count = held.gpu.height
    assert 1000 < count < 2000 and f"breaks off after {count} rows" in found.detail
    (event,) = found.events
    assert event["name"] == f"row {count} of CUPTI_ACTIVITY_KIND_KERNEL, the last that is read"
    assert (event["kind"], event["start_ns"], event["dur_ns"]) == ("gpu", 100 * (count - 1), 40)


def test_joins_on_correlation_and_process(tmp_path: Path) -> None:
    path = export(
        tmp_path / "t.sqlite",
        CUPTI_ACTIVITY_KIND_KERNEL=[kernel(100, 110, 1), kernel(120, 130, 1, OTHER), kernel(140, 150, 2, OTHER)],
        CUPTI_ACTIVITY_KIND_RUNTIME=[launch(10, 20, 1), launch(30, 40, 2, PID), launch(50, 60, 1, OTHER, name=4)],
    )
    held = read_trace(path)
    assert held.gpu["name"].to_list() == ["void k<int>(float)"] * 3
    assert held.gpu["process"].to_list() == [4242, 4243, 4243]
    assert held.calls.select("name", "api", "thread").row(0) == ("cudaLaunchKernel", "runtime", 7)
    assert held.calls["api"].to_list() == ["runtime", "runtime", "driver"]
    assert (analyze(held).links.linked, analyze(held).links.unlinked) == (2, 1)


def test_graph_mode_gives_whole_launches(tmp_path: Path) -> None:
    graphs = [
        {k: v for k, v in kernel(s, s + 50, c).items() if "Name" not in k} | {"graphId": 3}
        for s, c in ((100, 1), (200, 2))
    ]
    path = export(
        tmp_path / "t.sqlite",
        CUPTI_ACTIVITY_KIND_GRAPH_TRACE=graphs,
        CUPTI_ACTIVITY_KIND_RUNTIME=[launch(10, 20, 1), launch(30, 40, 2)],
    )
    (use,) = analyze(read_trace(path)).devices
    assert (use.graph_launches, use.kernels, use.busy_ns, use.idle_by_cause_ns) == (2, 0, 100, {"queued": 50})


def test_ranges_by_text_or_registered_string_with_domain_and_payload(tmp_path: Path) -> None:
    path = export(
        tmp_path / "t.sqlite",
        CUPTI_ACTIVITY_KIND_KERNEL=[kernel(100, 110, 1)],
        CUPTI_ACTIVITY_KIND_RUNTIME=[launch(10, 20, 1)],
        NVTX_EVENTS=[
            nvtx(0, 0, eventType=75, domainId=4, textId=6),
            nvtx(5, 30, domainId=4, int64Value=12),
            nvtx(6, None, text="open", textId=None),
            nvtx(7, 8, eventType=34, text="mark"),
        ],
    )
    held = read_trace(path)
    assert held.ranges.select("name", "domain", "payload", "dur_ns").rows() == [
        ("a range", "rope_prof", 12, 25),
        ("open", None, None, None),
    ]
    assert call_frame(held, "a range")["kernels"].to_list() == [1]


def test_copies_sets_and_names_of_the_device(tmp_path: Path) -> None:
    copy = {k: v for k, v in kernel(100, 110, 1).items() if "Name" not in k} | {"bytes": 64}
    path = export(
        tmp_path / "t.sqlite",
        CUPTI_ACTIVITY_KIND_MEMCPY=[copy | {"copyKind": 2}, copy | {"copyKind": 99}],
        CUPTI_ACTIVITY_KIND_MEMSET=[copy],
        TARGET_INFO_GPU=[{"id": 0, "name": "H200"}],
        META_DATA_EXPORT=[{"name": "EXPORT_SCHEMA_VERSION", "value": "3.99.0"}],
    )
    held = read_trace(path)
    assert held.gpu["name"].to_list() == ["Memcpy DtoH", "Memcpy kind 99", "Memset"]
    assert held.gpu["bytes"].sum() == 3 * 64
    assert held.device_names == {"0": "H200"}
    assert [f.code for f in held.findings] == ["untested_schema"]


def test_the_file_is_never_written(tmp_path: Path) -> None:
    path = export(tmp_path / "has space & #?.sqlite", CUPTI_ACTIVITY_KIND_KERNEL=[kernel(100, 110, 1)])
    path.chmod(0o444)
    before = path.read_bytes()
    read_trace(path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_rows_without_times_are_counted(tmp_path: Path) -> None:
    rows = [kernel(100, 110, 1), kernel(100, 110, 1) | {"end": None}, kernel(100, 110, 1) | {"start": "soon"}]
    held = read_trace(export(tmp_path / "t.sqlite", CUPTI_ACTIVITY_KIND_KERNEL=rows))
    assert held.gpu.height == 1
    assert [(f.code, f.count) for f in held.findings] == [("unreadable_times", 2)]


def test_other_databases_and_damage_are_one_error(tmp_path: Path) -> None:
    database = sqlite3.connect(tmp_path / "other.sqlite")
    database.execute("CREATE TABLE t (a)")
    database.commit()
    database.close()
    with pytest.raises(TraceError, match="no nsys export"):
        read_trace(tmp_path / "other.sqlite")
    (tmp_path / "cut.sqlite").write_bytes((tmp_path / "other.sqlite").read_bytes()[:1000])
    with pytest.raises(TraceError):
        read_trace(tmp_path / "cut.sqlite")


def test_a_report_goes_through_nsys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    report = tmp_path / "r.nsys-rep"
    report.write_bytes(b"\x01binary")
    monkeypatch.setattr(nsys, "find_nsys", lambda: None)
    with pytest.raises(UnavailableError, match="nsys export --type sqlite"):
        read_trace(report)
    exported = export(tmp_path / "t.sqlite", CUPTI_ACTIVITY_KIND_KERNEL=[kernel(100, 110, 1)])
    tool = tmp_path / "nsys"
    tool.write_text(f'#!/bin/sh\n[ "$1 $2 $3 $4" = "export --type sqlite --output" ] && cp "{exported}" "$5"\n')
    tool.chmod(0o755)
    monkeypatch.setattr(nsys, "find_nsys", lambda: tool)
    assert read_trace(report).gpu.height == 1
    assert read_trace(report).source == str(report)
    tool.write_text("#!/bin/sh\necho broken >&2\nexit 3\n")
    with pytest.raises(TraceError, match="exit code 3: broken"):
        read_trace(report)


@pytest.mark.parametrize("where", ["StringIds", "NVTX_EVENTS"])
@pytest.mark.parametrize("bit", range(8))
def test_a_flipped_bit_in_a_name_costs_a_letter(tmp_path: Path, where: str, bit: int) -> None:
    """A name that is no UTF-8 any more is read with a replacement; no time and no link is lost."""
    name = "müł name"
    raw = bytearray(name.encode())
    raw[1] ^= 1 << bit
    path = export(
        tmp_path / "t.sqlite",
        CUPTI_ACTIVITY_KIND_KERNEL=[kernel(100, 110, 1)],
        CUPTI_ACTIVITY_KIND_RUNTIME=[launch(10, 20, 1)],
        NVTX_EVENTS=[nvtx(0, 50, text=name, textId=None)],
    )
    database = sqlite3.connect(path)
    column, row = ("value", "id = 1") if where == "StringIds" else ("text", "start = 0")
    database.execute(f"UPDATE {where} SET {column} = CAST(? AS TEXT) WHERE {row}", (bytes(raw),))
    database.commit()
    database.close()
    held = read_trace(path)
    read = held.gpu["name"][0] if where == "StringIds" else held.ranges["name"][0]
    assert read == bytes(raw).decode(errors="replace") != name
    assert call_frame(held, ".*").select("kernels", "kernel_ns").row(0) == (1, 10)
    assert not held.findings
