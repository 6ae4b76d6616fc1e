"""Who decodes a piece changes nothing; a helper that fails is one clear error; none outlives the reading."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import polars as pl
import pytest

from rope_prof.errors import TraceError, UsageError
from rope_prof.io.kineto import pieces
from rope_prof.io.kineto import processes as kineto_processes
from rope_prof.io.trace import unpack
from rope_prof.io.trace.read import read_trace


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pieces of 32 KiB, and helpers from the first on."""
    monkeypatch.setattr(pieces, "PIECE_BYTES", 32 << 10)
    monkeypatch.setattr(unpack, "_OUT", 16 << 10)
    monkeypatch.setattr(kineto_processes, "WORTH_BYTES", 0)


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Every helper process that is started; each has ended when the test has."""
    children: list[subprocess.Popen[bytes]] = []

    class Watched(subprocess.Popen):  # type: ignore[type-arg]
        def __init__(self, *args: object, **kwargs: object) -> None:
            super().__init__(*args, **kwargs)  # type: ignore[call-overload]
            children.append(self)

    monkeypatch.setattr(subprocess, "Popen", Watched)
    yield children
    assert children
    assert all(child.returncode is not None for child in children)


def events(count: int) -> list[str]:
    return [
        f'{{"ph": "X", "cat": "cpu_op", "name": "op{k % 97}", "pid": 1, "tid": {k % 3}, "ts": {k}.{k % 1000:03d}, '
        f'"dur": 1.5, "args": {{"External id": {k}}}}}'
        for k in range(count)
    ]


def write(folder: Path, texts: list[str]) -> Path:
    path = folder / "trace.json"
    path.write_text('{"traceEvents": [' + ",\n".join(texts) + "]}")
    return path


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("readers", ["2", "3"])
def test_helpers_read_what_one_process_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, started: list[subprocess.Popen[bytes]], readers: str
) -> None:
    texts = events(6000)
    texts[100] = texts[100].replace('"dur": 1.5', '"dur": inf')
    texts[4000] = texts[4000].replace('"dur": 1.5', '"dur": 1.5, "dur": 2')
    path = write(tmp_path, texts)
    monkeypatch.setenv(kineto_processes.VARIABLE, "1")
    alone = read_trace(path)
    assert not started
    monkeypatch.setenv(kineto_processes.VARIABLE, readers)
    shared = read_trace(path)
    for field in fields(alone):
        one, other = getattr(alone, field.name), getattr(shared, field.name)
        assert one.equals(other) if isinstance(one, pl.DataFrame) else one == other, field.name
    assert {finding.code for finding in shared.findings} >= {"duplicate_keys", "unreadable_times"}
    assert shared.ops["external"].to_list() == [k for k in range(6000) if k != 100]


@pytest.mark.usefixtures("small")
def test_a_helper_that_dies_is_one_clear_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, started: list[subprocess.Popen[bytes]]
) -> None:
    monkeypatch.setenv(kineto_processes.VARIABLE, "2")
    monkeypatch.setattr(kineto_processes, "_START", "import os; os._exit(7)")
    with pytest.raises(TraceError, match=r"ended with exit code 7 .*ROPE_PROF_READERS=1"):
        read_trace(write(tmp_path, events(6000)))
    assert len(started) == 1


@pytest.mark.usefixtures("small")
def test_an_error_in_a_helper_is_the_error_of_the_reading(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, started: list[subprocess.Popen[bytes]]
) -> None:
    deep = '{"ph": "X", "args": {"x": ' + "[" * 3000 + "]" * 3000 + "}}"
    monkeypatch.setenv(kineto_processes.VARIABLE, "2")
    with pytest.raises(TraceError, match="nests deeper"):
        read_trace(write(tmp_path, [deep, *events(3000)]))
    assert started


@pytest.mark.usefixtures("small")
def test_an_interrupt_leaves_no_helper(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, started: list[subprocess.Popen[bytes]]
) -> None:
    def interrupt(_read: int, _total: int) -> None:
        if started:
            raise KeyboardInterrupt

    monkeypatch.setenv(kineto_processes.VARIABLE, "2")
    path = write(tmp_path, events(60_000))
    with pytest.raises(KeyboardInterrupt):
        read_trace(path, progress=interrupt)
    assert started[0].returncode is not None


@pytest.mark.parametrize("told", ["0", "two", "-1", "65"])
def test_a_wrong_number_of_readers_is_an_error(monkeypatch: pytest.MonkeyPatch, told: str) -> None:
    monkeypatch.setenv(kineto_processes.VARIABLE, told)
    with pytest.raises(UsageError, match="expected a number of processes"):
        kineto_processes.readers()


def test_a_script_without_a_main_guard_runs_once(tmp_path: Path) -> None:
    """Helpers must not import the caller's script again."""
    path = write(tmp_path, events(600))
    script = tmp_path / "script.py"
    script.write_text(
        "from pathlib import Path\nfrom rope_prof.io.kineto import processes\n"
        "from rope_prof.io.trace.read import read_trace\n"
        f"processes.WORTH_BYTES = 0\nprint(read_trace(Path({str(path)!r})).ops.height)\n"
    )
    root = Path(__file__).resolve().parents[2]
    environment = {"PYTHONPATH": str(root), "ROPE_PROF_READERS": "2", "PATH": ""}
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, env=environment, check=False)
    assert (done.stdout, done.stderr, done.returncode) == ("600\n", "", 0)
