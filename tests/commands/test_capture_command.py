"""`capture` as typed, against servers that answer as the engines do: its account, its document, its refusals."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rope_prof.cli import main
from rope_prof.engines import files
from rope_prof.ranks.pool import Pool
from rope_prof.ranks.work import account
from tests.commands.test_schema import faults
from tests.engines.standin import StandIn, serving


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(files, "POLL_S", 0.001)
    monkeypatch.setattr(files, "FIRST_S", 0.05)
    monkeypatch.setattr(Pool, "run", lambda _, tasks: map(account, tasks))  # without new processes
    monkeypatch.chdir(tmp_path)


def ask(held: StandIn, *words: object) -> int:
    with serving(held) as url:
        typed = ["capture", "--server", url, "--engine", held.engine, "--seconds", "0.02", *words]
        return main([str(word) for word in typed])


def at(folder: Path, engine: str, **facts: Any) -> StandIn:
    folder.mkdir(exist_ok=True)
    return StandIn(engine, folder=folder if engine == "vllm" else None, **facts)


@pytest.mark.parametrize("engine", ["sglang", "vllm"])
def test_a_server_is_accounted_for_by_phase_and_batch_size(
    engine: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ask(at(tmp_path / "p", engine), "--dir", tmp_path / "p") == 0
    told = capsys.readouterr()
    assert "1 trace, " in told.out
    assert "Steps by phase and batch size" in told.out
    rows = {line.split("  ")[0].strip(): line for line in told.out.splitlines()}
    assert " 3 " in rows["decode, 31"] and "480 µs" in rows["decode, 31"]
    assert " 1 " in rows["prefill, 4"]
    assert ("the front end's, left out" in told.out) == (engine == "vllm")
    assert "it is stopped after 0.02 s, Ctrl-C stops it now" in told.err


@pytest.mark.parametrize("engine", ["sglang", "vllm"])
def test_several_ranks_are_put_side_by_side(engine: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ask(at(tmp_path / "p", engine, ranks=2), "--dir", tmp_path / "p", "-o", tmp_path / "ranks", "--json") == 0
    document = json.loads(capsys.readouterr().out)
    assert faults("capture", document) == []
    assert len(document["files"]) == 2
    assert [one["file"] for one in document["traces"]] == document["files"][:1]
    assert [rank["rank"] for rank in document["ranks"]["recordings"][0]["ranks"]] == [0, 1]
    assert document["ranks"]["dataset"] == str(tmp_path / "ranks")


def test_sglang_gets_a_folder_of_its_own_that_any_user_can_write_to(capsys: pytest.CaptureFixture[str]) -> None:
    held = StandIn("sglang")
    assert ask(held, "--json") == 0
    document = json.loads(capsys.readouterr().out)
    assert faults("capture", document) == []
    assert faults("capture", document | {"surprise": 1})
    folder = Path(document["folder"])
    assert str(folder) == held.wish["output_dir"]
    assert folder.stat().st_mode & 0o7777 == 0o1777
    phases = {(use["phase"], use["batch"]): use["steps"] for use in document["traces"][0]["account"]["phases"]}
    assert phases == {("prefill", 4): 1, ("decode", 31): 3}
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()


def test_a_folder_that_stays_empty_is_taken_away(capsys: pytest.CaptureFixture[str]) -> None:
    held = StandIn("sglang", stop_fails=True)
    assert ask(held) == 1
    assert "did not stop its profiler" in capsys.readouterr().err
    assert not Path(held.wish["output_dir"]).exists()


def test_prefill_and_decode_in_a_file_each(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("--dir", tmp_path / "p", "--steps", "3", "--by-stage", "-o", tmp_path / "ranks")
    assert ask(at(tmp_path / "p", "sglang"), *words) == 0
    told = capsys.readouterr().out
    assert "-EXTEND.trace.json.gz" in told and "-DECODE.trace.json.gz" in told
    assert "prefill, 4" in told and "decode, 31" in told


def test_vllm_in_its_development_mode_says_where_it_writes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ask(at(tmp_path / "p", "vllm", dev_mode=True)) == 0
    assert str(tmp_path / "p") in capsys.readouterr().out


def test_a_server_without_work_is_said_to_need_some(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ask(at(tmp_path / "p", "sglang", idle=True), "--dir", tmp_path / "p") == 3
    assert "send the server requests while it records" in capsys.readouterr().err


def test_traces_that_are_not_whole_are_named_with_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    held = at(tmp_path / "p", "sglang", slow=True)
    assert ask(held, "--dir", tmp_path / "p", "--wait", "0.05", "--json") == 1
    document = json.loads(capsys.readouterr().out)
    assert faults("capture", document) == []
    assert len(document["unfinished"]) == 1
    assert "none of them whole yet" in document["error"]["message"]


@pytest.mark.parametrize("key", ["k-of-the-server\n", "k-of-the-sérver"])
def test_a_key_that_cannot_be_sent_is_not_shown(
    key: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MY_KEY", key)
    assert ask(StandIn("sglang"), "--key-env", "MY_KEY") == 2
    assert "k-of" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("engine", "words", "code", "said"),
    [
        ("sglang", ("--seconds", "0"), 2, "--seconds 0; expected more than 0"),
        ("sglang", ("--steps", "0"), 2, "--steps 0; expected 1 to"),
        ("sglang", ("--wait", "0"), 2, "--wait 0; expected more than 0 s"),
        ("sglang", ("--by-stage",), 2, "--by-stage without --steps N"),
        ("vllm", ("--by-stage", "--steps", "2"), 2, "--by-stage goes with --engine sglang"),
        ("vllm", (), 2, "vLLM does not say where it writes"),
        ("sglang", ("--key-env", "NO_SUCH_VARIABLE"), 2, "--key-env NO_SUCH_VARIABLE: no such environment variable"),
        ("vllm", ("--dir", "/nowhere"), 1, "its profiler is off"),
    ],
)
def test_refusals_are_one_line(
    engine: str, words: tuple[str, ...], code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ask(StandIn(engine), *words) == code
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


def test_what_serves_there_must_be_known(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["capture", "--server", "http://127.0.0.1:9", "--engine", "tgi"]) == 2
    assert "unknown --engine 'tgi'; expected 'sglang' or 'vllm'" in capsys.readouterr().err


def test_a_key_comes_of_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MY_KEY", "k-of-the-server")
    assert ask(at(tmp_path / "p", "vllm", key="k-of-the-server"), "--dir", tmp_path / "p", "--key-env", "MY_KEY") == 0
    told = capsys.readouterr()
    assert "k-of-the-server" not in told.out + told.err
