"""Text that strict JSON refuses, keys that stand twice and records without a time: what is kept and what is said."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from rope_prof.analysis.trace.analyze import Analysis, analyze
from rope_prof.io.trace.read import read_trace
from tests.builders import kernel, kineto_events, kineto_json, trace

ROW = trace(
    *(
        kernel(50_000 * k + 10_000, 50_000 * k + 40_000, launched=(50_000 * k, 50_000 * k + 2_000), correlation=k + 1)
        for k in range(10)
    )
)
GOOD = kineto_events(ROW)


def answer(tmp_path: Path, events: list[str]) -> tuple[Analysis, dict[str, int]]:
    path = tmp_path / "t.json"
    path.write_bytes(kineto_json(events))
    found = analyze(read_trace(path))
    return found, {f.code: f.count for f in found.integrity.findings}


@pytest.mark.parametrize(
    "text",
    [
        r'"name": "torch\cuda\__init__.py(219): _lazy_init", "args": {}',
        r'"name": "f", "args": {"Call stack": "C:\Users\someone\lib\optim.py(205): zero_grad;D:\new\bin.py(1): f"}',
        r'"name": "f", "args": {"Call stack": "C:\Users\someone\"}',
        r'"name": "f", "args": {"Call stack": "\\server\share\x.py"}',
        r'"name": "f", "args": {"Call stack": N/A}',
        r'"name": "f", "args": {"a": NaN, "b": -inf, "c": [1, nan, None], "d": 1.#QNAN, "e": undefined}',
        r'"name": "f "quoted" g", "args": {}',
        r'"name": "f "q" in D:\Users\x", "args": {"a": nan}',
    ],
)
@pytest.mark.parametrize("category", ["python_function", "cpu_op"])
def test_text_is_mended_and_every_share_stays(tmp_path: Path, text: str, category: str) -> None:
    bad = '{"ph": "X", "cat": "%s", "pid": 1, "tid": 1, "ts": 1, "dur": 1, %s}' % (category, text)  # noqa: UP031
    found, codes = answer(tmp_path, [*GOOD[:5], bad, *GOOD[5:]])
    assert codes == {"mended_events": 1}
    assert found.devices[0].idle_share == analyze(ROW).devices[0].idle_share


def test_the_paths_in_names_of_kernels_are_read_letter_for_letter(tmp_path: Path) -> None:
    events = [text.replace('"k"', r'"D:\new\tab\Users\my.py(3): k"') for text in GOOD]
    path = tmp_path / "t.json"
    path.write_bytes(kineto_json(events))
    assert read_trace(path).gpu["name"].unique().to_list() == [r"D:\new\tab\Users\my.py(3): k"]


def test_damage_in_what_no_figure_reads_is_said_and_withholds_nothing(tmp_path: Path) -> None:
    lost = '{"ph": "X", "cat": "%s", "name": "x", "pid": 1, "tid": 1, "ts": 1, "dur": 1, "args": {"a": {,}}}'
    found, codes = answer(tmp_path, [*GOOD, lost % "python_function", *GOOD[:0]])
    assert codes == {"damaged_unread_events": 1}
    assert found.devices[0].idle_share is not None
    found, codes = answer(tmp_path, [*GOOD, lost % "kernel"])
    assert codes == {"damaged_events": 1}
    assert found.devices[0].idle_share is None


@pytest.mark.parametrize(
    "key",
    [
        *("graph id", "graph node id", "registers per thread", "shared memory", "grid", "block", "bytes"),
        *("External id", "correlation", "stream", "device"),
    ],
)
def test_a_key_that_stands_twice_in_a_gpu_event_is_said(tmp_path: Path, key: str) -> None:
    text = '{"ph": "X", "cat": "kernel", "name": "k", "pid": 0, "tid": 7, "ts": 900, "dur": 2, "args": {%s}}'
    once = text % f'"device": 0, "stream": 7, "correlation": 99, "{"queued" if key != "queued" else "x"}": 0'
    assert "duplicate_keys" not in answer(tmp_path, [*GOOD, once])[1]
    twice = text % f'"{key}": 0, "{key}": 7'
    found, codes = answer(tmp_path, [*GOOD, twice])
    assert codes["duplicate_keys"] == 1
    assert found.devices[0].idle_share is None


def test_kernels_without_a_time_are_left_out_and_counted(tmp_path: Path) -> None:
    text = '{"ph": "X", "cat": "kernel", "name": "k", "pid": 0, "tid": 7, "ts": 0.000, "dur": 0.000, "args": {%s}}'
    untimed = [text % f'"device": 0, "stream": 7, "correlation": {900 + k}' for k in range(6)]
    found, codes = answer(tmp_path, [*GOOD, *untimed])
    assert codes == {"untimed_events": 6}
    assert (found.devices[0].kernels, found.devices[0].span_ns) == (10, analyze(ROW).devices[0].span_ns)
    assert found.devices[0].idle_share is None


def _export(path: Path, kernels: list[tuple[int, int, int]], *, suffix: str = "", ranges: str = "") -> Analysis:
    base = sqlite3.connect(path)
    base.execute("CREATE TABLE StringIds(id INTEGER PRIMARY KEY, value TEXT)")
    base.executemany("INSERT INTO StringIds VALUES(?,?)", [(1, "gemm"), (2, "cudaLaunchKernel_v7000"), (3, "step")])
    columns = 'start INT, "end" INT, deviceId INT, streamId INT, correlationId INT, globalPid INT, demangledName INT'
    base.execute(f"CREATE TABLE CUPTI_ACTIVITY_KIND_KERNEL{suffix}({columns})")
    base.execute(
        f'CREATE TABLE CUPTI_ACTIVITY_KIND_RUNTIME{suffix}(start INT, "end" INT, globalTid INT, correlationId INT, '
        "nameId INT)"
    )
    base.execute(f'CREATE TABLE NVTX_EVENTS{ranges}(start INT, "end" INT, eventType INT, textId INT, globalTid INT)')
    process = 5 << 24
    rows: list[tuple[Any, ...]] = [(a, b, 0, 7, c, process, 1) for a, b, c in kernels]
    base.executemany(f"INSERT INTO CUPTI_ACTIVITY_KIND_KERNEL{suffix} VALUES(?,?,?,?,?,?,?)", rows)
    calls = [(a - 3000, a - 1000, process | 9, c, 2) for a, _, c in kernels if a]
    base.executemany(f"INSERT INTO CUPTI_ACTIVITY_KIND_RUNTIME{suffix} VALUES(?,?,?,?,?)", calls)
    base.execute(f"INSERT INTO NVTX_EVENTS{ranges} VALUES(1, 900000, 59, 3, ?)", (process | 9,))
    base.commit()
    base.close()
    return analyze(read_trace(path))


KERNELS = [(10_000 * k, 10_000 * k + 4_000, k) for k in range(1, 20)]


@pytest.mark.parametrize(("suffix", "ranges"), [("_V2", ""), ("_V3", "_V3"), ("", "_v2")])
def test_tables_with_a_version_suffix_are_read(tmp_path: Path, suffix: str, ranges: str) -> None:
    plain = _export(tmp_path / "plain.sqlite", KERNELS)
    named = _export(tmp_path / "named.sqlite", KERNELS, suffix=suffix, ranges=ranges)
    assert named.as_json() == plain.as_json()
    assert plain.ranges[0].kernels == 19


def test_a_table_that_looks_like_a_known_one_is_named(tmp_path: Path) -> None:
    found = _export(tmp_path / "odd.sqlite", KERNELS, ranges="_ARCHIVED")
    assert [(f.code, "NVTX_EVENTS_ARCHIVED" in f.detail) for f in found.integrity.findings] == [("unread_tables", True)]


def test_rows_without_a_time_are_left_out_and_counted(tmp_path: Path) -> None:
    found = _export(tmp_path / "zero.sqlite", [*KERNELS, *((0, 0, 900 + k) for k in range(6))])
    assert {f.code: f.count for f in found.integrity.findings} == {"untimed_events": 6}
    assert (found.devices[0].kernels, found.devices[0].idle_share) == (19, None)
