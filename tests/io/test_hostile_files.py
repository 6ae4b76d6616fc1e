"""Files that no profiler wrote cost one line or one finding: odd names, two arrays, odd devices, programs in SQLite.

Whatever would hang, crash or get by a check elsewhere is not here: the walls are tried with harmless inputs.
"""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from rope_prof.analysis.trace.analyze import analyze
from rope_prof.cli import main
from rope_prof.errors import RunError, TraceError
from rope_prof.io import sqlite
from rope_prof.io.run.folder import read_run, write_run
from rope_prof.io.run.nsight import read_nsight
from rope_prof.io.run.requests import read_end_to_end
from rope_prof.io.trace.read import read_trace
from tests import runs


def kernel(number: int, **args: Any) -> dict[str, Any]:
    known = {"device": 0, "stream": 7, "correlation": number + 1}
    times = {"ts": 10.5 * number, "dur": 5.25}
    return {"ph": "X", "cat": "kernel", "name": f"k{number}", "pid": 0, "tid": 7, **times, "args": known | args}


KERNELS = [kernel(number) for number in range(50)]


def written(folder: Path, data: bytes | str | dict[str, Any]) -> Path:
    path = folder / "hostile.json"
    text = json.dumps(data) if isinstance(data, dict) else data
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def codes(path: Path) -> dict[str, int]:
    return {finding.code: finding.count for finding in read_trace(path).findings}


@pytest.mark.parametrize(
    "name", ["caf\u00e9".encode("latin-1"), "\u6838\u5fc3".encode("gbk"), b"\xff\xfe\x00x", b"\xed\xa0\x80"]
)
@pytest.mark.parametrize("what", [b"process_name", b"thread_name", b"process_labels", b"other"])
@pytest.mark.parametrize("field", [b"name", b"labels"])
def test_metadata_in_another_encoding_costs_nothing(tmp_path: Path, name: bytes, what: bytes, field: bytes) -> None:
    name = name.replace(b"\x00", b"")
    told = b'{"ph":"M","name":"%s","pid":1,"tid":0,"args":{"%s":"%s"}},' % (what, field, name)
    path = written(tmp_path, b'{"traceEvents":[' + told + json.dumps(KERNELS)[1:].encode() + b"}")
    assert read_trace(path).gpu.height == 50


def test_a_folder_with_such_a_trace_is_analyzed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = b'{"ph":"M","name":"process_name","pid":1,"tid":0,"args":{"name":"caf\xe9"}},'
    written(tmp_path, b'{"traceEvents":[' + told + json.dumps(KERNELS)[1:].encode() + b"}")
    assert main(["analyze", str(tmp_path / "hostile.json")]) == 0
    assert main(["analyze", str(tmp_path), "-o", str(tmp_path / "found")]) == 0
    assert "bug of rope_prof" not in capsys.readouterr().out


def test_a_second_array_is_told_and_makes_the_trace_suspect(tmp_path: Path) -> None:
    first, second = json.dumps(KERNELS[:10]), json.dumps(KERNELS[10:])
    path = written(tmp_path, '{"traceEvents":' + first + ', "traceEvents":' + second + "}")
    assert read_trace(path).gpu.height == 10
    assert codes(path)["second_array"] == 40
    assert analyze(read_trace(path)).integrity.verdict == "suspect"


@pytest.mark.parametrize(
    "before",
    [
        '"meta": {"traceEvents": [{"ph": "X", "cat": "kernel", "name": "decoy", "ts": 1, "dur": 5}]}',
        '"meta": [{"traceEvents": []}]',
        '"meta": "\\"traceEvents\\": ["',
        '"meta": "{ [ \\\\", "more": {"a": "}"}',
    ],
)
def test_the_array_at_the_top_is_read_whatever_stands_before_it(tmp_path: Path, before: str) -> None:
    path = written(tmp_path, "{" + before + ', "traceEvents": ' + json.dumps(KERNELS) + "}")
    trace = read_trace(path)
    assert trace.gpu["name"].to_list() == [f"k{number}" for number in range(50)]
    assert not {"cut_json", "second_array"} & set(codes(path))


