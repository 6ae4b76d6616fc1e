"""The command line end to end on a CPU: the main job, resuming, and every kind of bad word as one line."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from rope_prof.analysis.run.capture import CaptureFigures, figures
from rope_prof.cli import COMMANDS, main
from rope_prof.commands.recorded import next_commands, slug
from rope_prof.io.run.folder import append_samples, read_run, write_run
from rope_prof.io.trace.read import read_trace
from tests.runs import facts, run, samples

OWN = """
import torch

def right(q, k, positions, table, shape):
    from rope_prof.kernels.mrope.unfused import unfused
    return unfused(q, k, positions, table, shape)

def wrong(q, k, positions, table, shape):
    return q * 2, k

def raises(q, k, positions, table, shape):
    raise RuntimeError("no such layout")

def one_tensor(q, k, positions, table, shape):
    return q
"""


def command(repository: Path, *words: object, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "rope_prof", *map(str, words)],
        env=os.environ | {"PYTHONPATH": str(repository)} | environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def quick(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """`record --quick` from a cold compiler cache: (its folder, what it printed)."""
    folder = tmp_path_factory.mktemp("quick")
    done = command(
        repository,
        *("record", "--quick", "--device", "cpu", "-o", folder / "run"),
        TORCHINDUCTOR_CACHE_DIR=str(folder / "cache"),
    )
    assert done.returncode == 0, done.stderr
    assert "USDT" not in done.stderr
    return folder / "run", done.stdout


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="mode compile on a CPU needs g++")
def test_quick_measures_and_checks_without_a_gpu(quick: tuple[Path, str], capsys: pytest.CaptureFixture[str]) -> None:
    folder, printed = quick
    assert main(["show", str(folder), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["schema_version"] == 1
    assert document["run"]["complete"] is True
    found = {(row["path"], row["mode"]): row for row in document["keys"]}
    assert {key: row["status"] for key, row in found.items()} == {
        ("unfused", "eager"): "measured",
        ("unfused", "compile"): "measured",
        ("per-token", "eager"): "checked",
        ("fused", "eager"): "checked",
    }
    for mode in ("eager", "compile"):
        row = found["unfused", mode]
        assert row["wall_ns"]["lo"] <= row["wall_ns"]["median"] <= row["wall_ns"]["hi"]
        assert row["device_ns"] is None
        assert row["kernels_per_call"] >= 1
        assert row["max_error"] <= row["max_error_limit"]
    assert found["unfused", "eager"]["speedup"] == 1
    assert found["fused", "eager"]["wall_ns"] is None
    assert found["fused", "eager"]["reason"] == "checked in fp32, not timed"
    assert found["fused", "eager"]["error_dtype"] == "fp32"
    for line in next_commands(folder):
        assert line.split("    #")[0] in printed


@pytest.mark.slow
def test_traces_carry_the_figures_that_are_computed_from_them(quick: tuple[Path, str]) -> None:
    folder = read_run(quick[0])
    traced = [f for f in folder.run.keys if f.trace]
    assert traced
    for one in traced:
        path = folder.trace_path(one.key.name)
        assert path is not None
        trace = read_trace(path)
        assert trace.own is not None
        assert CaptureFigures(**trace.own["figures"]) == figures(trace, one.key)


@pytest.mark.slow
def test_a_second_recording_does_not_overwrite_the_first(quick: tuple[Path, str], repository: Path) -> None:
    done = command(repository, "record", "--quick", "--device", "cpu", "-o", quick[0])
    assert done.returncode == 1
    assert "already holds a run" in done.stderr
    assert done.stderr.strip().count("\n") == 0


def test_paths_of_a_users_own(repository: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(OWN)
    paths = [word for name in ("right", "wrong", "raises", "one_tensor") for word in ("--path", f"mine:{name}")]
    words = ["--tokens", "2", "--rounds", "2", "--calls", "3", "--mode", "eager", "--path", "unfused"]
    done = command(
        repository,
        *("record", "--device", "cpu", "-o", tmp_path / "run", *words, *paths),
        PYTHONPATH=f"{tmp_path}{os.pathsep}{repository}",
    )
    assert done.returncode == 5, done.stderr
    assert "2 of 5 keys failed and the others are recorded; the first, mine:raises eager" in done.stderr
    assert "mine:right eager" in done.stdout
    folder = read_run(tmp_path / "run")
    assert folder.run.settings["isolation"] == "a process per path"
    timed = folder.samples.filter(folder.samples["key"].str.contains(r"^(unfused|mine)"))
    assert timed.group_by("key").agg(pl.col("process").n_unique())["process"].to_list() == [1, 1, 1]
    assert timed["process"].n_unique() == 3
    again = command(repository, "record", "--resume", "-o", tmp_path / "run")
    assert again.returncode == 5
    assert again.stderr.strip().endswith("stays so, since its rounds would not be those of the others: record anew")
    assert read_run(tmp_path / "run").run.keys == folder.run.keys
    found = {f.key.path: f for f in folder.run.keys}
    assert [found[name].captured_calls for name in ("unfused", "mine:right")] == [3, 3]
    assert {name: f.status for name, f in found.items()} == {
        "unfused": "measured",
        "mine:right": "measured",
        "mine:wrong": "wrong",
        "mine:raises": "failed",
        "mine:one_tensor": "failed",
    }
    assert found["mine:raises"].reason == "RuntimeError: no such layout"
    assert "over the limit" in (found["mine:wrong"].reason or "")
    assert "the path returned Tensor; expected 2 tensors (q, k)" in (found["mine:one_tensor"].reason or "")


def test_without_a_compiler_mode_compile_is_unavailable(repository: Path, tmp_path: Path) -> None:
    words = ["--tokens", "2", "--rounds", "1", "--calls", "2", "--path", "unfused", "--device", "cpu"]
    done = command(repository, "record", "-o", tmp_path / "run", *words, PATH=str(tmp_path), CXX="")
    assert done.returncode == 0, done.stderr
    eager, compiled = read_run(tmp_path / "run").run.keys
    assert eager.status == "measured"
    assert compiled.status == "unavailable"
    assert "C++ compiler" in (compiled.reason or "")


BAD = [
    (["frobnicate"], 2, "frobnicate"),
    (["record", "--nope"], 2, "--nope"),
    (["record", "--tp", "x"], 2, "--tp"),
    (["record", "--tp", "3", "--device", "cpu"], 2, "tp 3 does not divide"),
    (["record", "--model", "30b", "--device", "cpu"], 2, "unknown model '30b'"),
    (["record", "--tokens", "many"], 2, "tokens 'many'"),
    (["record", "--dtype", "fp8", "--device", "cpu"], 2, "unknown dtype 'fp8'"),
    (["record", "--mode", "lazy", "--device", "cpu"], 2, "unknown mode 'lazy'"),
    (["record", "--path", "triton", "--device", "cpu"], 2, "unknown path 'triton'"),
    (["record", "--path", "no.such:f", "--device", "cpu"], 2, "cannot import"),
    (["record", "--device", "tpu"], 2, "unknown device 'tpu'"),
    (["record", "--device", "cuda:99"], 1, "device 'cuda:99' is not there"),
    (["record", "--mode", "graph", "--device", "cpu"], 1, "needs an NVIDIA GPU"),
    (["record", "--calls", "1", "--device", "cpu"], 2, "calls 1"),
    (["record", "--resume"], 2, "--resume needs the run"),
    (["record", "--resume", "-o", "/nowhere/at/all"], 1, "no run in"),
    (["record", "--resume", "-o", "x", "--tokens", "3"], 2, "leave out --tokens"),
    (["show", "/nowhere/at/all"], 1, "no run in"),
    (["show"], 2, "run"),
]


@pytest.mark.parametrize(("words", "code", "says"), BAD, ids=[" ".join(words) for words, _, _ in BAD])
def test_bad_words_are_one_line(
    words: list[str],
    code: int,
    says: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(words) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("error: ")
    assert captured.err.count("\n") == 1
    assert says.lower() in captured.err.lower()
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    assert (
        main(["record", "--device", "cpu", "--path", "unfused", "--mode", "eager", "-o", str(tmp_path / "file")]) == 1
    )
    assert "is a file" in capsys.readouterr().err


def test_a_bug_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import rope_prof.opened.run as module

    def broken(_: Path) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(module, "read_run", broken)
    with pytest.raises(ZeroDivisionError):
        main(["show", str(tmp_path)])


def test_a_lost_trace_is_told_and_the_rest_is_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_run(tmp_path, run(facts(trace="gone.trace.json.gz")))
    append_samples(tmp_path, samples(unfused_eager=[300.0] * 6))
    assert main(["show", str(tmp_path), "--json"]) == 1
    captured = capsys.readouterr()
    assert json.loads(captured.out)["keys"][0]["wall_ns"]["median"] == 300
    assert "has lost 1 of its traces (gone.trace.json.gz)" in captured.err


def test_resume_refuses_another_machine(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_run(tmp_path, run(facts(status="pending")))
    assert main(["record", "--resume", "-o", str(tmp_path), "--device", "cpu"]) == 1
    assert "was begun on 'Test GPU'" in capsys.readouterr().err


def test_resume_names_the_options_that_it_does_not_take(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["record", "--resume", "-o", str(tmp_path), "--path", "fused", "--mode", "eager", "--rounds", "3"]) == 2
    assert "leave out --path, --mode, --rounds" in capsys.readouterr().err


def test_a_folder_that_is_gone_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    for name in COMMANDS:
        assert main([name]) == 2
        said = capsys.readouterr().err
        assert said.startswith("error: the folder that this command runs in is gone")
        assert said.count("\n") == 1
    assert main(["--help"]) == 0


LOADED = """
import sys
from rope_prof.cli import COMMANDS, main
code = main(sys.argv[1:])
heavy = sorted({"torch", "triton", "streamlit", "plotly", "nvtx"} & set(sys.modules))
sys.exit(f"loaded {heavy}" if heavy else code)
"""


def test_show_needs_no_torch(tmp_path: Path, repository: Path) -> None:
    write_run(tmp_path, run(facts()))
    append_samples(tmp_path, samples(unfused_eager=[300.0] * 6))
    for extra in ([], ["--json"]):
        done = subprocess.run(
            [sys.executable, "-c", LOADED, "show", str(tmp_path), *extra],
            env=os.environ | {"PYTHONPATH": str(repository)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert "unfused" in done.stdout


def test_help_names_every_command(repository: Path) -> None:
    done = command(repository, "--help")
    assert done.returncode == 0
    for name in COMMANDS:
        if name in done.stdout:
            continue
        pytest.fail(f"--help does not name {name}")


def test_doctor_says_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    names = {check["name"]: check for check in found["checks"]}
    assert {"torch", "Triton", "NVIDIA GPU", "torch.profiler", "GPU counters", "C++ compiler", "nsys", "ncu"} <= set(
        names
    )
    for check in names.values():
        assert check["seen"]
        assert check["state"] == "ok" or check["advice"], check


def test_slug() -> None:
    assert slug("NVIDIA H200") == "nvidia-h200"
    assert slug("Intel(R) Xeon(R) @ 2.0GHz") == "intel-r-xeon-r-2-0ghz"
    assert slug("???") == "device"
