"""What is written into a trace of our own: the key and figures first, no host name, no other byte changed."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rope_prof.analysis.run.capture import CaptureFigures, figures
from rope_prof.io.trace.read import read_trace
from rope_prof.record.capture import capture as module
from rope_prof.record.capture.file import capture_file
from rope_prof.record.device.devices import RecordDevice
from rope_prof.record.device.quiet import quiet_profiler
from rope_prof.record.loop.describe import one_line, reason
from rope_prof.record.loop.timing import Subject
from tests.builders import kernel, kineto_json, range_, trace
from tests.runs import CASE, key

_TIMES = st.from_regex(r"(0|[1-9][0-9]{0,12})\.[0-9]{3}", fullmatch=True)


@given(st.lists(_TIMES, max_size=5))
def test_no_digit_of_a_time_is_touched(times: list[str]) -> None:
    events = "[" + ", ".join(f'{{"ts": {time}}}' for time in times) + "]"
    raw = f'{{"schemaVersion": 1, "host_name": "box", "traceEvents": {events}, "traceName": "/tmp/x"}}'
    text = capture_file(raw.encode()).written({"schema_version": 1}, "a.json.gz").decode()
    assert events in text
    found = json.loads(text)
    assert list(found) == ["rope_prof", "schemaVersion", "traceEvents", "traceName"]
    assert found["traceName"] == "a.json.gz"
    assert "box" not in text


def test_own_replaces_own() -> None:
    once = capture_file(b'{"traceEvents": []}').written({"figures": None}, "a")
    twice = capture_file(once).written({"figures": {"calls": 2}}, "a")
    assert json.loads(twice)["rope_prof"] == {"figures": {"calls": 2}}


def test_a_capture_is_parsed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bytes of the profiler's events go through the lanes once and through the reader once."""
    parsed: list[str] = []
    one = key("fused", "eager")

    def profiled(_subject: object, name: str, ranges: int, _device: object, out: Path, **_: bool) -> None:
        calls = [range_(f"{name}#{n}", 100 * n, 100 * n + 50) for n in range(ranges)]
        kernels = [kernel(100 * n + 10, 100 * n + 40, launched=(100 * n + 1, 100 * n + 5)) for n in range(ranges)]
        out.write_bytes(kineto_json(trace(*calls, *kernels)))

    def counted(what: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def called(*arguments: Any) -> Any:
            parsed.append(what)
            return function(*arguments)

        return called

    monkeypatch.setattr(module, "profiled", profiled)
    monkeypatch.setattr(module, "capture_file", counted("lanes", module.capture_file))
    monkeypatch.setattr(module.KinetoReader, "read", counted("reader", module.KinetoReader.read))
    subject, device = cast(Subject, SimpleNamespace(step=1)), cast(RecordDevice, SimpleNamespace(kind="cuda"))
    name, calls = module.capture(subject, one, 3, device, tmp_path)
    assert parsed == ["lanes", "reader"]
    monkeypatch.undo()
    kept = read_trace(tmp_path / name)
    assert kept.own is not None
    found = figures(kept, one)
    assert (found.calls, found.busy_ns) == (calls, 30)
    assert CaptureFigures(**kept.own["figures"]) == found


def test_only_the_profilers_own_lines_are_kept_off_stderr(capfd: pytest.CaptureFixture[str]) -> None:
    import os

    with quiet_profiler():
        os.write(2, b"USDT:profiler_start\nsomething else\n")
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "something else\nafter\n"


def test_a_reason_is_one_line_without_folders() -> None:
    error = ValueError("cannot load /home/somebody/models/x.py: gone\nsecond line")
    assert one_line(error) == "ValueError: cannot load x.py: gone"
    assert one_line(KeyError()) == "KeyError"
    assert len(one_line(ValueError("x" * 999))) == 300


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("CUDA error: out of memory"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
    ],
)
def test_memory_that_ran_out_says_what_to_do(error: Exception) -> None:
    case = CASE.but(tokens=65536)
    assert reason(error, case) == "out of memory at 65,536 tokens; record fewer with --tokens, or free the device"
    other = replace(case, operation=replace(case.operation, name="mine"))
    assert "record fewer with --set tokens=..., or" in reason(error, other)
