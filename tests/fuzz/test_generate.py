"""Generated traces are what they claim: proper nesting, exact totals, the same bytes for the same seed."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections import defaultdict
from decimal import Decimal
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]


def _module() -> ModuleType:
    spec = importlib.util.spec_from_file_location("rope_prof_generate", ROOT / "benchmarks/generate.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


generate = _module()


def _spans(path: Path) -> list[dict[str, Any]]:
    events = json.loads(path.read_text(), parse_float=Decimal)["traceEvents"]
    spans = [event for event in events if event["ph"] == "X"]
    for span in spans:
        span["start"] = int(span["ts"] * 1000)
        span["end"] = span["start"] + int(span["dur"] * 1000)
    return spans


def test_spans_of_one_thread_nest(tmp_path: Path) -> None:
    generate.write_trace(tmp_path / "t.json", 5000, seed=3, layers=2)
    lanes = defaultdict(list)
    for span in _spans(tmp_path / "t.json"):
        lanes[span["pid"], span["tid"]].append((span["start"], -span["end"]))
    assert len(lanes) == 5
    for lane in lanes.values():
        open_ends: list[int] = []
        for start, negative_end in sorted(lane):
            while open_ends and open_ends[-1] <= start:
                open_ends.pop()
            assert not open_ends or -negative_end <= open_ends[-1]
            open_ends.append(-negative_end)


def test_totals_are_what_the_file_holds(tmp_path: Path) -> None:
    totals = generate.write_trace(tmp_path / "t.json", 5000, seed=1, layers=2)
    document = json.loads((tmp_path / "t.json").read_text())
    assert totals.events == len(document["traceEvents"]) >= 5000
    gpu = [span for span in _spans(tmp_path / "t.json") if span["cat"] in ("kernel", "gpu_memcpy")]
    kernels = [span for span in gpu if span["cat"] == "kernel"]
    assert totals.kernels == len(kernels)
    assert totals.kernel_ns == sum(span["end"] - span["start"] for span in kernels)
    assert totals.span_ns == max(s["end"] for s in gpu) - min(s["start"] for s in gpu)
    busy, edge = 0, 0
    for start, end in sorted((span["start"], span["end"]) for span in gpu):
        busy += max(0, end - max(start, edge))
        edge = max(edge, end)
    assert (totals.busy_ns, totals.idle_ns) == (busy, totals.span_ns - busy)


def test_every_kernel_follows_its_launch(tmp_path: Path) -> None:
    generate.write_trace(tmp_path / "t.json", 4000, seed=2, layers=2)
    spans = _spans(tmp_path / "t.json")
    launches = {s["args"]["correlation"]: s for s in spans if s["cat"] in ("cuda_runtime", "cuda_driver")}
    kernels = [span for span in spans if span["cat"] == "kernel"]
    assert kernels
    for kernel in kernels:
        assert launches[kernel["args"]["correlation"]]["start"] < kernel["start"]


def test_the_seed_decides_the_bytes(tmp_path: Path) -> None:
    for name, seed in (("a", 5), ("b", 5), ("c", 6)):
        generate.write_trace(tmp_path / f"{name}.json", 1000, seed=seed)
    a, b, c = ((tmp_path / f"{name}.json").read_bytes() for name in "abc")
    assert a == b
    assert a != c


@pytest.mark.parametrize("events", [0, -1])
def test_no_events_is_refused(tmp_path: Path, events: int) -> None:
    with pytest.raises(ValueError, match="expected at least 1"):
        generate.write_trace(tmp_path / "t.json", events)
