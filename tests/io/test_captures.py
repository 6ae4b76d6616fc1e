"""`--capture-trace`: traces of captures and torch's stacks of nodes, as files, folders and through the command."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import polars as pl
import pytest

from rope_prof.cli import main
from rope_prof.errors import TraceError
from rope_prof.io.trace import captures
from rope_prof.io.trace.captures import read_captures
from tests.analysis.test_captured import capture, model, replays
from tests.builders import kineto_json, trace


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path, Path]:
    """(a trace of replays, the trace of their capture, the stacks of their nodes)"""
    made = tuple(
        tmp_path / name for name in ("run.json.gz", "graph_capture_rank_0.1.pt.trace.json.gz", "stacks.json.gz")
    )
    run, captured, stacks = made
    run.write_bytes(gzip.compress(kineto_json(replays((5, model(4)), times=6))))
    captured.write_bytes(gzip.compress(kineto_json(trace(capture(model(4), 0, "capture_8_FULL")))))
    frames = "/srv/serve.py:9:decode\n/srv/main.py:3:<module>"
    told = {str((5 << 32) + 10 + 2 * k): frames if k else "no frame" for k in range(16)}
    stacks.write_bytes(gzip.compress(json.dumps(told).encode()))
    return run, captured, stacks


def test_traces_and_stacks_are_told_by_what_is_in_them(files: tuple[Path, Path, Path]) -> None:
    run, captured, stacks = files
    traces, nodes = read_captures([str(captured), str(stacks)])
    assert len(traces) == 1 and traces[0].calls["name"][0] == "cudaStreamBeginCapture"
    (told,) = nodes
    assert told["line"].to_list()[:2] == [None, "/srv/serve.py(9): decode"] and told.height == 16
    run.unlink()
    both = read_captures([str(captured.parent)])  # a folder of them
    assert [len(one) for one in both] == [1, 1]


def test_the_command_names_the_kernels_of_replays(
    files: tuple[Path, Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, captured, stacks = (str(one) for one in files)
    gaps = tmp_path / "gaps.parquet"
    both = ["analyze", run, "--capture-trace", captured, "--capture-trace", stacks, "--chains"]
    assert main([*both, "--json", "-o", str(gaps)]) == 0
    said = json.loads(capsys.readouterr().out)
    assert {"Layer_*", "Norm_*", "Rope_*"} <= {one["name"] for one in said["ranges"]}
    assert "Layer_*/Norm_*" in said["chains"][0]["modules"]
    assert "Layer_1/Linear_1" in set(pl.read_parquet(gaps)["module"])
    assert main(both) == 0
    shown = capsys.readouterr().out
    assert "Layer_*/Norm_*" in shown and "module" in shown


def test_several_traces_take_no_capture(files: tuple[Path, Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    run, captured, _ = (str(one) for one in files)
    assert main(["analyze", run, run, "--capture-trace", captured]) == 2
    assert "one trace" in capsys.readouterr().err


@pytest.mark.parametrize("raw", [b'{"1": "a', b'{"1": "a", "x": "b"}', b'{"1": "a", "2": 3}'])
def test_damaged_stacks_are_one_sentence(tmp_path: Path, raw: bytes) -> None:
    path = tmp_path / "stacks.json"
    path.write_bytes(raw)
    with pytest.raises(TraceError, match="no whole list of nodes"):
        read_captures([str(path)])


def test_stacks_over_the_limit_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(captures, "MOST_BYTES", 1_000)
    path = tmp_path / "stacks.json"
    path.write_bytes(json.dumps({str(k): "f:1:g" for k in range(100)}).encode())
    with pytest.raises(TraceError, match="limit"):
        read_captures([str(path)])
