"""Processes that begin before the command knows its words."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from rope_prof.dashboard import early

ROOT = Path(__file__).resolve().parents[2]
#: A process that says what it was told.
TOLD = "from rope_prof.dashboard import early; print(early.words())"


def told(line: bytes) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-c", TOLD], cwd=ROOT, input=line, capture_output=True, timeout=60, check=False
    )


def test_it_does_what_the_command_tells_it() -> None:
    assert told(b'["run", "a b"]\n').stdout == b"['run', 'a b']\n"


def test_it_ends_quietly_with_a_command_that_tells_it_nothing() -> None:
    done = told(b"")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


@pytest.mark.parametrize("words", [["dashboard", "--help"], ["dashboard", "somewhere", "--help"]])
def test_help_begins_none(words: list[str]) -> None:
    early.begin(words)
    assert early.begun == {}


def test_nothing_begins_without_streamlit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(early, "find_spec", lambda _: None)
    early.begin(["dashboard"])
    assert early.begun == {}


def test_what_has_begun_is_what_is_told_and_the_rest_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    def sleeper(_module: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen([sys.executable, "-c", TOLD], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    monkeypatch.setattr(early, "started", sleeper)
    monkeypatch.setattr(early.atexit, "register", lambda _: None)
    early.begin(["dashboard"])
    server, other = early.begun[early.SERVER], early.begun[early.AHEAD]
    assert early.process(early.SERVER, ["run"]) is server
    assert server.stdout is not None
    assert server.stdout.read() == b"['run']\n"
    assert server.wait(timeout=20) == 0
    early.end()
    assert other.poll() == -9
    early.begun.clear()
    for one in (server, other):
        for pipe in (one.stdin, one.stdout):
            if pipe is not None:
                pipe.close()


def test_one_that_has_ended_is_told_in_vain(monkeypatch: pytest.MonkeyPatch) -> None:
    with subprocess.Popen([sys.executable, "-c", ""], stdin=subprocess.PIPE) as ended:
        ended.wait(timeout=20)
        monkeypatch.setitem(early.begun, early.SERVER, ended)
        assert early.process(early.SERVER, ["run"]) is ended
