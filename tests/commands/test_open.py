"""`open` as a person runs it: a process, its words, its address, Ctrl-C."""

from __future__ import annotations

import gzip
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.request import urlopen

import polars as pl
import pytest

from rope_prof.io.run.folder import append_samples, write_run
from rope_prof.io.run.schema import MROPE
from rope_prof.model.run import SCHEMA_VERSION, Key, KeyFacts, Machine, Run
from rope_prof.model.samples import samples_schema

Start = Callable[..., "tuple[subprocess.Popen[str], str]"]

CASE = MROPE.case({"model": "28b", "tp": 1, "tokens": 973, "dtype": "bf16", "prompt": "image"})
MACHINE = Machine(
    device="cuda", device_name="a GPU", python="3.12", platform="linux", cpu_name="a CPU", cpu_cores=2, torch="2.13.0"
)


def kineto(key: str) -> bytes:
    """One call of `key`: its range, one launch, one kernel."""
    common = {"ph": "X", "pid": 1, "tid": 1}
    events = [
        {**common, "cat": "user_annotation", "name": f"{key}#0", "ts": 0, "dur": 10},
        {**common, "cat": "cuda_runtime", "name": "cudaLaunchKernel", "ts": 1, "dur": 5, "args": {"correlation": 1}},
        {
            **common,
            "cat": "kernel",
            "name": "rope",
            "pid": 0,
            "tid": 7,
            "ts": 8,
            "dur": 4,
            "args": {"device": 0, "stream": 7, "correlation": 1},
        },
    ]
    return gzip.compress(json.dumps({"schemaVersion": 1, "traceEvents": events}).encode())


def make_run(folder: Path, paths: tuple[str, ...]) -> Path:
    folder.mkdir()
    keys = tuple(Key(case=CASE, path=path, mode="eager", l2="cold") for path in paths)
    facts = tuple(KeyFacts(key=key, status="measured", trace=f"{key.name}.trace.json.gz") for key in keys)
    for each in facts:
        (folder / str(each.trace)).write_bytes(kineto(each.key.name))
    run = Run(
        schema_version=SCHEMA_VERSION,
        name=folder.name,
        created="2026-11-23T22:00:00",
        rope_prof="0.1.0",
        command="rope_prof record",
        seed=1,
        machine=MACHINE,
        operation=MROPE,
        keys=facts,
    )
    rows = [
        {"key": key.name, "round": n, "clock": "wall", "calls": 10, "ns": 90_000 + n} for key in keys for n in range(6)
    ]
    append_samples(folder, pl.DataFrame(rows, schema=samples_schema()))
    write_run(folder, run)
    return folder


@pytest.fixture
def run_folder(tmp_path: Path) -> Path:
    return make_run(tmp_path / "a-run", ("unfused", "per-token", "fused"))


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    path = tmp_path / "one.trace.json.gz"
    path.write_bytes(kineto("fused"))
    return path


def command(*words: object) -> list[str]:
    return [sys.executable, "-m", "rope_prof", "open", *map(str, words)]


def refused(repository: Path, *words: object) -> tuple[int, str]:
    """The exit code and the one line on standard error of a call that must not serve."""
    done = subprocess.run(
        command(*words, "--no-browser"), cwd=repository, capture_output=True, text=True, timeout=30, check=False
    )
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1, done.stderr
    return done.returncode, done.stderr


