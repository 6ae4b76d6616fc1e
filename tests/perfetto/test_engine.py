"""Recorded traces in the real Perfetto engine: nothing is lost, nothing leaves the machine."""

from __future__ import annotations

import gzip
import importlib.util
import json
import sys
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from rope_prof.cli import main

if TYPE_CHECKING:
    from conftest import Perfetto, PerfettoSql

pytestmark = pytest.mark.browser

GPU = ("kernel", "gpu_memcpy", "gpu_memset")

#: What the importer counts when it gives up on an event; `info` rows are only facts.
ERRORS = "select name, value from stats where value > 0 and severity != 'info'"


def written(trace: Path) -> dict[str, tuple[int, int]]:
    """category -> (complete events, sum of their ns), from the digits of the file."""
    data = trace.read_bytes()
    text = gzip.decompress(data) if trace.suffix == ".gz" else data
    document = json.loads(text, parse_float=Decimal, parse_int=Decimal)
    totals: dict[str, tuple[int, int]] = {}
    for event in document["traceEvents"]:
        if event.get("ph") == "X":
            count, ns = totals.get(event["cat"], (0, 0))
            totals[event["cat"]] = count + 1, ns + int(event["dur"] * 1000)
    return totals


def read_back(perfetto_sql: PerfettoSql, trace: Path) -> dict[str, tuple[int, int]]:
    """category -> (slices, sum of their ns), from the engine."""
    rows = perfetto_sql(
        trace,
        "select category, count(*) as n, sum(dur) as ns from slice where category is not null group by 1",
    )
    return {row["category"]: (row["n"], row["ns"]) for row in rows}


def kineto(*events: dict[str, Any]) -> dict[str, Any]:
    return {
        "schemaVersion": 1,
        "displayTimeUnit": "ms",
        "baseTimeNanoseconds": 1_700_000_000_000_000_000,
        "traceEvents": list(events),
    }


def kernel(start_us: float, dur_us: float, *, stream: int = 7, correlation: int = 1) -> dict[str, Any]:
    return {
        "ph": "X",
        "cat": "kernel",
        "name": "rope_kernel",
        "pid": 0,
        "tid": stream,
        "ts": start_us,
        "dur": dur_us,
        "args": {"device": 0, "stream": stream, "correlation": correlation},
    }


@pytest.fixture(scope="session")
def cpu_trace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """torch.profiler on a few operators of the CPU, inside named ranges."""
    torch = pytest.importorskip("torch", reason="torch is not installed")
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        x = torch.ones(64, 64)
        for call in range(20):
            with torch.profiler.record_function(f"unfused#{call}"):
                x = torch.cat((x * 2, x - 1)).sin()[:64]
    path = tmp_path_factory.mktemp("cpu") / "cpu.trace.json.gz"
    profile.export_chrome_trace(str(path))
    return path


@pytest.fixture(scope="session")
def gpu_trace(tmp_path_factory: pytest.TempPathFactory, repository: Path) -> tuple[Path, Any]:
    """A generated trace of a served model on a GPU, and its exact totals."""
    spec = importlib.util.spec_from_file_location("generate_for_perfetto", repository / "benchmarks/generate.py")
    assert spec is not None and spec.loader is not None
    generate = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = generate
    spec.loader.exec_module(generate)
    path = tmp_path_factory.mktemp("gpu") / "gpu.trace.json.gz"
    return path, generate.write_trace(path, 5_000)


def test_a_recorded_cpu_trace_arrives_whole(perfetto_sql: PerfettoSql, cpu_trace: Path) -> None:
    expected = written(cpu_trace)
    assert expected["user_annotation"][0] >= 20
    assert read_back(perfetto_sql, cpu_trace) == expected
    assert perfetto_sql(cpu_trace, ERRORS) == []
    (names,) = perfetto_sql(cpu_trace, "select count(distinct name) as n from slice where name glob 'unfused#*'")
    assert names["n"] == 20


def test_a_gpu_trace_keeps_every_kernel_to_the_nanosecond(
    perfetto_sql: PerfettoSql, gpu_trace: tuple[Path, Any]
) -> None:
    path, totals = gpu_trace
    found = read_back(perfetto_sql, path)
    assert found == written(path)
    assert found["kernel"] == (totals.kernels, totals.kernel_ns)
    assert perfetto_sql(path, ERRORS) == []


def test_launches_point_at_their_kernels(perfetto_sql: PerfettoSql, gpu_trace: tuple[Path, Any]) -> None:
    path, totals = gpu_trace
    (flows,) = perfetto_sql(
        path,
        "select count(*) as n from flow join slice on slice.id = flow.slice_in where category = 'kernel'",
    )
    assert flows["n"] >= totals.kernels // 2


def test_the_check_sees_a_dropped_slice(perfetto_sql: PerfettoSql, tmp_path: Path) -> None:
    """Two kernels overlap on one stream: this build of the engine drops one, and the check must see it."""
    path = tmp_path / "overlap.json"
    path.write_text(json.dumps(kineto(kernel(0, 10), kernel(5, 10, correlation=2))))
    assert written(path)["kernel"] == (2, 20_000)
    assert read_back(perfetto_sql, path) != written(path)
    assert perfetto_sql(path, ERRORS) != []


