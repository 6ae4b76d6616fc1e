"""The other side: a revision in a worktree that is gone after, another environment, K fresh processes in turn."""

from __future__ import annotations

import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from rope_prof.errors import UsageError
from rope_prof.io.run.folder import read_run
from rope_prof.model.run import Key, KeyFacts
from rope_prof.record.device.provenance import git
from rope_prof.record.loop.recorder import Recorder
from rope_prof.record.loop.stopping import Limits
from rope_prof.record.worker import sides
from rope_prof.record.worker.crew import Crew
from rope_prof.record.worker.messages import PROTOCOL, Greeting
from rope_prof.record.worker.process import LostWorkerError, Start, WorkerProcess
from rope_prof.record.worker.seat import Seat
from rope_prof.record.worker.sides import RecordedSide, checked_out, other_side, split, with_side
from rope_prof.record.worker.workers import Workers
from tests.record.standins import BENCH
from tests.record.worker.test_workers import Silent, planned
from tests.runs import CASE, run


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's own repository with two commits, the command running in a folder of it."""
    top = tmp_path / "project"
    (top / "sub").mkdir(parents=True)
    name = ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "-a", "-m", "x"]
    subprocess.run(["git", "init", "-q", str(top)], check=True)
    for text in ("x = 1\n", "x = 2\n"):
        (top / "sub" / "mine.py").write_text(text)
        for words in (["add", "."], name):
            subprocess.run(["git", "-C", str(top), *words], check=True, capture_output=True)
    monkeypatch.chdir(top / "sub")
    monkeypatch.setattr(sys, "path", [str(top / "sub"), *sys.path])
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(sides.tempfile, "tempdir", str(scratch))
    return top


def test_a_revision_is_a_worktree_that_is_gone_after(tree: Path, tmp_path: Path) -> None:
    with other_side("HEAD~1", None, ()) as side:
        assert side is not None
        assert side.revision == git(tree, "rev-parse", "--short=7", "HEAD~1") == side.label
        assert side.kernels is None
        first = Path(side.start.folders[0])
        assert (first / "mine.py").read_text() == "x = 1\n"
        assert side.start.cwd == str(first)
        assert not any(Path(folder).is_relative_to(tree) for folder in side.start.folders)
    assert not first.exists()
    assert not list((tmp_path / "scratch").iterdir())
    assert git(tree, "worktree", "list", "--porcelain", "-z") is not None
    assert "scratch" not in str(git(tree, "worktree", "list"))


def test_a_worktree_is_gone_after_an_interrupt_and_that_of_a_killed_recording_at_the_next(
    tree: Path, tmp_path: Path
) -> None:
    others = (signal.SIGTERM, signal.SIGHUP)
    numbers = (signal.SIGINT, *others)
    before = [signal.signal(one, signal.SIG_DFL) for one in numbers]  # another test may have left one of its own
    try:
        for number in numbers:
            ends = number == signal.SIGINT
            signal.signal(signal.SIGINT, signal.default_int_handler if ends else signal.SIG_IGN)  # as behind `&`
            with pytest.raises(KeyboardInterrupt), checked_out("HEAD", tree):
                assert callable(signal.getsignal(number))  # or it would end the tests
                signal.raise_signal(number)
            assert not list((tmp_path / "scratch").iterdir())
        assert {signal.getsignal(one) for one in others} == {signal.SIG_DFL}
    finally:
        for one, was in zip(numbers, before, strict=True):
            signal.signal(one, was or signal.SIG_DFL)
    left = tmp_path / "scratch" / "rope_prof-side-4194305-x"
    (left / "tree").mkdir(parents=True)
    with checked_out("HEAD", tree):
        assert not left.exists()


def test_this_programs_own_revisions_are_its_kernels(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not git(repository, "rev-parse", "HEAD"):
        pytest.skip("this tree is no git repository")
    monkeypatch.setattr(sides.tempfile, "tempdir", str(tmp_path))
    monkeypatch.chdir(repository)
    with other_side("HEAD", None, ()) as side:
        assert side is not None
        assert side.kernels is not None
        assert (Path(side.kernels) / "mrope").is_dir()
        assert side.start.cwd is None


@pytest.mark.parametrize(
    ("revision", "python", "sentence"),
    [
        ("no-such", None, "is no revision of this repository"),
        ("HEAD; rm -rf x", None, "is no revision of this repository"),
        (None, "/no/such/python", "is no program and no environment"),
    ],
)
@pytest.mark.usefixtures("tree")
def test_what_is_no_side_is_one_sentence(
    tmp_path: Path, revision: str | None, python: str | None, sentence: str
) -> None:
    with pytest.raises(UsageError, match=sentence), other_side(revision, python, ()):
        pass
    assert not list((tmp_path / "scratch").iterdir())


def test_without_a_repository_there_is_no_revision(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    with pytest.raises(UsageError, match="needs a git repository"), checked_out("HEAD", tmp_path):
        pass


def test_an_environment_is_its_folder_or_its_program(tmp_path: Path) -> None:
    program = tmp_path / "venv-29" / "bin" / "python"
    program.parent.mkdir(parents=True)
    program.symlink_to(sys.executable)
    for word in (program, tmp_path / "venv-29"):
        with other_side(None, str(word), ()) as side:
            assert side is not None
            assert (side.label, side.start.python, side.start.folders) == ("venv-29", str(program), ())


def test_an_environment_without_our_package_is_one_sentence(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "bare")], check=True)
    start = Start(python=str(tmp_path / "bare" / "bin" / "python"), folders=(str(tmp_path),), cwd=str(tmp_path))
    with pytest.raises(LostWorkerError, match=r"ended with code 1; the last it printed: .*No module named 'rope_prof'"):
        WorkerProcess(start, 20.0).ask("throttled")


