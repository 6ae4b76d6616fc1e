"""A real Ctrl-C and a real full disk, in processes of their own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from rope_prof.io.layout import SAMPLES_FILE
from rope_prof.io.run.folder import is_run, read_run

WORDS = ["--device", "cpu", "--path", "unfused", "--mode", "eager", "--calls", "2"]

#: Once the plan is written, files may hold a few bytes more than it and no other: what a full disk looks like.
LIMITED = """
import os, resource, sys
from rope_prof.cli import main
import torch, polars

def fill(event, arguments):
    if event == "os.rename" and str(arguments[1]).endswith("run.json"):
        if resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY:
            size = os.path.getsize(arguments[0]) + 8
            resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

sys.addaudithook(fill)
sys.exit(main(sys.argv[1:]))
"""


#: Ctrl-C while a library makes a dataclass: code compiled from a string. The process that calls is free to go on.
IN_A_STRING = """
import sys
from rope_prof import cli
from rope_prof.errors import RopeProfError

class Stopped(RopeProfError):
    pass

def application():
    try:
        exec("raise KeyboardInterrupt")
    except KeyboardInterrupt:
        raise Stopped("stopped; go on") from None

cli.application = application
from rope_prof.__main__ import main
main()
"""


def environment(repository: Path) -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(repository), "OMP_NUM_THREADS": "1"}


def test_ctrl_c_keeps_what_is_done_and_resume_ends_it(repository: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    words = ["record", "-o", str(folder), "--tokens", "64", "--rounds", "150", *WORDS]
    child = subprocess.Popen(
        [sys.executable, "-m", "rope_prof", *words],
        env=environment(repository),
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )
    until = time.monotonic() + 60
    while not (folder / SAMPLES_FILE).exists() and time.monotonic() < until and child.poll() is None:
        time.sleep(0.02)
    child.send_signal(signal.SIGINT)
    _, said = child.communicate(timeout=60)
    assert child.returncode == 1, said
    assert said.splitlines()[-1].endswith(f"go on with `python -m rope_prof record --resume -o {folder}`")
    kept = read_run(folder)
    assert kept.samples.height
    assert not kept.run.complete
    done = subprocess.run(
        [sys.executable, "-m", "rope_prof", "record", "--resume", "-o", str(folder)],
        env=environment(repository),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    whole = read_run(folder)
    assert whole.run.complete
    for facts in whole.run.keys:
        assert facts.status == "measured"
        mine = whole.samples.filter(whole.samples["key"] == facts.key.name)["round"].to_list()
        assert mine == list(range(mine[0], 150))
        assert len(mine) >= 149


def git(folder: Path, *words: str) -> str:
    named = ["-c", "user.name=a", "-c", "user.email=a@b"]
    return subprocess.run(["git", "-C", str(folder), *named, *words], check=True, capture_output=True, text=True).stdout


def processes_with(word: str) -> list[int]:
    """Those of whose command or variables `word` is a part."""
    found = []
    for each in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if word.encode() in (each / "environ").read_bytes() + (each / "cmdline").read_bytes():
                found.append(int(each.name))
    return found


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="looks into Linux's /proc")
def test_ctrl_c_leaves_no_process_and_no_worktree(repository: Path, tmp_path: Path) -> None:
    """Two sides: each with a process that workers are forked from, and the other in a worktree."""
    tree, scratch, folder = tmp_path / "tree", tmp_path / "scratch", tmp_path / "run"
    for made in (tree, scratch):
        made.mkdir()
    (tree / "mine.py").write_text("from rope_prof.kernels.mrope.unfused import unfused as rope\n")
    for words in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "x"]):
        git(tree, *words)
    words = [
        "record",
        "-o",
        str(folder),
        "--tokens",
        "4",
        "--rounds",
        "900",
        "--path",
        "mine:rope",
        "--against",
        "HEAD",
    ]
    child = subprocess.Popen(
        [sys.executable, "-m", "rope_prof", *words, "--against", "HEAD", *WORDS],
        env=environment(repository) | {"PYTHONPATH": f"{repository}{os.pathsep}{tree}", "TMPDIR": str(scratch)},
        cwd=tree,
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )
    until = time.monotonic() + 60
    while not (folder / SAMPLES_FILE).exists() and time.monotonic() < until and child.poll() is None:
        time.sleep(0.02)
    assert len(git(tree, "worktree", "list").splitlines()) == 2
    assert len(processes_with(str(scratch))) >= 5, "the recorder, two to fork from, their workers"
    child.send_signal(signal.SIGINT)
    _, said = child.communicate(timeout=60)
    assert child.returncode == 1, said
    until = time.monotonic() + 10
    while processes_with(str(scratch)) and time.monotonic() < until:
        time.sleep(0.02)
    assert processes_with(str(scratch)) == []
    assert len(git(tree, "worktree", "list").splitlines()) == 1
    assert not list(scratch.glob("rope_prof-side-*"))


def test_an_interrupt_in_generated_code_leaves_the_exit_code_to_us(repository: Path, tmp_path: Path) -> None:
    """CPython would end the process by SIGINT (-2) after the right message; it does so for `-m` alone."""
    (tmp_path / "stopped_in_a_string.py").write_text(IN_A_STRING)
    done = subprocess.run(
        [sys.executable, "-m", "stopped_in_a_string"],
        env=environment(repository) | {"PYTHONPATH": f"{repository}{os.pathsep}{tmp_path}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (1, "error: stopped; go on\n")


def test_a_full_disk_is_one_line_and_loses_nothing(repository: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    words = ["record", "-o", str(folder), "--tokens", "4", "--rounds", "8", *WORDS]
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, *words],
        env=environment(repository),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert is_run(folder)
    kept = read_run(folder).run
    assert not kept.complete
    assert [(facts.key.path, facts.status) for facts in kept.keys] == [("unfused", "pending")]
    assert not list(folder.glob("*.part"))
