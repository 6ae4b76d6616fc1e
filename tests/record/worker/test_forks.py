"""Workers that are forked: from one process an environment, which may die, be unfit or not be there at all."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from rope_prof.record.worker import forks, zygote
from rope_prof.record.worker.forks import Zygotes
from rope_prof.record.worker.messages import Setup
from rope_prof.record.worker.process import LostWorkerError, Start, WorkerProcess
from rope_prof.record.worker.zygote import fit_to_load, opened_devices
from tests.record.standins import BENCH
from tests.record.worker.test_workers import gone

SETUP = Setup(bench=BENCH, device="cpu", seed=0, calls=2)
pytestmark = pytest.mark.skipif(not forks.ABLE, reason="workers are forked on Linux alone")


def parent(process: WorkerProcess) -> int:
    """The number of the process that it was started by; -1 where it has not answered."""
    assert process.ask("begin", SETUP).pid == process.pid
    return int(Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[1])


def test_workers_of_one_environment_are_forked_from_one_process_and_end_with_it() -> None:
    with Zygotes() as zygotes:
        made = [zygotes.process(start, 20) for start in (Start(), Start(), Start(variables={"A": "1"}))]
        one, same, other = map(parent, made)
        assert one == same
        assert os.getpid() not in {one, other}
        assert other != one
        zygotes.renew()
        assert gone([one, other, *(each.pid for each in made)])
        again = zygotes.process(Start(), 20)
        assert parent(again) not in {one, other}
        for each in (*made, again):
            each.end()


def test_a_worker_whose_origin_is_killed_is_lost_and_the_next_has_another() -> None:
    with Zygotes() as zygotes:
        first = zygotes.process(Start(), 20)
        origin = parent(first)
        os.kill(origin, signal.SIGKILL)
        assert gone([origin, first.pid])
        with pytest.raises(LostWorkerError, match="killed by SIGKILL"):
            first.ask("throttled")
        second = zygotes.process(Start(), 20)
        assert parent(second) not in {origin, os.getpid()}
        second.end()


def test_what_is_not_fit_to_be_forked_is_started_by_itself(tmp_path: Path) -> None:
    """A module that opens a device as it is loaded; an environment that has no such process."""
    (tmp_path / "opens.py").write_text(
        "import rope_prof.record.worker.zygote as zygote\nzygote.opened_devices = lambda: ['/dev/nvidia0']\n"
        "import __main__\n__main__.opened_devices = zygote.opened_devices\n"
    )
    start = Start(folders=(str(tmp_path), *filter(None, sys.path)), preload=("opens",))
    with Zygotes() as zygotes:
        process = zygotes.process(start, 20)
        assert parent(process) == os.getpid()
        process.end()
        with pytest.raises(LostWorkerError, match="ended with code 1"):
            zygotes.process(Start(python="/bin/false"), 20).ask("throttled")
        with pytest.raises(LostWorkerError, match="cannot start '/nowhere/python'"):
            zygotes.process(Start(python="/nowhere/python"), 20)


def test_without_a_way_to_fork_a_worker_is_started_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forks, "ABLE", False)
    with Zygotes() as zygotes:
        process = zygotes.process(Start(), 20)
        assert parent(process) == os.getpid()
        process.end()


def test_devices_that_are_open_are_seen(tmp_path: Path) -> None:
    for number, name in enumerate(("/dev/null", "/dev/nvidiactl", "socket:[1]", "/dev/nvidia0")):
        (tmp_path / str(number)).symlink_to(name)
    assert opened_devices(tmp_path) == ["/dev/nvidia0", "/dev/nvidiactl"]
    assert opened_devices() == []


def test_a_worker_has_no_descriptor_of_another() -> None:
    """What a path might write to: its link, its output, and nothing of the recorder's or of other workers'."""
    with Zygotes() as zygotes:
        made = [zygotes.process(Start(), 20) for _ in range(3)]
        for each in made:
            parent(each)
        links = [[str(each.readlink()) for each in Path(f"/proc/{one.pid}/fd").iterdir()] for one in made]
        assert [sum(name.startswith("socket:") for name in names) for names in links] == [1, 1, 1]
        for each in made:
            each.end()


def test_a_link_that_nobody_answers_is_no_worker() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs, pytest.raises(TimeoutError):
        forks.ForkedChild(ours, 0.01)


@pytest.mark.parametrize(
    ("driver", "loaded"),
    [(".", ["torch", "triton"]), ("none", ["torch", "torch._inductor.a", "torch._inductor.b", "triton"])],
)
def test_where_there_is_a_driver_inductor_is_left_to_the_workers(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, driver: str, loaded: list[str]
) -> None:
    monkeypatch.setattr(zygote, "DRIVER", tmp_path / driver)
    assert fit_to_load(["torch", "torch._inductor.a", "torch._inductor.b", "triton"]) == loaded


COMMAND = """
import sys
from pathlib import Path
from rope_prof.record.worker import forks
from rope_prof.record.worker.messages import Setup
from rope_prof.record.worker.process import Start
forks.import_module = lambda name: None  # torch takes a second
def origins():
    with forks.Zygotes(here=True) as zygotes:
        for start in (Start(), Start(variables={"A": "1"})):
            worker = zygotes.process(start, 20)
            pid = worker.ask("begin", Setup(bench=sys.argv[1], device="cpu", seed=0, calls=2)).pid
            assert pid == worker.pid
            parent = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1]
            print("fork" if "-c" in Path(f"/proc/{parent}/cmdline").read_text().split(chr(0)) else "program", end=" ")
            worker.end()
sys.stdout.reconfigure(line_buffering=False)
origins()
import polars
origins()
"""


def test_a_command_forks_the_first_from_itself_before_anything_has_threads() -> None:
    """Only where all is as it would be in a program of its own; what the command has printed is printed once."""
    told = subprocess.run([sys.executable, "-c", COMMAND, BENCH], capture_output=True, text=True, timeout=60)
    assert told.stdout.split() == ["fork", "program", "program", "program"], told.stderr