def workers(side: RecordedSide | None) -> Workers:
    return Workers(device="cpu", seed=0, kind="cpu", patience_s=20, start=Start(), bench_name=BENCH, side=side)


def test_sides_and_repeats_take_turns_in_fresh_processes(tmp_path: Path) -> None:
    made = workers(RecordedSide(label="1a2b3c4", words="git revision 1a2b3c4"))
    plan = planned("unfused", "user:fine")
    plan = run(*made.planned(plan.keys))
    assert [f.key.path for f in plan.keys] == ["unfused", "user:fine", "unfused@1a2b3c4", "user:fine@1a2b3c4"]
    try:
        crew = made.bench(plan, -1)
        assert made.met(plan) == {"other side": "git revision 1a2b3c4"}
        done = Recorder(tmp_path, plan, crew, Silent(), Limits(rounds=2, repeats=3)).record()
    finally:
        made.close()
    assert {f.status for f in done.keys} == {"measured"}
    samples = read_run(tmp_path).samples
    seen: list[set[int]] = []
    for facts in done.keys:
        assert (tmp_path / f"{facts.key.name}.trace.json.gz").is_file()
        mine = samples.filter(samples["key"] == facts.key.name)
        assert mine["round"].to_list() == [0, 1, 2, 3, 4, 5]
        numbers = mine["process"].to_list()
        assert numbers[::2] == numbers[1::2]
        assert len(set(numbers)) == 3
        seen.append(set(numbers))
    assert len(set().union(*seen)) == 12


def test_an_interrupted_run_of_repeats_goes_on_with_the_process_that_is_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = planned("unfused")
    first = workers(None)
    crew = first.bench(plan, -1)
    recorder = Recorder(tmp_path, plan, crew, Silent(), Limits(rounds=2, repeats=3))
    with monkeypatch.context() as patch, pytest.raises(Exception, match="go on with"):
        patch.setattr(Crew, "renew", _interrupt)
        recorder.record()
    first.close()
    before = read_run(tmp_path)
    assert before.samples["round"].max() == 1
    second = workers(None)
    try:
        again = second.bench(before.run, int(before.samples["process"].max() or 0))  # type: ignore[arg-type]
        done = Recorder(tmp_path, before.run, again, Silent(), Limits(rounds=2, repeats=3)).record()
    finally:
        second.close()
    assert done.complete
    mine = read_run(tmp_path).samples
    mine = mine.filter(mine["key"] == done.keys[0].key.name)
    assert mine["round"].to_list() == [0, 1, 2, 3, 4, 5]
    assert mine["process"].n_unique() == 3


def _interrupt(_: object) -> None:
    raise KeyboardInterrupt


def test_another_torch_on_the_other_side_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    made = workers(RecordedSide(label="env", words="environment env"))
    plan = run(*made.planned(planned("unfused").keys))
    other = replace(plan.machine, torch="1.2.3")
    told = Greeting(protocol=PROTOCOL, rope_prof="0", pid=1, machine=other)
    monkeypatch.setattr(Seat, "hello", lambda _: told)
    try:
        made.bench(plan, -1)
        said = made.met(plan)["other side"]
    finally:
        made.close()
    assert said == (
        f"environment env, with torch 1.2.3 where this side has {plan.machine.torch}: a ratio is of both together"
    )


def test_an_environment_without_our_package_says_what_to_do(tmp_path: Path) -> None:
    """Through a process to fork from, which that environment has not, to a worker that cannot be started."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "bare")], check=True)
    start = Start(python=str(tmp_path / "bare" / "bin" / "python"), folders=(str(tmp_path),), cwd=str(tmp_path))
    made = workers(RecordedSide(label="bare", words="environment bare", start=start))
    plan = run(*made.planned(planned("unfused").keys))
    try:
        made.bench(plan, -1)
        with pytest.raises(UsageError, match=r"bare cannot be measured: .*No module named 'rope_prof'.*; install"):
            made.met(plan)
    finally:
        made.close()


def test_a_side_that_cannot_be_measured_is_one_sentence() -> None:
    bad = RecordedSide(label="x", words="git revision x", start=Start(python="/bin/false"))
    made = workers(bad)
    plan = run(*made.planned(planned("unfused").keys))
    try:
        made.bench(plan, -1)
        with pytest.raises(UsageError, match="git revision x cannot be measured: its process ended with code 1"):
            made.met(plan)
    finally:
        made.close()


def test_names_of_sides() -> None:
    assert split(with_side("a:b", "1a2b3c4")) == ("a:b", "1a2b3c4")
    assert split("fused") == ("fused", "")
    key = Key(case=CASE, path=with_side("fused", "x"), mode="eager", l2="hot")
    assert KeyFacts(key=key, status="pending").key.name.startswith("fused@x.eager")


def test_what_the_other_side_lacks_is_no_matter_of_this_sides_import_path() -> None:
    said = "path 'x:f': cannot import 'x' (No module named 'x'); put its folder on PYTHONPATH"
    seat = SimpleNamespace(ask=lambda *_: (said, None))
    crew: Any = SimpleNamespace(seats={"x:f": seat, "x:f@1a2b3c4": seat}, _loaded={})
    assert Crew.load(crew, "x:f") == said
    there = said.replace(
        "put its folder on PYTHONPATH", "1a2b3c4 lacks it, and only what both sides hold can be compared"
    )
    assert Crew.load(crew, "x:f@1a2b3c4") == there
