"""What is written into a trace of our own: the key and figures first, no host name, no other byte changed."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rope_prof.record.capture.capture import with_own
from rope_prof.record.device.quiet import quiet_profiler
from rope_prof.record.loop.describe import one_line, reason

_TIMES = st.from_regex(r"(0|[1-9][0-9]{0,12})\.[0-9]{3}", fullmatch=True)


@given(st.lists(_TIMES, max_size=5))
def test_no_digit_of_a_time_is_touched(times: list[str]) -> None:
    events = "[" + ", ".join(f'{{"ts": {time}}}' for time in times) + "]"
    raw = f'{{"schemaVersion": 1, "host_name": "box", "traceEvents": {events}, "traceName": "/tmp/x"}}'
    text = with_own(raw.encode(), {"schema_version": 1}, "a.json.gz").decode()
    assert events in text
    found = json.loads(text)
    assert list(found) == ["rope_prof", "schemaVersion", "traceEvents", "traceName"]
    assert found["traceName"] == "a.json.gz"
    assert "box" not in text


def test_own_replaces_own() -> None:
    once = with_own(b'{"traceEvents": []}', {"figures": None}, "a")
    twice = with_own(once, {"figures": {"calls": 2}}, "a")
    assert json.loads(twice)["rope_prof"] == {"figures": {"calls": 2}}


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
    assert reason(error, 65536) == "out of memory at 65536 tokens; record fewer with --tokens, or free the device"
