"""A kept answer is the answer: of these bytes, these words and this program, or it is worked out again."""

from __future__ import annotations

import gzip
import json
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import typer

from rope_prof.cli import main
from rope_prof.commands import account
from rope_prof.commands.kept import kept, say_kept
from rope_prof.errors import RunError, TraceError
from rope_prof.io import kept as module
from rope_prof.io import store
from rope_prof.io.kept import place
from rope_prof.io.store import answers_kept
from rope_prof.io.trace.read import read_trace
from rope_prof.model.trace import Trace
from rope_prof.opened import run as opened
from rope_prof.opened.run import OpenedRun, open_run
from tests.builders import kernel, kineto_json, trace
from tests.dashboard.drawn_run import write_gpu_run


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


class Maker:
    """Counts how often it had to work."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self) -> dict[str, bytes]:
        self.count += 1
        return {"out": f"answer {self.count}".encode(), "more": b"\0" * 100}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "run"
    (folder / "deep").mkdir(parents=True)
    for name in ("run.json", "samples.parquet", "deep/a.trace.json.gz"):
        (folder / name).write_bytes(b"the bytes of " + name.encode())
    return folder


def test_the_second_time_nothing_is_worked_out(folder: Path) -> None:
    make = Maker()
    first = kept(("show",), (folder,), make)
    assert kept(("show",), (folder,), make) == first
    assert make.count == 1


@pytest.mark.parametrize("name", ["run.json", "samples.parquet", "deep/a.trace.json.gz"])
def test_one_byte_of_any_input_is_another_answer(folder: Path, name: str) -> None:
    make = Maker()
    kept(("show",), (folder,), make)
    file = folder / name
    before, data = file.stat(), bytearray(file.read_bytes())
    data[3] ^= 1
    file.write_bytes(data)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert kept(("show",), (folder,), make)["out"] == b"answer 2"


@pytest.mark.parametrize("what", ["words", "new file", "lost file", "program", "folder"])
def test_whatever_else_it_rests_on_is_another_answer(folder: Path, what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    make, words, inputs = Maker(), ("show",), (folder,)
    kept(words, inputs, make)
    if what == "words":
        words = ("show --json",)
    elif what == "new file":
        (folder / "nsight.sqlite").write_bytes(b"")
    elif what == "lost file":
        (folder / "samples.parquet").unlink()
    elif what == "program":
        monkeypatch.setattr(module, "program", lambda: ["another"])
    else:
        inputs = (folder.rename(folder.with_name("moved")),)
    assert kept(words, inputs, make)["out"] == b"answer 2"


@pytest.mark.parametrize("how", ["flip", "cut", "empty", "delete"])
def test_a_damaged_entry_is_worked_out_again_and_mended(folder: Path, how: str) -> None:
    names = ["digests.json", "more", "out"]
    for name in names:
        make = Maker()
        kept((name,), (folder,), make)
        (entry,) = (one for one in answers_kept().folder.iterdir() if (one / "out").exists())
        assert sorted(file.name for file in entry.iterdir()) == names
        data = bytearray((entry / name).read_bytes())
        data[len(data) // 2] ^= 1
        if how == "delete":
            (entry / name).unlink()
        else:
            (entry / name).write_bytes({"flip": bytes(data), "cut": bytes(data[:-9]), "empty": b""}[how])
        assert kept((name,), (folder,), make)["out"] == b"answer 2"
        assert kept((name,), (folder,), make)["out"] == b"answer 2"
        answers_kept().clear()


def test_files_that_change_meanwhile_leave_nothing_behind(folder: Path) -> None:
    def make() -> dict[str, bytes]:
        (folder / "run.json").write_bytes(b"recorded on")
        return {"out": b"of both"}

    kept(("show",), (folder,), make)
    assert answers_kept().kept_bytes() == 0


def test_it_is_bounded(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "ANSWERS_BYTES", 1000)
    for number in range(20):
        kept((number,), (folder,), Maker())
    assert 0 < answers_kept().kept_bytes() <= 1000


def test_an_error_is_raised_each_time_after_what_was_printed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def say() -> None:
        typer.echo("the table")
        raise RuntimeError("lost")

    for _ in range(2):
        with pytest.raises(RuntimeError, match="lost"):
            say_kept(("show",), (folder,), say)
        assert capsys.readouterr().out == "the table\n"
    assert answers_kept().kept_bytes() == 0


def test_commands_say_the_same_again_and_doctor_deletes_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = write_gpu_run(tmp_path / "run")
    out = tmp_path / "out"
    commands = [
        ["show", str(run)],
        ["show", str(run), "--json"],
        ["compare", f"{run}:unfused", f"{run}:fused", "--fail-on", "wall>3%", "--anyway"],
        ["export", str(run), "--to", "openmetrics", "-o", str(out)],
    ]
    for words in commands:
        codes, said, files = [], [], []
        for _ in range(2):
            codes.append(main(words))
            said.append(capsys.readouterr())
            files.append(out.read_bytes() if out.exists() else None)
            out.unlink(missing_ok=True)
        assert codes[0] == codes[1] and said[0] == said[1] and said[0].out and files[0] == files[1]
    assert len(list(answers_kept().folder.iterdir())) == len(commands) + 1  # the figures of captures that they share
    assert main(["doctor", "--clear-cache"]) == 0
    assert "of answers deleted from" in capsys.readouterr().out
    assert answers_kept().kept_bytes() == 0


def test_a_small_trace_is_analyzed_once_and_anew_when_a_byte_or_a_question_differs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(kineto_json(trace(kernel(0, 10), kernel(14, 20))))
    asked: list[Path] = []
    read = account.read_trace

    def counted(at: Path, **how: Any) -> Trace:
        asked.append(at)
        return read(at, **how)

    monkeypatch.setattr(account, "read_trace", counted)

    def analyzed(*more: str) -> str:
        assert main(["analyze", str(path), *more]) == 0
        return capsys.readouterr().out

    first = analyzed()
    assert analyzed() == first
    assert len(asked) == 1
    assert json.loads(analyzed("--json"))["devices"]
    assert len(asked) == 2
    path.write_bytes(kineto_json(trace(kernel(0, 10), kernel(14, 21))))
    assert analyzed() != first
    assert len(asked) == 3


def test_a_value_comes_back_to_the_last_digit_or_is_not_kept(folder: Path) -> None:
    def again(value: Any, kind: Any) -> Any:
        place((value, kind), (folder / "run.json",)).keep_value(value, kind)
        return place((value, kind), (folder / "run.json",)).read_value(kind)

    for value in ({"a": (0.1 + 0.2, float("inf"), -0.0)}, {"a": (float("nan"), 1e-310, 2.0)}):
        assert repr(again(value, dict[str, tuple[float, ...]])) == repr(value)
    assert again({"a": 3}, dict[str, float]) is None


def test_who_asks_for_what_another_is_at_waits_for_its_answer(folder: Path) -> None:
    files = (folder / "run.json",)
    made: list[int] = []
    at = place(("shared",), files)
    begun, asked = threading.Event(), threading.Event()

    def slowly() -> list[int] | None:
        with at.asked(list[int]) as kept:
            begun.set()
            assert asked.wait(10)
            made.append(1)
            return kept.value or kept.give([1, 2])

    def second() -> list[int] | None:
        assert begun.wait(10)
        asked.set()
        with place(("shared",), files).asked(list[int]) as kept:
            return kept.value or kept.give([*made, 3])

    with ThreadPoolExecutor(2) as pool:
        found = [pool.submit(slowly), pool.submit(second)]
        assert [one.result() for one in found] == [[1, 2], [1, 2]]
    assert made == [1]
    assert [one.name for one in answers_kept().folder.iterdir()] == [at.key], "no lock is left"


def test_what_fails_is_not_kept_and_nobody_waits_for_it(folder: Path) -> None:
    at = place(("failing",), (folder / "run.json",))
    with pytest.raises(ValueError, match="no"), at.asked(list[int]) as kept:
        kept.give([1])
        raise ValueError("no")
    assert at.read_value(list[int]) is None
    with at.asked(list[int]) as kept:
        assert kept.value is None
    assert at.read_value(list[int]) is None
    assert not answers_kept().folder.exists() or not list(answers_kept().folder.iterdir()), "no lock is left"


@pytest.mark.parametrize("how", ["nothing", "a byte", "a key's calls", "cut", "entry"])
def test_figures_of_captures_are_shared_until_a_byte_of_one_differs(
    how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_gpu_run(tmp_path / "run")
    read: list[str] = []

    def counted(at: Path) -> Trace:
        read.append(at.name)
        return read_trace(at)

    monkeypatch.setattr(opened, "read_trace", counted)
    first = open_run(path, counted).captures
    run = open_run(path, counted)
    every, facts = len(first), next(facts for facts in run.run.keys if facts.trace)
    assert len(read) == every > 0
    file = path / str(facts.trace)
    before = file.stat()
    if how == "a byte":
        text = gzip.decompress(file.read_bytes())
        file.write_bytes(gzip.compress(text.replace(b"kernel", b"kernel ", 1)))
        os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    elif how == "cut":
        file.write_bytes(file.read_bytes()[:-200])
    elif how == "entry":
        for one in answers_kept().folder.rglob("value"):
            one.write_bytes(one.read_bytes()[:-1] + b"x")
    elif how == "a key's calls":
        keys = tuple(replace(one, captured_calls=(one.captured_calls or 0) + 1) for one in run.run.keys)
        run = OpenedRun(replace(run.folder, run=replace(run.run, keys=keys)), counted)
    if how in ("cut", "a key's calls"):
        with pytest.raises((RunError, TraceError)):
            _ = run.captures
        return
    second = run.captures
    assert len(read) == (every if how == "nothing" else 2 * every)
    if how == "nothing":
        assert [asdict(one) for one in second.values()] == [asdict(one) for one in first.values()]


def test_figures_of_another_reading_are_not_shared(tmp_path: Path) -> None:
    path = write_gpu_run(tmp_path / "run")
    _ = open_run(path).captures
    kept_bytes, read = answers_kept().kept_bytes(), []

    def other(at: Path) -> Trace:
        read.append(at.name)
        return read_trace(at)

    assert open_run(path, other).captures and read
    assert answers_kept().kept_bytes() == kept_bytes > 0