def test_an_array_one_level_lower_is_read_where_there_is_no_other(tmp_path: Path) -> None:
    assert read_trace(written(tmp_path, {"trace": {"traceEvents": KERNELS}})).gpu.height == 50


@pytest.mark.parametrize("value", [[], {}, True, [1], {"a": 1}, "x", 1.5, 10**30])
@pytest.mark.parametrize("field", ["device", "stream"])
def test_an_odd_place_moves_nothing_in_silence(tmp_path: Path, field: str, value: Any) -> None:
    path = written(tmp_path, {"traceEvents": [kernel(k, **({field: value} if k == 3 else {})) for k in range(5)]})
    assert read_trace(path).gpu.height == 5
    assert codes(path)["odd_places"] == 1
    assert analyze(read_trace(path)).integrity.verdict == "suspect"


def export(path: Path, *more: str, rows: int = 3) -> sqlite3.Connection:
    made = sqlite3.connect(path)
    made.execute("CREATE TABLE StringIds (id INTEGER, value TEXT)")
    columns = "start INTEGER, end INTEGER, deviceId INTEGER, streamId INTEGER, correlationId INTEGER, shortName INTEGER"
    made.execute(f"CREATE TABLE CUPTI_ACTIVITY_KIND_KERNEL ({columns})")
    made.execute("INSERT INTO StringIds VALUES (1, 'k')")
    for number in range(rows):
        made.execute(
            "INSERT INTO CUPTI_ACTIVITY_KIND_KERNEL VALUES (?, ?, 0, 7, ?, 1)", (number * 10, number * 10 + 5, number)
        )
    for statement in more:
        made.execute(statement)
    made.commit()
    return made


def test_a_view_in_the_place_of_a_table_is_not_entered(tmp_path: Path) -> None:
    path = tmp_path / "x.sqlite"
    export(path, "CREATE VIEW CUPTI_ACTIVITY_KIND_RUNTIME AS SELECT 1 AS start, 2 AS end").close()
    trace = read_trace(path)
    assert (trace.gpu.height, trace.calls.height) == (3, 0)
    with sqlite.tables_of(path) as database:
        with pytest.raises(sqlite3.DatabaseError, match=r"not authorized|prohibited"):
            database.execute("SELECT * FROM CUPTI_ACTIVITY_KIND_RUNTIME").fetchall()
        for statement in (
            "DELETE FROM StringIds",
            "ATTACH 'x' AS y",
            "PRAGMA writable_schema = ON",
            "SELECT load_extension('x')",
            "SELECT zeroblob(10)",
        ):
            with pytest.raises(sqlite3.DatabaseError):
                database.execute(statement).fetchall()


def test_names_that_are_no_text_cost_their_table_or_are_one_error(tmp_path: Path) -> None:
    path = tmp_path / "x.sqlite"
    export(path, "CREATE TABLE notes (x INTEGER)").close()
    sound = path.read_bytes()
    path.write_bytes(sound.replace(b"notes", b"not\xe9s"))
    assert read_trace(path).gpu.height == 3
    path.write_bytes(sound.replace(b"CUPTI_ACTIVITY_KIND_KERNEL", b"CUPTI_ACTIVITY_KIND_KERN\xe9L"))
    assert (trace := read_trace(path)).gpu.is_empty()
    assert analyze(trace).integrity.verdict != "sound"
    path.write_bytes(sound.replace(b"CREATE TABLE notes", b"CREATE TABL\xe9 notes"))
    with pytest.raises(TraceError, match="SQLite"):
        read_trace(path)


def test_a_statement_is_stopped_at_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.sqlite"
    export(path, rows=2000).close()
    assert read_trace(path).gpu.height == 2000
    monkeypatch.setattr(sqlite, "LOOK_EVERY", 100)
    monkeypatch.setattr(sqlite, "MOST_STEPS", 5_000)
    with pytest.raises(TraceError, match="interrupted"):
        read_trace(path)


