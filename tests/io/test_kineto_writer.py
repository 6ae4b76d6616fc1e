"""`analyze X` is `analyze (export X --to kineto)`, for whatever a trace can hold; other readers take the file too."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from rope_prof.analysis.trace.analyze import analyze
from rope_prof.analysis.trace.cut import Window, cut, timeline
from rope_prof.analysis.trace.launches import launched
from rope_prof.io.kineto.writer import kineto_bytes
from rope_prof.io.trace.read import read_trace
from rope_prof.model.trace import Finding, Trace
from tests.builders import graph, kernel, node, op, overhead, python, range_, trace

REAL = Path(__file__).parents[2].parent / "shared/real-traces"
FILES = sorted(path for path in REAL.iterdir() if path.suffix in (".gz", ".sqlite")) if REAL.is_dir() else []


def again(drawn: Trace, folder: Path) -> Trace:
    path = folder / "again.json"
    path.write_bytes(kineto_bytes(drawn))
    return read_trace(path)


def said(one: Trace) -> dict[str, Any]:
    answer = analyze(one).as_json() | {"format": ""}
    if one.gpu.height == 0:  # the sentence names how many events there are, the mark of the window's end among them
        answer["integrity"]["findings"] = [found["code"] for found in answer["integrity"]["findings"]]
    return answer


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
@pytest.mark.parametrize("third", [0, 1], ids=["first third", "middle third"])
def test_a_part_of_a_real_trace_says_the_same_after_writing(path: Path, third: int, tmp_path: Path) -> None:
    whole = read_trace(path)
    span = timeline(whole)
    assert span is not None
    length = (span.end_ns - span.start_ns) // 3
    start = span.start_ns + third * length
    part = cut(whole, Window(start_ns=start, end_ns=start + length // 4))
    assert said(again(part, tmp_path)) == said(part)


#: Everything that Kineto can say of a trace.
ODD = trace(
    kernel(100, 200, launched=(10, 20), grid="8x1x1", block="128x1x1", registers=32, shared_bytes=64, name='k<"q">'),
    kernel(150, 260, stream=9, launched=(30, 40), collective="allreduce", group="tp", external=12),
    kernel(300, 300, device="1", stream=None),
    kernel(400, 390, device="1", kind="memcpy", name="Memcpy DtoH (Device -> Pageable)", bytes=512),
    kernel(450, 480, kind="graph", name="graph 3", launched=(440, 445), by="cudaGraphLaunch", graph=3),
    graph((500, 510), (600, 610), (620, 640), correlation=7, graph=3, graph_node=11),
    range_("step", 0, 900),
    op("aten::mul", 5, 60, external=12, sequence=4, input_dims="[[2, 3], []]", input_types='["c10::BFloat16", ""]'),
    op("MulBackward0", 70, 90, thread=2, sequence=4, forward_thread=1),
    overhead(700, 720, process=3),
    node(612, 618, correlation=7),
    node(641, 641, kind="event_node", name="EventRecord", correlation=7),
    python("step.py(3): größer", 0, 950),
    window_end=True,
    window_end_ns=1_000,
    base_time_ns=5,
    device_names={"0": "NVIDIA H200"},
    metadata={
        "deviceProperties": [{"id": 0, "name": "NVIDIA H200", "computeMajor": 9}],
        "distributedInfo": {"rank": 3},
    },
    findings=(Finding(code="coarse_clock", detail="whole microseconds", count=2, events=({"name": "k"},)),),
)


@pytest.mark.parametrize("frame", ["gpu", "calls", "ranges", "ops", "overheads", "nodes", "python"])
def test_every_column_of_every_frame_comes_back(frame: str, tmp_path: Path) -> None:
    order = ["start_ns", "dur_ns", "name"]
    read, drawn = (getattr(one, frame).sort(order) for one in (again(ODD, tmp_path), ODD))
    if frame == "overheads":
        drawn = drawn.with_columns(thread=pl.lit(0, dtype=pl.Int64))
    assert read.rows() == drawn.rows()


def test_facts_and_findings_come_back(tmp_path: Path) -> None:
    read = again(ODD, tmp_path)
    assert (read.findings, read.device_names, read.base_time_ns) == (ODD.findings, ODD.device_names, 5)
    assert (read.window_end, read.window_end_ns, read.metadata["distributedInfo"]) == (True, 1_000, {"rank": 3})
    assert read.metadata["deviceProperties"][0]["computeMajor"] == 9


def test_a_trace_without_its_end_stays_one(tmp_path: Path) -> None:
    assert again(trace(kernel(0, 5, launched=(0, 1)), window_end=False), tmp_path).window_end is False


def test_processes_that_use_the_same_numbers_keep_their_own_launches(tmp_path: Path) -> None:
    both = trace(
        *(
            kernel(at + 100, at + 150, launched=(at, at + 5), correlation=1, process=process, name=f"of {process}")
            for process, at in ((11, 0), (12, 20))
        )
    )
    both = replace(both, gpu=both.gpu.with_columns(process=pl.Series([11, 12])))
    read = launched(again(both, tmp_path)).sort("start_ns")
    assert read.select("name", "launch_process", "launch_start_ns").rows() == [("of 11", 11, 0), ("of 12", 12, 20)]
    assert read["stream"].n_unique() == 2
    assert said(again(both, tmp_path))["devices"][0]["busy_ns"] == said(both)["devices"][0]["busy_ns"]


def test_devices_that_are_no_numbers_get_some_and_keep_their_names(tmp_path: Path) -> None:
    ranks = trace(kernel(0, 5, device="[TP00] 0"), kernel(0, 7, device="[TP01] 0"), kernel(0, 9, device="2"))
    read = again(ranks, tmp_path)
    assert read.gpu.sort("dur_ns")["device"].to_list() == ["3", "4", "2"]
    assert read.device_names == {"3": "[TP00] 0", "4": "[TP01] 0"}


def test_a_viewer_gets_arrows_and_a_track_for_each_overlap() -> None:
    events = json.loads(kineto_bytes(ODD))["traceEvents"]
    starts = {event["id"]: event["ts"] for event in events if event["ph"] == "s"}
    ends = [event["ts"] for event in events if event["ph"] == "f" and event["id"] == 7]
    assert starts[7] == 0.5
    assert ends == [0.6, 0.62]
    overlapping = trace(kernel(0, 10, launched=(0, 1)), kernel(5, 20, launched=(1, 2)))
    drawn = [event for event in json.loads(kineto_bytes(overlapping))["traceEvents"] if event.get("cat") == "kernel"]
    assert len({event["tid"] for event in drawn}) == 2
    assert {event["args"]["stream"] for event in drawn} == {7}


@pytest.mark.parametrize("told", [None, 3, [7], [{"code": 5}], {"code": "x"}])
def test_what_is_no_finding_in_a_file_is_none(told: Any, tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"schemaVersion": 1, "rope_prof": {"findings": told}, "traceEvents": []}))
    assert {found.code for found in read_trace(path).findings} <= {"no_events", "no_gpu_events"}


def test_half_a_letter_in_names_can_be_written_again(tmp_path: Path) -> None:
    path = tmp_path / "half.json"
    event = {"ph": "X", "cat": "kernel", "name": "\ud800x", "pid": 0, "tid": 7, "ts": 1, "dur": 1}
    path.write_text(json.dumps({"deviceProperties": [{"id": 0, "name": "\ud800card"}], "traceEvents": [event]}))

    read = read_trace(path)

    assert again(read, tmp_path).gpu["name"].to_list() == read.gpu["name"].to_list() == ["?x"]
