"""Which profiler captures: the monitor where it was asked for and is to be had, Kineto else, and the run says so."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch

from rope_prof.errors import UsageError
from rope_prof.io.trace.read import read_trace
from rope_prof.record.capture import capture as module
from rope_prof.record.capture import profiler
from rope_prof.record.device import machine as here
from rope_prof.record.device.devices import RecordDevice, find_device
from rope_prof.record.loop.plan import Options
from rope_prof.record.loop.timing import Subject
from rope_prof.record.session import fresh_run
from rope_prof.views.words.notes import notes
from tests.builders import kernel, kineto_json, range_, trace
from tests.runs import key

SMALL = Options(paths=("unfused",), modes=("eager",), values=(("tokens", ("1",)),), quick=True)


@pytest.fixture
def has(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The modules that this torch has, beside what it truly has."""
    held: set[str] = set()
    monkeypatch.setattr(profiler, "find_spec", lambda name: object() if name in held else None)
    return held


@pytest.mark.parametrize(
    ("found", "backend"),
    [
        ("torch.profiler._cupti_monitor", "cupti_monitor"),  # 2.13
        ("torch.profiler._cupti", "cupti_monitor"),  # 2.14
        ("torch.profiler._cuspy", "cuspy"),  # 2.15
    ],
)
def test_each_torch_is_told_by_its_own_name_of_the_monitor(
    has: set[str], monkeypatch: pytest.MonkeyPatch, found: str, backend: str
) -> None:
    has |= {found, "cupti"}
    asked: list[dict[str, Any]] = []
    monkeypatch.setattr(torch.profiler, "profile", lambda **words: asked.append(words))
    monkeypatch.setattr(torch._C._profiler, "_ExperimentalConfig", SimpleNamespace)  # 2.9's does not tell its words
    assert profiler.lacks("monitor", "cuda") is None
    profiler.profiler("monitor", ["CPU", "CUDA"])
    (words,) = asked
    assert words["activities"] == ["CPU", "CUDA"]
    assert json.loads(words["experimental_config"].custom_profiler_config) == {"backend": backend}
    profiler.profiler("kineto", ["CPU"])
    assert asked[1] == {"activities": ["CPU"], "acc_events": True}


def test_what_the_monitor_lacks_is_said(has: set[str]) -> None:
    assert profiler.lacks("kineto", "cpu") is None
    assert "no NVIDIA GPU" in str(profiler.lacks("monitor", "cpu"))
    assert "has no monitor" in str(profiler.lacks("monitor", "cuda"))
    has.add("torch.profiler._cuspy")
    assert "pip install cupti-python" in str(profiler.lacks("monitor", "cuda"))


@pytest.mark.parametrize("works", [True, False])
def test_kineto_stands_in_for_a_monitor_that_fails_and_the_trace_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, works: bool
) -> None:
    tried: list[str] = []

    def profiled(*given: Any, by: str = "kineto", **_: Any) -> None:
        _, name, ranges, _, out = given
        tried.append(by)
        if by == "monitor" and not works:
            raise RuntimeError("CUPTI_ERROR_MULTIPLE_SUBSCRIBERS")
        calls = [range_(f"{name}#{n}", 100 * n, 100 * n + 50) for n in range(ranges)]
        kernels = [kernel(100 * n + 10, 100 * n + 40, launched=(100 * n + 1, 100 * n + 5)) for n in range(ranges)]
        out.write_bytes(kineto_json(trace(*calls, *kernels)))

    monkeypatch.setattr(module, "profiled", profiled)
    subject, device = cast(Subject, SimpleNamespace(step=1)), cast(RecordDevice, SimpleNamespace(kind="cuda"))
    name, _ = module.capture(subject, key("fused", "eager"), 3, device, tmp_path, by="monitor")
    own = read_trace(tmp_path / name).own
    assert own is not None
    if works:
        assert (own["profiler"], tried) == ({"name": "monitor", "instead": None}, ["monitor"])
    else:
        why = "monitor failed: RuntimeError: CUPTI_ERROR_MULTIPLE_SUBSCRIBERS"
        assert (own["profiler"], tried) == ({"name": "kineto", "instead": why}, ["monitor", "kineto"])


def test_a_run_says_that_kineto_captured_after_all() -> None:
    run = fresh_run(replace(SMALL, profiler="monitor"), find_device("cpu"), None)
    assert run.settings["profiler"] == "kineto" and "no NVIDIA GPU" in str(run.settings["profiler_reason"])
    assert any("captured by Kineto" in line for line in notes(run, []))
    plain = fresh_run(SMALL, find_device("cpu"), None)
    assert "profiler" not in plain.settings and not any("Kineto" in line for line in notes(plain, []))
    with pytest.raises(UsageError, match="unknown profiler 'nvprof'"):
        Options(profiler="nvprof")


def test_an_untested_torch_is_said_by_doctor_and_in_the_run_and_refused_by_neither(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert here.machine(find_device("cpu")).untested == ()
    monkeypatch.setattr(here, "TORCH_RANGE", ((1, 0), (1, 2)))
    run = fresh_run(SMALL, find_device("cpu"), None)
    assert run.machine.untested == (f"torch {torch.__version__}, tried with 1.0 to 1.1",)
    assert any(f"untested version: torch {torch.__version__}" in line for line in notes(run, []))
    check = here.versioned("torch", str(torch.__version__), here.TORCH_RANGE, "install another")
    assert (check.state, check.seen) == ("warn", torch.__version__) and "1.0 to 1.1" in check.advice