def test_times_at_the_ends_of_int64_are_left_out_and_counted(tmp_path: Path) -> None:
    path = tmp_path / "x.sqlite"
    ends = [(-(2**63), 2**63 - 1), (2**63 - 2, 2**63 - 1), (-(2**63), -(2**63) + 1), (0, 2**62), (-(2**62), 5)]
    made = export(path)
    made.executemany("INSERT INTO CUPTI_ACTIVITY_KIND_KERNEL VALUES (?, ?, 0, 7, 9, 1)", ends)
    made.commit()
    made.close()
    trace = read_trace(path)
    assert trace.gpu.height == 3
    assert codes(path)["unreadable_times"] == 5
    assert main(["export", str(path), "--to", "perfetto", "-o", str(tmp_path / "x.pftrace")]) == 0
    (device,) = analyze(trace).devices
    assert device.busy_ns == 15


@pytest.mark.parametrize(
    "ts", ["9223372036854775807", "-9223372036854775808", "9.2e18", "1e400", "4611686018427387904"]
)
def test_times_at_the_ends_of_int64_in_json_are_left_out_and_counted(tmp_path: Path, ts: str) -> None:
    odd = json.dumps(kernel(60)).replace("630.0", ts)
    path = written(tmp_path, '{"traceEvents":[' + odd + "," + json.dumps(KERNELS)[1:] + "}")
    assert read_trace(path).gpu.height == 50
    assert codes(path)["unreadable_times"] == 1


def places(what: str, many: int) -> list[dict[str, Any]]:
    """`many` kernels, each on a stream, on a device, or launched by a thread of its own."""
    events = []
    for k in range(many):
        events.append(kernel(k, **({what: k} if what != "thread" else {})))
        if what == "thread":
            call = {"ph": "X", "cat": "cuda_runtime", "name": "cudaLaunchKernel", "pid": 1, "tid": k}
            events.append(call | {"ts": 10.5 * k - 3, "dur": 1, "args": {"correlation": k + 1}})
    return events


@pytest.mark.parametrize("what", ["stream", "thread"])
def test_a_great_many_places_are_accounted(tmp_path: Path, what: str) -> None:
    """A tenth of what docs/reliability.md states the cost of."""
    found = analyze(read_trace(written(tmp_path, {"traceEvents": places(what, 10_000)})))
    assert [device.kernels for device in found.devices] == [10_000]
    assert len(found.devices[0].streams) == (10_000 if what == "stream" else 1)


def test_more_devices_than_can_be_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(tmp_path, {"traceEvents": places("device", 10_000)})
    assert main(["analyze", str(path)]) == 1
    error = capsys.readouterr().err
    assert "names 10,000 devices, more than the 1,024" in error
    assert len(error.splitlines()) == 1


@pytest.mark.parametrize("data", [b'{"a\xe9": 1}', b"[" * 100_000, b"{", b""])
@pytest.mark.parametrize("name", ["run.json", "nsight.json", "end_to_end.json"])
def test_a_file_that_is_no_json_text_is_one_line(tmp_path: Path, name: str, data: bytes) -> None:
    (tmp_path / name).write_bytes(data)
    read = {"run.json": read_run, "nsight.json": read_nsight, "end_to_end.json": read_end_to_end}[name]
    with pytest.raises(RunError, match="is damaged") as caught:
        read(tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("form", ["{}}", "{", "n", "{}{}", "{:>3}", "{0}", "{0.real}", "{x}"])
def test_the_form_of_an_axis_is_text_around_a_value(tmp_path: Path, form: str) -> None:
    write_run(tmp_path, runs.run(runs.facts(status="failed", reason="no")))
    facts = json.loads((tmp_path / "run.json").read_text())
    facts["operation"]["axes"][0]["form"] = form
    (tmp_path / "run.json").write_text(json.dumps(facts))
    with pytest.raises(RunError, match=r"expected text with one \{\}"):
        read_run(tmp_path)
