"""rocprofv3's three formats, each a file of one run (`made/rocm.py`): one trace."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import polars as pl
import pytest

from rope_prof.analysis.trace.analyze import analyze
from rope_prof.errors import TraceError
from rope_prof.io.trace.read import read_trace
from rope_prof.model.trace import Trace
from tests.io.made.damage import break_off
from tests.io.made.rocm import BASE, EVENTS, PID, TID, as_json, as_pftrace, write_rocpd

FORMS = ["rocpd, times in rows", "rocpd, timestamps and tracks", "JSON", "pftrace"]


@pytest.fixture(scope="module")
def traces(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Trace]:
    folder = tmp_path_factory.mktemp("rocm")
    for name, layout in (("a.db", "direct"), ("b.db", "tracks")):
        write_rocpd(folder / name, layout)  # type: ignore[arg-type]
    (folder / "c.json").write_bytes(as_json())
    (folder / "d.pftrace").write_bytes(as_pftrace())
    return dict(zip(FORMS, map(read_trace, sorted(folder.iterdir())), strict=True))


@pytest.mark.parametrize("form", FORMS)
def test_every_kernel_copy_call_and_marker_is_read_to_the_nanosecond(traces: dict[str, Trace], form: str) -> None:
    trace = traces[form]
    kinds = {"kernel": "kernel", "copy": "memcpy"}
    wanted = [
        (kinds[one.what], one.start, one.end - one.start, one.correlation, one.stream)
        for one in EVENTS
        if one.what in kinds
    ]
    found = trace.gpu.select("kind", "start_ns", "dur_ns", "correlation", "stream")
    assert sorted(found.rows()) == sorted(wanted)
    assert trace.gpu.filter(pl.col("kind") == "memcpy")["bytes"].to_list() == [4096, 4096]
    ways = trace.gpu.filter(pl.col("kind") == "memcpy").sort("start_ns")["name"].to_list()
    assert ways == ["Memcpy HtoD (Host -> Device)", "Memcpy DtoH (Device -> Host)"]
    names = trace.gpu.filter(pl.col("kind") == "kernel").sort("start_ns")["name"].to_list()
    assert names == ["axpy(float*)", "norm(float*)", "axpy(float*)"]
    assert set(trace.gpu.filter(pl.col("kind") == "kernel")["shared_bytes"]) == {2048}
    calls = trace.calls.sort("start_ns")
    assert calls["correlation"].to_list() == [2, 3, 4, 5, 6, 7] and set(calls["thread"]) == {TID}
    assert set(calls["process"]) == {PID} and set(calls["api"]) == {"runtime"}
    assert trace.ranges.select("name", "start_ns", "dur_ns").rows() == [("step", BASE, 90_000)]
    assert not trace.findings


@pytest.mark.parametrize("form", FORMS)
def test_it_is_judged_linked_and_accounted_as_any_other(traces: dict[str, Trace], form: str) -> None:
    found = analyze(traces[form])
    assert found.integrity.verdict == "sound" and (found.links.linked, found.links.unlinked) == (5, 0)
    (use,) = found.devices
    (other,) = analyze(traces[FORMS[0]]).devices
    assert (use.busy_ns, use.idle_by_cause_ns) == (other.busy_ns, other.idle_by_cause_ns)
    assert sum(use.idle_by_cause_ns.values()) == use.idle_ns


@pytest.mark.parametrize("form", FORMS[:3])
def test_cards_are_named_and_grids_are_told_in_blocks(traces: dict[str, Trace], form: str) -> None:
    trace = traces[form]
    assert trace.device_names["1"] == "AMD Instinct MI300X" and set(trace.gpu["device"]) == {"1"}
    kernels = trace.gpu.filter(pl.col("kind") == "kernel")
    assert set(kernels.select("grid", "block").rows()) == {("8x2x1", "64x1x1")}


def test_two_runs_in_one_database_keep_their_own_words(tmp_path: Path) -> None:
    path = tmp_path / "merged.db"
    write_rocpd(path, "tracks", "_one")
    write_rocpd(path, "direct", "_two")
    assert read_trace(path).gpu.height == 10 and not read_trace(path).gpu["name"].null_count()


def test_damage_is_one_sentence_or_a_finding(tmp_path: Path) -> None:
    (tmp_path / "cut.json").write_bytes(as_json()[:-200])
    with pytest.raises(TraceError, match="cut or damaged"):
        read_trace(tmp_path / "cut.json")
    write_rocpd(tmp_path / "a.db", "direct")
    whole = (tmp_path / "a.db").read_bytes()
    (tmp_path / "b.db").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(TraceError, match=r"SQLite|table"):
        read_trace(tmp_path / "b.db")


def test_numbers_beyond_64_bits_are_as_none(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    odd = b"9" * 30
    path.write_bytes(as_json().replace(b"%d" % (BASE + 10_000), odd).replace(b'"bytes": 4096', b'"bytes": ' + odd))
    trace = read_trace(path)
    assert trace.gpu.height == 4
    assert [(one.code, one.count) for one in trace.findings] == [("unreadable_times", 2)], "a kernel and a call"


def test_a_view_of_the_database_is_not_entered(tmp_path: Path) -> None:
    """rocprofv3's own views stand over its tables; the tables themselves are read."""
    path = tmp_path / "a.db"
    write_rocpd(path, "direct")
    with sqlite3.connect(path) as database:
        database.execute("CREATE VIEW rocpd_kernel_dispatch_evil AS SELECT 1")
    assert read_trace(path).gpu.height == 5


def test_a_damaged_table_keeps_the_rows_before_and_names_the_last(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE rocpd_kernel_dispatch (id, start, end, agent_id, kernel_id)")
        rows = [(k, BASE + 100 * k, BASE + 100 * k + 40, 0, 5) for k in range(2000)]
        database.executemany("INSERT INTO rocpd_kernel_dispatch VALUES (?, ?, ?, ?, ?)", rows)
    break_off(path, 0.5)
    trace = read_trace(path)
    (found,) = (one for one in trace.findings if one.code == "damaged_table")
    (event,) = found.events
    count = trace.gpu.height
    assert 500 < count < 2000 and event["name"].startswith(f"row {count} of rocpd_kernel_dispatch")
    assert (event["kind"], event["start_ns"], event["dur_ns"]) == ("gpu", BASE + 100 * (count - 1), 40)