@pytest.fixture
def start(repository: Path) -> Iterator[Start]:
    """Start `open` and wait for its line: the process and the address in it."""
    processes: list[subprocess.Popen[str]] = []

    def begin(*words: object, env: dict[str, str] | None = None) -> tuple[subprocess.Popen[str], str]:
        process = subprocess.Popen(
            command(*words),
            cwd=repository,
            env={**os.environ, **(env or {})},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        processes.append(process)
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.search(r"http://127\.0\.0\.1:\d+/", line)
        assert found, line + process.stdout.read()
        return process, found.group()

    yield begin
    for process in processes:
        process.kill()
        process.communicate()


def read(address: str) -> bytes:
    with urlopen(address, timeout=10) as answer:
        data: bytes = answer.read()
        return data


def test_a_trace_is_served_until_ctrl_c(start: Start, trace: Path) -> None:
    process, address = start(trace, "--no-browser")
    assert read(f"{address}trace/{trace.name}") == trace.read_bytes()
    assert b"Perfetto" in read(address), "the address itself leads into the UI"
    process.send_signal(signal.SIGINT)
    rest, _ = process.communicate(timeout=10)
    assert process.returncode == 0
    assert "Traceback" not in rest


def test_a_run_has_an_index_of_all_its_traces(start: Start, run_folder: Path) -> None:
    _, address = start(run_folder, "--no-browser")
    page = read(address).decode()
    links = re.findall(r'href="/(open/[^"]+)"', page)
    assert links.pop(0) == f"open/{CASE.name}.pftrace"
    assert len(links) == 3
    for link in links:
        assert b"Perfetto" in read(address + link)
        name = link.removeprefix("open/")
        assert read(f"{address}trace/{name}") == (run_folder / name).read_bytes()


@pytest.mark.parametrize("key", ["fused.eager.cold.28b-tp1-n973-bf16-image.r0", "per-token"])
def test_key_opens_one_trace_at_once(start: Start, run_folder: Path, key: str) -> None:
    if key.startswith("fused"):
        assert key in Key(case=CASE, path="unfused", mode="eager", l2="cold").name, "a part of another key's name too"
    _, address = start(run_folder, "--key", key, "--no-browser")
    assert b"Perfetto" in read(address)


def test_a_run_of_one_trace_opens_it_at_once(start: Start, tmp_path: Path) -> None:
    _, address = start(make_run(tmp_path / "small", ("fused",)), "--no-browser")
    assert b"Perfetto" in read(address)


def test_the_browser_is_started_with_the_address(start: Start, trace: Path, tmp_path: Path) -> None:
    note = tmp_path / "asked"
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\nprintf %s "$1" > {note}.part && mv {note}.part {note}\n')
    browser.chmod(0o755)
    _, address = start(trace, env={"BROWSER": str(browser)})
    deadline = time.monotonic() + 10
    while not note.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert note.read_text() == address


def test_without_a_screen_it_says_so_and_serves(start: Start, trace: Path) -> None:
    process, address = start(trace, env={"DISPLAY": "", "WAYLAND_DISPLAY": "", "BROWSER": "", "SSH_CONNECTION": "x"})
    assert process.stdout is not None
    lines = {process.stdout.readline() for _ in range(3)}
    assert any("no browser could be started" in line for line in lines)
    port = address.rsplit(":", 1)[1].strip("/")
    assert any(f"ssh -N -L {port}:127.0.0.1:{port}" in line for line in lines)
    assert b"Perfetto" in read(address)


def test_a_taken_port(repository: Path, trace: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        code, said = refused(repository, trace, "--port", port)
    assert code == 2
    assert f"127.0.0.1:{port}" in said
    assert "--port" in said


def test_no_trace(repository: Path, tmp_path: Path) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("hello")
    for path in (text, tmp_path / "missing.json.gz"):
        code, said = refused(repository, path)
        assert code == 1
        assert str(path) in said


def test_a_folder_that_is_no_run(repository: Path, tmp_path: Path) -> None:
    code, said = refused(repository, tmp_path)
    assert code == 1
    assert str(tmp_path) in said


def test_an_unknown_and_an_ambiguous_key_list_what_there_is(repository: Path, run_folder: Path) -> None:
    code, said = refused(repository, run_folder, "--key", "graph")
    assert code == 2
    assert all(path in said for path in ("unfused.eager", "per-token.eager", "fused.eager"))
    code, said = refused(repository, run_folder, "--key", "eager.cold")
    assert code == 2
    assert "names 3 traces" in said


def test_key_with_a_single_trace(repository: Path, trace: Path) -> None:
    code, said = refused(repository, trace, "--key", "fused")
    assert code == 2
    assert "leave it out" in said


def test_a_run_whose_traces_are_gone(repository: Path, run_folder: Path) -> None:
    for path in run_folder.glob("*.trace.json.gz"):
        path.unlink()
    code, said = refused(repository, run_folder)
    assert code == 1
    assert "--resume" in said
