"""Files of other profilers: each is named, with the way to one that is read, and nobody is told of CUDA activity."""

from __future__ import annotations

import json
import pickle
import sqlite3
from pathlib import Path

import pytest

from rope_prof.cli import main

EVENT = {"ph": "X", "name": "k", "ts": 1, "dur": 2, "pid": 1, "tid": 1}
OTHERS = {
    "Ascend": json.dumps([{**EVENT, "args": {"Task Type": "AI_CORE", "Physic Stream Id": 3}}]).encode(),
    "MTIA": json.dumps({"traceEvents": [{**EVENT, "cat": "mtia_runtime"}]}).encode(),
    "TensorRT": json.dumps([{"count": 10}, {"name": "conv", "averageMs": 0.1, "percentage": 5}]).encode(),
    "TensorRT engine": json.dumps({"Layers": [{"Name": "a", "LayerType": "Convolution"}]}).encode(),
    "XLA": json.dumps(
        {"traceEvents": [{"ph": "M", "name": "process_name", "args": {"name": "/device:GPU:0"}}, EVENT]}
    ).encode(),
    "XPlane": b"\x0a\x12\x08\x01\x12\x0d/device:GPU:0" + b"\x1a\x00" * 3,
    "Chakra": json.dumps({"schema": "1.1.1", "nodes": [{"id": 1, "ctrl_deps": 0}]}).encode(),
    "VizTracer": json.dumps({"traceEvents": [EVENT], "viztracer_metadata": {"version": "1"}}).encode(),
    "pickle": pickle.dumps({"segments": []}),
}


@pytest.mark.parametrize("name", OTHERS)
def test_it_is_named_with_the_way_to_a_file_that_is_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    path = tmp_path / "t.json"
    path.write_bytes(OTHERS[name])
    assert main(["analyze", str(path)]) == 1
    said = capsys.readouterr().err
    assert name.split()[0] in said and "which is not read: " in said and "CUDA activity" not in said
    assert any(way in said for way in ("torch.profiler", "nsys profile", "rocprofv3"))


def test_a_database_of_rpd_is_no_rocpd(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "t.rpd"
    with sqlite3.connect(path) as database:
        for table in ("rocpd_api", "rocpd_op", "rocpd_string"):
            database.execute(f"CREATE TABLE {table} (id)")
    assert main(["analyze", str(path)]) == 1
    assert "RPD" in capsys.readouterr().err