def test_plain_json_of_an_odd_name_opens_too(perfetto_sql: PerfettoSql, tmp_path: Path) -> None:
    path = tmp_path / "my.rope@fast.eager.cold.28b #1 é%41.json"
    path.write_text(json.dumps(kineto(kernel(0, 10), kernel(12, 4.001, correlation=2))))
    assert read_back(perfetto_sql, path) == {"kernel": (2, 14_001)}


def test_a_native_trace_opens_too(perfetto_sql: PerfettoSql, tmp_path: Path) -> None:
    path = tmp_path / "native.pftrace"
    path.write_bytes(native_slice(start_ns=5, end_ns=12))
    assert perfetto_sql(path, "select ts, dur, name from slice") == [{"ts": 5, "dur": 7, "name": "k"}]


def test_a_part_that_was_written_arrives_whole(perfetto_sql: PerfettoSql, repository: Path, tmp_path: Path) -> None:
    """Every event is drawn, overlapping ones on tracks of their own, and each launch points at its kernels."""
    (source,) = (repository / "traces/h100-ernie28b").glob("unfused.eager.cold.28b-tp1-n64-*.r0.trace.json.gz")
    path = tmp_path / "part.json"
    assert main(["export", str(source), "--to", "kineto", "--cut", "0.2ms:1.1ms", "-o", str(path)]) == 0
    expected = written(path)
    assert expected["kernel"][0] > 20
    assert read_back(perfetto_sql, path) == expected
    assert perfetto_sql(path, ERRORS) == []
    (flows,) = perfetto_sql(
        path, "select count(*) as n from flow join slice on slice.id = slice_in where category='kernel'"
    )
    assert flows["n"] == expected["kernel"][0]


def test_the_shipped_run_arrives_whole(perfetto_sql: PerfettoSql, repository: Path) -> None:
    """Every span of a fifth of the traces that ship, of each run: kernels, copies, launches, operators, ranges."""
    traces = sorted((repository / "traces").glob("h200-*/*.trace.json.gz"))[::5]  # light ones and others in turn
    if not traces:
        pytest.skip("no recorded run under traces/")
    for trace in traces:
        assert read_back(perfetto_sql, trace) == written(trace), trace.name
        assert perfetto_sql(trace, ERRORS) == [], trace.name


def test_nothing_leaves_the_machine(perfetto: Perfetto, perfetto_sql: PerfettoSql, gpu_trace: tuple[Path, Any]) -> None:
    perfetto_sql(gpu_trace[0], "select 1 as one")
    perfetto.page.wait_for_timeout(500)
    assert perfetto.outside.seen == []
    other = perfetto.page.context.new_page()
    other.goto("about:blank")
    other.evaluate("() => fetch('http://left.example/', {mode: 'no-cors'}).catch(() => null)")
    other.close()
    assert perfetto.outside.seen == ["GET http://left.example/"], "the counter counts"
    perfetto.outside.seen.clear()


def test_a_page_of_the_ui_cannot_leave_by_itself(perfetto: Perfetto, gpu_trace: tuple[Path, Any]) -> None:
    perfetto.load(gpu_trace[0])
    for attempt in (
        "fetch('http://left.example/')",
        "fetch('http://127.0.0.1:9001/status')",
        "new Promise((done, fail) => { const s = document.createElement('script');"
        " s.onload = done; s.onerror = fail; s.src = 'http://left.example/a.js'; document.head.append(s); })",
        "new Promise((done, fail) => { const i = new Image();"
        " i.onload = done; i.onerror = fail; i.src = 'http://left.example/a.png'; })",
    ):
        left = perfetto.page.evaluate(f"() => {attempt}.then(() => true, () => false)")
        assert left is False, attempt
    assert perfetto.outside.seen == []


def test_no_window_of_the_ui_asks_the_user_anything(perfetto: Perfetto, gpu_trace: tuple[Path, Any]) -> None:
    perfetto.load(gpu_trace[0])
    assert perfetto.page.locator(".pf-modal-dialog").count() == 0


def native_slice(start_ns: int, end_ns: int) -> bytes:
    """A TrackEvent trace of one slice 'k', by hand: field numbers of Perfetto's trace_packet.proto."""

    def varint(number: int) -> bytes:
        out = bytearray()
        while number > 0x7F:
            out.append(number & 0x7F | 0x80)
            number >>= 7
        return bytes([*out, number])

    def integer(field: int, value: int) -> bytes:
        return varint(field << 3) + varint(value)

    def message(field: int, *parts: bytes) -> bytes:
        body = b"".join(parts)
        return varint(field << 3 | 2) + varint(len(body)) + body

    packet: Callable[..., bytes] = lambda *parts: message(1, *parts)  # noqa: E731
    track, name, begin, end = 7, message(23, b"k"), integer(9, 1), integer(9, 2)
    return b"".join(
        (
            packet(integer(10, 1), integer(13, 1), message(60, integer(1, track), message(2, b"stream"))),
            packet(integer(8, start_ns), integer(10, 1), message(11, begin, integer(11, track), name)),
            packet(integer(8, end_ns), integer(10, 1), message(11, end, integer(11, track))),
        )
    )
