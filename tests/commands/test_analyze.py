from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

from rope_prof.cli import main
from tests.builders import kernel, kineto_json, op, range_, trace

DRAWN = trace(
    range_("step#1", 0, 50),
    range_("step#2", 50, 90),
    kernel(100, 110, launched=(10, 20), name="[bold]k[/bold]"),
    kernel(150, 160, launched=(60, 70)),
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "t.json"
    path.write_bytes(kineto_json(DRAWN))
    return path


def test_json_contract(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["analyze", str(file), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["schema_version"] == 1
    assert said["format"] == "kineto"
    assert said["integrity"] == {"verdict": "sound", "findings": []}
    assert said["links"] == {"linked": 2, "unlinked": 0}
    (device,) = said["devices"]
    assert device | {"streams": 0} == {
        "device": "0",
        "name": None,
        "kernels": 2,
        "memcpys": 0,
        "memsets": 0,
        "graph_launches": 0,
        "kernel_ns": 20,
        "busy_ns": 20,
        "span_ns": 60,
        "idle_ns": 40,
        "gaps": 1,
        "gap_max_ns": 40,
        "idle_by_cause_ns": {"queued": 40},
        "idle_share": 40 / 60,
        "idle_share_bound": None,
        "copies": [],
        "copies_only_ns": 0,
        "communication": None,
        "reason": None,
        "streams": 0,
    }
    assert device["streams"] == [{"stream": 7, "events": 2, "busy_ns": 20, "idle_by_cause_ns": {"queued": 40}}]
    (held,) = said["ranges"]
    assert (held["name"], held["calls"], held["kernels"]) == ("step#*", 2, 2)
    assert held["us_per_call"] == {"median": 0.01, "lo": 0.01, "hi": 0.01}


def test_range_picks(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["analyze", str(file), "--json", "--range", "step#2"]) == 0
    assert [held["name"] for held in json.loads(capsys.readouterr().out)["ranges"]] == ["step#2"]


def test_a_pattern_that_picks_nothing_is_told(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["analyze", str(file), "--range", "[n]one"]) == 0
    assert "no range that launched GPU work has '[n]one' in its name" in capsys.readouterr().out


def test_a_profile_without_times_has_no_chains(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    leaf = {"frame": {"name": "k"}, "metrics": {"time (ns)": 10, "count": 2, "device_id": "0"}, "children": []}
    (tmp_path / "p.json").write_text(json.dumps([{"frame": {"name": "ROOT"}, "metrics": {}, "children": [leaf]}, {}]))
    assert main(["analyze", str(tmp_path / "p.json"), "--chains"]) == 0
    said = capsys.readouterr().out
    assert "no chains" in said
    assert "–, –" not in said
    assert "more often than chance" not in said


def test_tables_name_the_verdict_and_the_causes(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["analyze", str(file)]) == 0
    said = capsys.readouterr().out
    assert "sound" in said
    assert "queued" in said
    assert "step#*" in said


def test_the_gaps_go_to_parquet(file: Path, tmp_path: Path) -> None:
    out = tmp_path / "gaps.parquet"
    assert main(["analyze", str(file), "-o", str(out), "--json"]) == 0
    (row,) = pl.read_parquet(out).rows(named=True)
    assert (row["start_ns"], row["dur_ns"], row["cause"], row["before"], row["range"]) == (
        110,
        40,
        "queued",
        "[bold]k[/bold]",
        "step#2",
    )
    assert main(["analyze", str(file), "-o", str(tmp_path / "no" / "gaps.parquet"), "--json"]) == 1


def test_unusable_exits_3_and_cpu_is_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "t.json"
    path.write_bytes(kineto_json(trace(op("aten::mul", 10, 20))))
    assert main(["analyze", str(path), "--json"]) == 3
    assert json.loads(capsys.readouterr().out)["devices"] == []
    assert main(["analyze", str(path), "--json", "--device", "cpu"]) == 0
    assert json.loads(capsys.readouterr().out)["devices"][0]["device"] == "cpu"


def test_wrong_words_are_one_line(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["analyze", str(file), "--device", "tpu"]) == 2
    assert main(["analyze", str(file) + "x"]) == 1
    assert len(capsys.readouterr().err.strip().splitlines()) == 2


def test_names_are_shown_letter_for_letter(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "t.json"
    name = "[red]a\x1b[31mb"
    path.write_bytes(kineto_json(trace(range_(name, 0, 50), kernel(100, 110, launched=(10, 20)))))
    assert main(["analyze", str(path)]) == 0
    said = capsys.readouterr().out
    assert "\x1b[31m" not in said
    assert "[red]a" in "".join(said.split())


def test_tables_fit_eighty_columns(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Names of up to twenty letters, all headers and all figures stand whole."""
    monkeypatch.setenv("COLUMNS", "80")
    names = ("ProfilerStep#6", "twenty letters, no 1")
    kernels = [kernel(9_000_000 * k, 9_000_000 * k + 1_234_567, launched=(20 * k, 20 * k + 9)) for k in range(1, 40)]
    path = tmp_path / "t.json"
    path.write_bytes(kineto_json(trace(*(range_(name, 10, 2000) for name in names), *kernels)))
    assert main(["analyze", str(path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    heads = [line.split() for line in lines if line.split()[:1] in (["device"], ["range"])]
    assert ["device", "kernels", "kern.", "t.", "busy", "span", "idle"] in heads
    assert ["range", "calls", "kernels", "busy", "idle", "a", "call", "10–90", "%"] in heads
    assert not any("…" in line for line in lines)
    assert all(any(f" {name} " in line for line in lines) for name in names)


def test_long_names_and_several_devices_cut_no_figure_at_eighty_columns(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    drawn = [
        kernel(9_876_543 * k, 9_876_543 * k + 1_234_567, launched=(200 * k, 200 * k + 9), device=str(k % 2))
        for k in range(1, 400)
    ]
    names = [range_("model.layers.self_attention.rotary_embedding.forward", 200 * k - 50, 200 * k) for k in (1, 60)]
    path = tmp_path / "t.json"
    path.write_bytes(kineto_json(trace(range_("all", 0, 10**6), *names, *drawn)))
    assert main(["analyze", str(path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    assert not any("…" in line for line in lines)
    assert any(line.split()[:2] == ["range", "dev"] for line in lines)


def test_chains_in_json_say_what_they_rest_on(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["analyze", str(file), "--json", "--chains", "--bandwidth", "4800"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert set(said["assumes"]) == {"lo", "hi"}
    assert said["bandwidths"] == {"0": {"bytes_a_ns": 4800.0, "source": "given"}}
    assert said["chains"] == []
