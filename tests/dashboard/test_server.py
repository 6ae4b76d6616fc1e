"""The dashboard's process: what it has ready before the first viewer comes."""

from __future__ import annotations

import gc
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from rope_prof.commands.dashboard import command
from rope_prof.dashboard import ahead, loading, server, shell, view
from rope_prof.io.store import answers_kept
from rope_prof.opened import walls
from rope_prof.opened.run import open_run
from rope_prof.views.words.losses import chain_keys
from tests.dashboard.drawn_run import write_gpu_run

#: The command up to the point where Streamlit binds its socket, by hand as it does; what an accepted connection has.
ACCEPTED = """
import faulthandler, socket
from streamlit.web import cli
from rope_prof.dashboard import server

def serve(prog_name):
    assert prog_name == "streamlit"
    assert faulthandler.is_enabled()
    with socket.socket({family}) as bound:
        bound.bind({address})
        bound.listen()
        with socket.socket({family}) as viewer:
            viewer.connect(bound.getsockname())
            if {family} == socket.AF_INET:
                print("at once:", bool(bound.accept()[0].getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)))
    ready.wait(timeout=30)
    print("ready:", ready.is_set())

import threading
ready = threading.Event()
server.ready = ready.set
cli.main = serve
server.main()
"""


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The garbage collector as it was; nobody waits for a first page."""
    monkeypatch.setattr(server, "FIRST_PAGE_S", 0.0)
    monkeypatch.setattr(server, "COME_S", 0.0)
    yield
    gc.unfreeze()
    gc.enable()


def printed(family: str, address: object) -> list[str]:
    code = ACCEPTED.format(family=family, address=repr(address))
    done = subprocess.run([sys.executable, "-c", code, "run"], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_the_command_runs_the_pages_in_it(tmp_path: Path) -> None:
    words = command(8599, tmp_path)
    assert words[0] == "run"
    assert words[1].endswith("app.py")
    assert "--runner.magicEnabled=false" in words


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux says that an accepted connection inherits TCP_NODELAY")
def test_answers_leave_at_once_and_reading_begins_with_the_port() -> None:
    assert printed("socket.AF_INET", ("127.0.0.1", 0)) == ["at once: True", "ready: True"]


@pytest.mark.skipif(sys.platform != "linux", reason="needs a Unix socket")
def test_a_socket_of_another_kind_is_left_alone(tmp_path: Path) -> None:
    assert printed("socket.AF_UNIX", str(tmp_path / "bound")) == ["ready: True"]


@pytest.mark.usefixtures("collector")
def test_the_first_viewer_finds_the_run_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = write_gpu_run(tmp_path / "early")
    monkeypatch.setattr(sys, "argv", ["server.py", "run", "app.py", "--", "--run", str(run)])
    gc.disable()
    server.ready()
    assert gc.isenabled()
    assert gc.get_freeze_count() > 0
    assert "pandas" in sys.modules

    def read_again(*_: object) -> None:
        raise AssertionError("the run was read again")

    monkeypatch.setattr(loading, "open_run", read_again)
    monkeypatch.setattr(loading, "read_trace", read_again)
    assert [row.kernels_per_call for row in loading.opened(run).rows if row.path == "fused"]


@pytest.mark.usefixtures("collector")
def test_a_run_that_cannot_be_read_waits_for_its_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "run.json").write_text("{", encoding="utf-8")
    monkeypatch.setattr(sys, "argv", ["server.py", "run", "app.py", "--", "--run", str(tmp_path)])
    gc.disable()
    server.ready()
    assert gc.isenabled()


@pytest.mark.usefixtures("collector")
def test_the_collector_walks_again_after_a_bug(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(loading, "runs", broken)
    gc.disable()
    with pytest.raises(ZeroDivisionError):
        server.ready()
    assert gc.isenabled()


@pytest.mark.usefixtures("collector")
def test_pandas_waits_for_the_first_page(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    monkeypatch.setattr(loading, "runs", dict)
    monkeypatch.setattr(shell.drawn, "wait", lambda _: seen.append("drawn"))
    monkeypatch.setattr(server, "import_module", seen.append)
    server.ready()
    assert seen == ["drawn", "pandas"]


def test_what_is_read_ahead_is_what_the_first_page_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures of captures and verdicts: with them kept, no trace is read and nothing compared."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    path = write_gpu_run(tmp_path / "run")
    run = open_run(path)
    sides = [(key.path, key.mode, key.l2) for key in chain_keys(run.run, view.default_case(run.run))]
    assert sides
    wanted = [walls.wall_verdicts(run.folder, run.folder, side) for side in sides]
    assert any(wanted)
    answers_kept().clear()
    ahead.main(path)

    def again(*_: object, **__: object) -> None:
        raise AssertionError("worked out again")

    monkeypatch.setattr("rope_prof.opened.run.read_trace", again)
    monkeypatch.setattr(walls, "compare", again)
    run = open_run(path, keep=True)
    assert [row.kernels_per_call for row in run.rows if row.path == "fused"]
    assert [walls.wall_verdicts(run.folder, run.folder, side) for side in sides] == wanted


def test_a_run_that_cannot_be_read_ahead_says_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "run.json").write_text("{", encoding="utf-8")
    ahead.main(tmp_path)
    assert capsys.readouterr() == ("", "")
